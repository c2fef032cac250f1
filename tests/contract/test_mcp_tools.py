"""The tools of a real MCP server, over HTTP on this machine and as a command."""

import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from starlette.types import Receive, Scope, Send

from effect_fakes import MemoryFiles
from effects.tools.catalog import McpSource
from effects.tools.errors import ToolFailedError, ToolSourceError
from effects.tools.mcp_server import McpTools
from effects.tools.source import Request
from graph.ports import ToolMessage
from hosted import hosted

KEY = "very-secret-key"


def note_server() -> MCPServer:
    """A server with a few tools."""
    server = MCPServer("notes")

    @server.tool()
    def add(a: int, b: int, label: str = "sum") -> dict[str, Any]:
        """Add two numbers."""
        return {"label": label, "total": a + b}

    @server.tool(structured_output=False)
    def say(text: str) -> str:
        """Say something."""
        return text

    @server.tool(structured_output=False)
    def draw() -> Image:
        """Draw a picture."""
        return Image(data=b"pixels", format="png")

    @server.tool()
    def fail(reason: str) -> str:
        """Fail."""
        raise ToolError(reason)

    return server


class Guarded:
    """Lets requests through that carry the key."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = dict(scope.get("headers", []))
        if scope["type"] == "http" and headers.get(b"authorization") != f"Bearer {KEY}".encode():
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": f"not {KEY}".encode()})
            return
        await self._app(scope, receive, send)


@pytest.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    """The address of a running server."""
    async with hosted(Guarded(note_server().streamable_http_app())) as address:
        yield f"{address}/mcp"


def tools_at(url: str, files: MemoryFiles | None = None, env: str = "NOTES_KEY", **more: Any) -> McpTools:
    """The tools of the server at ``url``."""
    headers = {"Authorization": {"env": env, "prefix": "Bearer "}}
    source = McpSource.model_validate({"kind": "mcp", "url": url, "headers": headers, **more})
    return McpTools("notes", source, files or MemoryFiles(), {"NOTES_KEY": KEY, "WRONG": "wrong"}.get)


async def called(tools: McpTools, tool: str, **parameters: Any) -> list[ToolMessage]:
    """What a call gives."""
    return [message async for message in tools.call(Request("notes", tool, parameters))]


async def test_structured_result_becomes_variables(url: str) -> None:
    """Parameters take the types of the tool's schema; JSON texts and structured results come apart."""
    messages = await called(tools_at(url), "add", a="2", b=3, label="")
    assert ("total", 5) in [(message.name, message.value) for message in messages if message.kind == "variable"]
    assert [message.value["total"] for message in messages if message.kind == "json"] == [5]


async def test_text_and_files_come_as_such(url: str) -> None:
    """A text stays text, a picture becomes a file."""
    files = MemoryFiles()
    assert await called(tools_at(url), "say", text="hello") == [ToolMessage("text", "hello")]
    (message,) = await called(tools_at(url, files), "draw")
    assert message.kind == "file" and files.stored[message.value["filename"]] == b"pixels"


@pytest.mark.parametrize(
    ("tool", "parameters", "reason"),
    [("fail", {"reason": "because"}, "because"), ("gone", {}, "gone"), ("add", {"a": "x", "b": 1}, "no integer")],
)
async def test_failures_are_told(url: str, tool: str, parameters: dict[str, Any], reason: str) -> None:
    """A failing tool, an unknown one and a parameter that does not fit fail with their reason."""
    with pytest.raises(ToolFailedError, match=reason):
        await called(tools_at(url), tool, **parameters)


async def test_key_is_needed_and_never_told(url: str) -> None:
    """A wrong key is refused without being told, a missing one is named by its variable."""
    with pytest.raises((ToolFailedError, ToolSourceError)) as caught:
        await called(tools_at(url, env="WRONG"), "say", text="hello")
    assert KEY not in str(caught.value) and "wrong" not in str(caught.value)
    with pytest.raises(ToolSourceError, match="environment variable GONE"):
        await called(tools_at(url, env="GONE"), "say", text="hello")


async def test_server_that_is_away_is_told() -> None:
    """A server that does not answer fails the call as a source that cannot be used."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # nobody else can listen there meanwhile
        with pytest.raises(ToolSourceError, match="notes"):
            await called(tools_at(f"http://127.0.0.1:{held.getsockname()[1]}/mcp"), "say", text="hello")


async def test_command_is_started_for_the_call(tmp_path: Path) -> None:
    """A configured command serves over stdio, with the secrets of its environment."""
    script = tmp_path / "server.py"
    script.write_text(
        "import os\nfrom mcp.server.mcpserver import MCPServer\nserver = MCPServer('stdio')\n"
        "@server.tool(structured_output=False)\ndef key() -> str:\n    return os.environ['MY_KEY']\n"
        "server.run('stdio')\n"
    )
    command = {"kind": "mcp", "command": [sys.executable, str(script)], "env": {"MY_KEY": "NOTES_KEY"}}
    tools = McpTools("notes", McpSource.model_validate(command), MemoryFiles(), {"NOTES_KEY": KEY}.get)
    assert await called(tools, "key") == [ToolMessage("text", KEY)]
