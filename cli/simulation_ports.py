"""What the nodes of a simulated run reach instead of the outside: the answers of ``default: auto``.

The nodes themselves are real, so that what they read and send is checked; only models, tools, servers and files give
made-up answers. Source: spec/graph.md 7.1.
"""

import json
import mimetypes
from collections.abc import AsyncIterator, Callable
from typing import Any

from uuid_utils import uuid7

from graph.file_value import kind_of, stored_file
from graph.nodes.extraction import schema_of
from graph.nodes.parameter_extractor import ParameterExtractorData
from graph.plan import PlanNode
from graph.ports import ChatDelta, ChatRequest, ChatUsage, HttpCall, HttpReply, ToolCall, ToolMessage
from hitl.answer_file import FileFacts, name_in_url

MOCKED_TEXT = "This is a mocked LLM response"
MOCKED_TOOL_OUTPUT = "mocked tool output"
MOCKED_BODY = "mocked response"
MOCKED_DOCUMENT = "mocked document text"
MOCKED_KNOWLEDGE = "mocked knowledge"
MOCKED_NUMBER = 42


def words_of(text: str) -> list[str]:
    """Return ``text`` in the pieces in which a simulated model says it; together they are the text."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


def sample(schema: Any, name: str = "value") -> Any:
    """Return a value as the JSON ``schema`` describes it, as far as it describes one; ``name``: what it is called."""
    if not isinstance(schema, dict):
        return f"mocked_{name}"
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    choices = next((schema[key] for key in ("enum", "anyOf", "oneOf", "allOf") if schema.get(key)), None)
    if isinstance(choices, list):
        return choices[0] if "enum" in schema else sample(choices[0], name)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = next((each for each in kind if each != "null"), "null") if isinstance(kind, list) else kind
    match kind:
        case "object":
            members = schema.get("properties")
            made = members.items() if isinstance(members, dict) else ()
            return {key: sample(member, key) for key, member in made} or {"key": "value"}
        case "array":
            return [sample(schema.get("items"), name)]
        case "number" | "integer":
            return MOCKED_NUMBER
        case "boolean":
            return True
        case "null":
            return None
    return f"mocked_{name}"


class MockedChat:
    """A model that says the mocked text word by word, or what its node needs. ``node_of``: execution id -> node."""

    def __init__(self, node_of: Callable[[str], PlanNode]) -> None:
        self._node_of = node_of

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Answer one call."""
        words = words_of(self._answer(request))
        for word in words:
            yield ChatDelta(text=word)
        yield ChatDelta(finish_reason="stop", usage=ChatUsage(completion_tokens=len(words)))

    def _answer(self, request: ChatRequest) -> str:
        data, schema = self._node_of(request.idempotency_key).data, request.schema
        if isinstance(data, ParameterExtractorData):
            schema = schema_of(data.parameters, is_complete=True)
        # The schema of a classifier lists its classes, so the sample is the first one.
        return MOCKED_TEXT if schema is None else json.dumps(sample(schema), ensure_ascii=False)


class MockedTools:
    """Tools that all give the same."""

    async def call(self, call: ToolCall) -> AsyncIterator[ToolMessage]:
        """Answer one call."""
        yield ToolMessage("text", MOCKED_TOOL_OUTPUT)
        yield ToolMessage("variable", MOCKED_TOOL_OUTPUT, name="result")


class MockedHttp:
    """Servers that all answer the same."""

    async def send(self, call: HttpCall) -> HttpReply:
        """Answer one request."""
        return HttpReply(200, {}, MOCKED_BODY)


class MockedFiles:
    """Files of which only the names are known; what nodes make is kept while the run lasts."""

    def __init__(self) -> None:
        self._made: dict[str, bytes] = {}

    async def put(self, content: bytes, filename: str, mime_type: str) -> dict[str, Any]:
        """Keep a file."""
        file_id = str(uuid7())
        self._made[file_id] = content
        kind = kind_of(filename, mime_type)
        return stored_file(file_id, filename, mime_type, len(content), "", kind=kind, method="tool_file")

    async def read(self, file: dict[str, Any]) -> bytes:
        """Return the content of a file."""
        return self._made.get(str(file.get("reference")), MOCKED_DOCUMENT.encode())

    async def extract_text(self, file: dict[str, Any]) -> str:
        """Return the text of a document."""
        return MOCKED_DOCUMENT


class AnyFile:
    """Lets a person put any file into an answer; an upload's id is its name."""

    def uploaded(self, upload_file_id: str) -> FileFacts | None:
        """Return a file of that name."""
        return FileFacts(upload_file_id, mimetypes.guess_type(upload_file_id)[0])

    def remote(self, url: str) -> FileFacts | None:
        """Return what the address says: nothing is fetched."""
        return FileFacts(name_in_url(url) or "")
