"""One item of an assigner of version 2: which operation fits which type, what it needs, what it makes.

Source: spec/graph.md 2.12.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from graph.errors import NodeError
from graph.nodes.kind import VariableUpdate
from graph.value_types import ARRAY_TYPES, ValueType, infer_type, is_valid
from graph.variable_pool import MISSING, VariablePool

_NUMBERS = frozenset({ValueType.NUMBER, ValueType.INTEGER, ValueType.FLOAT})
_SETTABLE = frozenset({ValueType.STRING, ValueType.OBJECT, ValueType.BOOLEAN, *_NUMBERS})
_ELEMENTS: dict[str, tuple[str, ...]] = {
    ValueType.ARRAY_STRING: (ValueType.STRING,),
    ValueType.ARRAY_NUMBER: (ValueType.NUMBER,),
    ValueType.ARRAY_OBJECT: (ValueType.OBJECT,),
    ValueType.ARRAY_BOOLEAN: (ValueType.BOOLEAN,),
    ValueType.ARRAY_ANY: (ValueType.STRING, ValueType.NUMBER, ValueType.OBJECT),
}
_ZEROES: dict[str, Callable[[], Any]] = {
    ValueType.STRING: str,
    ValueType.NUMBER: int,
    ValueType.INTEGER: int,
    ValueType.FLOAT: float,
    ValueType.BOOLEAN: bool,
    ValueType.OBJECT: dict,
    **{each: list for each in ARRAY_TYPES if each is not ValueType.ARRAY_FILE},
}

Name = Literal[
    "over-write", "clear", "set", "+=", "-=", "*=", "/=", "append", "extend", "remove-first", "remove-last"
]  # fmt: skip
_INPUT_TYPES: dict[str, frozenset[str]] = {
    "over-write": frozenset({"variable", "constant"}),
    "set": frozenset({"constant"}),
    "clear": frozenset({"variable"}),
    "append": frozenset({"variable"}),
    "extend": frozenset({"variable"}),
    "remove-first": frozenset({"variable"}),
    "remove-last": frozenset({"variable"}),
    **dict.fromkeys(("+=", "-=", "*=", "/="), frozenset({"constant"})),
}
_NEEDS_NOTHING = frozenset({"clear", "remove-first", "remove-last"})


class AssignerItem(BaseModel):
    """One operation on one variable. ``value``: a constant, or the selector of the input."""

    model_config = ConfigDict(extra="ignore")

    variable_selector: list[str] = Field(min_length=2)
    input_type: Literal["variable", "constant"]
    operation: Name
    value: Any = None


def type_of(selector: tuple[str, str], current: Any, types: Mapping[str, str]) -> str:
    """Return the type of a variable: the declared one, else that of its ``current`` value; a number has its own."""
    declared = types.get(f"{selector[0]}.{selector[1]}")
    return declared if declared and declared not in _NUMBERS else str(infer_type(current))


def zero_value(kind: str) -> Any:
    """Return what a variable of type ``kind`` is after clearing.

    Raises:
        NodeError: files and secrets have no such value.
    """
    zero = _ZEROES.get(kind)
    if zero is None:
        raise NodeError(f"a variable of type {kind} cannot be cleared", "VariableOperatorNodeError")
    return zero()


class Operation:
    """One compiled item."""

    def __init__(self, item: AssignerItem, types: Mapping[str, str]) -> None:
        self._target = (item.variable_selector[0], item.variable_selector[1])
        self._item = item
        self._types = types

    def run(self, pool: VariablePool) -> VariableUpdate | None:
        """Return the change, None where the input is null.

        Raises:
            NodeError: variable or input is missing, or the operation fits neither type nor value.
        """
        item, name = self._item, self._item.operation
        current = pool.get(self._target)
        if current is MISSING:
            raise NodeError(f"Variable {list(self._target)} not found", "VariableNotFoundError")
        kind = type_of(self._target, current, self._types)
        if not _fits(name, kind):
            raise NodeError(f"Operation {name} is not supported for type {kind}", "OperationNotSupportedError")
        if item.input_type not in _INPUT_TYPES[name] or (
            name == "over-write" and item.input_type == "constant" and kind not in _SETTABLE
        ):
            message = f"Input type {item.input_type} is not supported for operation {name}"
            raise NodeError(message, "InputTypeNotSupportedError")
        value = None if name in _NEEDS_NOTHING else self._input(pool)
        if value is None and name not in _NEEDS_NOTHING:
            return None
        if name in ("set", "over-write") and kind == ValueType.OBJECT and item.input_type == "constant":
            value = _object(value)
        if not _takes(name, kind, value):
            raise NodeError(f"Invalid input value {value!r} for operation {name}", "InvalidInputValueError")
        return VariableUpdate(self._target, kind, _apply(name, kind, current, value))

    def _input(self, pool: VariablePool) -> Any:
        value = self._item.value
        if self._item.input_type == "constant":
            return value
        found = pool.get(value) if isinstance(value, list) else MISSING
        if found is MISSING:
            raise NodeError(f"Variable {value} not found", "VariableNotFoundError")
        return found


def _fits(name: str, kind: str) -> bool:
    """Whether operation ``name`` exists for variables of type ``kind``."""
    match name:
        case "over-write" | "clear":
            return True
        case "set":
            return kind in _SETTABLE
        case "+=" | "-=" | "*=" | "/=":
            return kind in _NUMBERS
        case "append":
            return kind in _ELEMENTS
        case _:
            return kind in ARRAY_TYPES


def _takes(name: str, kind: str, value: Any) -> bool:
    """Whether ``value`` may be the input of operation ``name`` on a variable of type ``kind``."""
    match name:
        case "over-write" | "set":
            return is_valid(value, kind)
        case "+=" | "-=" | "*=" | "/=":
            return isinstance(value, int | float) and not (name == "/=" and value == 0)
        case "append":
            return any(is_valid(value, element) for element in _ELEMENTS[kind])
        case "extend":
            return is_valid(value, kind)
        case _:
            return True


def _apply(name: str, kind: str, current: Any, value: Any) -> Any:
    match name:
        case "over-write" | "set":
            return value
        case "clear":
            return zero_value(kind)
        case "+=":
            return _in_range(current + value)
        case "-=":
            return _in_range(current - value)
        case "*=":
            return _in_range(current * value)
        case "/=":
            return _in_range(current / value)
        case "append":
            return [*current, value]
        case "extend":
            return [*current, *value]
        case "remove-first":
            return current[1:]
        case _:
            return current[:-1]


def _in_range(number: int | float) -> int | float:
    """Return ``number`` if a journal can hold it.

    Raises:
        NodeError: it is no 64-bit number.
    """
    is_in_range = math.isfinite(number) if isinstance(number, float) else abs(number) < 2**63
    if not is_in_range:
        raise NodeError("the result is outside of the range of numbers", "VariableOperatorNodeError")
    return number


def _object(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
