"""A new run whose actors die before its first fact is started again a few times, and then no more."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
from ray.exceptions import OutOfMemoryError

from actors import runs as runs_module
from actors.errors import ActorAwayError, RunGivenUpError
from actors.leases import LeaseHolder
from actors.messages import Lease, RunOrder, RunOutcome, TailBatch, order_run
from actors.runs import Runs
from actors.start_run import MOST_DEATHS, TimedHints, start_run
from store_world import memory_world, new_run

OUTCOME = RunOutcome("run", "succeeded", {}, None, 0.1, 0, 1, 0, 0.0, 0.1)


def away() -> ActorAwayError:
    """Return what is told of an actor that ran out of memory."""
    error = ActorAwayError("run-actor-1")
    error.__cause__ = OutOfMemoryError("the node's memory")
    return error


@pytest.mark.parametrize("deaths", [MOST_DEATHS - 1, MOST_DEATHS])
async def test_run_that_is_not_stored_has_so_many_actors_and_no_more(deaths: int):
    """The last death that may be is told with its cause; until then the run is started again."""
    tries = count(1)

    async def run(order: RunOrder) -> RunOutcome:
        if next(tries) <= deaths:
            raise away()
        return OUTCOME

    started = start_run(order_run(new_run()), run, memory_world().journal, TimedHints())
    if deaths < MOST_DEATHS:
        assert await started is OUTCOME
    else:
        with pytest.raises(RunGivenUpError, match="ran out of memory"):
            await started
    assert next(tries) == MOST_DEATHS + 1


async def test_streamed_run_is_given_up_likewise(monkeypatch: pytest.MonkeyPatch):
    """A reader of a new run is told so too, instead of waiting for ever."""
    tries: list[str] = []

    async def lease(*args: Any) -> Lease:
        return Lease(f"lease-{len(tries)}", f"run-actor-{len(tries)}")

    async def stream(actor: str, *args: Any, **options: Any) -> AsyncIterator[TailBatch]:
        tries.append(actor)
        for batch in ():
            yield batch
        raise away()

    monkeypatch.setattr(runs_module, "stream", stream)
    leases = LeaseHolder("test", 1000.0, 10, ask=lease, tell=lambda *args: None)
    no_forms: Any = None
    runs = Runs(memory_world().journal, no_forms, leases, TimedHints())
    with pytest.raises(RunGivenUpError):
        async for _ in runs.start_and_follow(order_run(new_run())):
            pass
    await runs.close()
    assert len(tries) == MOST_DEATHS
