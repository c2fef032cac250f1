"""template-transform: one text from variables by a Jinja2 template."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from graph.jinja_template import JinjaTemplate
from graph.nodes.kind import NodeData, NodeKind, NodeResult, PureStep
from graph.variable_pool import MISSING, VariablePool


class NamedSelector(BaseModel):
    """A value under a name of its own."""

    model_config = ConfigDict(extra="ignore")

    variable: str
    value_selector: list[str] = Field(default_factory=list)

    @field_validator("value_selector", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return [] if value is None else value


class TemplateTransformData(NodeData):
    """Data of a template-transform node."""

    variables: list[NamedSelector] = Field(default_factory=list)
    template: str


def _compile(data: TemplateTransformData) -> PureStep:
    template = JinjaTemplate(data.template)
    variables = tuple((variable.variable, tuple(variable.value_selector)) for variable in data.variables)

    def step(pool: VariablePool) -> NodeResult:
        values: dict[str, Any] = {}
        for name, selector in variables:
            value = pool.get(selector)
            values[name] = None if value is MISSING else value
        return NodeResult(outputs={"output": template.render(values)}, inputs=values)

    return step


KIND = NodeKind(type="template-transform", data=TemplateTransformData, compile_pure=_compile)
