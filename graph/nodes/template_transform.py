"""template-transform: one text from variables by a Jinja2 template."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from graph.errors import NodeError
from graph.jinja_template import MAX_OUTPUT_CHARACTERS, SANDBOX_REQUIRED, JinjaTemplate, too_long
from graph.nodes.kind import EffectContext, EffectStep, NodeData, NodeKind, NodeResult, PureStep
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


def named_values(variables: Sequence[NamedSelector]) -> Callable[[VariablePool], dict[str, Any]]:
    """Return what reads the values of ``variables`` by their names; a missing one is None."""
    selectors = tuple((variable.variable, tuple(variable.value_selector)) for variable in variables)

    def read(pool: VariablePool) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, selector in selectors:
            value = pool.get(selector)
            values[name] = None if value is MISSING else value
        return values

    return read


def _compile_pure(data: TemplateTransformData) -> PureStep:
    template, values_of = JinjaTemplate(data.template), named_values(data.variables)

    def step(pool: VariablePool) -> NodeResult | None:
        values = values_of(pool)
        try:
            return NodeResult(outputs={"output": template.render(values)}, inputs=values)
        except NodeError as error:
            if error.error_type == SANDBOX_REQUIRED:
                return None
            raise

    return step


def _compile_effect(data: TemplateTransformData) -> EffectStep:
    """Return the step of a template whose cost has no bound that is known before."""
    values_of = named_values(data.variables)

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        values = values_of(pool)
        text = await context.effects.code.render(data.template, values)
        if len(text) > MAX_OUTPUT_CHARACTERS:
            raise too_long(MAX_OUTPUT_CHARACTERS)
        return NodeResult(outputs={"output": text}, inputs=values)

    return step


KIND = NodeKind(
    type="template-transform", data=TemplateTransformData, compile_pure=_compile_pure, compile_effect=_compile_effect
)
