"""Comparisons of if-else cases, compiled once.

Every operator follows the table of spec/graph.md 2.6, oddities included: null is false for both ``=`` and ``≠``,
``is`` takes text and booleans only, 0 and false count as empty. A comparison that its values do not allow fails the
node.
Source: graphon 0.8.0 utils/condition.
"""

import json
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from graph.errors import NodeError
from graph.template import Template
from graph.variable_pool import MISSING, VariablePool, file_attribute, is_file

Comparison = Callable[[Any, Any], bool]
"""(actual value, expected value) -> whether it holds."""


class SubCondition(BaseModel):
    """A comparison of one attribute (``key``) of each file."""

    model_config = ConfigDict(extra="ignore")

    key: str
    comparison_operator: str
    value: str | list[str] | bool | None = None

    @field_validator("comparison_operator")
    @classmethod
    def _is_known(cls, value: str) -> str:
        return check_operator(value)


class SubConditions(BaseModel):
    """Comparisons of a file list's files."""

    model_config = ConfigDict(extra="ignore")

    logical_operator: Literal["and", "or"] = "and"
    conditions: list[SubCondition] = Field(default_factory=list)


class ConditionData(BaseModel):
    """One comparison as a file writes it."""

    model_config = ConfigDict(extra="ignore")

    variable_selector: list[str]
    comparison_operator: str
    value: str | list[str] | list[bool] | bool | None = None
    sub_variable_condition: SubConditions | None = None

    @field_validator("comparison_operator")
    @classmethod
    def _is_known(cls, value: str) -> str:
        return check_operator(value)

    @field_validator("value", mode="before")
    @classmethod
    def _number_is_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


@dataclass(slots=True)
class Compared:
    """What one comparison saw."""

    holds: bool
    actual: Any
    expected: Any


Condition = Callable[[VariablePool], Compared]


def compile_condition(data: ConditionData) -> Condition:
    """Return the comparison as a function of the pool.

    The function raises NodeError when the variable is missing or the comparison does not fit the values.
    """
    selector = tuple(data.variable_selector)
    name = data.comparison_operator
    compare = _COMPARISONS[name]
    takes_expected = name not in _UNARY
    template = Template(data.value) if isinstance(data.value, str) else None
    fixed = data.value if template is None else (template.source if template.is_fixed else None)
    if template is not None and template.is_fixed:
        template = None
    subs = compile_sub_conditions(data.sub_variable_condition) if data.sub_variable_condition else None

    def condition(pool: VariablePool) -> Compared:
        actual = pool.get(selector)
        if actual is MISSING:
            raise NodeError(f"Variable {list(selector)} not found", "ValueError")
        if name in _FILE_LIST_OPERATORS and _is_file_list(actual, subs is not None):
            if subs is None:
                raise NodeError("Sub variable is required", "ValueError")
            return Compared(subs(actual), actual, data.value)
        try:
            expected = fixed if template is None else template.text(pool)
            if takes_expected and expected is not None and _is_boolean(actual):
                expected = [_to_bool(item) for item in expected] if isinstance(expected, list) else _to_bool(expected)
            return Compared(compare(actual, expected), actual, expected)
        except _UNFIT as error:
            raise _cannot_compare(name, actual, error) from error

    return condition


def compile_sub_conditions(data: SubConditions) -> Callable[[list[dict[str, Any]]], bool]:
    """Return the comparisons of files as a function of a file list."""
    checks = [_compile_sub_condition(condition) for condition in data.conditions]
    combine = all if data.logical_operator == "and" else any

    def holds(files: list[dict[str, Any]]) -> bool:
        # Every check runs before they are combined: an error in a later one fails the node whatever the first says.
        return combine([check(files) for check in checks])

    return holds


def _compile_sub_condition(data: SubCondition) -> Callable[[list[dict[str, Any]]], bool]:
    name = data.comparison_operator
    compare = _COMPARISONS[name]
    combine = all if "not" in name else any

    def holds(files: list[dict[str, Any]]) -> bool:
        expected: Any = data.value
        if data.key == "extension":
            if not isinstance(expected, str):
                raise NodeError("the expected value of a file extension must be text", "TypeError")
            expected = _dotted(expected)
        results = []
        for file in files:
            actual = file_attribute(file, data.key)
            if actual is MISSING:
                raise NodeError(f"{data.key!r} is no attribute of a file", "ValueError")
            actual = _dotted(actual) if data.key == "extension" else actual
            try:
                results.append(compare(actual, expected))
            except _UNFIT as error:
                raise _cannot_compare(name, actual, error) from error
        return combine(results)

    return holds


def compile_case(
    conditions: Sequence[ConditionData], logical_operator: str
) -> Callable[[VariablePool], list[Compared]]:
    """Return a case as a function that gives the comparisons made, up to the one that decided.

    ``case_holds`` says what they amount to.
    """
    compiled = [compile_condition(condition) for condition in conditions]
    decisive = logical_operator == "or"

    def evaluate(pool: VariablePool) -> list[Compared]:
        made: list[Compared] = []
        for condition in compiled:
            compared = condition(pool)
            made.append(compared)
            if compared.holds is decisive:
                break
        return made

    return evaluate


def case_holds(made: list[Compared], logical_operator: str) -> bool:
    """Whether the comparisons ``made`` satisfy the case; none at all holds for "and" and not for "or"."""
    return made[-1].holds if made else logical_operator == "and"


