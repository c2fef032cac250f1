"""What a decision is bound to: the digest of a form, and the one way in which JSON is written to be hashed or signed.

Canonical JSON: UTF-8, the members of objects sorted by name, nothing between the tokens.

Source: spec/beyond.md 1, row 1.
"""

import hashlib
import hmac
from typing import Any

import orjson

from hitl.errors import FormChangedError
from hitl.form import Form, FormDefinition
from hitl.form_state import check_open


def canonical_json(value: Any) -> bytes:
    """Return a JSON value as the bytes that stand for it; equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def hash_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value, 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def form_digest(asked: FormDefinition) -> str:
    """Return the digest of what a person decides on, 64 hex digits.

    It covers the content with its variables filled in, the inputs, the ids of the actions and the resolved defaults.
    How the form looks (titles, styles of buttons) stays out.
    """
    return hash_of(
        {
            "form_content": asked.form_content,
            "inputs": asked.inputs,
            "actions": [action["id"] for action in asked.actions],
            "resolved_default_values": asked.resolved_default_values,
        }
    )


def check_answerable(form: Form, digest: str | None, now: float) -> None:
    """Return when ``form`` can be answered at ``now``, by somebody who has decided on what ``digest`` stands for.

    Args:
        form: the form.
        digest: of what was decided on; None: that was not said.
        now: Unix seconds.

    Raises:
        FormAlreadySubmittedError, FormExpiredError: as ``check_open``.
        FormChangedError: the digest is that of something else; the form stays open.
    """
    check_open(form, now)
    if digest is not None and not hmac.compare_digest(
        digest.strip().lower().encode("utf-8", "replace"), form_digest(form.definition).encode()
    ):
        raise FormChangedError(form.form_id)
