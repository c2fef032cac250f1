"""Frames of a run's tail: the wait for its first word, and what ends a stream."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from actors.errors import ActorAwayError, QueueFullError
from actors.messages import TailBatch
from approval import approval
from graph.events import RunStarted
from hitl.surface import Surface
from surface_world import events_of, make_world
from surfaces.event_shapes import RunLabel
from surfaces.projections import RunProjection
from surfaces.run_stream import event_frames, first_word

LABEL = RunLabel("R", "W", {"id": "EU", "user": "u"}, {}, Surface.SERVICE_API)


async def tail(
    *batches: TailBatch, error: Exception | None = None, closed: asyncio.Event | None = None
) -> AsyncGenerator[TailBatch]:
    """Yield ``batches``, then raise ``error`` if there is one; set ``closed`` at the end."""
    try:
        for batch in batches:
            yield batch
        if error is not None:
            raise error
    finally:
        if closed is not None:
            closed.set()


async def test_refused_start_is_raised_before_the_stream_opens() -> None:
    """A start that is refused at once is an error of the request, not of a stream."""
    with pytest.raises(QueueFullError):
        await first_word(tail(error=QueueFullError(1)))


async def test_late_start_opens_the_stream_without_its_first_word() -> None:
    """A start that waits for an actor does not keep the client waiting for the response."""
    go = asyncio.Event()

    async def late() -> AsyncGenerator[TailBatch]:
        await go.wait()
        yield TailBatch([(1, RunStarted(0.0, {}, {}))])

    batches = await first_word(late(), grace_s=0.0)
    go.set()
    assert [len(batch.facts) for batch in [each async for each in batches]] == [1]


async def test_error_before_the_first_fact_names_no_run() -> None:
    """Until workflow_started a reader does not know the run; an error then names none."""
    world = await make_world(approval())
    frames = event_frames(tail(error=ActorAwayError("run-supervisor")), RunProjection(LABEL), world.ports)
    (event,) = events_of(b"".join([frame async for frame in frames]).decode())
    assert (event["workflow_run_id"], event["code"], event["status"]) == (None, "actor_away", 503)


async def test_stream_that_is_closed_closes_its_tail() -> None:
    """A reader that leaves ends what was read for it."""
    world, closed = await make_world(approval()), asyncio.Event()
    batch = TailBatch([(1, RunStarted(0.0, {}, {}))])
    frames = event_frames(tail(batch, batch, closed=closed), RunProjection(LABEL), world.ports)
    assert b"workflow_started" in await anext(frames)
    await frames.aclose()
    assert closed.is_set()
