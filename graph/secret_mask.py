"""Secret environment variables in what records show: put out of sight where facts are made, by their values.

What nodes compute stays as it is: outputs, variables and texts to readers carry a secret if a workflow puts it there.
Inputs, process data and error texts are shown only, and never hold one.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, quote_plus

from graph.events import NodeFinished, NodeRetried
from graph.value_types import MASK
from graph.workflow import Variable

SHORTEST: Final = 4
"""Shorter secrets are masked only where they are a whole value: they would stand in every second word."""


class SecretMask:
    """Finds the values of some secrets in text, plain, as JSON writes them, or as they stand in addresses."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Prepare; ``secrets`` are not empty."""
        self._whole = frozenset(secrets)
        forms = {form for secret in self._whole if len(secret) >= SHORTEST for form in _forms(secret)}
        # The longest first: one may be part of another.
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def text(self, text: str) -> str:
        """Return ``text`` without secrets."""
        if text in self._whole:
            return MASK
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def value(self, value: Any) -> Any:
        """Return a JSON value without secrets; ``value`` stays as it is."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.value(name): self.value(part) for name, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(part) for part in value]
        return value

    def hide(self, fact: NodeFinished | NodeRetried) -> None:
        """Mask what ``fact`` only shows, its error text also where it is an output by the node's error strategy."""
        if fact.error is not None:
            fact.error = self.text(fact.error)
        if isinstance(fact, NodeFinished):
            fact.inputs = self.value(fact.inputs)
            fact.process_data = self.value(fact.process_data)
            if fact.status == "exception" and isinstance(fact.outputs.get("error_message"), str):
                fact.outputs = {**fact.outputs, "error_message": self.text(fact.outputs["error_message"])}


def mask_of(environment: Iterable[Variable]) -> SecretMask | None:
    """Return what masks the secrets among the environment variables of a workflow, None if it has none."""
    secrets = [str(each.value) for each in environment if each.value_type == "secret" and str(each.value or "")]
    return SecretMask(secrets) if secrets else None


def _forms(secret: str) -> set[str]:
    """Return how ``secret`` may stand in a text."""
    as_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {secret, *as_json, quote(secret), quote(secret, safe=""), quote_plus(secret)}
