"""What a code node may give back: its declared outputs, checked member by member.

Source: graphon 0.8.0 nodes/code, dify 1.14.2 core/helper/code_executor (spec/graph.md 2.5).
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from graph.errors import NodeError

MAX_STRING_CHARACTERS = 400_000
MAX_NUMBER = 9_223_372_036_854_775_807
MAX_DECIMALS = 20
MAX_DEPTH = 5
MAX_ITEMS = {"array[string]": 30, "array[object]": 30, "array[number]": 1000}

_SCIENTIFIC = re.compile(r"-?\d+\.?\d*[eE][+-]\d+", re.ASCII)
_LARGEST_STORED = 2**64 - 1


class DeclaredOutput(BaseModel):
    """One output as the file declares it. ``children``: the members of an object, or of each object of a list."""

    model_config = ConfigDict(extra="ignore")

    type: Literal[
        "string", "number", "object", "boolean", "array[string]", "array[number]", "array[object]", "array[boolean]"
    ]
    children: dict[str, "DeclaredOutput"] | None = None


def checked_outputs(result: Mapping[str, Any], declared: Mapping[str, DeclaredOutput]) -> dict[str, Any]:
    """Return ``result`` as the node's outputs.

    Raises:
        NodeError: a value is missing, is not declared, has another type or goes over a limit; type
            ``OutputValidationError`` or ``DepthLimitError``.
    """
    return _members(plain_numbers(result), declared, "", 1)


def plain_numbers(value: Any) -> Any:
    """Return ``value`` with each text in scientific notation made a number, as Dify's executor does."""
    if isinstance(value, str):
        return float(value) if _SCIENTIFIC.fullmatch(value) else value
    if isinstance(value, dict):
        return {name: plain_numbers(member) for name, member in value.items()}
    return [plain_numbers(item) for item in value] if isinstance(value, list) else value


def _members(
    result: Mapping[str, Any], declared: Mapping[str, DeclaredOutput], path: str, depth: int
) -> dict[str, Any]:
    _check_depth(depth)
    outputs: dict[str, Any] = {}
    for name, output in declared.items():
        place = f"{path}.{name}" if path else name
        if name not in result:
            raise _invalid(f"Output {place} is missing.")
        outputs[name] = None if result[name] is None else _declared(result[name], output, place, depth)
    if len(outputs) != len(result):
        raise _invalid("Not all output parameters are validated.")
    return outputs


def _declared(value: Any, output: DeclaredOutput, place: str, depth: int) -> Any:
    match output.type:
        case "string":
            return _string(value, place)
        case "number":
            return _number(value, place)
        case "boolean":
            return _storable(value, place, depth)
        case "object":
            return _object(value, output.children, place, depth)
    if not isinstance(value, list):
        raise _invalid(f"Output {place} is not an array, got {type(value).__name__} instead.")
    limit = MAX_ITEMS.get(output.type)
    if limit is not None and len(value) > limit:
        raise _invalid(f"Output {place} has {len(value)} elements; at most {limit} are allowed.")
    return [_item(item, output, f"{place}[{index}]", depth) for index, item in enumerate(value)]


def _item(item: Any, output: DeclaredOutput, place: str, depth: int) -> Any:
    """Return an element of a declared list."""
    if output.type == "array[number]":
        if not isinstance(item, int | float):
            raise _invalid(f"Output {place} is not a number, got {type(item).__name__} instead.")
        return _storable_number(item, place)
    if item is None:
        return None
    if output.type == "array[string]":
        return _string(item, place)
    if output.type == "array[object]":
        return _object(item, output.children, place, depth)
    if not isinstance(item, bool):
        raise _invalid(f"Output {place} is not a boolean, got {type(item).__name__} instead.")
    return item


def _object(value: Any, children: Mapping[str, DeclaredOutput] | None, place: str, depth: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"Output {place} is not an object, got {type(value).__name__} instead.")
    if children is None:
        return _undeclared(value, place, depth + 1)
    return _members(value, children, place, depth + 1)


def _undeclared(value: Any, place: str, depth: int) -> Any:
    """Return a value inside an object without declared members, checked for limits only."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _string(value, place)
    if isinstance(value, int | float):
        return _number(value, place)
    _check_depth(depth)
    if isinstance(value, dict):
        return {_clean(name): _undeclared(member, f"{place}.{name}", depth + 1) for name, member in value.items()}
    kinds = {_list_kind(item) for item in value if item is not None}
    if len(kinds) > 1:
        raise _invalid(f"Output {place} is not a valid array: its elements have more than one type.")
    return [_undeclared(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]


def _list_kind(item: Any) -> type:
    return float if isinstance(item, int | float) else type(item)


def _storable(value: Any, place: str, depth: int) -> Any:
    """Return a value whose type nothing checks."""
    if isinstance(value, int | float):
        return _storable_number(value, place) if not isinstance(value, bool) else value
    return _undeclared(value, place, depth + 1)


def _string(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise _invalid(f"Output variable `{place}` must be a string, got {type(value).__name__} instead.")
    if len(value) > MAX_STRING_CHARACTERS:
        raise _invalid(f"The length of output variable `{place}` must be at most {MAX_STRING_CHARACTERS} characters.")
    return _clean(value)


def _clean(text: str) -> str:
    """Return ``text`` without NUL; halves of characters, which no encoding can store, become a question mark."""
    text = text.replace("\x00", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _number(value: Any, place: str) -> int | float:
    if not isinstance(value, int | float):
        raise _invalid(f"Output variable `{place}` must be a number, got {type(value).__name__} instead.")
    number = int(value) if isinstance(value, bool) else value
    if not -MAX_NUMBER <= number <= MAX_NUMBER:
        raise _invalid(f"Output variable `{place}` is out of range, it must be between {-MAX_NUMBER} and {MAX_NUMBER}.")
    if isinstance(number, float) and _decimals(number) > MAX_DECIMALS:
        raise _invalid(f"Output variable `{place}` has too high precision, at most {MAX_DECIMALS} decimals count.")
    return number


def _decimals(number: float) -> int:
    exponent = Decimal(repr(number)).as_tuple().exponent
    return -exponent if isinstance(exponent, int) else MAX_DECIMALS + 1


def _storable_number(value: int | float, place: str) -> int | float:
    """Return a number whose range nothing checks but that must survive being stored."""
    number = int(value) if isinstance(value, bool) else value
    if math.isfinite(number) if isinstance(number, float) else -MAX_NUMBER - 1 <= number <= _LARGEST_STORED:
        return number
    raise _invalid(f"Output variable `{place}` is out of range.")


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise NodeError(f"Depth limit {MAX_DEPTH} reached, object too deep.", "DepthLimitError")


def _invalid(message: str) -> NodeError:
    return NodeError(message, "OutputValidationError")
