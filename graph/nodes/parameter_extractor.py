"""parameter-extractor: named values out of a text, by a chat model.

With ``reasoning_mode`` function_call the model is held to a schema where its target can do that; with prompt it is
told. Either way, what comes back is searched for JSON, repaired and checked here.
Source: spec/graph.md 2.13.
"""

import json
from typing import Any, Literal

from pydantic import Field, field_validator

from graph.errors import NodeError
from graph.nodes.extraction import ParameterData, extract, schema_of
from graph.nodes.json_answer import json_object_in
from graph.nodes.kind import EffectContext, EffectStep, NodeData, NodeKind, NodeResult
from graph.nodes.model_call import ModelCall, ModelData, VisionData, ask, cost_of, usage_of
from graph.nodes.prompt_draft import complete, task_drafts, with_files
from graph.nodes.prompt_memory import MemoryData, history_text
from graph.template import Template
from graph.value_types import text_of
from graph.variable_pool import MISSING, VariablePool

_TASK = (
    "You read a text and take the values of named parameters from it. Use only what the text says or clearly implies, "
    "never invent a value. A parameter that the text does not give is an empty string, 0, false or an empty list, as "
    "its type wants."
)
_FORMAT = (
    "Answer with exactly one JSON object, without any explanation and without a code fence. Its keys are the names of "
    "the parameters, its values have the types of this JSON schema:\n{schema}"
)
_HISTORY = "What was said before:\n{history}"
_INSTRUCTION = "Instructions of the workflow's author, which go before the rules above:\n{instruction}"


class ParameterExtractorData(NodeData):
    """Data of a parameter-extractor node."""

    model: ModelData
    query: list[str] = Field(default_factory=list)
    parameters: list[ParameterData] = Field(default_factory=list)
    instruction: str | None = None
    memory: MemoryData | None = None
    reasoning_mode: Literal["function_call", "prompt"] = "function_call"
    vision: VisionData = Field(default_factory=VisionData)

    @field_validator("reasoning_mode", mode="before")
    @classmethod
    def _empty_is_function_call(cls, value: Any) -> Any:
        return value or "function_call"

    @field_validator("query", "parameters", "vision", mode="before")
    @classmethod
    def _null_is_default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].get_default(call_default_factory=True) if value is None else value


def _compile(data: ParameterExtractorData) -> EffectStep:
    call = ModelCall(data.model)
    instruction = Template(data.instruction or "")
    is_held = data.reasoning_mode == "function_call"
    schema = schema_of(data.parameters, is_complete=is_held)
    shown_parameters = [parameter.model_dump() for parameter in data.parameters]

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        value = pool.get(data.query)
        query = "" if value is MISSING else text_of(value)
        files = data.vision.files(pool)
        parameters = call.parameters(pool)
        told = instruction.text(pool)
        system = _system_text(history_text(data.memory, pool), told, None if is_held else schema)
        messages = await complete(
            with_files(task_drafts(data.model.mode, system, query), files), context.effects, data.vision.detail
        )
        request = call.request(messages, parameters, context.execution_id, schema if is_held else None)
        try:
            answer = await ask(context, request)
        except NodeError as error:
            outputs = {"__is_success": 0, "__reason": "Failed to invoke model", "__error": str(error)}
            raise NodeError(str(error), error.error_type, outputs) from error
        usage = usage_of(answer.usage)
        extracted = extract(data.parameters, await json_object_in(answer.text))
        return NodeResult(
            outputs={
                "__is_success": 0 if extracted.reason else 1,
                "__reason": extracted.reason,
                "__usage": usage,
                **extracted.values,
            },
            inputs={"query": query, "files": files, "parameters": shown_parameters, "instruction": data.instruction}
            | {"model_provider": data.model.provider, "model_name": data.model.name},
            process_data={
                **call.record(messages, answer),
                "function": schema if is_held else {},
                "tool_call": None,
                "llm_text": answer.text,
            },
            metadata=cost_of(answer.usage),
            total_tokens=usage["total_tokens"],
        )

    return step


def _system_text(history: str, instruction: str, schema: dict[str, Any] | None) -> str:
    parts = [_TASK]
    if schema is not None:
        parts.append(_FORMAT.format(schema=json.dumps(schema, ensure_ascii=False)))
    if history:
        parts.append(_HISTORY.format(history=history))
    if instruction:
        parts.append(_INSTRUCTION.format(instruction=instruction))
    return "\n\n".join(parts)


KIND = NodeKind(type="parameter-extractor", data=ParameterExtractorData, compile_effect=_compile)
