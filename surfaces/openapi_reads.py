"""``/openapi/v1``: what an account finds out: who it is, its workspaces, its tokens, the apps it may run.

Source: spec/http.md 8.1 and 8.2.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import Request, Response

from store.account_record import Membership
from store.app_record import AppRecord
from store.bearer_record import BearerToken
from surfaces.asgi import REFERENCE_VERSION
from surfaces.console_lists import number_in
from surfaces.errors import InvalidParamError, ResourceNotFoundError
from surfaces.input_schema import input_schema
from surfaces.openapi_auth import BearerCaller, bearer_on_app, calling_bearer
from surfaces.ports import SurfacePorts
from surfaces.run_endpoints import canonical_id
from surfaces.schemas import reply
from surfaces.service_api import parameters_of

_MAX_LIMIT: Final = 200
_BLOCKS: Final = ("info", "parameters", "input_schema")


class OpenApiReads:
    """The endpoints that change nothing but the list of tokens."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def health(self, request: Request) -> Response:
        """Say that the surface is there; needs no token."""
        return reply({"ok": True})

    async def version(self, request: Request) -> Response:
        """Say which API this is; needs no token."""
        return reply({"version": REFERENCE_VERSION, "edition": "SELF_HOSTED"})

    async def account(self, request: Request) -> Response:
        """Say whose token this is."""
        caller = await calling_bearer(request, self._ports)
        return reply(await account_shape(caller.account.account_id, self._ports))

    async def sessions(self, request: Request) -> Response:
        """List the account's tokens that count, the newest first."""
        caller = await calling_bearer(request, self._ports)
        query = request.query_params
        page, limit = number_in(query, "page", 1, 99_999), number_in(query, "limit", 100, _MAX_LIMIT)
        found = await self._ports.bearers.of_account(caller.account.account_id, self._ports.clock.now())
        rows = [_session(token) for token in found[(page - 1) * limit : page * limit]]
        return reply(_page(page, limit, len(found), rows))

    async def revoke(self, request: Request) -> Response:
        """End one of the account's tokens, or the one that the request carries ("self")."""
        caller = await calling_bearer(request, self._ports)
        named = request.path_params["session_id"]
        token_id = caller.bearer.token_id if named == "self" else canonical_id(named) or ""
        if not await self._ports.bearers.revoke(caller.account.account_id, token_id):
            raise ResourceNotFoundError("session not found")
        return reply({"status": "revoked"})

    async def workspaces(self, request: Request) -> Response:
        """List the account's workspaces."""
        caller = await calling_bearer(request, self._ports)
        of_account = await self._ports.accounts.memberships(caller.account.account_id)
        return reply({"workspaces": [_workspace(each, of_account) for each in of_account]})

    async def workspace(self, request: Request) -> Response:
        """Show one of the account's workspaces."""
        caller = await calling_bearer(request, self._ports)
        found, of_account = await self._membership(caller, request.path_params["workspace_id"])
        return reply(_workspace(found, of_account))

    async def apps(self, request: Request) -> Response:
        """List the apps of a workspace, the newest first."""
        caller = await calling_bearer(request, self._ports)
        query = request.query_params
        workspace_id = canonical_id(query.get("workspace_id", ""))
        if workspace_id is None:
            raise InvalidParamError("workspace_id must be the id of a workspace.")
        page, limit = number_in(query, "page", 1, 99_999), number_in(query, "limit", 20, _MAX_LIMIT)
        membership, _ = await self._membership(caller, workspace_id)
        found, total = await self._found(membership, query, (page - 1) * limit, limit)
        rows = [await self._row(app, membership) for app in found]
        return reply(_page(page, limit, total, rows))

    async def describe(self, request: Request) -> Response:
        """Show an app: what it is, what it asks for, and that as a JSON Schema; the blocks that ``fields`` names."""
        _, app = await bearer_on_app(request, self._ports)
        named = request.query_params.get("fields", "")
        wanted = {part.strip() for part in named.split(",") if part.strip()} or set(_BLOCKS)
        if unknown := sorted(wanted - set(_BLOCKS)):
            raise InvalidParamError(f"fields must be some of {', '.join(_BLOCKS)}, not {', '.join(unknown)}.")
        version_id = app.published_version_id
        plan = await self._ports.plans.plan(version_id) if version_id else None
        is_chat, variables = app.mode == "advanced-chat", plan.start_form if plan else []
        blocks: dict[str, Any] = {
            "info": await self._info(app) if "info" in wanted else None,
            "parameters": None,
            "input_schema": input_schema(variables, is_chat=is_chat) if "input_schema" in wanted else None,
        }
        if "parameters" in wanted:
            blocks["parameters"] = await parameters_of(app, self._ports) if plan else {}
        return reply(blocks)

    async def _membership(self, caller: BearerCaller, workspace_id: str) -> tuple[Membership, list[Membership]]:
        of_account = await self._ports.accounts.memberships(caller.account.account_id)
        found = next((each for each in of_account if each.workspace.workspace_id == workspace_id), None)
        if found is None:
            raise ResourceNotFoundError("workspace not found")
        return found, of_account

    async def _found(
        self, membership: Membership, query: Mapping[str, str], offset: int, limit: int
    ) -> tuple[list[AppRecord], int]:
        """Return the apps that ``query`` asks for, and how many there are; a name that is an id names one app."""
        workspace_id, name, mode = membership.workspace.workspace_id, query.get("name", ""), query.get("mode", "")
        if query.get("tag"):
            # Apps have no tags here, so none has this one.
            return [], 0
        app_id = canonical_id(name)
        if app_id is None:
            return await self._ports.console.listings.apps_of(workspace_id, name, mode, offset, limit)
        app = await self._ports.apps.app(app_id)
        if app is None or app.workspace_id != workspace_id or mode not in ("", app.mode):
            return [], 0
        return ([] if offset else [app]), 1

    async def _row(self, app: AppRecord, membership: Membership) -> dict[str, Any]:
        return {
            "id": app.app_id,
            "name": app.name,
            "description": app.description,
            "mode": app.mode,
            "tags": [],
            "updated_at": _iso(app.created_at),
            "created_by_name": await self._author(app),
            "workspace_id": app.workspace_id,
            "workspace_name": membership.workspace.name,
        }

    async def _info(self, app: AppRecord) -> dict[str, Any]:
        return {
            "id": app.app_id,
            "name": app.name,
            "description": app.description,
            "mode": app.mode,
            "author": await self._author(app),
            "tags": [],
            "updated_at": _iso(app.created_at),
            "service_api_enabled": True,
            "is_agent": False,
        }

    async def _author(self, app: AppRecord) -> str | None:
        author = await self._ports.accounts.account(app.created_by) if app.created_by else None
        return author.name if author else None


