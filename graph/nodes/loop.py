"""loop: an inner graph again and again over the same variables, until a condition, a loop-end node or the count.

When rounds begin and end is decided in ``graph.containers``. Source: spec/graph.md 4.10.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from graph.condition import ConditionData, case_holds, compile_case
from graph.errors import NodeError
from graph.nodes.kind import Container, ContainerBegun, NodeData, NodeKind, NodeResult, OnFailure, PureStep
from graph.value_types import ARRAY_TYPES, ValueTypeError, check_declared
from graph.variable_pool import MISSING, VariablePool

_TYPES = frozenset({"string", "number", "object", "boolean", *(str(each) for each in ARRAY_TYPES)} - {"array[file]"})


class LoopVariable(BaseModel):
    """A variable of the loop. ``value``: a constant, or the selector of the value it begins with."""

    model_config = ConfigDict(extra="ignore")

    label: str
    var_type: str
    value_type: Literal["variable", "constant"]
    value: Any = None

    @field_validator("var_type")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in _TYPES:
            raise ValueError(f"{value!r} is no type of a loop variable; known are {', '.join(sorted(_TYPES))}")
        return value


class LoopData(NodeData):
    """Data of a loop node. ``loop_count``: the most rounds. Its ``start_node_id`` is read by the plan."""

    loop_count: int = Field(ge=1)
    break_conditions: list[ConditionData] = Field(default_factory=list)
    logical_operator: Literal["and", "or"] = "and"
    loop_variables: list[LoopVariable] = Field(default_factory=list)

    @field_validator("break_conditions", "loop_variables", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return [] if value is None else value

    @field_validator("logical_operator", mode="before")
    @classmethod
    def _null_is_and(cls, value: Any) -> Any:
        return "and" if value is None else value


class Loop:
    """A compiled loop; implements graph.nodes.kind.Container."""

    is_loop = True
    parallel_nums = 1
    on_failure: OnFailure = "terminated"

    def __init__(self, data: LoopData) -> None:
        self._node_id = data.node_id
        self._count = data.loop_count
        self._variables = data.loop_variables
        self._selectors = [(variable.label, (data.node_id, variable.label)) for variable in data.loop_variables]
        self._operator = data.logical_operator
        self._conditions = compile_case(data.break_conditions, data.logical_operator) if data.break_conditions else None

    def begin(self, pool: VariablePool) -> ContainerBegun:
        """Return the loop variables at their first values; a condition that cannot be evaluated yet is passed over."""
        inputs = {variable.label: _first_value(variable, pool) for variable in self._variables}
        trial = VariablePool(pool)
        trial.put(self._node_id, inputs)
        try:
            is_over = self.should_break(trial)
        except NodeError:
            is_over = False
        return ContainerBegun(inputs, self._count, is_over)

    def pass_values(self, inputs: dict[str, Any], index: int) -> dict[str, Any]:
        """A round has no values of its own: the loop's variables lie around it."""
        return {}

    def should_break(self, pool: VariablePool) -> bool:
        """Whether the break conditions hold; without any, never."""
        return self._conditions is not None and case_holds(self._conditions(pool), self._operator)

    def pass_result(self, pool: VariablePool) -> Any:
        """Return what the loop's variables are after a round."""
        return {label: None if (value := pool.get(at)) is MISSING else value for label, at in self._selectors}

    def outputs(self, results: Mapping[int, Any]) -> dict[str, Any]:
        """Return the last values of the loop's variables and how many rounds there were; nothing without a round."""
        return {**results[max(results)], "loop_round": len(results)} if results else {}


def _first_value(variable: LoopVariable, pool: VariablePool) -> Any:
    if variable.value_type == "variable":
        value = pool.get(variable.value) if isinstance(variable.value, list) else MISSING
        if value is MISSING:
            raise NodeError(f"loop variable {variable.label!r}: {variable.value} not found", "VariableNotFoundError")
    else:
        value = variable.value
        if variable.var_type.startswith("array") and value in (None, ""):
            value = []
    for candidate in _readings(value):
        try:
            check_declared(candidate, variable.var_type)
        except ValueTypeError:
            continue
        return candidate
    raise NodeError(f"loop variable {variable.label!r}: {value!r} is no {variable.var_type}", "TypeMismatchError")


def _readings(value: Any) -> list[Any]:
    """Return ``value`` and, of a text, what it says as JSON."""
    if not isinstance(value, str):
        return [value]
    try:
        return [value, json.loads(value)]
    except ValueError:
        return [value]


def _compile(data: LoopData) -> Container:
    return Loop(data)


def _compile_mark(data: NodeData) -> PureStep:
    return lambda pool: NodeResult({})


KIND = NodeKind(type="loop", data=LoopData, compile_container=_compile)
START_KIND = NodeKind(type="loop-start", data=NodeData, compile_pure=_compile_mark)
"""Marks where a round begins. As the root of its container it never runs; readers do not hear of it."""
END_KIND = NodeKind(type="loop-end", data=NodeData, compile_pure=_compile_mark)
"""Ends the nearest loop around it with the present round."""
