"""The endpoints of ``/v1`` that start, stop and follow runs.

Source: spec/http.md 2.3, 3.1, 3.2, 3.4 and 3.6; spec/hitl.md 4.7, 5.3 and 5.4.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import uuid_utils
from fastapi import Request, Response

from actors.messages import RunOrder, RunOutcome, order_run
from actors.trace_context import TRACEPARENT, checked_traceparent
from graph.errors import InvalidInputError
from graph.events import RunFinished, RunPaused
from graph.inbox import STOPPED_BY_USER
from graph.plan import Plan
from graph.start_form import check_inputs
from hitl.surface import Surface
from store.app_record import AppRecord
from store.run_record import NewRun, RunRecord
from surfaces.auth import END_USER_TYPE, calling_app, calling_user, named_user, require_mode
from surfaces.error_table import error_event
from surfaces.errors import BadRequestError, InvalidParamError, ResourceNotFoundError
from surfaces.event_shapes import RunLabel
from surfaces.input_files import file_values, owner_of, uploads_in, with_file_values
from surfaces.ports import SurfacePorts
from surfaces.projections import RunProjection, blocking_reply
from surfaces.run_events import is_true, position_of, run_events, single
from surfaces.run_stream import dispositions_of, event_frames, first_word, label_of
from surfaces.schemas import WorkflowRunPayload, checked, read_object, reply, run_reply
from surfaces.sse import EventStream, event_frame, with_pings

_TRACE_SESSION_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Callers:
    """Whose runs they are. ``user_type``: the type of their end users; ``invoke_source``: what is kept with a run."""

    surface: Surface
    user_type: str
    invoke_source: str


KEY_HOLDERS: Final = Callers(Surface.SERVICE_API, END_USER_TYPE, "service-api")


class RunEndpoints:
    """Runs for the holders of an app's key; what needs no key of it, for the callers of another surface too."""

    def __init__(self, ports: SurfacePorts, callers: Callers = KEY_HOLDERS) -> None:
        self._ports = ports
        self._callers = callers

    async def run(self, request: Request) -> Response:
        """Run the app's published workflow, or the version that the path names."""
        app = await calling_app(request, self._ports)
        body = await read_object(request, self._ports.max_body_bytes)
        user = named_user(body)
        require_mode(app, "workflow")
        payload = checked(WorkflowRunPayload, body)
        check_trace_session(request, payload)
        return await self.started(request, app, user, payload)

    async def started(self, request: Request, app: AppRecord, user: str, payload: WorkflowRunPayload) -> Response:
        """Run the app's published workflow, or the version that the path names, for ``user``."""
        version_id = await self.version(app, request.path_params.get("workflow_id"))
        plan = await self._ports.plans.plan(version_id)
        is_stream = payload.response_mode == "streaming"
        position = position_of(request)
        try:
            order = await self._order(app, user, version_id, plan, payload, request)
        except InvalidInputError as error:
            if not is_stream:
                raise
            return self.stream(single(event_frame(error_event(error, None))))
        label = await label_of(order.run, self._callers.surface, self._ports)
        if not is_stream:
            return run_reply(await self._outcome_reply(await self._ports.runs.start(order), label))
        batches = await first_word(self._ports.runs.start_and_follow(order))
        frames = event_frames(batches, RunProjection(label), self._ports, has_ids=position is not None)
        return self.stream(frames)

    async def whole(self, request: Request, app: AppRecord, user: str, payload: WorkflowRunPayload) -> dict[str, Any]:
        """Run the app's published workflow for ``user`` and return the reply of blocking mode.

        Raises:
            InvalidParamError: nothing is published.
            InvalidInputError: an input does not fit; the text names it.
        """
        version_id = await self.version(app, None)
        plan = await self._ports.plans.plan(version_id)
        order = await self._order(app, user, version_id, plan, payload, request)
        label = await label_of(order.run, self._callers.surface, self._ports)
        return await self._outcome_reply(await self._ports.runs.start(order), label)

    async def stop(self, request: Request) -> Response:
        """Stop a run of the calling user; success is all that anybody is told, and durable by then."""
        app = await calling_app(request, self._ports)
        user = named_user(await read_object(request, self._ports.max_body_bytes))
        require_mode(app, "workflow")
        return await self.stopped(request, app, user)

    async def stopped(self, request: Request, app: AppRecord, user: str) -> Response:
        """Stop the run that the path names if it is one of ``user``."""
        run_id = canonical_id(request.path_params["task_id"])
        record = await self._ports.journal.get(run_id) if run_id else None
        if record is not None and not record.is_terminal and await self._is_of(record, app, user):
            await self._ports.runs.stop(record.run_id, STOPPED_BY_USER)
        return reply({"result": "success"})

    async def events(self, request: Request) -> Response:
        """Follow a run of the calling user from where the reader left off, or from where it stands."""
        app = await calling_app(request, self._ports)
        user = named_user(request.query_params)
        require_mode(app, "workflow", "advanced-chat")
        return await self.followed(request, app, user, until_pause=not is_true(request, "continue_on_pause"))

    async def followed(self, request: Request, app: AppRecord, user: str, *, until_pause: bool) -> Response:
        """Follow the run that the path names if it is one of ``user``."""
        run_id = canonical_id(request.path_params["run_id"])
        record = await self._ports.journal.get(run_id) if run_id else None
        if record is None or not await self._is_of(record, app, user):
            raise ResourceNotFoundError("Workflow run not found")
        return await run_events(request, record, self._callers.surface, self._ports, until_pause=until_pause)

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

    async def _order(
        self, app: AppRecord, user: str, version_id: str, plan: Plan, payload: WorkflowRunPayload, request: Request
    ) -> RunOrder:
        checked_inputs = check_inputs(plan.start_form, payload.inputs)
        end_user = await calling_user(app, user, self._ports, self._callers.user_type)
        uploads = await uploads_in([*checked_inputs.values(), payload.files], owner_of(end_user), self._ports)
        inputs = with_file_values(plan.start_form, checked_inputs, uploads)
        files = file_values(payload.files or [], "files", uploads)
        run = NewRun(
            run_id=str(uuid_utils.uuid7()),
            workspace_id=app.workspace_id,
            app_id=app.app_id,
            version_id=version_id,
            mode=app.mode,
            invoke_source=self._callers.invoke_source,
            created_by_role="end_user",
            created_by_id=end_user.end_user_id,
            user=user,
            inputs=inputs,
            created_at=self._ports.clock.now(),
            traceparent=checked_traceparent(request.headers.get(TRACEPARENT)),
        )
        return order_run(run, files)

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

    async def _is_of(self, record: RunRecord, app: AppRecord, user: str) -> bool:
        """Whether a run is one that this user of this app has started."""
        if record.app_id != app.app_id or record.created_by_role != "end_user":
            return False
        end_user = await calling_user(app, user, self._ports, self._callers.user_type)
        return record.created_by_id == end_user.end_user_id

    def stream(self, frames: AsyncGenerator[bytes]) -> Response:
        """Return the response that streams ``frames``, with pings."""
        return EventStream(with_pings(frames, self._ports.ping_interval_s))


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
