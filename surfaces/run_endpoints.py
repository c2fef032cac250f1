"""The endpoints of ``/v1`` that start, stop and follow runs.

Source: spec/http.md 2.3, 3.1, 3.2, 3.4 and 3.6; spec/hitl.md 4.7, 5.3 and 5.4.
"""

from typing import Any, Final
from uuid import UUID

from fastapi import Request, Response

from actors.messages import RunOutcome
from actors.run_order import Starter
from graph.events import RunFinished, RunPaused
from graph.inbox import STOPPED_BY_USER
from hitl.surface import Surface
from store.app_record import AppRecord
from surfaces.auth import calling_app, calling_user, named_user, require_mode
from surfaces.errors import BadRequestError, InvalidParamError, ResourceNotFoundError
from surfaces.event_shapes import RunLabel
from surfaces.ports import SurfacePorts
from surfaces.projections import blocking_reply
from surfaces.run_events import is_true, position_of, run_events
from surfaces.run_start import RunStart, run_start, streamed_run, workflow_order
from surfaces.run_stream import dispositions_of, label_of
from surfaces.schemas import WorkflowRunPayload, checked, read_object, reply, run_reply

BY_KEY: Final = "service-api"
"""The invoke source of runs that holders of an app's key start."""
_TRACE_SESSION_LENGTH: Final = 200


async def keyed_starter(app: AppRecord, user: str, ports: SurfacePorts) -> Starter:
    """Return the end user whom a holder of the app's key calls ``user``, as somebody who starts runs."""
    return Starter.of_end_user(await calling_user(app, user, ports), BY_KEY)


class RunEndpoints:
    """Runs for the holders of an app's key; what needs no key of it, for the callers of another surface too."""

    def __init__(self, ports: SurfacePorts, surface: Surface = Surface.SERVICE_API) -> None:
        self._ports = ports
        self._surface = surface

    async def run(self, request: Request) -> Response:
        """Run the app's published workflow, or the version that the path names."""
        app = await calling_app(request, self._ports)
        body = await read_object(request, self._ports.max_body_bytes)
        user = named_user(body)
        require_mode(app, "workflow")
        payload = checked(WorkflowRunPayload, body)
        check_trace_session(request, payload)
        return await self.started(request, app, await keyed_starter(app, user, self._ports), payload)

    async def started(
        self, request: Request, app: AppRecord, starter: Starter, payload: WorkflowRunPayload
    ) -> Response:
        """Run the app's published workflow for ``starter``, or the version that the path names."""
        version_id = await self.version(app, request.path_params.get("workflow_id"))
        start = await run_start(request, app, version_id, starter, self._ports)
        has_ids = position_of(request) is not None
        if payload.response_mode == "streaming":
            return await streamed_run(start, payload.inputs, payload.files, self._surface, self._ports, has_ids=has_ids)
        return run_reply(await self.whole(start, payload))

    async def whole(self, start: RunStart, payload: WorkflowRunPayload) -> dict[str, Any]:
        """Run a workflow app and return the reply of blocking mode.

        Raises:
            InvalidInputError: an input or file does not fit; the text names it.
        """
        order = await workflow_order(start, payload.inputs, payload.files, self._ports)
        label = await label_of(order.run, self._surface, self._ports)
        return await self._outcome_reply(await self._ports.runs.start(order), label)

    async def stop(self, request: Request) -> Response:
        """Stop a run of the calling user; success is all that anybody is told, and durable by then."""
        app = await calling_app(request, self._ports)
        user = named_user(await read_object(request, self._ports.max_body_bytes))
        require_mode(app, "workflow")
        return await self.stopped(request, app, await keyed_starter(app, user, self._ports))

    async def stopped(self, request: Request, app: AppRecord, starter: Starter) -> Response:
        """Stop the run that the path names if it is one of ``starter``."""
        run_id = canonical_id(request.path_params["task_id"])
        record = await self._ports.journal.get(run_id) if run_id else None
        is_theirs = record is not None and record.app_id == app.app_id and starter.has_started(record)
        if record is not None and is_theirs and not record.is_terminal:
            await self._ports.runs.stop(record.run_id, STOPPED_BY_USER)
        return reply({"result": "success"})

    async def events(self, request: Request) -> Response:
        """Follow a run of the calling user from where the reader left off, or from where it stands."""
        app = await calling_app(request, self._ports)
        user = named_user(request.query_params)
        require_mode(app, "workflow", "advanced-chat")
        starter = await keyed_starter(app, user, self._ports)
        return await self.followed(request, app, starter, until_pause=not is_true(request, "continue_on_pause"))

    async def followed(self, request: Request, app: AppRecord, starter: Starter, *, until_pause: bool) -> Response:
        """Follow the run that the path names if it is one of ``starter``."""
        run_id = canonical_id(request.path_params["run_id"])
        record = await self._ports.journal.get(run_id) if run_id else None
        if record is None or record.app_id != app.app_id or not starter.has_started(record):
            raise ResourceNotFoundError("Workflow run not found")
        return await run_events(request, record, self._surface, self._ports, until_pause=until_pause)

    async def version(self, app: AppRecord, named: str | None) -> str:
        """Return the id of the version to run: the published one, or the one that the caller names.

        Raises:
            InvalidParamError: nothing is published.
            BadRequestError: what the caller names is no id.
            ResourceNotFoundError: the app has no such version.
        """
        if named is None:
            if not app.published_version_id:
                raise InvalidParamError("Workflow not published")
            return app.published_version_id
        version_id = canonical_id(named)
        if version_id is None:
            raise BadRequestError(f"Invalid workflow_id format: '{named[:64]}'. ")
        version = await self._ports.apps.version(version_id)
        if version is None or version.app_id != app.app_id:
            raise ResourceNotFoundError(f"Workflow not found with id: {version_id}")
        return version_id

    async def _outcome_reply(self, outcome: RunOutcome, label: RunLabel) -> dict[str, Any]:
        form_ids = [form.form_id for form in outcome.forms]
        shown = await dispositions_of(outcome.run_id, form_ids, label.surface, self._ports)
        if outcome.status == "paused":
            at = self._ports.clock.now()
            fact: RunPaused | RunFinished = RunPaused(
                at, form_ids, outcome.outputs, outcome.elapsed_s, outcome.total_tokens, outcome.total_steps
            )
        else:
            assert outcome.status != "running"
            fact = RunFinished(
                outcome.finished_at or self._ports.clock.now(),
                outcome.status,
                outcome.outputs,
                outcome.error,
                outcome.elapsed_s,
                outcome.total_tokens,
                outcome.total_steps,
                outcome.exceptions_count,
            )
        told = blocking_reply(label, fact, outcome.forms, shown, outcome.created_at)
        return self._ports.links.refreshed(told, label.app_id)


def canonical_id(text: str) -> str | None:
    """Return ``text`` as an id is written, None when it is no uuid."""
    try:
        return str(UUID(text))
    except ValueError:
        return None


def check_trace_session(request: Request, payload: WorkflowRunPayload) -> None:
    """Return when the trace session that a run names has a fit length.

    Raises:
        BadRequestError: it has not.
    """
    session = (
        request.headers.get("x-trace-session-id")
        or request.query_params.get("trace_session_id")
        or payload.trace_session_id
    )
    if session is not None and not 1 <= len(session) <= _TRACE_SESSION_LENGTH:
        raise BadRequestError(f"trace_session_id must have 1 to {_TRACE_SESSION_LENGTH} characters.")
