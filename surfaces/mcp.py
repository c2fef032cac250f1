"""``/mcp``: an app as a tool for agents, by the Model Context Protocol: one POST a message, JSON replies, no session.

    POST /mcp/server/{server_code}/mcp    initialize, notifications, ping, tools/list, tools/call

The code is the only credential. A run that pauses is told with the channels on which people decide; its link is told
only where the node allows it, or the agent would approve what it does itself (``hitl.policy``).

Source: spec/http.md 1.6, spec/beyond.md 2.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from actors.run_order import Starter
from graph.errors import DefectError, GreenroomError, RefusedError
from hitl.recipient import MCP
from hitl.surface import Surface
from store.app_record import AppRecord
from store.mcp_record import McpServer
from store.mcp_servers import McpServerStore
from surfaces.auth import calling_user
from surfaces.chat_api import ChatMessages
from surfaces.chat_order import order_message
from surfaces.chat_schemas import ChatRequestPayload
from surfaces.error_table import UNKNOWN, answer_for, domain_error
from surfaces.errors import BadRequestError, BodyTooLargeError, InvalidParamError, MessageFailedError
from surfaces.mcp_tool import QUERY, error_result, result_of_message, result_of_workflow, tool_of
from surfaces.ports import SurfacePorts
from surfaces.run_endpoints import RunEndpoints
from surfaces.run_start import RunStart, run_start
from surfaces.run_stream import label_of
from surfaces.schemas import WorkflowRunPayload, checked, object_in, read_body, reply

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

AGENT: Final = "mcp"
"""The type of the end user that all callers of one server are."""
VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""The versions of the protocol that are spoken here, the newest first; in this part of it they do not differ."""

_log = logging.getLogger(__name__)


class RpcError(RefusedError):
    """The message is no request of this protocol that can be served; the agent's client corrects it.

    ``number``: the code of JSON-RPC.
    """

    code = "invalid_mcp_request"

    def __init__(self, number: int, message: str) -> None:
        super().__init__(number, message)
        self.number = number
        self.message = message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Called:
    """Whom a request is for: the server of its code and the app behind it."""

    server: McpServer
    app: AppRecord


