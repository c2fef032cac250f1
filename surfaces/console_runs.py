"""``/console/api``: runs of accounts. Tried out in the editor, run as an installed app, followed, stopped, looked at.

How a run was started decides who is asked by its forms (spec/hitl.md 1.11): ``debugger`` for the draft of the editor,
``explore`` for an installed app, which is the published version of an app.

Source: spec/http.md 7.2-7.4, spec/hitl.md 4.8.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import uuid_utils
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict

from actors.messages import RunOrder, order_run
from graph.errors import InvalidInputError
from graph.inbox import STOPPED_BY_USER
from graph.start_form import check_inputs
from hitl.form import Form, FormStatus
from hitl.recipient import DEBUGGER, EXPLORE, RecipientType
from hitl.surface import Surface
from store.app_record import AppRecord
from store.file_record import FileOwner
from store.login_record import LoggedIn
from store.run_record import NewRun, RunRecord
from surfaces.auth import require_mode
from surfaces.console_auth import calling_account, require_role
from surfaces.console_drafts import app_of_workspace, draft_version
from surfaces.error_table import error_event
from surfaces.errors import AppUnavailableError, ResourceNotFoundError
from surfaces.input_files import file_values, uploads_in, with_file_values
from surfaces.ports import SurfacePorts
from surfaces.projections import RunProjection
from surfaces.run_endpoints import canonical_id
from surfaces.run_events import is_true, position_of, run_events, single
from surfaces.run_stream import event_frames, first_word, label_of
from surfaces.schemas import checked, read_object, reply
from surfaces.sse import EventStream, event_frame, with_pings

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

    async def run_draft(self, request: Request) -> Response:
        """Run the draft of an app as its author; a stream."""
        login = await calling_account(request, self._ports)
        app = await app_of_workspace(request.path_params["app_id"], login, self._ports)
        require_role(login)
        require_mode(app, "workflow")
        body = checked(ConsoleRunPayload, await read_object(request, self._ports.max_body_bytes))
        version_id = await draft_version(app, login, self._ports)
        return await self._run(request, app, version_id, DEBUGGER, login, body)

    async def run_installed(self, request: Request) -> Response:
        """Run the published version of an app inside the console; a stream."""
        login = await calling_account(request, self._ports)
        app = await app_of_workspace(request.path_params["app_id"], login, self._ports)
        require_mode(app, "workflow")
        body = checked(ConsoleRunPayload, await read_object(request, self._ports.max_body_bytes))
        if not app.published_version_id:
            raise AppUnavailableError()
        return await self._run(request, app, app.published_version_id, EXPLORE, login, body)

    async def stop(self, request: Request) -> Response:
        """Stop a run that the account has started; success is all that anybody is told, and durable by then."""
        login = await calling_account(request, self._ports)
        app = await app_of_workspace(request.path_params["app_id"], login, self._ports)
        run_id = canonical_id(request.path_params["task_id"])
        record = await self._ports.journal.get(run_id) if run_id else None
        if record is not None and record.app_id == app.app_id and _is_theirs(record, login) and not record.is_terminal:
            await self._ports.runs.stop(record.run_id, STOPPED_BY_USER)
        return reply({"result": "success"})

    async def events(self, request: Request) -> Response:
        """Follow a run that the account has started."""
        login = await calling_account(request, self._ports)
        record = await self._record(request, login)
        if not _is_theirs(record, login):
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
        self,
        request: Request,
        app: AppRecord,
        version_id: str,
        invoke_source: str,
        login: LoggedIn,
        body: ConsoleRunPayload,
    ) -> Response:
        position = position_of(request)
        try:
            order = await self._order(app, version_id, invoke_source, login, body)
        except InvalidInputError as error:
            return EventStream(single(event_frame(error_event(error, None))))
        label = await label_of(order.run, Surface.CONSOLE, self._ports)
        # Whoever uses an installed app is told as much as users of its web app.
        label = replace(label, is_reduced=invoke_source == EXPLORE)
        batches = await first_word(self._ports.runs.start_and_follow(order))
        frames = event_frames(batches, RunProjection(label), self._ports, has_ids=position is not None)
        return EventStream(with_pings(frames, self._ports.ping_interval_s))

    async def _order(
        self, app: AppRecord, version_id: str, invoke_source: str, login: LoggedIn, body: ConsoleRunPayload
    ) -> RunOrder:
        plan = await self._ports.plans.plan(version_id)
        checked_inputs = check_inputs(plan.start_form, body.inputs)
        owner = FileOwner(app.workspace_id, app.app_id, "account", login.account.account_id)
        uploads = await uploads_in([*checked_inputs.values(), body.files], owner, self._ports)
        run = NewRun(
            run_id=str(uuid_utils.uuid7()),
            workspace_id=app.workspace_id,
            app_id=app.app_id,
            version_id=version_id,
            mode=app.mode,
            invoke_source=invoke_source,
            created_by_role="account",
            created_by_id=login.account.account_id,
            user="",
            inputs=with_file_values(plan.start_form, checked_inputs, uploads),
            created_at=self._ports.clock.now(),
        )
        return order_run(run, file_values(body.files or [], "files", uploads))


def _is_theirs(record: RunRecord, login: LoggedIn) -> bool:
    return record.created_by_role == "account" and record.created_by_id == login.account.account_id
