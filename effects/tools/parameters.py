"""Reads the values of a tool's parameters: a workflow hands most of them over as text."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from effects.tools.errors import ToolParameterError


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one call, read by name; empty text counts as not given."""

    tool: str
    values: Mapping[str, Any]

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; objects and lists as JSON.

        Raises:
            ToolParameterError: it is missing and has no default.
        """
        value = self._given(name)
        if value is None:
            if default is None:
                raise ToolParameterError(self.tool, f'the parameter "{name}" is missing')
            return default
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def integer(self, name: str, default: int | None = None) -> int:
        """Return a whole number; same errors as ``text``, and for what is no number."""
        value = self._given(name)
        if value is None:
            if default is None:
                raise ToolParameterError(self.tool, f'the parameter "{name}" is missing')
            return default
        try:
            number = float(value)
            if number != int(number):
                raise ValueError(value)
        except (TypeError, ValueError, OverflowError):
            raise ToolParameterError(self.tool, f'the parameter "{name}" is no whole number') from None
        return int(number)

    def flag(self, name: str, default: bool) -> bool:
        """Return a yes or no, which may be written as text or number."""
        value = self._given(name)
        if value is None:
            return default
        return str(value).strip().lower() in ("true", "1", "yes", "on")

    def data(self, name: str) -> Any:
        """Return a JSON value, which is mostly written as text.

        Raises:
            ToolParameterError: it is missing or no JSON.
        """
        value = self._given(name)
        if value is None:
            raise ToolParameterError(self.tool, f'the parameter "{name}" is missing')
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ToolParameterError(self.tool, f'the parameter "{name}" is no JSON: {error}') from None

    def _given(self, name: str) -> Any:
        value = self.values.get(name)
        return None if value == "" else value


def typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return ``value`` as the schema's type where it is text: a workflow hands most values over as such.

    Raises:
        ValueError: it does not read as that type.
    """
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), None)
    if not isinstance(value, str) or kind in (None, "string"):
        return value
    if kind in ("integer", "number"):
        return _number(value, kind)
    if kind == "boolean":
        if value.strip().lower() not in ("true", "false", "1", "0"):
            raise ValueError("is no boolean")
        return value.strip().lower() in ("true", "1")
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        read = [value] if kind == "array" else None
    if not isinstance(read, list if kind == "array" else dict):
        raise ValueError(f"is no JSON {kind}")
    return read


def _number(value: str, kind: str) -> int | float:
    try:
        number = int(value) if kind == "integer" else float(value)
    except ValueError:
        raise ValueError(f"is no {kind}") from None
    if not math.isfinite(number):
        raise ValueError(f"is no {kind}")
    return number
