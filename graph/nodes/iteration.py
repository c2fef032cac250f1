"""iteration: the same inner graph once for each item of a list; each pass has variables of its own.

When passes begin and end is decided in ``graph.containers``. Source: spec/graph.md 4.9.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from graph.errors import NodeError
from graph.nodes.kind import Container, ContainerBegun, NodeData, NodeKind, NodeResult, OnFailure, PureStep
from graph.variable_pool import MISSING, VariablePool


class IterationData(NodeData):
    """Data of an iteration node. Its ``start_node_id``, where each pass begins, is read by the plan."""

    iterator_selector: list[str]
    output_selector: list[str]
    is_parallel: bool = False
    parallel_nums: int = Field(default=10, ge=1)
    error_handle_mode: OnFailure = "terminated"
    flatten_output: bool = True

    @field_validator("is_parallel", "parallel_nums", "error_handle_mode", "flatten_output", mode="before")
    @classmethod
    def _null_is_default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if value is None else value


class Iteration:
    """A compiled iteration; implements graph.nodes.kind.Container."""

    is_loop = False

    def __init__(self, data: IterationData) -> None:
        self._iterator = tuple(data.iterator_selector)
        self._output = tuple(data.output_selector)
        self._is_flat = data.flatten_output
        self.parallel_nums = data.parallel_nums if data.is_parallel else 1
        self.on_failure: OnFailure = data.error_handle_mode

    def begin(self, pool: VariablePool) -> ContainerBegun:
        """Return the items; null counts as no item."""
        items = pool.get(self._iterator)
        if items is MISSING:
            raise NodeError(f"iterator variable {list(self._iterator)} not found", "IteratorVariableNotFoundError")
        if items is not None and not isinstance(items, list):
            kind = type(items).__name__
            raise NodeError(f"invalid iterator value: a list is needed, found {kind}", "InvalidIteratorValueError")
        return ContainerBegun({"iterator_selector": items or []}, len(items or []))

    def pass_values(self, inputs: dict[str, Any], index: int) -> dict[str, Any]:
        """Return the item and its index."""
        return {"index": index, "item": inputs["iterator_selector"][index]}

    def should_break(self, pool: VariablePool) -> bool:
        """Every item has its pass."""
        return False

    def pass_result(self, pool: VariablePool) -> Any:
        """Return the value of the output selector, null if the pass did not make it."""
        value = pool.get(self._output)
        return None if value is MISSING else value

    def outputs(self, results: Mapping[int, Any]) -> dict[str, Any]:
        """Return the results in the order of the items."""
        return {"output": self._flattened([results[index] for index in sorted(results)])}

    def _flattened(self, values: list[Any]) -> list[Any]:
        """Return ``values`` joined one level down, if all that are not null are lists."""
        lists = [value for value in values if value is not None]
        if not self._is_flat or not lists or not all(isinstance(value, list) for value in lists):
            return values
        return [item for value in lists for item in value]


def _compile(data: IterationData) -> Container:
    return Iteration(data)


def _compile_start(data: NodeData) -> PureStep:
    return lambda pool: NodeResult({})


KIND = NodeKind(type="iteration", data=IterationData, compile_container=_compile)
START_KIND = NodeKind(type="iteration-start", data=NodeData, compile_pure=_compile_start)
"""Marks where a pass begins. As the root of its container it never runs; readers do not hear of it."""
