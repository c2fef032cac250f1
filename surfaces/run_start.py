"""Runs as every surface starts them: inputs and files checked, the order made, its stream opened.

Source: spec/http.md 2.3, 3.1 and 4.6.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request, Response

from actors.messages import RunOrder, order_run
from actors.run_order import Starter, new_run
from actors.trace_context import TRACEPARENT
from graph.errors import InvalidInputError
from graph.plan import Plan
from graph.start_form import check_inputs
from hitl.surface import Surface
from store.app_record import AppRecord
from store.chat_record import ConversationOwner
from store.file_record import FileOwner
from store.run_record import NewRun
from surfaces.error_table import error_event
from surfaces.event_shapes import RunLabel
from surfaces.input_files import file_values, uploads_in, with_file_values
from surfaces.ports import SurfacePorts
from surfaces.projections import RunProjection
from surfaces.run_events import single
from surfaces.run_stream import event_frames, first_word, label_of
from surfaces.sse import EventStream, event_frame, with_pings

Files = Sequence[Mapping[str, Any]] | None
"""``sys.files`` as file mappings, None for none."""


@dataclass(frozen=True, slots=True)
class RunStart:
    """What is to run: a version of an app, its ``plan``, for ``starter``. ``traceparent``: as the caller sent it."""

    app: AppRecord
    version_id: str
    plan: Plan
    starter: Starter
    traceparent: str | None

    @property
    def conversation_owner(self) -> ConversationOwner:
        """Whose the conversation is, where the run is a message."""
        return ConversationOwner(self.app.app_id, self.starter.role, self.starter.starter_id)


async def run_start(
    request: Request, app: AppRecord, version_id: str, starter: Starter, ports: SurfacePorts
) -> RunStart:
    """Return what ``request`` wants run.

    Raises:
        GreenroomError: the version cannot run.
    """
    plan = await ports.plans.plan(version_id)
    return RunStart(app, version_id, plan, starter, request.headers.get(TRACEPARENT))


async def checked_run(
    start: RunStart, inputs: Mapping[str, Any], files: Files, ports: SurfacePorts
) -> tuple[NewRun, list[dict[str, Any]]]:
    """Return the run with its checked inputs, and the values of ``files``.

    Raises:
        InvalidInputError: an input or file does not fit; the text names it.
    """
    app, starter, form = start.app, start.starter, start.plan.start_form
    checked = check_inputs(form, dict(inputs))
    owner = FileOwner(app.workspace_id, app.app_id, starter.role, starter.starter_id)
    uploads = await uploads_in([*checked.values(), files], owner, ports)
    values = with_file_values(form, checked, uploads)
    run = new_run(app, start.version_id, starter, values, ports.clock.now(), start.traceparent)
    return run, file_values(files or [], "files", uploads)


async def workflow_order(start: RunStart, inputs: Mapping[str, Any], files: Files, ports: SurfacePorts) -> RunOrder:
    """Return the order of a run of a workflow app.

    Raises:
        InvalidInputError: an input or file does not fit; the text names it.
    """
    return order_run(*await checked_run(start, inputs, files, ports))


async def streamed_run(
    start: RunStart,
    inputs: Mapping[str, Any],
    files: Files,
    surface: Surface,
    ports: SurfacePorts,
    *,
    has_ids: bool,
    is_reduced: bool = False,
) -> Response:
    """Start a run of a workflow app and return what it tells; of inputs that do not fit the stream tells too.

    Args:
        start: what runs.
        inputs: start inputs, not checked yet.
        files: the files that come along.
        surface: the one that the stream goes out on.
        ports: what is acted through.
        has_ids: whether the events carry ids.
        is_reduced: whether node events go without bodies, also where the surface gives them.
    """
    try:
        order = await workflow_order(start, inputs, files, ports)
    except InvalidInputError as error:
        return stream_reply(single(event_frame(error_event(error, None))), ports)
    label = replace(await label_of(order.run, surface, ports), is_reduced=is_reduced)
    return await started_stream(order, label, ports, has_ids=has_ids)


async def started_stream(order: RunOrder, label: RunLabel, ports: SurfacePorts, *, has_ids: bool) -> Response:
    """Start a run and return the stream of what it tells, up to its end or its first pause.

    Raises:
        GreenroomError: the run could not be started.
    """
    batches = await first_word(ports.runs.start_and_follow(order))
    return stream_reply(event_frames(batches, RunProjection(label), ports, has_ids=has_ids), ports)


def stream_reply(frames: AsyncGenerator[bytes], ports: SurfacePorts) -> Response:
    """Return the response that streams ``frames``, with pings."""
    return EventStream(with_pings(frames, ports.ping_interval_s))
