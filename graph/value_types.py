"""Which type a value has and how it reads as text.

Values of a run are plain Python values; nothing carries a type tag. This module infers a type where one is asked
for, and renders the three text forms: ``text`` (prompts, conditions), ``log`` (secrets masked) and
``markdown`` (what a reader sees).
Source: graphon 0.8.0 variables/segments (spec/graph.md 3.2, 3.4).
"""

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, ClassVar

from graph.errors import RefusedError
from graph.variable_pool import SecretText, is_file

MASK = "*" * 12
"""What records show in place of a secret."""


class ValueType(StrEnum):
    """The types a workflow file may name. ``number`` is only declared; values are integer or float."""

    NONE = "none"
    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    OBJECT = "object"
    SECRET = "secret"
    FILE = "file"
    ARRAY_ANY = "array[any]"
    ARRAY_STRING = "array[string]"
    ARRAY_NUMBER = "array[number]"
    ARRAY_OBJECT = "array[object]"
    ARRAY_FILE = "array[file]"
    ARRAY_BOOLEAN = "array[boolean]"


class ValueTypeError(RefusedError):
    """A value has no type of the language, or not the declared one; whoever made the value fixes it."""

    code: ClassVar[str] = "value_type"

    def __init__(self, found: str, declared: str) -> None:
        super().__init__(found, declared)
        self.found = found
        self.declared = declared

    def __str__(self) -> str:
        if not self.declared:
            return f"not supported value of type {self.found}"
        return f"expected {self.declared}, found {self.found}"


_NUMBERS = frozenset({ValueType.NUMBER, ValueType.INTEGER, ValueType.FLOAT})
_ARRAY_OF = {
    ValueType.STRING: ValueType.ARRAY_STRING,
    ValueType.INTEGER: ValueType.ARRAY_NUMBER,
    ValueType.FLOAT: ValueType.ARRAY_NUMBER,
    ValueType.BOOLEAN: ValueType.ARRAY_BOOLEAN,
    ValueType.OBJECT: ValueType.ARRAY_OBJECT,
    ValueType.FILE: ValueType.ARRAY_FILE,
}
_ELEMENT_OF = {
    ValueType.ARRAY_STRING: ValueType.STRING,
    ValueType.ARRAY_NUMBER: ValueType.NUMBER,
    ValueType.ARRAY_BOOLEAN: ValueType.BOOLEAN,
    ValueType.ARRAY_OBJECT: ValueType.OBJECT,
    ValueType.ARRAY_FILE: ValueType.FILE,
}
ARRAY_TYPES = frozenset({ValueType.ARRAY_ANY, *_ELEMENT_OF})


def infer_type(value: Any) -> ValueType:
    """Return the type of ``value``; a list has an element type only if all its elements share one.

    Raises:
        ValueTypeError: the value is of no type of the language.
    """
    scalar = _scalar_type(value)
    if scalar is not None:
        return scalar
    if isinstance(value, list):
        found = {_ARRAY_OF.get(infer_type(item), ValueType.ARRAY_ANY) for item in value}
        return found.pop() if len(found) == 1 else ValueType.ARRAY_ANY
    raise ValueTypeError(type(value).__name__, "")


def _scalar_type(value: Any) -> ValueType | None:
    if value is None:
        return ValueType.NONE
    if isinstance(value, str):
        return ValueType.STRING
    if isinstance(value, bool):  # before int: a bool is an int in Python
        return ValueType.BOOLEAN
    if isinstance(value, int):
        return ValueType.INTEGER
    if isinstance(value, float):
        return ValueType.FLOAT
    if isinstance(value, dict):
        return ValueType.FILE if is_file(value) else ValueType.OBJECT
    return None


def check_declared(value: Any, declared: str) -> ValueType:
    """Return the type that ``value`` gets under the ``declared`` one.

    An empty list takes the declared array type, a number keeps integer or float; everything else must be exactly
    the declared type.

    Raises:
        ValueTypeError: it is another type, or ``declared`` is no type.
    """
    found = infer_type(value)
    wanted = _MEMBERS.get(declared)
    if wanted is found or (wanted is ValueType.SECRET and found is ValueType.STRING):
        return wanted
    if value == [] and wanted in ARRAY_TYPES:
        return wanted
    if wanted is ValueType.NUMBER and found in _NUMBERS:
        return found
    raise ValueTypeError(found, declared)


def is_valid(value: Any, declared: str) -> bool:
    """Whether ``value`` may stand where ``declared`` is wanted; numbers take booleans too, as Python does."""
    wanted = _MEMBERS.get(declared)
    if wanted in _NUMBERS:
        return isinstance(value, int | float)
    if wanted is ValueType.SECRET:
        return isinstance(value, str)
    if wanted in ARRAY_TYPES:
        element = _ELEMENT_OF.get(wanted)
        return isinstance(value, list) and (element is None or all(is_valid(item, element) for item in value))
    return wanted is not None and _scalar_type(value) is wanted


_MEMBERS: dict[str, ValueType] = {member.value: member for member in ValueType}


def text_of(value: Any) -> str:
    """Return the ``text`` form of ``value``: what prompts and conditions see."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, dict):
        return "" if is_file(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return _array_text(value)
    return str(value)


def _array_text(value: list[Any]) -> str:
    if not value or all(is_file(item) for item in value):
        return ""
    if all(isinstance(item, str) for item in value):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def log_of(value: Any) -> str:
    """Return the ``log`` form of ``value``: secrets are masked."""
    if isinstance(value, SecretText):
        return MASK
    if isinstance(value, dict) and not is_file(value):
        return json.dumps(value, ensure_ascii=False, indent=2)
    if isinstance(value, list):
        return "" if value and all(is_file(item) for item in value) else str(value)
    return text_of(value)


def markdown_of(value: Any) -> str:
    """Return the ``markdown`` form of ``value``: what a reader sees, files as links or images."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _file_markdown(value) if is_file(value) else json.dumps(value, ensure_ascii=False, indent=2)
    if isinstance(value, list):
        if value and all(is_file(item) for item in value):
            return "\n".join(_file_markdown(item) for item in value)
        return "\n".join(f"- {item}" for item in value)
    return text_of(value)


def _file_markdown(file: dict[str, Any]) -> str:
    link = f"[{file.get('filename') or ''}]({file.get('url') or file.get('remote_url') or ''})"
    return f"!{link}" if file.get("type") == "image" else link


def files_in(values: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the files among ``values``, those of file arrays included, in order."""
    files: list[dict[str, Any]] = []
    for value in values:
        if is_file(value):
            files.append(value)
        elif isinstance(value, list) and value and all(is_file(item) for item in value):
            files.extend(value)
    return files
