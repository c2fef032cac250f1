"""The tools of an MCP server, over streamable HTTP or as a command over stdio.

Each call has a session of its own: nothing is left open between calls, so nothing has to be mended when the server
starts anew. The ``mcp`` package takes most of a second to import, which only a process that calls such a tool pays.
"""

import asyncio
import base64
import binascii
import json
import mimetypes
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from effects.tools.catalog import McpSource
from effects.tools.errors import ToolFailedError, ToolSourceError
from effects.tools.parameters import typed
from effects.tools.source import Environment, Request, secret_of
from graph.errors import NodeError
from graph.ports import Files, ToolMessage

_MAX_PAGES = 50
_REASON_CHARS = 500
_CONNECT_TIMEOUT_S = 10.0


class McpTools:
    """Implements effects.tools.source.ToolSource over one server."""

    def __init__(self, name: str, source: McpSource, files: Files, environment: Environment) -> None:
        self._name = name
        self._source = source
        self._files = files
        self._environment = environment
        self._schemas: dict[str, Mapping[str, Any]] = {}

    async def call(self, request: Request) -> AsyncIterator[ToolMessage]:
        """Yield what the tool gives: texts, JSON, files, and each key of its structured result as a variable.

        Raises:
            ToolSourceError: the server is not reachable, or a secret is missing.
            ToolParameterError: a parameter does not fit.
            ToolFailedError: the server has no such tool, or the tool failed.
        """
        result = await self._result(request)
        if result.is_error:
            raise ToolFailedError(request.tool, _error_text(result))
        for block in result.content:
            for message in await self._messages(block):
                yield message
        structured = result.structured_content
        if isinstance(structured, dict):
            for name, value in structured.items():
                yield ToolMessage("variable", value, name)

    async def _result(self, request: Request) -> Any:
        try:
            async with asyncio.timeout(self._source.timeout_s), self._session() as session:
                schema = await self._schema(session, request.tool)
                return await session.call_tool(request.tool, _arguments(request, schema))
        except TimeoutError:
            raise ToolFailedError(request.tool, f"no answer within {self._source.timeout_s:g} s") from None
        except Exception as error:  # boundary: the package's errors have no base of their own  # noqa: BLE001
            raise self._failure(request, error) from None

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Any]:
        from mcp.client.client import Client
        from mcp.client.stdio import StdioServerParameters
        from mcp.client.streamable_http import streamable_http_client

        source = self._source
        if source.command is not None:
            secrets = {name: self._variable(variable) for name, variable in source.env.items()}
            command, *arguments = source.command
            async with Client(StdioServerParameters(command=command, args=arguments, env=secrets)) as session:
                yield session
            return
        headers = {name: secret_of(self._name, secret, self._environment) for name, secret in source.headers.items()}
        timeout = httpx2.Timeout(source.timeout_s, connect=_CONNECT_TIMEOUT_S)
        async with httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as http:
            async with Client(streamable_http_client(str(source.url), http_client=http)) as session:
                yield session

    def _variable(self, name: str) -> str:
        value = self._environment(name)
        if value is None:
            raise ToolSourceError(self._name, f"set the environment variable {name} where Greenroom starts")
        return value

    async def _schema(self, session: Any, tool: str) -> Mapping[str, Any]:
        """Return the input schema of a tool, an empty one for a tool that the server does not list."""
        if tool not in self._schemas:
            cursor = None
            for _ in range(_MAX_PAGES):
                page = await session.list_tools(cursor=cursor)
                self._schemas.update({each.name: each.input_schema or {} for each in page.tools})
                cursor = page.next_cursor
                if cursor is None:
                    break
        return self._schemas.get(tool, {})

    def _failure(self, request: Request, error: BaseException) -> NodeError:
        cause = _first(error)
        if isinstance(cause, NodeError):
            return cause
        reason = self._without_secrets(str(cause) or type(cause).__name__)[:_REASON_CHARS]
        if isinstance(cause, OSError | httpx2.HTTPError):
            return ToolSourceError(self._name, reason)
        return ToolFailedError(request.tool, reason)

    def _without_secrets(self, text: str) -> str:
        names = [secret.env for secret in self._source.headers.values()] + list(self._source.env.values())
        for name in names:
            value = self._environment(name)
            if value:
                text = text.replace(value, "[secret]")
        return text

    async def _messages(self, block: Any) -> list[ToolMessage]:
        match block.type:
            case "text":
                return _text_messages(block.text)
            case "image" | "audio":
                return [await self._file(block.data, block.mime_type, block.type)]
            case "resource_link":
                return [ToolMessage("link", str(block.uri))]
            case "resource":
                resource = block.resource
                if hasattr(resource, "text"):
                    return _text_messages(resource.text)
                name = str(resource.uri).rstrip("/").rpartition("/")[2]
                return [await self._file(resource.blob, resource.mime_type, name)]
        return []

    async def _file(self, data: str, mime_type: str | None, name: str) -> ToolMessage:
        kind = mime_type or "application/octet-stream"
        try:
            content = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise ToolFailedError(self._name, "a file of its answer is broken") from None
        filename = name if "." in name else f"{name or 'file'}{mimetypes.guess_extension(kind) or ''}"
        return ToolMessage("file", await self._files.put(content, filename, kind))


def _arguments(request: Request, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as the tool's schema types them; empty text that it does not want as text is left out."""
    properties = schema.get("properties") or {}
    arguments: dict[str, Any] = {}
    for name, value in request.parameters.items():
        wanted = properties.get(name) or {}
        if value is None or (value == "" and wanted.get("type", "string") != "string"):
            continue
        try:
            arguments[name] = typed(value, wanted)
        except ValueError as error:
            raise ToolFailedError(request.tool, f'the parameter "{name}" {error}') from None
    return arguments


def _text_messages(text: str) -> list[ToolMessage]:
    """Return a text, and what it says where it is JSON."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return [ToolMessage("text", text)]
    objects = document if isinstance(document, list) else [document]
    return [ToolMessage("text", text), *(ToolMessage("json", each) for each in objects if isinstance(each, dict))]


def _error_text(result: Any) -> str:
    texts = [block.text for block in result.content if block.type == "text"]
    return "\n".join(texts)[:_REASON_CHARS] or "the tool failed without a reason"


def _first(error: BaseException) -> BaseException:
    """Return the error inside of groups of errors: of several the one that says most, not a cancellation."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
