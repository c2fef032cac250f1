"""end: gives the run its named outputs."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from graph.nodes.kind import NodeData, NodeKind, NodeResult, PureStep
from graph.template import Part
from graph.variable_pool import MISSING, VariablePool


class EndOutput(BaseModel):
    """One output: the value at ``value_selector`` under the name ``variable``."""

    model_config = ConfigDict(extra="ignore")

    variable: str
    value_selector: list[str] = Field(default_factory=list)
    value_type: str = "any"

    @field_validator("value_selector", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return [] if value is None else value

    @field_validator("value_type", mode="before")
    @classmethod
    def _lower_arrays(cls, value: Any) -> Any:
        if value is None:
            return "any"
        return value.lower() if isinstance(value, str) and value.startswith("Array") else value


class EndData(NodeData):
    """Data of an end node."""

    outputs: list[EndOutput] = Field(default_factory=list)


def _compile(data: EndData) -> PureStep:
    outputs = tuple((output.variable, tuple(output.value_selector)) for output in data.outputs)

    def step(pool: VariablePool) -> NodeResult:
        values: dict[str, Any] = {}
        for name, selector in outputs:
            value = pool.get(selector)
            values[name] = None if value is MISSING else value
        return NodeResult(outputs=values, inputs=dict(values))

    return step


def _parts(data: EndData) -> list[Part]:
    # A line break between neighbours; an output without a selector leaves only its line break.
    parts: list[Part] = []
    for index, output in enumerate(data.outputs):
        if index:
            parts.append("\n")
        if output.value_selector:
            parts.append(tuple(output.value_selector))
    if parts and isinstance(parts[-1], str):
        parts.pop()
    return parts


KIND = NodeKind(type="end", data=EndData, role="response", compile_pure=_compile, parts=_parts)
