"""assigner: gives variables that stand in the pool new values; version 1 one variable, version 2 a list of operations.

All that it changes is committed together when it ends; a version 2 node with one bad item changes nothing.
Source: spec/graph.md 2.12.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from graph.errors import NodeError
from graph.nodes.assigner_operation import AssignerItem, Operation, type_of, zero_value
from graph.nodes.kind import NodeData, NodeKind, NodeResult, PureStep, VariableUpdate
from graph.value_types import ARRAY_TYPES
from graph.variable_pool import MISSING, VariablePool


class AssignerData(NodeData):
    """Data of an assigner node; which fields count depends on ``version``.

    ``variable_types``: "<node id>.<name>" -> declared type, which the plan adds.
    """

    assigned_variable_selector: list[str] | None = None
    write_mode: Literal["over-write", "append", "clear"] | None = None
    input_variable_selector: list[str] | None = None
    items: list[AssignerItem] = Field(default_factory=list)
    variable_types: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_what_its_version_needs(self) -> "AssignerData":
        if self.is_first_version:
            if self.write_mode is None:
                raise ValueError("write_mode is missing")
            if len(self.assigned_variable_selector or ()) < 2:
                raise ValueError("assigned_variable_selector must have at least 2 parts")
            if self.write_mode != "clear" and not self.input_variable_selector:
                raise ValueError("input_variable_selector is missing")
        return self

    @property
    def is_first_version(self) -> bool:
        """Whether the node is of version 1."""
        return self.version == "1"

    @property
    def written_selectors(self) -> list[list[str]]:
        """Every variable it may change; answers that use one wait for it."""
        if self.is_first_version:
            return [self.assigned_variable_selector or []]
        return [item.variable_selector for item in self.items]


def _compile(data: AssignerData) -> PureStep:
    return _compile_one(data) if data.is_first_version else _compile_items(data)


def _compile_one(data: AssignerData) -> PureStep:
    target = _pair(data.assigned_variable_selector or [])
    source = tuple(data.input_variable_selector or ())
    mode, types = data.write_mode, data.variable_types

    def step(pool: VariablePool) -> NodeResult:
        current = pool.get(target)
        if current is MISSING:
            raise NodeError("assigned variable not found", "VariableOperatorNodeError")
        kind = type_of(target, current, types)
        if mode == "clear":
            return _result([VariableUpdate(target, kind, zero_value(kind))], {"value": zero_value(kind)})
        value = pool.get(source)
        if value is MISSING:
            raise NodeError("input value not found", "VariableOperatorNodeError")
        if mode == "append" and kind not in ARRAY_TYPES:
            raise NodeError(f"cannot append to a variable of type {kind}", "VariableOperatorNodeError")
        changed = [*current, value] if mode == "append" else value
        return _result([VariableUpdate(target, kind, changed)], {"value": value})

    return step


def _compile_items(data: AssignerData) -> PureStep:
    operations = [Operation(item, data.variable_types) for item in data.items]
    shown = [item.model_dump() for item in data.items]

    def step(pool: VariablePool) -> NodeResult:
        view = VariablePool(pool)  # later items see what earlier ones changed
        changed: dict[tuple[str, str], VariableUpdate] = {}
        for operation in operations:
            update = operation.run(view)
            if update is not None:
                view.put(update.selector[0], {update.selector[1]: update.value})
                changed[update.selector] = update
        return _result(list(changed.values()), {"items": shown})

    return step


def _pair(selector: list[str]) -> tuple[str, str]:
    return selector[0], selector[1]


def _result(updates: list[VariableUpdate], inputs: dict[str, Any]) -> NodeResult:
    updated = [
        {
            "name": update.selector[1],
            "selector": list(update.selector),
            "value_type": update.value_type,
            "new_value": update.value,
        }
        for update in updates
    ]
    return NodeResult({}, inputs=inputs, process_data={"__updated_variables": updated}, updates=updates)


KIND = NodeKind(type="assigner", data=AssignerData, compile_pure=_compile, wants_types=True)
