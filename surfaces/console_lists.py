"""``/console/api``: what an account can look at: the apps of its workspace, their runs, the nodes of a run.

Source: spec/http.md 7.1 and 7.4.
"""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request, Response

from hitl.recipient import DEBUGGER
from hitl.surface import Surface
from store.app_record import AppRecord
from store.run_record import RunRecord
from surfaces.console_auth import calling_account
from surfaces.console_drafts import account_shape, app_of_workspace
from surfaces.errors import InvalidParamError, ResourceNotFoundError
from surfaces.ports import SurfacePorts
from surfaces.projections import RunProjection
from surfaces.run_endpoints import canonical_id
from surfaces.run_stream import label_of
from surfaces.schemas import reply

MAX_LIMIT: Final = 100
_STATUSES: Final = ("running", "paused", "succeeded", "failed", "stopped", "partial-succeeded")
_SOURCES: Final = ("debugging", "app-run")


class ConsoleLists:
    """The endpoints of lists."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def apps(self, request: Request) -> Response:
        """List the apps of the workspace, the newest first."""
        login = await calling_account(request, self._ports)
        query = request.query_params
        page, limit = number_in(query, "page", 1, 99_999), number_in(query, "limit", 20, MAX_LIMIT)
        mode = query.get("mode", "")
        found, total = await self._ports.console.listings.apps_of(
            login.workspace_id, query.get("name", ""), "" if mode == "all" else mode, (page - 1) * limit, limit
        )
        data = [_app_shape(app) for app in found]
        return reply({"page": page, "limit": limit, "total": total, "has_more": page * limit < total, "data": data})

    async def runs(self, request: Request) -> Response:
        """List the runs of an app, the newest first."""
        app = await self._app(request)
        query = request.query_params
        limit = number_in(query, "limit", 20, MAX_LIMIT)
        status = _one_of(query, "status", "", ("", *_STATUSES))
        triggered_from = _one_of(query, "triggered_from", "debugging", _SOURCES)
        runs = await self._ports.console.listings.runs_of(
            app.app_id, triggered_from == "debugging", status, query.get("last_id", ""), limit + 1
        )
        data = [
            {
                **_run_shape(run),
                "created_by_account": await self._account_of(run),
                "retry_index": 0,
            }
            for run in runs[:limit]
        ]
        return reply({"limit": limit, "has_more": len(runs) > limit, "data": data})

    async def run(self, request: Request) -> Response:
        """Show a run with its graph, inputs and outputs."""
        app = await self._app(request)
        record = await self._run(request, app)
        version = await self._ports.apps.version(record.version_id)
        graph = ((version.document.get("workflow") or {}).get("graph") or {}) if version else {}
        links = self._ports.links
        return reply(
            {
                **_run_shape(record),
                "graph": graph,
                "inputs": links.refreshed(record.inputs, app.app_id),
                "outputs": links.refreshed(record.outputs, app.app_id),
                "error": record.error,
                "created_by_role": record.created_by_role,
                "created_by_account": await self._account_of(record),
                "created_by_end_user": _end_user_of(record),
            }
        )

    async def node_executions(self, request: Request) -> Response:
        """Show what each node of a run has done, the latest first."""
        app = await self._app(request)
        record = await self._run(request, app)
        label = await label_of(record, Surface.CONSOLE, self._ports)
        projection, found = RunProjection(label), dict[str, dict[str, Any]]()
        for number, fact in await self._ports.journal.read(record.run_id):
            for told in projection.project(number, fact):
                name, data = told.event["event"], told.event.get("data") or {}
                if name == "node_started":
                    found[data["id"]] = data | {"status": "running"}
                elif name == "node_finished":
                    found[data["id"]] = found.get(data["id"], {}) | data
        account, end_user = await self._account_of(record), _end_user_of(record)
        by = {
            "created_by_role": record.created_by_role,
            "created_by_account": account,
            "created_by_end_user": end_user,
        }
        executions = sorted(found.values(), key=lambda each: each["index"], reverse=True)
        data = self._ports.links.refreshed([_execution_shape(each) | by for each in executions], app.app_id)
        return reply({"data": data})

    async def _app(self, request: Request) -> AppRecord:
        login = await calling_account(request, self._ports)
        return await app_of_workspace(request.path_params["app_id"], login, self._ports)

    async def _run(self, request: Request, app: AppRecord) -> RunRecord:
        run_id = canonical_id(request.path_params["run_id"])
        record = await self._ports.journal.get(run_id) if run_id else None
        if record is None or record.app_id != app.app_id:
            raise ResourceNotFoundError("Workflow run not found")
        return record

    async def _account_of(self, record: RunRecord) -> dict[str, Any] | None:
        return await account_shape(record.created_by_id, self._ports) if record.created_by_role == "account" else None


def number_in(query: Mapping[str, str], name: str, default: int, largest: int) -> int:
    """Return a whole number of a query, from 1 to ``largest``.

    Raises:
        InvalidParamError: it is none.
    """
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= largest):
        raise InvalidParamError(f"{name} must be a whole number from 1 to {largest}.")
    return int(text)


def _one_of(query: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = query.get(name, default)
    if value not in allowed:
        raise InvalidParamError(f"{name} must be one of {', '.join(filter(None, allowed))}.")
    return value


def _app_shape(app: AppRecord) -> dict[str, Any]:
    return {
        "id": app.app_id,
        "name": app.name,
        "description": app.description,
        "mode": app.mode,
        "icon_type": app.icon.get("icon_type"),
        "icon": app.icon.get("icon"),
        "icon_background": app.icon.get("icon_background"),
        "created_by": app.created_by,
        "created_at": int(app.created_at),
    }


def _run_shape(run: RunRecord) -> dict[str, Any]:
    return {
        "id": run.run_id,
        "version": "draft" if run.invoke_source == DEBUGGER else run.version_id,
        "status": run.status,
        "elapsed_time": run.elapsed_s,
        "total_tokens": run.total_tokens,
        "total_steps": run.total_steps,
        "created_at": int(run.created_at),
        "finished_at": None if run.finished_at is None else int(run.finished_at),
        "exceptions_count": run.exceptions_count,
    }


def _end_user_of(record: RunRecord) -> dict[str, Any] | None:
    if record.created_by_role == "account":
        return None
    return {"id": record.created_by_id, "type": record.invoke_source, "is_anonymous": False, "session_id": record.user}


def _execution_shape(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": data["id"],
        "index": data["index"],
        "predecessor_node_id": data.get("predecessor_node_id"),
        "node_id": data["node_id"],
        "node_type": data["node_type"],
        "title": data["title"],
        "inputs": data.get("inputs"),
        "process_data": data.get("process_data"),
        "outputs": data.get("outputs"),
        "status": data["status"],
        "error": data.get("error"),
        "elapsed_time": data.get("elapsed_time", 0),
        "execution_metadata": data.get("execution_metadata"),
        "extras": data.get("extras") or {},
        "created_at": data["created_at"],
        "finished_at": data.get("finished_at"),
        "inputs_truncated": False,
        "outputs_truncated": False,
        "process_data_truncated": False,
    }