def check_operator(name: str) -> str:
    """Return ``name`` if it is a comparison operator.

    Raises:
        ValueError: it is not.
    """
    if name not in _COMPARISONS:
        raise ValueError(f"{name!r} is no comparison operator; known are {', '.join(_COMPARISONS)}")
    return name


def _is_file_list(actual: Any, has_subs: bool) -> bool:
    # An empty list has no element type: sub conditions say that it was meant for files.
    return isinstance(actual, list) and (all(is_file(item) for item in actual) if actual else has_subs)


def _is_boolean(actual: Any) -> bool:
    if isinstance(actual, list):
        return bool(actual) and all(isinstance(item, bool) for item in actual)
    return isinstance(actual, bool)


def _to_bool(expected: Any) -> bool:
    try:
        value = json.loads(expected) if isinstance(expected, str) else expected
    except ValueError:
        value = None
    if isinstance(value, int):
        return bool(value)
    raise NodeError(f"{expected!r} is no boolean; write true or false", "TypeError")


def _dotted(extension: Any) -> Any:
    is_bare = isinstance(extension, str) and extension and not extension.startswith(".")
    return f".{extension}" if is_bare else extension


def _cannot_compare(name: str, actual: Any, error: Exception) -> NodeError:
    return NodeError(f"{name!r} cannot compare {type(actual).__name__}: {error}", type(error).__name__)


def _contains(actual: Any, expected: Any) -> bool:
    if not actual:
        return False
    if isinstance(actual, str):
        return (expected if isinstance(expected, str) else str(expected)) in actual
    if isinstance(actual, list):
        return expected in actual
    raise ValueError("the variable must be text or a list")


def _starts_with(actual: Any, expected: Any) -> bool:
    return bool(actual) and _text(actual, "variable").startswith(_text(expected, "expected value"))


def _ends_with(actual: Any, expected: Any) -> bool:
    return bool(actual) and _text(actual, "variable").endswith(_text(expected, "expected value"))


def _text(value: Any, role: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"the {role} must be text")
    return value


def _is(actual: Any, expected: Any) -> bool:
    return actual is not None and _text_or_bool(actual) == expected


def _is_not(actual: Any, expected: Any) -> bool:
    return actual is not None and _text_or_bool(actual) != expected


def _text_or_bool(actual: Any) -> str | bool:
    if not isinstance(actual, str | bool):
        raise ValueError("the variable must be text or a boolean")
    return actual


def _in(actual: Any, expected: Any) -> bool:
    return bool(actual) and actual in _list(expected)


def _not_in(actual: Any, expected: Any) -> bool:
    return not actual or actual not in _list(expected)


def _list(expected: Any) -> list[Any]:
    if not isinstance(expected, list):
        raise ValueError("the expected value must be a list")
    return expected


def _all_of(actual: Any, expected: Any) -> bool:
    wanted = _list(expected)
    if not (all(isinstance(item, str) for item in wanted) or all(isinstance(item, bool) for item in wanted)):
        raise ValueError("the expected list must hold only text or only booleans")
    return bool(actual) and all(item in actual for item in wanted)


def _equal(actual: Any, expected: Any) -> bool:
    return actual is not None and actual == _like(actual, expected)


def _not_equal(actual: Any, expected: Any) -> bool:
    return actual is not None and actual != _like(actual, expected)


def _like(actual: Any, expected: Any) -> bool | int | float:
    for kind in (bool, int, float):  # bool first: it is an int in Python
        if isinstance(actual, kind):
            return kind(expected)
    raise ValueError("the variable must be a number or a boolean")


def _ordered(compare: Callable[[Any, Any], bool]) -> Comparison:
    def holds(actual: Any, expected: Any) -> bool:
        return actual is not None and compare(actual, _number_beside(actual, expected))

    return holds


def _number_beside(actual: Any, expected: Any) -> int | float:
    if not isinstance(actual, int | float):
        raise ValueError("the variable must be a number")
    if isinstance(expected, str):
        number = float(expected)
        return int(number) if isinstance(actual, int) and number.is_integer() else number
    if not isinstance(expected, int | float):
        raise ValueError("the expected value must be a number")
    return expected


_COMPARISONS: dict[str, Comparison] = {
    "contains": _contains,
    "not contains": lambda actual, expected: not _contains(actual, expected),
    "start with": _starts_with,
    "end with": _ends_with,
    "is": _is,
    "is not": _is_not,
    "empty": lambda actual, _: not actual,
    "not empty": lambda actual, _: bool(actual),
    "in": _in,
    "not in": _not_in,
    "all of": _all_of,
    "=": _equal,
    "≠": _not_equal,
    ">": _ordered(operator.gt),
    "<": _ordered(operator.lt),
    "≥": _ordered(operator.ge),
    "≤": _ordered(operator.le),
    "null": lambda actual, _: actual is None,
    "not null": lambda actual, _: actual is not None,
    "exists": lambda actual, _: actual is not None,
    "not exists": lambda actual, _: actual is None,
}
_UNARY = frozenset({"empty", "not empty", "null", "not null", "exists", "not exists"})
_FILE_LIST_OPERATORS = frozenset({"contains", "not contains", "all of"})
_UNFIT = (TypeError, ValueError, OverflowError, RecursionError)
"""What Python raises when values do not fit a comparison; the last one of extreme nesting, in a text too."""
