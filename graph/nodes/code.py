"""code: runs ``main`` of a Python or JavaScript text over variables; what it returns are the outputs.

The sandbox is the code port's part; checking what comes out of it is this module's and ``code_outputs``'s.
"""

from typing import Any, Literal

from pydantic import Field, field_validator

from graph.nodes.code_outputs import DeclaredOutput, checked_outputs
from graph.nodes.kind import EffectContext, EffectStep, NodeData, NodeKind, NodeResult
from graph.nodes.template_transform import NamedSelector, named_values
from graph.variable_pool import VariablePool


class CodeData(NodeData):
    """Data of a code node. Packages that the file asks for are ignored: the sandbox has what it has."""

    variables: list[NamedSelector] = Field(default_factory=list)
    code_language: Literal["python3", "javascript"]
    code: str
    outputs: dict[str, DeclaredOutput] = Field(default_factory=dict)

    @field_validator("variables", "outputs", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any, info: Any) -> Any:
        if value is not None:
            return value
        return [] if info.field_name == "variables" else {}


def _compile(data: CodeData) -> EffectStep:
    inputs_of = named_values(data.variables)

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        inputs = inputs_of(pool)
        result = await context.effects.code.run_code(data.code_language, data.code, inputs)
        return NodeResult(outputs=checked_outputs(result, data.outputs), inputs=inputs)

    return step


KIND = NodeKind(type="code", data=CodeData, compile_effect=_compile, supports_retry=True)
