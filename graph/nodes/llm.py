"""llm: one call of a chat model, its text streamed as it comes.

Which model a provider and name mean, and how it is made to follow a schema, is the chat port's part.
"""

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from graph.errors import NodeError
from graph.nodes.json_answer import json_object_in
from graph.nodes.kind import EffectContext, EffectStep, NodeData, NodeKind, NodeResult
from graph.nodes.llm_context import ContextData
from graph.nodes.llm_prompt import Prompt, PromptMessage, PromptText, jinja_text, require
from graph.nodes.model_call import Answer, ModelCall, ModelData, VisionData, ask, cost_of, usage_of
from graph.nodes.prompt_draft import complete
from graph.nodes.prompt_memory import MemoryData
from graph.nodes.reasoning import ReasoningSplitter, split_reasoning
from graph.nodes.template_transform import NamedSelector
from graph.ports import ChatMessage
from graph.variable_pool import VariablePool


class PromptConfig(BaseModel):
    """The values that jinja2 texts see."""

    model_config = ConfigDict(extra="ignore")

    jinja2_variables: list[NamedSelector] | None = None


class StructuredOutput(BaseModel):
    """The JSON schema that the answer shall follow; files hold it under ``schema``."""

    model_config = ConfigDict(extra="ignore")

    json_schema: dict[str, Any] | None = Field(default=None, validation_alias="schema")


class LlmData(NodeData):
    """Data of an llm node."""

    model: ModelData
    prompt_template: list[PromptMessage] | PromptText
    prompt_config: PromptConfig | None = None
    memory: MemoryData | None = None
    context: ContextData | None = None
    vision: VisionData | None = None
    structured_output: StructuredOutput | None = None
    structured_output_switch_on: bool = Field(
        default=False, validation_alias=AliasChoices("structured_output_switch_on", "structured_output_enabled")
    )
    reasoning_format: Literal["tagged", "separated"] = "tagged"

    @field_validator("reasoning_format", mode="before")
    @classmethod
    def _null_is_tagged(cls, value: Any) -> Any:
        return "tagged" if value is None else value

    @field_validator("structured_output_switch_on", mode="before")
    @classmethod
    def _null_is_off(cls, value: Any) -> Any:
        return False if value is None else value


class _Stream:
    """Emits an answer as it comes, thoughts apart where they are to be separated."""

    def __init__(self, context: EffectContext, is_separated: bool) -> None:
        self._context = context
        self._splitter = ReasoningSplitter() if is_separated else None

    def feed(self, piece: str) -> None:
        """Emit ``piece``, or as much of it as is certain."""
        if self._splitter is None:
            self._context.emit("text", piece)
        else:
            self._emit_split(self._splitter.feed(piece))

    def finish(self) -> None:
        """Emit what was held back and close the streams."""
        if self._splitter is not None:
            self._emit_split(self._splitter.finish())
            self._context.emit("reasoning_content", "", is_final=True)
        self._context.emit("text", "", is_final=True)

    def _emit_split(self, parts: list[tuple[bool, str]]) -> None:
        for is_reasoning, text in parts:
            self._context.emit("reasoning_content" if is_reasoning else "text", text)


def _compile(data: LlmData) -> EffectStep:
    prompt = Prompt(data.prompt_template, data.memory)
    declared = (data.prompt_config or PromptConfig()).jinja2_variables or []
    variables = [(variable.variable, tuple(variable.value_selector)) for variable in declared]
    call = ModelCall(data.model)
    vision = data.vision or VisionData()

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        schema = _schema(data)
        inputs = require(pool, prompt.selectors)
        jinja_values = {name: jinja_text(_jinja_value(pool, selector)) for name, selector in variables}
        inputs.update(jinja_values)
        files = vision.files(pool)
        if files:
            inputs["#files#"] = files
        context_text, resources = (data.context or ContextData()).read(pool)
        if context_text:
            inputs["#context#"] = context_text
        parameters = call.parameters(pool)
        drafts = prompt.drafts(pool, context_text, jinja_values, files)
        messages = await complete(drafts, context.effects, vision.detail)
        if not any(message.text or message.images for message in messages):
            raise NodeError("No prompt found in the LLM configuration. Please ensure a prompt is properly configured "
                            "before proceeding.", "NoPromptFoundError")  # fmt: skip
        stream = _Stream(context, data.reasoning_format == "separated")
        answer = await ask(context, call.request(messages, parameters, context.execution_id, schema), stream.feed)
        stream.finish()
        result = _result(data, call, messages, inputs, answer)
        if schema is not None:
            result.outputs["structured_output"] = await _structured(answer.text)
        if answer.images:
            store = context.effects.files
            made = [await store.put(i.content, i.name or "image", i.mime_type) for i in answer.images]
            result.outputs["files"] = made
        if resources and result.metadata is not None:
            result.metadata["retriever_resources"] = resources
        return result

    return step


def _jinja_value(pool: VariablePool, selector: tuple[str, ...]) -> Any:
    return next(iter(require(pool, [selector]).values()))


def _schema(data: LlmData) -> dict[str, Any] | None:
    """Return the schema that the answer shall follow, None for free text."""
    if not data.structured_output_switch_on:
        return None
    schema = data.structured_output.json_schema if data.structured_output else None
    if not schema:
        raise NodeError("structured output is switched on, but the node has no schema for it", "LLMNodeError")
    return schema


def _result(
    data: LlmData, call: ModelCall, messages: tuple[ChatMessage, ...], inputs: dict[str, Any], answer: Answer
) -> NodeResult:
    is_separated = data.reasoning_format == "separated"
    shown, reasoning = split_reasoning(answer.text) if is_separated else (answer.text, "")
    usage = usage_of(answer.usage)
    outputs: dict[str, Any] = {
        "text": shown,
        "reasoning_content": reasoning,
        "usage": usage,
        "finish_reason": answer.finish_reason,
    }
    return NodeResult(
        outputs=outputs,
        inputs=inputs,
        process_data=call.record(messages, answer),
        metadata=cost_of(answer.usage),
        total_tokens=usage["total_tokens"],
    )


async def _structured(text: str) -> dict[str, Any]:
    """Return the object that the model wrote; like Dify, without holding it against the schema."""
    found = await json_object_in(text)
    if found is None:
        raise NodeError(f"Failed to parse structured output: {text}", "OutputParserError")
    return found


KIND = NodeKind(type="llm", data=LlmData, compile_effect=_compile, supports_retry=True)
