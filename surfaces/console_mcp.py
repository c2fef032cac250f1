"""``/console/api``: the MCP servers of apps: made, switched on and off, given a new code.

A code is a credential: it is in the reply that makes it, and nowhere afterwards.

Source: spec/http.md 1.6 and 7.1.
"""

from typing import Any, Final, Literal

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from store.app_record import AppRecord
from store.errors import McpServerNotFoundError
from store.login_record import LoggedIn
from store.mcp_record import McpServer
from store.mcp_servers import McpServerStore
from surfaces.console_auth import calling_account, require_role
from surfaces.console_drafts import app_of_workspace
from surfaces.ports import SurfacePorts
from surfaces.run_endpoints import canonical_id
from surfaces.schemas import checked, read_object, reply

HIDDEN_CODE: Final = "********"
_DESCRIPTION_LENGTH: Final = 2000


class ServerPayload(BaseModel):
    """The body of a new server. ``description``: empty or null: that of the app; ``parameters``: input -> text."""

    model_config = ConfigDict(extra="ignore")

    description: str | None = Field(None, max_length=_DESCRIPTION_LENGTH)
    parameters: dict[str, str] = Field(default_factory=dict)


class ServerChangePayload(ServerPayload):
    """The body of a change. ``status`` null or absent: as it is."""

    id: str
    status: Literal["active", "inactive"] | None = None


class ConsoleMcp:
    """The endpoints."""

    def __init__(self, ports: SurfacePorts, servers: McpServerStore) -> None:
        self._ports = ports
        self._servers = servers

    async def server(self, request: Request) -> Response:
        """Show the server of an app (GET; an empty object where it has none), make it (POST) or change it (PUT)."""
        login = await calling_account(request, self._ports)
        app = await app_of_workspace(request.path_params["app_id"], login, self._ports)
        if request.method == "GET":
            found = await self._servers.of_app(app.app_id)
            return reply({} if found is None else _shown(app, found))
        require_role(login)
        body = await read_object(request, self._ports.max_body_bytes)
        if request.method == "POST":
            payload = checked(ServerPayload, body)
            made, code = await self._servers.create(
                app.app_id, payload.description or app.description, payload.parameters
            )
            return reply(_shown(app, made, code), 201)
        change = checked(ServerChangePayload, body)
        held = await self._servers.of_app(app.app_id)
        if held is None or held.server_id != canonical_id(change.id):
            raise McpServerNotFoundError()
        is_active = held.is_active if change.status is None else change.status == "active"
        description = change.description or app.description
        changed = await self._servers.change(held.server_id, description, change.parameters, is_active)
        return reply(_shown(app, changed))

    async def refresh(self, request: Request) -> Response:
        """Give a server another code; the one before ends with it. Also as GET, which then needs the CSRF token too."""
        login = await calling_account(request, self._ports, is_change=True)
        require_role(login)
        app, held = await self._held(request.path_params["server_id"], login)
        changed, code = await self._servers.refresh(held.server_id)
        return reply(_shown(app, changed, code))

    async def _held(self, server_id: str, login: LoggedIn) -> tuple[AppRecord, McpServer]:
        known_id = canonical_id(server_id)
        held = await self._servers.get(known_id) if known_id else None
        app = await self._ports.apps.app(held.app_id) if held is not None else None
        if held is None or app is None or app.workspace_id != login.workspace_id:
            raise McpServerNotFoundError()
        return app, held


def _shown(app: AppRecord, server: McpServer, code: str = HIDDEN_CODE) -> dict[str, Any]:
    return {
        "id": server.server_id,
        "name": app.name,
        "server_code": code,
        "description": server.description,
        "status": "active" if server.is_active else "inactive",
        "parameters": server.parameters,
        "created_at": int(server.created_at),
        "updated_at": int(server.updated_at),
    }


def add_console_mcp(app: FastAPI, ports: SurfacePorts, prefix: str) -> None:
    """Add the routes of MCP servers to ``app``, below ``prefix``, if there are any."""
    if ports.mcp_servers is not None:
        mcp = ConsoleMcp(ports, ports.mcp_servers)
        app.add_route(f"{prefix}/apps/{{app_id}}/server", mcp.server, methods=["GET", "POST", "PUT"])
        app.add_route(f"{prefix}/apps/{{server_id}}/server/refresh", mcp.refresh, methods=["GET", "POST"])
