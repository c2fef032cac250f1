"""The messages of an llm node: the prompt of a file compiled once, filled from the pool for each call.

Source: dify 1.14.2 core/workflow/nodes/llm/node.py (spec/graph.md 2.4).
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from graph.errors import NodeError
from graph.jinja_template import JinjaTemplate
from graph.ports import ChatMessage
from graph.template import Part, Template, parts_of
from graph.value_types import text_of
from graph.variable_pool import MISSING, VariablePool

_CONTEXT_MARK = "{{#context#}}"
_CONTEXT = ("#context#",)
_HISTORIES_MARK = "#histories#"
_QUERY_MARK = "#sys.query#"
_QUERY_SELECTOR = ("sys", "query")


class PromptText(BaseModel):
    """A text in one of two editions; ``jinja2_text`` counts only in the jinja2 edition."""

    model_config = ConfigDict(extra="ignore")

    text: str = ""
    edition_type: Literal["basic", "jinja2"] | None = None
    jinja2_text: str | None = None


class PromptMessage(PromptText):
    """One message of a chat prompt."""

    role: Literal["system", "user", "assistant"]


class MemoryWindow(BaseModel):
    """How many past messages go along."""

    model_config = ConfigDict(extra="ignore")

    enabled: bool = False
    size: int | None = None


class MemoryData(BaseModel):
    """Whether past messages go along, and the text that carries the reader's question."""

    model_config = ConfigDict(extra="ignore")

    window: MemoryWindow = Field(default_factory=MemoryWindow)
    query_prompt_template: str | None = None


Render = Callable[[VariablePool, str, Mapping[str, str]], str]
"""(pool, context text, jinja2 values) -> the text of one message."""


class Prompt:
    """A compiled prompt. ``selectors``: what its basic texts refer to."""

    def __init__(self, template: list[PromptMessage] | PromptText, memory: MemoryData | None) -> None:
        texts: list[PromptText] = list(template) if isinstance(template, list) else [template]
        self._messages = [
            (message.role, *_compile_text(message)) for message in texts if isinstance(message, PromptMessage)
        ]
        self._completion = None if isinstance(template, list) else _compile_text(template)[0]
        self._has_memory = memory is not None
        query = memory.query_prompt_template if memory else None
        self._query = _compile_basic(query) if query else None
        self._query_selectors = Template(query or "").selectors
        basic = "\n".join(text.text for text in texts if not _is_jinja(text))
        self.selectors = Template(basic).selectors

    def messages(self, pool: VariablePool, context: str, jinja_values: Mapping[str, str]) -> tuple[ChatMessage, ...]:
        """Return the messages of a call; those without text are left out.

        Raises:
            NodeError: a variable of the question's text is missing, or a jinja2 text fails.
        """
        query = self._query_text(pool)
        if self._completion is not None:
            text = self._completion(pool, context, jinja_values).replace(_HISTORIES_MARK, "")
            return (ChatMessage("user", text.replace(_QUERY_MARK, query)),)
        messages: list[ChatMessage] = []
        for role, render, keeps_empty in self._messages:
            text = render(pool, context, jinja_values)
            if text or keeps_empty:
                messages.append(ChatMessage(role, text))
        if query:
            messages.append(ChatMessage("user", query))
        return tuple(messages)

    def _query_text(self, pool: VariablePool) -> str:
        """Return the reader's question, which only a prompt with memory takes along; workflow apps have none."""
        asked = pool.get(_QUERY_SELECTOR)
        if not self._has_memory or asked is MISSING:
            return ""
        if self._query is None:
            return text_of(asked)
        require(pool, self._query_selectors)
        return self._query(pool, "", {})


def require(pool: VariablePool, selectors: Any) -> dict[str, Any]:
    """Return the values at ``selectors`` by their written form ("#node.name#").

    Raises:
        NodeError: one is missing.
    """
    values: dict[str, Any] = {}
    for selector in selectors:
        value = pool.get(selector)
        if value is MISSING:
            raise NodeError(f"Variable {'.'.join(selector)} not found", "VariableNotFoundError")
        values[f"#{'.'.join(selector)}#"] = value
    return values


def jinja_text(value: Any) -> str:
    """Return what a jinja2 prompt sees of ``value``: lists line by line, objects as JSON, knowledge as its content."""
    if isinstance(value, list):
        return "\n".join(_item_text(item) for item in value).strip()
    return _item_text(value) if isinstance(value, dict) else text_of(value)


def _item_text(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    metadata = item.get("metadata")
    if isinstance(metadata, dict) and metadata.get("_source") == "knowledge":
        return str(item.get("content", ""))
    return json.dumps(item, ensure_ascii=False)


def _is_jinja(text: PromptText) -> bool:
    return text.edition_type == "jinja2"


def _compile_text(text: PromptText) -> tuple[Render, bool]:
    """Return how the text renders, and whether its message goes out even when empty."""
    if not _is_jinja(text):
        return _compile_basic(text.text), False
    template = JinjaTemplate(text.jinja2_text or "")
    return (lambda pool, context, jinja_values: template.render(jinja_values)), True


def _compile_basic(text: str) -> Render:
    parts: list[Part] = []
    for index, piece in enumerate(text.split(_CONTEXT_MARK)):
        if index:
            parts.append(_CONTEXT)
        parts.extend(parts_of(piece))

    def render(pool: VariablePool, context: str, jinja_values: Mapping[str, str]) -> str:
        out: list[str] = []
        for part in parts:
            if isinstance(part, str):
                out.append(part)
            elif part is _CONTEXT:
                out.append(context)
            else:
                value = pool.get(part)
                out.append(".".join(part) if value is MISSING else text_of(value))
        return "".join(out)

    return render
