"""list-operator: filters a list, takes one element, sorts, cuts; in that order.

Source: spec/graph.md 2.15.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from graph.errors import NodeError
from graph.nodes.kind import NodeData, NodeKind, NodeResult, PureStep
from graph.template import Template
from graph.value_types import ValueType, infer_type
from graph.variable_pool import MISSING, VariablePool

_INPUT_TYPES = frozenset(
    {ValueType.ARRAY_STRING, ValueType.ARRAY_NUMBER, ValueType.ARRAY_BOOLEAN, ValueType.ARRAY_FILE}
)
_TEXT_KEYS = {
    "name": "filename",
    "extension": "extension",
    "mime_type": "mime_type",
    "url": "remote_url",
    "related_id": "related_id",
}
_CHOICE_KEYS = {"type": "type", "transfer_method": "transfer_method"}


class FilterCondition(BaseModel):
    """What an element must be. ``key``: the attribute of a file that is looked at."""

    model_config = ConfigDict(extra="ignore")

    key: str = ""
    comparison_operator: str = "contains"
    value: bool | str | list[str] = ""


class FilterBy(BaseModel):
    """Which elements stay: those that meet every condition."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    conditions: list[FilterCondition] = Field(default_factory=list)


class ExtractBy(BaseModel):
    """Which single element stays, counted from 1."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    serial: str = "1"


class OrderBy(BaseModel):
    """How elements are sorted; ``key``: the attribute of a file."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    key: str = ""
    value: Literal["asc", "desc"] = "asc"


