"""Start inputs checked against the variables that the start node declares.

Not here: which files the caller may use (the surface resolves them first), and schemas of JSON objects, which the
start node checks when it runs.
Source: dify 1.14.2 core/app/apps/base_app_generator.py (spec/graph.md 2.1, spec/http.md 2.3).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graph.errors import InvalidInputError

_TEXT_TYPES = frozenset({"text-input", "select", "paragraph"})
_FILE_TYPES = frozenset({"file", "file-list"})
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_LARGEST_INT = 2**63


def check_inputs(variables: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that a run starts with: one entry per declared variable, defaults filled in.

    Args:
        variables: the start node's declarations as in the file.
        inputs: name -> JSON value as the caller sent them; names that are not declared are dropped.

    Raises:
        InvalidInputError: a required input is missing, or a value does not fit its field.
    """
    checked = {_name(variable): _check(variable, inputs.get(_name(variable))) for variable in variables}
    types = {_name(variable): variable.get("type") for variable in variables}
    _refuse(checked, types, frozenset({"file", "json_object"}), lambda value: isinstance(value, dict))
    _refuse(checked, types, frozenset({"file-list"}), _is_list_with_objects)
    return checked


def _name(variable: Mapping[str, Any]) -> str:
    return str(variable.get("variable", ""))


def _check(variable: Mapping[str, Any], value: Any) -> Any:
    name, kind, is_required = _name(variable), variable.get("type"), bool(variable.get("required"))
    if value is None:
        if is_required:
            raise InvalidInputError(f"{name} is required in input form")
        value = variable.get("default")
        if value is None or (kind == "select" and value == ""):
            return None
    if kind in _FILE_TYPES and not is_required and value == "":
        return None
    if kind in _TEXT_TYPES and not isinstance(value, str):
        raise InvalidInputError(f"(type '{kind}') {name} in input form must be a string")
    if kind == "number":
        return _number(name, value)
    if kind == "checkbox":
        return _boolean(value)
    _check_kind(variable, name, value)
    return value.replace("\0", "") if isinstance(value, str) else value


def _check_kind(variable: Mapping[str, Any], name: str, value: Any) -> None:
    kind, limit = variable.get("type"), variable.get("max_length")
    if kind == "select":
        options = variable.get("options") or []
        if value not in options:
            raise InvalidInputError(f"{name} in input form must be one of the following: {options}")
    elif kind in ("text-input", "paragraph"):
        if limit and len(value) > int(limit):
            raise InvalidInputError(f"{name} in input form must be less than {limit} characters")
    elif kind == "file":
        if not isinstance(value, dict):
            raise InvalidInputError(f"{name} in input form must be a file")
    elif kind == "file-list":
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise InvalidInputError(f"{name} in input form must be a list of files")
        if limit and len(value) > int(limit):
            raise InvalidInputError(f"{name} in input form must be less than {limit} files")
    elif kind == "json_object" and value and not isinstance(value, dict):
        raise InvalidInputError(f"{name} in input form must be a dict")


def _number(name: str, value: Any) -> int | float | None:
    if isinstance(value, str) and not value.strip():
        return None
    try:
        number = (float(value) if "." in value else int(value)) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int | float) or (isinstance(number, float) and not math.isfinite(number)):
        raise InvalidInputError(f"{name} in input form must be a valid number")
    if not -_LARGEST_INT <= number < _LARGEST_INT and isinstance(number, int):
        return _number(name, _as_float(number))  # as JSON carries it
    return number


def _as_float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _boolean(value: Any) -> Any:
    word = value.strip().lower() if isinstance(value, str) else value
    if isinstance(word, str):
        return True if word in _TRUE else False if word in _FALSE else value
    if isinstance(word, int | float) and word in (0, 1):
        return bool(word)
    return value


def _is_list_with_objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


def _refuse(
    checked: dict[str, Any], types: dict[str, Any], allowed: frozenset[str], is_such: Callable[[Any], bool]
) -> None:
    names = [name for name, value in checked.items() if is_such(value) and types[name] not in allowed]
    if names:
        raise InvalidInputError(f"Invalid input type for {names}")
