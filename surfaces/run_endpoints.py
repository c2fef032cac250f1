"""The endpoints of ``/v1`` that start, stop and follow runs.

Source: spec/http.md 2.3, 3.1, 3.2, 3.4 and 3.6; spec/hitl.md 4.7, 5.3 and 5.4.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final
from uuid import UUID

import uuid_utils
from fastapi import Request, Response

from actors.messages import RunOrder, RunOutcome, order_run
from actors.trace_context import TRACEPARENT, checked_traceparent
from graph.errors import InvalidInputError
from graph.events import Fact, RunFinished, RunPaused
from graph.inbox import STOPPED_BY_USER
from graph.plan import Plan
from graph.start_form import check_inputs
from hitl.form import FormStatus
from hitl.surface import Surface
from store.app_record import AppRecord
from store.run_record import NewRun, RunRecord
from surfaces.auth import calling_app, calling_user, named_user, require_mode
from surfaces.error_table import error_event
from surfaces.errors import BadRequestError, InvalidParamError, ResourceNotFoundError
from surfaces.event_shapes import RunLabel
from surfaces.input_files import file_values, uploads_in, with_file_values
from surfaces.ports import SurfacePorts
from surfaces.projections import RunProjection, Told, blocking_reply
from surfaces.reconnect import Beginning, beginning, is_finished, pause_of
from surfaces.run_stream import dispositions_of, event_frames, first_word, frames_of, label_of
from surfaces.schemas import WorkflowRunPayload, checked, read_object, reply, run_reply
from surfaces.sse import EventStream, Position, event_frame, finished_frame, parse_position, with_pings

INVOKE_SOURCE: Final = "service-api"
_STREAM_HEADERS: Final = {"Cache-Control": "no-cache", "Connection": "keep-alive"}
_TRACE_SESSION_LENGTH: Final = 200


class RunEndpoints:
    """Runs for the holders of an app's key."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def run(self, request: Request) -> Response:
        """Run the app's published workflow, or the version that the path names."""
        app = await calling_app(request, self._ports)
        body = await read_object(request, self._ports.max_body_bytes)
        user = named_user(body)
        require_mode(app, "workflow")
        payload = checked(WorkflowRunPayload, body)
        _check_trace_session(request, payload)
        version_id = await self._version(app, request.path_params.get("workflow_id"))
        plan = await self._ports.plans.plan(version_id)
        is_stream = payload.response_mode == "streaming"
        position = position_of(request)
        try:
            order = await self._order(app, user, version_id, plan, payload, request)
        except InvalidInputError as error:
            if not is_stream:
                raise
            return self._stream(_single(event_frame(error_event(error, None))))
        label = await label_of(order.run, Surface.SERVICE_API, self._ports)
        if not is_stream:
            return run_reply(await self._outcome_reply(await self._ports.runs.start(order), label))
        batches = await first_word(self._ports.runs.start_and_follow(order))
        frames = event_frames(batches, RunProjection(label), self._ports, has_ids=position is not None)
        return self._stream(frames)

    async def stop(self, request: Request) -> Response:
        """Stop a run of the calling user; success is all that anybody is told, and durable by then."""
        app = await calling_app(request, self._ports)
        user = named_user(await read_object(request, self._ports.max_body_bytes))
        require_mode(app, "workflow")
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
        position = position_of(request)
        run_id = canonical_id(request.path_params["run_id"])
        record = await self._ports.journal.get(run_id) if run_id else None
        if record is None or not await self._is_of(record, app, user):
            raise ResourceNotFoundError("Workflow run not found")
        facts = await self._ports.journal.read(record.run_id)
        label = await label_of(record, Surface.SERVICE_API, self._ports)
        if position is None and is_finished(facts):
            last = self._ports.links.refreshed_frame(_last_event(label, facts), label.app_id, finished_frame)
            return EventStream(_single(last), _STREAM_HEADERS)
        is_snapshot = _is_true(request, "include_state_snapshot")
        answered = await self._answered_here(record, facts)
        start = beginning(facts, position, is_snapshot, answered)
        until_pause = not _is_true(request, "continue_on_pause")
        return self._stream(await self._frames(label, facts, start, until_pause), _STREAM_HEADERS)

    async def _frames(
        self, label: RunLabel, facts: list[tuple[int, Fact]], start: Beginning, until_pause: bool
    ) -> AsyncGenerator[bytes]:
        projection = RunProjection(label)
        pause = pause_of(facts) if start.is_snapshot else None
        before: list[Told] = []
        if start.is_snapshot:
            form_ids = pause.form_ids if pause else []
            shown = await dispositions_of(label.run_id, form_ids, label.surface, self._ports)
            before = projection.snapshot(facts, shown)
        else:
            for number, fact in facts:
                if number <= start.after:
                    projection.observe(number, fact)
        if start.position is not None and start.position.is_text:
            projection.begin_at(start.position.attempt, start.position.offset)
        has_ids = start.position is not None
        if pause and until_pause:
            return _single(frames_of(before, has_ids, label, self._ports))
        batches = self._ports.runs.follow(label.run_id, start.cursor, until_pause)
        return event_frames(
            batches,
            projection,
            self._ports,
            beginning=start,
            has_ids=has_ids,
            until_pause=until_pause,
            before=before,
        )

    async def _version(self, app: AppRecord, named: str | None) -> str:
        """Return the version to run: the published one, or the one that the caller names."""
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
        end_user = await calling_user(app, user, self._ports)
        uploads = await uploads_in([*checked_inputs.values(), payload.files], end_user, self._ports)
        inputs = with_file_values(plan.start_form, checked_inputs, uploads)
        files = file_values(payload.files or [], "files", uploads)
        run = NewRun(
            run_id=str(uuid_utils.uuid7()),
            workspace_id=app.workspace_id,
            app_id=app.app_id,
            version_id=version_id,
            mode=app.mode,
            invoke_source=INVOKE_SOURCE,
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
        return record.created_by_id == (await calling_user(app, user, self._ports)).end_user_id

    async def _answered_here(self, record: RunRecord, facts: list[tuple[int, Fact]]) -> str | None:
        """Return the form of the newest accepted answer of a paused run, if that came through ``/v1``."""
        if pause_of(facts) is None:
            return None
        forms = await self._ports.forms.by_run(record.run_id)
        answered = [form for form in forms if form.status is FormStatus.SUBMITTED]
        if not answered:
            return None
        newest = max(answered, key=lambda form: form.closed_at or 0.0)
        entries = await self._ports.forms.audit(newest.form_id)
        return (
            newest.form_id
            if any(entry.event == "submitted" and entry.via == Surface.SERVICE_API for entry in entries)
            else None
        )

    def _stream(self, frames: AsyncGenerator[bytes], headers: Mapping[str, str] | None = None) -> Response:
        return EventStream(with_pings(frames, self._ports.ping_interval_s), dict(headers or {}))


def canonical_id(text: str) -> str | None:
    """Return ``text`` as an id is written, None when it is no uuid."""
    try:
        return str(UUID(text))
    except ValueError:
        return None


def position_of(request: Request) -> Position | None:
    """Return where the reader left off: its ``Last-Event-ID`` header, else its ``cursor``; None without both.

    Raises:
        BadRequestError: it is none of our ids.
    """
    text = request.headers.get("last-event-id")
    if text is None:
        text = request.query_params.get("cursor")
    return None if text is None else parse_position(text.strip())


async def _single(frame: bytes) -> AsyncGenerator[bytes]:
    yield frame


def _last_event(label: RunLabel, facts: list[tuple[int, Fact]]) -> dict[str, Any]:
    projection = RunProjection(label)
    for number, fact in facts[:-1]:
        projection.observe(number, fact)
    return projection.project(*facts[-1])[-1].event


def _is_true(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() == "true"


def _check_trace_session(request: Request, payload: WorkflowRunPayload) -> None:
    session = (
        request.headers.get("x-trace-session-id")
        or request.query_params.get("trace_session_id")
        or payload.trace_session_id
    )
    if session is not None and not 1 <= len(session) <= _TRACE_SESSION_LENGTH:
        raise BadRequestError(f"trace_session_id must have 1 to {_TRACE_SESSION_LENGTH} characters.")
