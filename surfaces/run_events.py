"""A run followed by a reader who comes to it: one answer for every surface, told apart by what it may be shown.

Source: spec/http.md 3.6, spec/hitl.md 5.3 and 5.4.
"""

from collections.abc import AsyncGenerator
from typing import Any, Final

from fastapi import Request, Response

from graph.events import Fact
from hitl.form import FormStatus
from hitl.surface import Surface
from store.run_record import RunRecord
from surfaces.event_shapes import RunLabel
from surfaces.ports import SurfacePorts
from surfaces.projections import RunProjection
from surfaces.reconnect import Beginning, beginning, is_finished, pause_of
from surfaces.run_stream import dispositions_of, event_frames, frames_of, label_of
from surfaces.sse import EventStream, Position, finished_frame, parse_position, with_pings
from surfaces.told_text import Told

STREAM_HEADERS: Final = {"Cache-Control": "no-cache", "Connection": "keep-alive"}


async def run_events(
    request: Request, record: RunRecord, surface: Surface, ports: SurfacePorts, *, until_pause: bool
) -> Response:
    """Return the stream of a run from where the reader left off, or from where the run stands.

    Args:
        request: its query says whether the reader wants a snapshot.
        record: the run; that this reader may follow it has been checked.
        surface: decides which form tokens are shown.
        ports: where facts come from.
        until_pause: whether the stream ends at a pause, not only at the end of the run.

    Raises:
        BadRequestError: the reader comes back with an id that is none of this run.
    """
    position = position_of(request)
    facts = await ports.journal.read(record.run_id)
    label = await label_of(record, surface, ports)
    if position is None and is_finished(facts):
        last = ports.links.refreshed_frame(_last_event(label, facts), label.app_id, finished_frame)
        return EventStream(single(last), STREAM_HEADERS)
    answered = await _answered_here(record, facts, surface, ports)
    start = beginning(facts, position, is_true(request, "include_state_snapshot"), answered)
    frames = await _frames(label, facts, start, until_pause, ports)
    return EventStream(with_pings(frames, ports.ping_interval_s), dict(STREAM_HEADERS))


def position_of(request: Request) -> Position | None:
    """Return where the reader left off: its ``Last-Event-ID`` header, else its ``cursor``; None without both.

    Raises:
        BadRequestError: it is none of our ids.
    """
    text = request.headers.get("last-event-id")
    if text is None:
        text = request.query_params.get("cursor")
    return None if text is None else parse_position(text.strip())


async def single(frame: bytes) -> AsyncGenerator[bytes]:
    """Yield one frame."""
    yield frame


def is_true(request: Request, name: str) -> bool:
    """Whether a query parameter says "true"."""
    return request.query_params.get(name, "").lower() == "true"


async def _frames(
    label: RunLabel, facts: list[tuple[int, Fact]], start: Beginning, until_pause: bool, ports: SurfacePorts
) -> AsyncGenerator[bytes]:
    projection = RunProjection(label)
    pause = pause_of(facts) if start.is_snapshot else None
    before: list[Told] = []
    if start.is_snapshot:
        form_ids = pause.form_ids if pause else []
        shown = await dispositions_of(label.run_id, form_ids, label.surface, ports)
        before = projection.snapshot(facts, shown)
    else:
        for number, fact in facts:
            if number <= start.after:
                projection.observe(number, fact)
    if start.position is not None and start.position.is_text:
        projection.begin_at(start.position.attempt, start.position.offset)
    has_ids = start.position is not None
    if pause and until_pause:
        return single(frames_of(before, has_ids, label, ports))
    batches = ports.runs.follow(label.run_id, start.cursor, until_pause)
    return event_frames(
        batches, projection, ports, beginning=start, has_ids=has_ids, until_pause=until_pause, before=before
    )


async def _answered_here(
    record: RunRecord, facts: list[tuple[int, Fact]], surface: Surface, ports: SurfacePorts
) -> str | None:
    """Return the form of the newest accepted answer of a paused run, if that came through ``surface``.

    Only for surfaces whose clients answer first and come to listen after.
    """
    if surface not in (Surface.SERVICE_API, Surface.WEB, Surface.OPENAPI) or pause_of(facts) is None:
        return None
    answered = [form for form in await ports.forms.by_run(record.run_id) if form.status is FormStatus.SUBMITTED]
    if not answered:
        return None
    newest = max(answered, key=lambda form: form.closed_at or 0.0)
    entries = await ports.forms.audit(newest.form_id)
    is_here = any(entry.event == "submitted" and entry.via == surface for entry in entries)
    return newest.form_id if is_here else None


def _last_event(label: RunLabel, facts: list[tuple[int, Fact]]) -> dict[str, Any]:
    projection = RunProjection(label)
    for number, fact in facts[:-1]:
        projection.observe(number, fact)
    told = (each.event for each in projection.project(*facts[-1]))
    return next(event for event in told if event["event"] == "workflow_finished")
