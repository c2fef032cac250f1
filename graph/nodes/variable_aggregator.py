"""variable-aggregator: the first present value of several, so that branches of an if-else meet again."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from graph.nodes.kind import NodeData, NodeKind, NodeResult, PureStep
from graph.variable_pool import MISSING, VariablePool


class AggregatorGroup(BaseModel):
    """One group: its output is ``{group_name: {"output": value}}``."""

    model_config = ConfigDict(extra="ignore")

    group_name: str
    output_type: str = "any"
    variables: list[list[str]] = Field(default_factory=list)


class AggregatorSettings(BaseModel):
    """``groups`` count only with ``group_enabled``."""

    model_config = ConfigDict(extra="ignore")

    group_enabled: bool = False
    groups: list[AggregatorGroup] = Field(default_factory=list)


class AggregatorData(NodeData):
    """Data of a variable-aggregator node. ``variables``: selectors, the first present one wins."""

    output_type: str = "any"
    variables: list[list[str]] = Field(default_factory=list)
    advanced_settings: AggregatorSettings | None = None


def _first(pool: VariablePool, selectors: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], Any]:
    for selector in selectors:
        value = pool.get(selector)
        if value is not MISSING:
            return selector, value
    return (), MISSING


def _compile(data: AggregatorData) -> PureStep:
    settings = data.advanced_settings
    if settings is not None and settings.group_enabled:
        return _grouped([(group.group_name, tuple(map(tuple, group.variables))) for group in settings.groups])
    selectors = tuple(tuple(selector) for selector in data.variables)

    def step(pool: VariablePool) -> NodeResult:
        selector, value = _first(pool, selectors)
        if value is MISSING:
            return NodeResult(outputs={})
        return NodeResult(outputs={"output": value}, inputs={".".join(selector[1:]): value})

    return step


def _grouped(groups: list[tuple[str, tuple[tuple[str, ...], ...]]]) -> PureStep:
    def step(pool: VariablePool) -> NodeResult:
        outputs: dict[str, Any] = {}
        inputs: dict[str, Any] = {}
        for name, selectors in groups:
            selector, value = _first(pool, selectors)
            if value is not MISSING:
                outputs[name] = {"output": value}
                inputs[".".join(selector[1:])] = value
        return NodeResult(outputs=outputs, inputs=inputs)

    return step


KIND = NodeKind(type="variable-aggregator", data=AggregatorData, compile_pure=_compile)
LEGACY_KIND = NodeKind(type="variable-assigner", data=AggregatorData, compile_pure=_compile)
"""The name of the same kind in files of the first versions."""
