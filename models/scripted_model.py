"""A chat model that answers from a script, exactly and without weights: for tests, demos and measurements.

It decides nothing by chance: the same calls in the same order get the same answers.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from graph.ports import ChatDelta, ChatRequest, ChatUsage
from models.errors import ScriptedError


class ScriptedReply(BaseModel):
    """One answer.

    ``chunks`` come one by one; ``error`` fails the call after them. ``delay_s``: seconds before the first chunk,
    ``pause_s`` between chunks. ``hold_after``: after so many chunks the call waits until it is released.
    ``echo``: the words of the last user message stand for the chunks. Without numbers, a prompt counts its words
    and an answer its chunks as tokens.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    chunks: tuple[str, ...] = ()
    echo: bool = False
    error: str | None = None
    error_type: str = "ScriptedError"
    delay_s: Annotated[float, Field(ge=0)] = 0.0
    pause_s: Annotated[float, Field(ge=0)] = 0.0
    hold_after: Annotated[int, Field(ge=0)] | None = None
    finish_reason: str = "stop"
    prompt_tokens: Annotated[int, Field(ge=0)] | None = None
    completion_tokens: Annotated[int, Field(ge=0)] | None = None


class ScriptedRule(BaseModel):
    """Which calls get which replies: all conditions given must hold.

    ``model``: the model's name in the file. ``message``: the whole last user message; ``contains``: a part of it.
    The n-th call of the rule gets the n-th reply; later ones get the last.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = None
    message: str | None = None
    contains: str | None = None
    replies: Annotated[tuple[ScriptedReply, ...], Field(min_length=1)]

    def fits(self, request: ChatRequest) -> bool:
        """Tell whether this rule answers ``request``."""
        asked = last_user_message(request)
        return (
            self.model in (None, request.name)
            and self.message in (None, asked)
            and (self.contains is None or self.contains in asked)
        )


class Script(BaseModel):
    """Rules in order; the first that fits answers. A call that none fits fails."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[ScriptedRule, ...] = ()

    @classmethod
    def answer(cls, *chunks: str, **reply: Any) -> "Script":
        """Return the script that gives this one answer to every call; ``reply``: other fields of ScriptedReply."""
        return cls(rules=(ScriptedRule(replies=(ScriptedReply(chunks=chunks, **reply),)),))


ECHO_SCRIPT = Script(rules=(ScriptedRule(replies=(ScriptedReply(echo=True),)),))
"""Gives back what it was told, word by word."""


def last_user_message(request: ChatRequest) -> str:
    """Return the text of the last user message, or of the last message where no user speaks."""
    for message in reversed(request.messages):
        if message.role == "user":
            return message.text
    return request.messages[-1].text if request.messages else ""


@dataclass(slots=True)
class ScriptedCall:
    """What became of one call: ``sent_count`` chunks went out, and whether it ``is_ended`` (answered, not cut off)."""

    request: ChatRequest
    sent_count: int = 0
    is_ended: bool = False


@dataclass(slots=True)
class _Gate:
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    held_count: int = 0


class ScriptedModel:
    """Answers from a script; implements graph.ports.ChatModel in process."""

    def __init__(self, script: Script = ECHO_SCRIPT) -> None:
        self.calls: list[ScriptedCall] = []
        """Every call so far, in order of arrival."""
        self.replace_script(script)

    def replace_script(self, script: Script) -> None:
        """Start over with ``script``: no calls, all counts at zero, calls that wait are released."""
        gate = getattr(self, "_gate", None)
        if gate is not None:
            gate.opened.set()
        self.calls.clear()
        self._script = script
        self._counts = [0] * len(script.rules)
        self._gate = _Gate()

    def release(self) -> None:
        """Let the calls go on that wait, and those that would."""
        self._gate.opened.set()

    async def wait_held(self, count: int = 1) -> None:
        """Return once ``count`` calls wait at the same time."""
        gate = self._gate
        async with gate.changed:
            await gate.changed.wait_for(lambda: gate.held_count >= count)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Yield the scripted answer chunk by chunk, then the end with usage.

        Raises:
            ScriptedError: the script says so, or says nothing about this call.
        """
        call = ScriptedCall(request)
        self.calls.append(call)
        reply = self._reply(request)
        gate = self._gate
        chunks = _echoed(request) if reply.echo else reply.chunks
        await asyncio.sleep(reply.delay_s)
        for number, chunk in enumerate(chunks):
            if number == reply.hold_after:
                await _hold(gate)
            if number:
                await asyncio.sleep(reply.pause_s)
            call.sent_count += 1
            yield ChatDelta(text=chunk)
        if reply.hold_after is not None and reply.hold_after >= len(chunks):
            await _hold(gate)
        call.is_ended = True
        if reply.error is not None:
            raise ScriptedError(reply.error, reply.error_type)
        yield ChatDelta(finish_reason=reply.finish_reason, usage=_usage(request, reply, len(chunks)))

    def _reply(self, request: ChatRequest) -> ScriptedReply:
        for index, rule in enumerate(self._script.rules):
            if rule.fits(request):
                count = self._counts[index]
                self._counts[index] += 1
                return rule.replies[min(count, len(rule.replies) - 1)]
        raise ScriptedError(
            f'the script has no reply for model "{request.name}" and the message {last_user_message(request)!r}'
        )


async def _hold(gate: _Gate) -> None:
    async with gate.changed:
        gate.held_count += 1
        gate.changed.notify_all()
    try:
        await gate.opened.wait()
    finally:
        gate.held_count -= 1


def _echoed(request: ChatRequest) -> tuple[str, ...]:
    words = last_user_message(request).split(" ")
    return tuple(word if number == 0 else f" {word}" for number, word in enumerate(words))


def _usage(request: ChatRequest, reply: ScriptedReply, chunk_count: int) -> ChatUsage:
    words = sum(len(message.text.split()) for message in request.messages)
    return ChatUsage(
        prompt_tokens=words if reply.prompt_tokens is None else reply.prompt_tokens,
        completion_tokens=chunk_count if reply.completion_tokens is None else reply.completion_tokens,
    )
