"""llm: one call of a chat model, its text streamed as it comes.

Which model a provider and name mean is the chat port's part. Not here yet: images, structured output, past
messages of a conversation.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from graph.errors import NodeError
from graph.nodes.kind import EffectContext, EffectStep, NodeData, NodeKind, NodeResult
from graph.nodes.llm_prompt import MemoryData, Prompt, PromptMessage, PromptText, jinja_text, require
from graph.nodes.reasoning import ReasoningSplitter, split_reasoning
from graph.nodes.template_transform import NamedSelector
from graph.ports import ChatDelta, ChatMessage, ChatRequest, ChatUsage
from graph.template import Template
from graph.variable_pool import VariablePool


class ModelData(BaseModel):
    """The model as a file names it."""

    model_config = ConfigDict(extra="ignore")

    provider: str
    name: str
    mode: str = "chat"
    completion_params: dict[str, Any] = Field(default_factory=dict)

    @field_validator("completion_params", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return {} if value is None else value


class PromptConfig(BaseModel):
    """The values that jinja2 texts see."""

    model_config = ConfigDict(extra="ignore")

    jinja2_variables: list[NamedSelector] | None = None


class ContextData(BaseModel):
    """Text or knowledge items that the placeholder ``{{#context#}}`` receives."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    variable_selector: list[str] | None = None


class VisionConfigs(BaseModel):
    """Where images come from."""

    model_config = ConfigDict(extra="ignore")

    variable_selector: list[str] = Field(default_factory=lambda: ["sys", "files"])


class VisionData(BaseModel):
    """Whether images go along."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    configs: VisionConfigs | None = None


class LlmData(NodeData):
    """Data of an llm node."""

    model: ModelData
    prompt_template: list[PromptMessage] | PromptText
    prompt_config: PromptConfig | None = None
    memory: MemoryData | None = None
    context: ContextData | None = None
    vision: VisionData | None = None
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


def _compile(data: LlmData) -> EffectStep:
    prompt = Prompt(data.prompt_template, data.memory)
    declared = (data.prompt_config or PromptConfig()).jinja2_variables or []
    variables = [(variable.variable, tuple(variable.value_selector)) for variable in declared]
    parameters = {
        name: Template(value) if isinstance(value, str) and "{{#" in value else value
        for name, value in data.model.completion_params.items()
    }
    context_of = _compile_context(data.context)
    is_separated = data.reasoning_format == "separated"

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        _refuse_what_is_missing(data, pool)
        inputs = require(pool, prompt.selectors)
        jinja_values = {name: jinja_text(_jinja_value(pool, selector)) for name, selector in variables}
        inputs.update(jinja_values)
        context_text = context_of(pool)
        if context_text:
            inputs["#context#"] = context_text
        request = ChatRequest(
            provider=data.model.provider,
            name=data.model.name,
            messages=prompt.messages(pool, context_text, jinja_values),
            parameters={n: v.text(pool) if isinstance(v, Template) else v for n, v in parameters.items()},
            mode=data.model.mode,
            idempotency_key=context.execution_id,
        )
        if not any(message.text for message in request.messages):
            raise NodeError("No prompt found in the LLM configuration. Please ensure a prompt is properly configured "
                            "before proceeding.", "NoPromptFoundError")  # fmt: skip
        text, last = await _stream(context.effects.chat.stream(request), context, is_separated)
        return _result(data, request.messages, inputs, text, last)

    return step


def _jinja_value(pool: VariablePool, selector: tuple[str, ...]) -> Any:
    return next(iter(require(pool, [selector]).values()))


def _refuse_what_is_missing(data: LlmData, pool: VariablePool) -> None:
    if data.structured_output_switch_on:
        raise NodeError("structured output of llm nodes is not supported yet", "Unsupported")
    vision = data.vision
    if vision and vision.enabled and pool.get((vision.configs or VisionConfigs()).variable_selector):
        raise NodeError("images in prompts are not supported yet; switch vision off", "Unsupported")


def _compile_context(data: ContextData | None) -> Callable[[VariablePool], str]:
    if data is None or not data.enabled or not data.variable_selector:
        return lambda pool: ""
    selector = tuple(data.variable_selector)

    def context_of(pool: VariablePool) -> str:
        value = pool.get(selector)
        if isinstance(value, str):
            return value
        if not isinstance(value, list):
            return ""
        return "\n".join(_context_item(item) for item in value).strip()

    return context_of


def _context_item(item: Any) -> str:
    if isinstance(item, str):
        return item
    if not isinstance(item, dict) or "content" not in item:
        raise NodeError(f"Invalid context structure: {item}", "InvalidContextStructureError")
    return str(item["content"])


async def _stream(
    deltas: AsyncIterator[ChatDelta], context: EffectContext, is_separated: bool
) -> tuple[str, ChatDelta]:
    """Emit the answer as it comes; return its whole text and the last piece, which tells usage and reason."""
    splitter = ReasoningSplitter() if is_separated else None
    pieces: list[str] = []
    last = ChatDelta()
    try:
        async for delta in deltas:
            if delta.finish_reason is not None or delta.usage is not None:
                last = delta
            if not delta.text:
                continue
            pieces.append(delta.text)
            if splitter is None:
                context.emit("text", delta.text)
            else:
                _emit_split(context, splitter.feed(delta.text))
    finally:
        close = getattr(deltas, "aclose", None)  # closing cancels the generation when this task is cancelled
        if close is not None:
            await close()
    if splitter is not None:
        _emit_split(context, splitter.finish())
        context.emit("reasoning_content", "", is_final=True)
    context.emit("text", "", is_final=True)
    return "".join(pieces), last


def _emit_split(context: EffectContext, parts: list[tuple[bool, str]]) -> None:
    for is_reasoning, text in parts:
        context.emit("reasoning_content" if is_reasoning else "text", text)


def _result(
    data: LlmData, messages: tuple[ChatMessage, ...], inputs: dict[str, Any], text: str, last: ChatDelta
) -> NodeResult:
    shown, reasoning = split_reasoning(text) if data.reasoning_format == "separated" else (text, "")
    usage = usage_of(last.usage or ChatUsage())
    return NodeResult(
        outputs={"text": shown, "reasoning_content": reasoning, "usage": usage, "finish_reason": last.finish_reason},
        inputs=inputs,
        process_data={
            "model_mode": data.model.mode,
            "prompts": [{"role": message.role, "text": message.text, "files": []} for message in messages],
            "usage": usage,
            "finish_reason": last.finish_reason,
            "model_provider": data.model.provider,
            "model_name": data.model.name,
        },
        metadata={
            "total_tokens": usage["total_tokens"],
            "total_price": usage["total_price"],
            "currency": usage["currency"],
        },
        total_tokens=usage["total_tokens"],
    )


def usage_of(usage: ChatUsage) -> dict[str, Any]:
    """Return the usage object of the wire (spec/http.md 3.10); prices are unknown here and so "0"."""
    first = usage.time_to_first_token_s
    return {
        "prompt_tokens": usage.prompt_tokens,
        "prompt_unit_price": "0",
        "prompt_price_unit": "0",
        "prompt_price": "0",
        "completion_tokens": usage.completion_tokens,
        "completion_unit_price": "0",
        "completion_price_unit": "0",
        "completion_price": "0",
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "total_price": "0",
        "currency": "USD",
        "latency": usage.latency_s,
        "time_to_first_token": first,
        "time_to_generate": None if first is None else max(0.0, usage.latency_s - first),
    }


KIND = NodeKind(type="llm", data=LlmData, compile_effect=_compile, supports_retry=True)
