"""What a run tells, as frames for one reader: its tail through the projection, with the form tokens of its surface.

Source: spec/http.md 4.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from actors.messages import TailBatch
from graph.errors import DefectError, GreenroomError
from graph.events import Fact, RunFinished, RunPaused, RunStarted
from hitl.disposition import Disposition, dispositions
from hitl.form import FormStatus
from hitl.surface import Surface
from store.run_record import NewRun
from surfaces.error_table import domain_error, error_event
from surfaces.event_shapes import RunLabel, message_of, node_labels
from surfaces.ports import SurfacePorts
from surfaces.projections import RunProjection, forms_shown_by
from surfaces.reconnect import Beginning
from surfaces.sse import event_frame
from surfaces.told_text import Told

GRACE_S: Final = 0.5
"""How long a stream's response waits for the run's first word, so that a refused start is an HTTP error."""

_log = logging.getLogger(__name__)


async def label_of(run: NewRun, surface: Surface, ports: SurfacePorts, conversation_id: str | None = None) -> RunLabel:
    """Return what readers on ``surface`` are told of a run besides its facts.

    ``conversation_id``: that of a run that is a message and has not begun; of others it is in the journal.
    """
    if conversation_id is None:
        conversation_id = await _conversation_of(run, ports) if run.is_message else ""
    plan = await ports.plans.plan(run.version_id)
    created_by = {"id": run.created_by_id, "user": run.user}
    if run.created_by_role == "account":
        account = await ports.accounts.account(run.created_by_id)
        created_by = {
            "id": run.created_by_id,
            "name": account.name if account else "",
            "email": account.email if account else "",
        }
    labels = node_labels(plan.workflow)
    return RunLabel(
        run.run_id, run.version_id, created_by, labels, surface, run.created_at, run.app_id, conversation_id
    )


async def _conversation_of(run: NewRun, ports: SurfacePorts) -> str:
    """Return the id of the conversation of a message, also of one that was deleted; "" where it has none."""
    facts = await ports.journal.read(run.run_id)
    started = facts[0][1] if facts else None
    return str(started.system.get("conversation_id", "")) if isinstance(started, RunStarted) else ""


async def dispositions_of(
    run_id: str, form_ids: Sequence[str], surface: Surface, ports: SurfacePorts
) -> dict[str, Disposition]:
    """Return form id -> disposition for those of the forms that still wait.

    A form that has been decided gets none: its tokens open nothing any more.
    """
    if not form_ids:
        return {}
    waiting = {form.form_id for form in await ports.forms.by_run(run_id) if form.status is FormStatus.WAITING}
    recipients = await ports.forms.recipients([form_id for form_id in form_ids if form_id in waiting])
    return dispositions(recipients, surface, ports.token_key)


async def first_word(batches: AsyncGenerator[TailBatch], grace_s: float = GRACE_S) -> AsyncGenerator[TailBatch]:
    """Return ``batches`` once the first one is there or ``grace_s`` seconds are over.

    Raises:
        GreenroomError: the run could not be started.
    """
    first = asyncio.ensure_future(_next(batches))
    await asyncio.wait((first,), timeout=grace_s)
    if first.done():
        first.result()
    return _from_first(first, batches)


async def _next(batches: AsyncGenerator[TailBatch]) -> TailBatch | None:
    return await anext(batches, None)


async def _from_first(
    first: "asyncio.Future[TailBatch | None]", batches: AsyncGenerator[TailBatch]
) -> AsyncGenerator[TailBatch]:
    async with aclosing(batches):
        batch = await first
        while batch is not None:
            yield batch
            batch = await _next(batches)


async def event_frames(
    batches: AsyncGenerator[TailBatch],
    projection: RunProjection,
    ports: SurfacePorts,
    *,
    beginning: Beginning | None = None,
    has_ids: bool = False,
    until_pause: bool = True,
    before: Sequence[Told] = (),
) -> AsyncGenerator[bytes]:
    """Yield the frames of what ``batches`` tell, one chunk for each batch; closing this closes ``batches``.

    Whatever fails once a stream has begun becomes its last event.

    Args:
        batches: the tail of the run.
        projection: has taken up every fact before the first of ``batches``.
        ports: where dispositions come from.
        beginning: where the reader began, if it came back.
        has_ids: whether frames carry ids.
        until_pause: whether the stream ends at a pause, not only at the end of the run.
        before: events to send first.
    """
    run_id = projection.label.run_id
    try:
        if before:
            yield frames_of(before, has_ids, projection.label, ports)
        async with aclosing(batches):
            async for batch in batches:
                told: list[Told] = []
                for number, fact in batch.facts:
                    events = await _told(number, fact, batch, projection, ports)
                    told += [event for event in events if not _is_had(event, beginning)]
                for part in batch.parts:
                    told += projection.project_part(part)
                if told:
                    yield frames_of(told, has_ids, projection.label, ports)
                if any(_ends_stream(fact, until_pause) for _, fact in batch.facts):
                    return
    except Exception as error:  # boundary: HTTP  # noqa: BLE001
        cause = domain_error(error)
        if isinstance(cause, DefectError) or not isinstance(cause, GreenroomError):
            _log.exception("the stream of run %s failed", run_id)
        started_id = run_id if projection.has_started else None
        yield event_frame(error_event(error, started_id, message_of(projection.label)))


async def _told(
    number: int, fact: Fact, batch: TailBatch, projection: RunProjection, ports: SurfacePorts
) -> list[Told]:
    surface = projection.label.surface
    shown = await dispositions_of(projection.label.run_id, forms_shown_by(fact), surface, ports)
    return projection.project(number, fact, shown, batch.told.get(number, 0))


def _is_had(told: Told, beginning: Beginning | None) -> bool:
    if beginning is None or not told.position:
        return False
    number, _, part = told.position.partition(".")
    return beginning.is_had(int(number), int(part))


def _ends_stream(fact: Fact, until_pause: bool) -> bool:
    return isinstance(fact, RunFinished) or (until_pause and isinstance(fact, RunPaused))


def frames_of(told: Sequence[Told], has_ids: bool, label: RunLabel, ports: SurfacePorts) -> bytes:
    """Return events as frames, links to files signed now."""
    links = ports.links
    return b"".join(
        links.refreshed_frame(
            each.event,
            label.app_id,
            lambda event, position=each.position if has_ids else "": event_frame(event, position),
        )
        for each in told
    )