class Limit(BaseModel):
    """How many elements stay, counted as Python slices are."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    size: int = -1


class ListOperatorData(NodeData):
    """Data of a list-operator node."""

    variable: list[str] = Field(default_factory=list)
    filter_by: FilterBy = Field(default_factory=FilterBy)
    extract_by: ExtractBy = Field(default_factory=ExtractBy)
    order_by: OrderBy = Field(default_factory=OrderBy)
    limit: Limit = Field(default_factory=Limit)


Test = Callable[[Any], bool]

_TEXT_TESTS: dict[str, Callable[[str, Any], bool]] = {
    "contains": lambda text, wanted: wanted in text,
    "start with": lambda text, wanted: text.startswith(wanted),
    "end with": lambda text, wanted: text.endswith(wanted),
    "is": lambda text, wanted: text == wanted,
    "in": lambda text, wanted: text in wanted,
    "empty": lambda text, wanted: text == "",
    "not contains": lambda text, wanted: wanted not in text,
    "is not": lambda text, wanted: text != wanted,
    "not in": lambda text, wanted: text not in wanted,
    "not empty": lambda text, wanted: text != "",
}
_NUMBER_TESTS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda number, wanted: number == wanted,
    "≠": lambda number, wanted: number != wanted,
    "<": lambda number, wanted: number < wanted,
    "≤": lambda number, wanted: number <= wanted,
    ">": lambda number, wanted: number > wanted,
    "≥": lambda number, wanted: number >= wanted,
}
_CHOICES = ("in", "not in")


def _compile(data: ListOperatorData) -> PureStep:
    selector = tuple(data.variable)
    serial = Template(data.extract_by.serial)
    wanted = [Template(each.value) if isinstance(each.value, str) else each.value for each in data.filter_by.conditions]

    def step(pool: VariablePool) -> NodeResult:
        value = pool.get(selector)
        if value is MISSING:
            raise NodeError(f"Variable not found for selector: {data.variable}")
        if not value:
            return _result([], [])
        kind = infer_type(value)
        if kind not in _INPUT_TYPES:
            raise NodeError(f"Variable {data.variable} is a {kind}; a list operator takes lists of strings, numbers, "
                            "booleans or files")  # fmt: skip
        items = list(value)
        if data.filter_by.enabled:
            for condition, text in zip(data.filter_by.conditions, wanted, strict=True):
                is_wanted = _test(kind, condition, text.text(pool) if isinstance(text, Template) else text)
                items = [item for item in items if is_wanted(item)]
        if data.extract_by.enabled:
            items = [items[_place(serial.text(pool), len(items))]]
        if data.order_by.enabled:
            items = _sorted(kind, data.order_by, items)
        if data.limit.enabled:
            items = items[: data.limit.size]
        return _result(value, items)

    return step


def _result(value: list[Any], items: list[Any]) -> NodeResult:
    return NodeResult(
        outputs={
            "result": items,
            "first_record": items[0] if items else None,
            "last_record": items[-1] if items else None,
        },
        inputs={"variable": value},
        process_data={"variable": value},
    )


def _test(kind: ValueType, condition: FilterCondition, wanted: Any) -> Test:
    """Return the check of one condition whose value reads ``wanted`` now."""
    if kind is ValueType.ARRAY_FILE:
        return _file_test(condition, wanted)
    if kind is ValueType.ARRAY_BOOLEAN:
        return _boolean_test(condition, wanted)
    if not isinstance(wanted, str):
        raise _invalid_value(wanted)
    if kind is ValueType.ARRAY_NUMBER:
        return _number_test(condition.comparison_operator, wanted)
    return _text_test(condition.comparison_operator, wanted)


def _text_test(operator: str, wanted: Sequence[str]) -> Test:
    compare = _TEXT_TESTS.get(operator)
    if compare is None:
        raise _invalid_operator(operator)
    return lambda text: compare(text, wanted)


def _number_test(operator: str, wanted: str) -> Test:
    compare = _NUMBER_TESTS.get(operator)
    if compare is None:
        raise _invalid_operator(operator)
    try:
        number = float(wanted)
    except ValueError as error:
        raise _invalid_value(wanted) from error
    return lambda item: compare(item, number)


def _boolean_test(condition: FilterCondition, wanted: Any) -> Test:
    if not isinstance(wanted, bool):
        raise NodeError(f"Boolean filter expects a boolean value, got {wanted!r}", "InvalidFilterValueError")
    if condition.comparison_operator == "is":
        return lambda item: item is wanted
    if condition.comparison_operator == "is not":
        return lambda item: item is not wanted
    raise _invalid_operator(condition.comparison_operator)


def _file_test(condition: FilterCondition, wanted: Any) -> Test:
    key, operator = condition.key, condition.comparison_operator
    if key in _TEXT_KEYS and isinstance(wanted, str):
        is_wanted, name = _text_test(operator, wanted), _TEXT_KEYS[key]
        return lambda file: is_wanted(file.get(name) or "")
    if key in _CHOICE_KEYS and isinstance(wanted, str | list):
        if operator not in _CHOICES:
            raise _invalid_operator(operator)
        is_wanted, name = _text_test(operator, wanted), _CHOICE_KEYS[key]
        return lambda file: is_wanted(file.get(name) or "")
    if key == "size" and isinstance(wanted, str):
        is_wanted = _number_test(operator, wanted)
        return lambda file: is_wanted(file.get("size") or 0)
    raise NodeError(f"Invalid key: {key}", "InvalidKeyError")


def _place(serial: str, count: int) -> int:
    """Return the index that the 1-based ``serial`` names among ``count`` elements."""
    try:
        number = int(serial)
    except ValueError as error:
        raise NodeError(f"Invalid serial index: {serial!r} is no whole number", "InvalidKeyError") from error
    if number < 1:
        raise NodeError(f"Invalid serial index: must be >= 1, got {number}", "InvalidKeyError")
    if number > count:
        raise NodeError(f"Invalid serial index: must be <= {count}, got {number}", "InvalidKeyError")
    return number - 1


def _sorted(kind: ValueType, order: OrderBy, items: list[Any]) -> list[Any]:
    is_descending = order.value == "desc"
    if kind is not ValueType.ARRAY_FILE:
        return sorted(items, reverse=is_descending)
    name = {**_TEXT_KEYS, **_CHOICE_KEYS}.get(order.key)
    if name is not None:
        return sorted(items, key=lambda file: file.get(name) or "", reverse=is_descending)
    if order.key == "size":
        return sorted(items, key=lambda file: file.get("size") or 0, reverse=is_descending)
    raise NodeError(f"Invalid order key: {order.key}", "InvalidKeyError")


def _invalid_value(value: Any) -> NodeError:
    return NodeError(f"Invalid filter value: {value}", "InvalidFilterValueError")


def _invalid_operator(operator: str) -> NodeError:
    return NodeError(f"Invalid condition: {operator}", "InvalidConditionError")


KIND = NodeKind(type="list-operator", data=ListOperatorData, compile_pure=_compile)
