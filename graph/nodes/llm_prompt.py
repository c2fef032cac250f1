"""The messages of an llm node: the prompt of a file compiled once, filled from the pool for each call.

Source: dify 1.14.2 core/workflow/nodes/llm/node.py (spec/graph.md 2.4).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from graph.errors import NodeError
from graph.jinja_template import JinjaTemplate
from graph.nodes.prompt_draft import Draft, with_files
from graph.nodes.prompt_memory import MemoryData, history_messages, history_text
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


Render = Callable[[VariablePool, str], str]
"""(pool, context text) -> the text of one message."""


class _Message:
    """One message of the file, compiled. ``template``: its jinja2 text, None in the basic edition."""

    __slots__ = ("files", "render", "role", "template")

    def __init__(self, role: str, text: PromptText) -> None:
        self.role = role
        self.template = JinjaTemplate(text.jinja2_text or "") if _is_jinja(text) else None
        self.render = _compile_basic("" if self.template else text.text)
        self.files = Template("" if self.template else text.text).files


class Prompt:
    """A compiled prompt. ``selectors``: what its basic texts refer to."""

    def __init__(self, template: list[PromptMessage] | PromptText, memory: MemoryData | None) -> None:
        texts: list[PromptText] = list(template) if isinstance(template, list) else [template]
        self._messages = [_Message(text.role if isinstance(text, PromptMessage) else "user", text) for text in texts]
        self._is_completion = not isinstance(template, list)
        self._memory = memory
        query = memory.query_prompt_template if memory else None
        self._query = _compile_basic(query) if query else None
        self._query_selectors = Template(query or "").selectors
        basic = "\n".join(text.text for text in texts if not _is_jinja(text))
        self.selectors = Template(basic).selectors

    def drafts(
        self, pool: VariablePool, context: str, jinja_values: Mapping[str, str], files: Sequence[dict[str, Any]] = ()
    ) -> list[Draft]:
        """Return the messages of a call to be completed; basic ones without text are left out.

        Args:
            pool: read now.
            context: what ``{{#context#}}`` stands for.
            jinja_values: what jinja2 texts see.
            files: file mappings whose images go along with the last message.

        Raises:
            NodeError: a variable of the question's text is missing.
        """
        query = self._query_text(pool)
        if self._is_completion:
            return with_files([self._completion(pool, context, jinja_values, query)], files)
        drafts: list[Draft] = []
        for message in self._messages:
            if message.template is not None:
                drafts.append(Draft(message.role, template=message.template, values=jinja_values))
                continue
            text = message.render(pool, context)
            if text:
                drafts.append(Draft(message.role, text))
            shown = [file for file in message.files(pool) if file.get("type") == "image"]
            if shown:
                drafts.append(Draft(message.role, files=shown))
        drafts.extend(Draft(past.role, past.text) for past in history_messages(self._memory, pool))
        if query:
            drafts.append(Draft("user", query))
        return with_files(drafts, files)

    def _completion(self, pool: VariablePool, context: str, jinja_values: Mapping[str, str], query: str) -> Draft:
        history = history_text(self._memory, pool)

        def after(text: str) -> str:
            if _HISTORIES_MARK in text or not history:
                text = text.replace(f"{{{{{_HISTORIES_MARK}}}}}", history).replace(_HISTORIES_MARK, history)
            else:
                text = f"{history}\n{text}"
            return text.replace(_QUERY_MARK, query)

        (message,) = self._messages
        text = "" if message.template is not None else message.render(pool, context)
        return Draft("user", text, message.template, jinja_values, after=after)

    def _query_text(self, pool: VariablePool) -> str:
        """Return the reader's question, which only a prompt with memory takes along; workflow apps have none."""
        asked = pool.get(_QUERY_SELECTOR)
        if self._memory is None or asked is MISSING:
            return ""
        if self._query is None:
            return text_of(asked)
        require(pool, self._query_selectors)
        return self._query(pool, "")


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


def _compile_basic(text: str) -> Render:
    parts: list[Part] = []
    for index, piece in enumerate(text.split(_CONTEXT_MARK)):
        if index:
            parts.append(_CONTEXT)
        parts.extend(parts_of(piece))

    def render(pool: VariablePool, context: str) -> str:
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