class Mcp:
    """The endpoint."""

    def __init__(self, ports: SurfacePorts, servers: McpServerStore) -> None:
        self._ports = ports
        self._servers = servers
        self._runs = RunEndpoints(ports, Surface.MCP)
        self._chat = ChatMessages(ports)

    async def message(self, request: Request) -> Response:
        """Answer one message: a request with a result or an error object, a notification with nothing (202)."""
        called = await self._called(request.path_params["server_code"])
        if called is None:
            # Unknown, replaced and switched off look alike.
            return _failure(None, RpcError(INVALID_REQUEST, "Server Not Found"), 404)
        try:
            message = object_in(await read_body(request, self._ports.max_body_bytes))
        except BodyTooLargeError as error:
            return _failure(None, RpcError(INVALID_REQUEST, str(error)), 413)
        except (BadRequestError, InvalidParamError) as error:
            number = PARSE_ERROR if isinstance(error, BadRequestError) else INVALID_REQUEST
            return _failure(None, RpcError(number, str(error)), 400)
        method, number = message.get("method"), message.get("id")
        if "id" not in message and isinstance(method, str) and method.startswith("notifications/"):
            return Response(status_code=202)
        if method is None and ("result" in message or "error" in message):
            # The answer to a request that we never send.
            return Response(status_code=202)
        if isinstance(number, bool) or not isinstance(number, int | str):
            return _failure(None, RpcError(INVALID_REQUEST, "Request ID is required"))
        try:
            result = await self._result(request, called, message)
        except Exception as error:  # boundary: HTTP  # noqa: BLE001
            return _failure(number, error)
        return reply({"jsonrpc": "2.0", "id": number, "result": result})

    async def _called(self, code: str) -> Called | None:
        server = await self._servers.by_code(code)
        app = await self._ports.apps.app(server.app_id) if server is not None else None
        return None if server is None or app is None else Called(server, app)

    async def _result(self, request: Request, called: Called, message: Mapping[str, Any]) -> dict[str, Any]:
        params = message.get("params") or {}
        if message.get("jsonrpc") != "2.0" or not isinstance(params, Mapping):
            raise RpcError(INVALID_REQUEST, 'a request has "jsonrpc": "2.0", and its params are an object')
        match message.get("method"):
            case "initialize":
                return await self._begun(called, params)
            case "ping":
                return {}
            case "tools/list":
                return {"tools": [await self._tool(called)]}
            case "tools/call":
                return await self._call(request, called, params)
            case method:
                raise RpcError(METHOD_NOT_FOUND, f"Method not found: {str(method)[:64]}")

    async def _begun(self, called: Called, params: Mapping[str, Any]) -> dict[str, Any]:
        await calling_user(called.app, called.server.server_id, self._ports, AGENT)
        asked = params.get("protocolVersion")
        return {
            "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
            "capabilities": {"tools": {"listChanged": False}},
            "serverInfo": {"name": "Greenroom", "version": self._ports.version},
            "instructions": called.server.description,
        }

    async def _tool(self, called: Called) -> dict[str, Any]:
        version_id = await self._runs.version(called.app, None)
        plan = await self._ports.plans.plan(version_id)
        return tool_of(called.app, called.server, plan.start_form)

    async def _call(self, request: Request, called: Called, params: Mapping[str, Any]) -> dict[str, Any]:
        """Run the app and return what it gives, what it waits for, or why it failed."""
        arguments = params.get("arguments") or {}
        if params.get("name") != called.app.name:
            raise RpcError(INVALID_PARAMS, f"Unknown tool: {str(params.get('name'))[:64]}")
        if not isinstance(arguments, Mapping):
            raise RpcError(INVALID_PARAMS, "arguments must be an object")
        public_url = self._ports.public_url
        if called.app.mode == "workflow":
            payload = WorkflowRunPayload(inputs=dict(arguments), response_mode="blocking")
            told = await self._runs.whole(await self._start(request, called), payload)
            return result_of_workflow(told, public_url)
        inputs = {name: value for name, value in arguments.items() if name != QUERY}
        message = checked(ChatRequestPayload, {"query": arguments.get(QUERY, ""), "inputs": inputs})
        try:
            return result_of_message(await self._answer(await self._start(request, called), message), public_url)
        except MessageFailedError as error:
            return error_result(str(error))

    async def _start(self, request: Request, called: Called) -> RunStart:
        end_user = await calling_user(called.app, called.server.server_id, self._ports, AGENT)
        version_id = await self._runs.version(called.app, None)
        return await run_start(request, called.app, version_id, Starter.of_end_user(end_user, MCP), self._ports)

    async def _answer(self, start: RunStart, payload: ChatRequestPayload) -> dict[str, Any]:
        """Answer a message in a conversation of its own and return the reply of blocking mode."""
        order = await order_message(start, payload, None, self._ports)
        label = await label_of(order.run, Surface.MCP, self._ports, order.system["conversation_id"])
        return await self._chat.whole(order, label)


def _failure(number: int | str | None, error: BaseException, status: int = 200) -> Response:
    """Return the error object for ``error``; what is a fault of ours is logged, and its text stays inside."""
    cause = domain_error(error)
    answer = answer_for(cause)
    if isinstance(cause, RpcError):
        found = {"code": cause.number, "message": str(cause)}
    elif isinstance(cause, RefusedError):
        found = {"code": INVALID_PARAMS, "message": answer.message, "data": {"code": answer.code}}
    elif isinstance(cause, DefectError) or not isinstance(cause, GreenroomError):
        _log.error("a message of an agent failed", exc_info=error)
        found = {"code": INTERNAL_ERROR, "message": UNKNOWN.message}
    else:
        found = {"code": INTERNAL_ERROR, "message": answer.message, "data": {"code": answer.code}}
    return reply({"jsonrpc": "2.0", "id": number, "error": found}, status)


def add_mcp(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the route of agents to ``app``, if any app can be called by them."""
    if ports.mcp_servers is not None:
        mcp = Mcp(ports, ports.mcp_servers)
        app.add_route("/mcp/server/{server_code}/mcp", mcp.message, methods=["POST"])
