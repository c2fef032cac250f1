"""Stand-ins for the ports of files, HTTP, code and tools, and one node run over them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from fakes import ListForms, ScriptedChat
from graph.errors import NodeError
from graph.nodes.kind import EffectContext, NodeResult
from graph.nodes.table import KINDS
from graph.ports import Effects, HttpCall, HttpReply, ToolCall, ToolMessage
from graph.variable_pool import FILE_MARK, FILE_MARK_VALUE, VariablePool

Emitted = list[tuple[str, str, bool]]


def a_file(name: str, kind: str = "image", mime_type: str = "image/png") -> dict[str, Any]:
    """Return a file mapping."""
    return {
        FILE_MARK: FILE_MARK_VALUE, "id": name, "type": kind, "transfer_method": "tool_file", "reference": name,
        "filename": name, "mime_type": mime_type, "extension": "", "size": 1, "url": f"/files/{name}",
    }  # fmt: skip


@dataclass
class MemoryFiles:
    """Keeps files in memory; the content of one that was not put is its name."""

    stored: dict[str, bytes] = field(default_factory=dict)

    async def put(self, content: bytes, filename: str, mime_type: str) -> dict[str, Any]:
        """Store a file under its name."""
        self.stored[filename] = content
        return a_file(filename, mime_type.partition("/")[0], mime_type)

    async def read(self, file: dict[str, Any]) -> bytes:
        """Return its content."""
        return self.stored.get(file["filename"], file["filename"].encode())

    async def extract_text(self, file: dict[str, Any]) -> str:
        """Return its content as text."""
        return (await self.read(file)).decode()


@dataclass
class ScriptedHttp:
    """Answers by a function of the call."""

    answer: Callable[[HttpCall], HttpReply]
    calls: list[HttpCall] = field(default_factory=list)

    async def send(self, call: HttpCall) -> HttpReply:
        """Return what the function says."""
        self.calls.append(call)
        return self.answer(call)


class LocalCode:
    """Runs trusted Python of these tests in process."""

    async def run_code(self, language: str, code: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return what ``main`` returns."""
        names: dict[str, Any] = {}
        exec(code, names)
        try:
            return names["main"](**inputs)
        except ArithmeticError as error:
            raise NodeError(str(error), "CodeExecutionError") from None

    async def render(self, template: str, values: dict[str, Any]) -> str:
        """Tell what was asked."""
        return f"sandboxed {sorted(values)}"


@dataclass
class ScriptedTools:
    """Gives the scripted messages for every call; one that is an exception is raised in its place."""

    script: list[ToolMessage | Exception]
    calls: list[ToolCall] = field(default_factory=list)

    async def call(self, call: ToolCall) -> AsyncIterator[ToolMessage]:
        """Yield the scripted messages."""
        self.calls.append(call)
        for message in self.script:
            if isinstance(message, Exception):
                raise message
            yield message


def ports_of(**ports: Any) -> Effects:
    """Return effect ports, memory ones where none is given."""
    given = {"chat": ScriptedChat(), "forms": ListForms(), "files": MemoryFiles(), "code": LocalCode(), **ports}
    return Effects(**given)


async def run_node(
    kind: str, pool: dict[str, dict[str, Any]], effects: Effects, **data: Any
) -> tuple[NodeResult, Emitted]:
    """Run one effectful node; return its result and what it streamed."""
    compile_effect = KINDS[kind].compile_effect
    assert compile_effect is not None
    step = compile_effect(KINDS[kind].data.model_validate({"type": kind, **data}))
    values, streamed = VariablePool(), []
    for node_id, names in pool.items():
        values.put(node_id, names)
    context = EffectContext("run", "n", "execution-1", effects, lambda *piece: streamed.append(piece))
    result = await step(values, context)
    assert isinstance(result, NodeResult)
    return result, streamed