async def account_shape(account_id: str, ports: SurfacePorts) -> dict[str, Any]:
    """Return an account as its own programs are told of it."""
    account, of_account = await ports.accounts.account(account_id), await ports.accounts.memberships(account_id)
    return {
        "subject_type": "account",
        "subject_email": account.email if account else None,
        "subject_issuer": None,
        "account": {"id": account.account_id, "email": account.email, "name": account.name} if account else None,
        "workspaces": [
            {"id": each.workspace.workspace_id, "name": each.workspace.name, "role": each.role} for each in of_account
        ],
        "default_workspace_id": of_account[0].workspace.workspace_id if of_account else None,
    }


def _workspace(membership: Membership, of_account: list[Membership]) -> dict[str, Any]:
    workspace = membership.workspace
    return {
        "id": workspace.workspace_id,
        "name": workspace.name,
        "role": membership.role,
        "status": "normal",
        "current": membership == of_account[0],
        "created_at": _iso(workspace.created_at),
    }


def _session(token: BearerToken) -> dict[str, Any]:
    return {
        "id": token.token_id,
        "prefix": token.prefix,
        "client_id": token.client_id,
        "device_label": token.device_label,
        "created_at": _iso(token.created_at),
        "last_used_at": None if token.last_used_at is None else _iso(token.last_used_at),
        "expires_at": _iso(token.expires_at),
    }


def _page(page: int, limit: int, total: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"page": page, "limit": limit, "total": total, "has_more": page * limit < total, "data": rows}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
