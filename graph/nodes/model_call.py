"""What every node that calls a chat model shares: the model as a file names it, the call, its usage and record."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator

from graph.nodes.kind import EffectContext
from graph.ports import ChatDelta, ChatMessage, ChatRequest, ChatUsage, ImagePart
from graph.template import Template
from graph.value_types import files_in
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


class VisionConfigs(BaseModel):
    """Where images come from, and how closely the model shall look."""

    model_config = ConfigDict(extra="ignore")

    variable_selector: list[str] = Field(default_factory=lambda: ["sys", "files"])
    detail: str = "high"

    @field_validator("variable_selector", "detail", mode="before")
    @classmethod
    def _null_is_default(cls, value: Any, info: Any) -> Any:
        return value or cls.model_fields[info.field_name].get_default(call_default_factory=True)


class VisionData(BaseModel):
    """Whether images go along."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    configs: VisionConfigs | None = None

    @property
    def detail(self) -> str:
        """How closely the model shall look."""
        return (self.configs or VisionConfigs()).detail

    def files(self, pool: VariablePool) -> list[dict[str, Any]]:
        """Return the file mappings that go along, none where vision is off."""
        if not self.enabled:
            return []
        return files_in([pool.get((self.configs or VisionConfigs()).variable_selector)])


class ModelCall:
    """The model of one node, compiled: its parameters may hold references."""

    def __init__(self, model: ModelData) -> None:
        self.model = model
        self._parameters = {
            name: Template(value) if isinstance(value, str) and "{{#" in value else value
            for name, value in model.completion_params.items()
        }

    def parameters(self, pool: VariablePool) -> dict[str, Any]:
        """Return the parameters with their references filled in."""
        return {
            name: value.text(pool) if isinstance(value, Template) else value for name, value in self._parameters.items()
        }

    def request(
        self,
        messages: tuple[ChatMessage, ...],
        parameters: dict[str, Any],
        execution_id: str,
        schema: dict[str, Any] | None = None,
    ) -> ChatRequest:
        """Return the call of this model with ``messages``; ``schema``: what the answer shall follow."""
        return ChatRequest(
            provider=self.model.provider,
            name=self.model.name,
            messages=messages,
            parameters=parameters,
            mode=self.model.mode,
            idempotency_key=execution_id,
            schema=schema,
        )

    def record(self, messages: Sequence[ChatMessage], answer: "Answer") -> dict[str, Any]:
        """Return the ``process_data`` of a call."""
        return {
            "model_mode": self.model.mode,
            "prompts": [shown_message(message) for message in messages],
            "usage": usage_of(answer.usage),
            "finish_reason": answer.finish_reason,
            "model_provider": self.model.provider,
            "model_name": self.model.name,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of a model."""

    text: str
    finish_reason: str | None
    usage: ChatUsage
    images: tuple[ImagePart, ...] = ()


async def ask(
    context: EffectContext, request: ChatRequest, on_text: Callable[[str], None] = lambda _text: None
) -> Answer:
    """Call the model and return its whole answer; ``on_text`` hears each piece as it comes.

    Cancelling the task that waits here cancels the generation.

    Raises:
        NodeError: whatever the model raises.
    """
    pieces: list[str] = []
    images: list[ImagePart] = []
    last = ChatDelta()
    async with aclosing(cast(Any, _closable(context.effects.chat.stream(request)))) as deltas:
        async for delta in deltas:
            if delta.finish_reason is not None or delta.usage is not None:
                last = delta
            images.extend(delta.images)
            if delta.text:
                pieces.append(delta.text)
                on_text(delta.text)
    return Answer("".join(pieces), last.finish_reason, last.usage or ChatUsage(), tuple(images))


async def _closable(deltas: AsyncIterator[ChatDelta]) -> AsyncIterator[ChatDelta]:
    # A port may give any iterator; only generators can be closed.
    try:
        async for delta in deltas:
            yield delta
    finally:
        close = getattr(deltas, "aclose", None)
        if close is not None:
            await close()


def shown_message(message: ChatMessage) -> dict[str, Any]:
    """Return a message as a node's record shows it; of an image its name only."""
    files = [{"type": "image", "data": image.name, "detail": image.detail} for image in message.images]
    return {"role": message.role, "text": message.text, "files": files}


def cost_of(usage: ChatUsage) -> dict[str, Any]:
    """Return the metadata that a model call adds to its node."""
    shown = usage_of(usage)
    return {name: shown[name] for name in ("total_tokens", "total_price", "currency")}


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
