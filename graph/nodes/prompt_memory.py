"""Past turns of a conversation, as prompts take them along.

A chatflow hands them in as the system value ``history``: a list of ``{"query": text, "answer": text}``, oldest first.
A workflow app has none. A window bounds the turns; without one all that were handed in go along, so whoever hands them
in bounds their length.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from graph.ports import ChatMessage
from graph.variable_pool import VariablePool

HISTORY = "history"
"""Name of the system value; it is for prompts, and no output of a start node."""


class MemoryWindow(BaseModel):
    """How many past turns go along."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    size: int | None = None


class RolePrefix(BaseModel):
    """What the two speakers are called where a past turn is written as text."""

    model_config = ConfigDict(extra="ignore")

    user: str = "Human"
    assistant: str = "Assistant"

    @field_validator("user", "assistant", mode="before")
    @classmethod
    def _empty_is_default(cls, value: Any, info: Any) -> Any:
        return value or cls.model_fields[info.field_name].default


class MemoryData(BaseModel):
    """Whether past turns go along, and the text that carries the reader's question."""

    model_config = ConfigDict(extra="ignore")

    role_prefix: RolePrefix = Field(default_factory=RolePrefix)
    window: MemoryWindow = Field(default_factory=MemoryWindow)
    query_prompt_template: str | None = None

    @field_validator("role_prefix", "window", mode="before")
    @classmethod
    def _null_is_default(cls, value: Any) -> Any:
        return {} if value is None else value

    def turns(self, pool: VariablePool) -> list[tuple[str, str]]:
        """Return the (question, answer) pairs that go along, oldest first."""
        held = pool.get(("sys", HISTORY))
        turns = held if isinstance(held, list) else []
        pairs = [(str(turn.get("query") or ""), str(turn.get("answer") or "")) for turn in turns]
        if self.window.enabled and self.window.size is not None:
            return pairs[-self.window.size :] if self.window.size > 0 else []
        return pairs


def history_messages(memory: MemoryData | None, pool: VariablePool) -> list[ChatMessage]:
    """Return the past turns as messages."""
    messages: list[ChatMessage] = []
    for query, answer in memory.turns(pool) if memory else ():
        messages.append(ChatMessage("user", query))
        if answer:
            messages.append(ChatMessage("assistant", answer))
    return messages


def history_text(memory: MemoryData | None, pool: VariablePool) -> str:
    """Return the past turns as lines of text."""
    if memory is None:
        return ""
    user, assistant = memory.role_prefix.user, memory.role_prefix.assistant
    lines: list[str] = []
    for query, answer in memory.turns(pool):
        lines.append(f"{user}: {query}")
        if answer:
            lines.append(f"{assistant}: {answer}")
    return "\n".join(lines)
