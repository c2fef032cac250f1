"""``/console/api``: runs of accounts. Tried out in the editor, run as an installed app, followed, stopped, looked at.

How a run was started decides who is asked by its forms (spec/hitl.md 1.11): ``debugger`` for the draft of the editor,
``explore`` for an installed app, which is the published version of an app.

Source: spec/http.md 7.2-7.4, spec/hitl.md 4.8.
"""

from datetime import UTC, datetime
from typing import Any, Final

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict

from actors.run_order import Starter
from hitl.form import Form, FormStatus
from hitl.recipient import DEBUGGER, EXPLORE, RecipientType
from hitl.surface import Surface
from store.app_record import AppRecord
from store.login_record import LoggedIn
from store.run_record import RunRecord
from surfaces.auth import require_mode
from surfaces.console_auth import calling_account, require_role
from surfaces.console_drafts import app_of_workspace, draft_version
from surfaces.errors import AppUnavailableError, ResourceNotFoundError
from surfaces.ports import SurfacePorts
from surfaces.run_endpoints import RunEndpoints, canonical_id
from surfaces.run_events import is_true, position_of, run_events
from surfaces.run_start import run_start, streamed_run
from surfaces.schemas import checked, read_object, reply

_RUN_NOT_FOUND: Final = "Workflow run not found"


class ConsoleRunPayload(BaseModel):
    """The body of a run. ``files``: sys.files as file mappings."""

    model_config = ConfigDict(extra="ignore")

    inputs: dict[str, Any]
    files: list[dict[str, Any]] | None = None


class ConsoleRuns:
    """The endpoints of runs."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports
        self._runs = RunEndpoints(ports, Surface.CONSOLE)

    async def run_draft(self, request: Request) -> Response:
        """Run the draft of an app as its author; a stream."""
        login = await calling_account(request, self._ports)
        app = await app_of_workspace(request.path_params["app_id"], login, self._ports)
        require_role(login)
        require_mode(app, "workflow")
        body = checked(ConsoleRunPayload, await read_object(request, self._ports.max_body_bytes))
        version_id = await draft_version(app, login, self._ports)
        return await self._run(request, app, version_id, _starter(login, DEBUGGER), body)

    async def run_installed(self, request: Request) -> Response:
        """Run the published version of an app inside the console; a stream."""
        login = await calling_account(request, self._ports)
        app = await app_of_workspace(request.path_params["app_id"], login, self._ports)
        require_mode(app, "workflow")
        body = checked(ConsoleRunPayload, await read_object(request, self._ports.max_body_bytes))
        if not app.published_version_id:
            raise AppUnavailableError()
        return await self._run(request, app, app.published_version_id, _starter(login, EXPLORE), body)

    async def stop(self, request: Request) -> Response:
        """Stop a run that the account has started; success is all that anybody is told, and durable by then."""
        login = await calling_account(request, self._ports)
        app = await app_of_workspace(request.path_params["app_id"], login, self._ports)
        return await self._runs.stopped(request, app, _starter(login, EXPLORE))

    async def events(self, request: Request) -> Response:
        """Follow a run that the account has started."""
        login = await calling_account(request, self._ports)
        record = await self._record(request, login)
        if not _starter(login, EXPLORE).has_started(record):
            raise ResourceNotFoundError(_RUN_NOT_FOUND)
        until_pause = not is_true(request, "continue_on_pause")
        return await run_events(request, record, Surface.CONSOLE, self._ports, until_pause=until_pause)

    async def pause_details(self, request: Request) -> Response:
        """Say at which nodes a run of the workspace waits, and where in the console each can be answered."""
        record = await self._record(request, await calling_account(request, self._ports))
        if record.status != "paused" or record.paused_at is None:
            return reply({"paused_at": None, "paused_nodes": []})
        waiting = [f for f in await self._ports.forms.by_run(record.run_id) if f.status is FormStatus.WAITING]
        recipients = await self._ports.forms.recipients([form.form_id for form in waiting])
        with_backstage = {
            form_id
            for form_id, of_form in recipients.items()
            if any(each.is_active and each.type is RecipientType.BACKSTAGE for each in of_form)
        }
        paused_at = datetime.fromtimestamp(record.paused_at, UTC).replace(tzinfo=None).isoformat()
        nodes = [self._paused_node(form, form.form_id in with_backstage) for form in waiting]
        return reply({"paused_at": f"{paused_at}Z", "paused_nodes": nodes})

    def _paused_node(self, form: Form, has_inbox: bool) -> dict[str, Any]:
        address = f"{self._ports.public_url.rstrip('/')}/inbox/forms/{form.form_id}" if has_inbox else None
        return {
            "node_id": form.node_id,
            "node_title": form.definition.node_title,
            "pause_type": {"type": "human_input", "form_id": form.form_id, "backstage_input_url": address},
        }

    async def _record(self, request: Request, login: LoggedIn) -> RunRecord:
        run_id = canonical_id(request.path_params["run_id"])
        record = await self._ports.journal.get(run_id) if run_id else None
        if record is None or record.workspace_id != login.workspace_id:
            raise ResourceNotFoundError(_RUN_NOT_FOUND)
        return record

    async def _run(
        self, request: Request, app: AppRecord, version_id: str, starter: Starter, body: ConsoleRunPayload
    ) -> Response:
        has_ids = position_of(request) is not None
        start = await run_start(request, app, version_id, starter, self._ports)
        # Whoever uses an installed app is told as much as users of its web app.
        is_reduced = starter.invoke_source == EXPLORE
        return await streamed_run(
            start, body.inputs, body.files, Surface.CONSOLE, self._ports, has_ids=has_ids, is_reduced=is_reduced
        )


def _starter(login: LoggedIn, invoke_source: str) -> Starter:
    return Starter("account", login.account.account_id, "", invoke_source)
