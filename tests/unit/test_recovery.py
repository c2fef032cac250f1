"""Runs of dead actors go to others, so often and no more, whatever else died meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from ray.core.generated.common_pb2 import ActorDiedErrorContext
from ray.exceptions import ActorDiedError, ActorUnavailableError, NodeDiedError, OutOfMemoryError

from actors import calls, recovery
from actors.calls import ask, stream
from actors.death_cause import ENDED, NODE_LOST, OUT_OF_MEMORY, SILENT, death_cause
from actors.errors import ActorAwayError, RunGivenUpError
from actors.messages import Lease
from actors.plans import Plans
from actors.recovery import Recovery
from graph.events import RunRecovered, RunResumed
from store.run_record import JournalWrite, RunRecord
from store_world import NOW, StoreWorld, memory_world, paused, start, write

MAX_RECOVERIES = 2
PATIENCE_S = 60.0


class Leases:
    """Lends leases of an actor that dies with whatever it executes. ``count``: how often."""

    def __init__(self) -> None:
        self.count = 0

    @asynccontextmanager
    async def lease(self, *, continues: bool = False) -> AsyncIterator[Lease]:
        """Lend a lease."""
        self.count += 1
        yield Lease("lease", f"actor-{self.count}")


@pytest.fixture
def leases(monkeypatch: pytest.MonkeyPatch) -> Leases:
    """Leases of actors that die at once."""

    async def dying(actor: str, *args: Any, **options: Any) -> None:
        raise ActorAwayError(actor) from OutOfMemoryError("Memory on the node (IP: 10.0.0.1) was 0.9 GB; see the logs")

    monkeypatch.setattr(recovery, "ask", dying)
    monkeypatch.setattr(recovery, "tell", lambda *args: None)
    monkeypatch.setattr(recovery, "hint_courier", lambda: None)
    return Leases()


async def recovered_by_new_supervisor(world: StoreWorld, leases: Leases, run_id: str) -> RunRecord:
    """Return the record of a run once a supervisor that has just started has nothing left to do for it."""
    recovery = Recovery(world.journal, leases, lambda actor: False, MAX_RECOVERIES, Plans(world.apps), 1)
    await recovery.recover_orphans()
    async with asyncio.timeout(PATIENCE_S):
        while recovery._background._tasks:
            await asyncio.sleep(0)
    record = await world.journal.get(run_id)
    assert record is not None
    return record


async def recovered(world: StoreWorld, run_id: str, head: int, times: int) -> None:
    """Have a run taken over so often; its head is then ``head + times``, its epoch ``1 + times``."""
    for number in range(times):
        fact, epoch = RunRecovered(NOW, number, 0.0), 1 + number
        await world.journal.append(JournalWrite(run_id, epoch + 1, epoch, head + number, [fact], actor=f"a-{number}"))


async def test_run_is_given_up_by_the_supervisor_that_saw_all_its_deaths(leases: Leases) -> None:
    """A run whose actors die before its first new fact is tried so often and no more."""
    world = memory_world()
    run = await start(world)
    record = await recovered_by_new_supervisor(world, leases, run.run_id)
    assert (record.status, leases.count) == ("failed", MAX_RECOVERIES)
    assert record.error == str(RunGivenUpError(MAX_RECOVERIES, OUT_OF_MEMORY))
    assert record.error.endswith("; the last time its node ran out of memory")


async def test_run_that_takes_the_supervisor_with_it_is_given_up(leases: Leases) -> None:
    """Recoveries by supervisors that died meanwhile count: one that knows nothing gives the run up at once."""
    world = memory_world()
    run = await start(world)
    await recovered(world, run.run_id, 1, MAX_RECOVERIES)
    assert (await recovered_by_new_supervisor(world, leases, run.run_id)).status == "failed"
    assert leases.count == 0


async def test_recoveries_before_a_pause_do_not_count(leases: Leases) -> None:
    """A run that paused since has all its attempts again."""
    world = memory_world()
    run = await start(world)
    await recovered(world, run.run_id, 1, MAX_RECOVERIES)
    epoch, head = 1 + MAX_RECOVERIES, 1 + MAX_RECOVERIES
    assert await world.journal.pause(write([paused()], head, run=run, epoch=epoch), b"state") == []
    await world.journal.append(write([RunResumed(NOW)], head + 1, run=run, epoch=epoch + 1, found_epoch=epoch))
    await recovered_by_new_supervisor(world, leases, run.run_id)
    assert leases.count == MAX_RECOVERIES


def died(message: str) -> ActorDiedError:
    """Return Ray's error with its words for how an actor died."""
    return ActorDiedError(ActorDiedErrorContext(actor_id=bytes(16), name="secret-name", error_message=message))


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OutOfMemoryError("x"), OUT_OF_MEMORY),
        (
            died("its worker process has died. Worker exit type: NODE_OUT_OF_MEMORY Worker exit detail: x"),
            OUT_OF_MEMORY,
        ),
        (NodeDiedError("x"), NODE_LOST),
        (died("The actor died because its node has died. Node Id: 6f"), NODE_LOST),
        (died("The actor is dead because it was killed by `ray.kill`."), SILENT),
        (ActorUnavailableError("RpcError: 10.0.0.1", None), SILENT),
        (died("its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: x"), ENDED),
        (None, ""),
    ],
)
def test_cause_of_a_death_is_told_in_few_words(error: Exception | None, cause: str) -> None:
    """Nothing of Ray's text is passed on: it may hold addresses and logs."""
    away = ActorAwayError("run-actor-1")
    away.__cause__ = error
    assert death_cause(away) == cause


DEATHS = [ActorDiedError(), OutOfMemoryError("the node ran out of memory"), NodeDiedError("gone")]


class DeadMethod:
    """A method of a dead actor: awaited or iterated, it raises what Ray raises."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def remote(self, *args: Any) -> "DeadMethod":
        """Call it."""
        return self

    def __await__(self) -> Any:
        return self.__anext__().__await__()

    def __aiter__(self) -> "DeadMethod":
        return self

    async def __anext__(self) -> Any:
        raise self._error


@pytest.mark.parametrize("error", DEATHS, ids=lambda error: type(error).__name__)
async def test_every_death_of_an_actor_is_told_as_its_absence(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However Ray puts it that an actor is dead, callers hear ActorAwayError."""
    actor = type("Actor", (), {"ping": DeadMethod(error), "tail": DeadMethod(error)})()
    monkeypatch.setattr(calls, "find", lambda name: actor)
    monkeypatch.setattr(calls.ray, "cancel", lambda *args, **options: None)
    with pytest.raises(ActorAwayError):
        await ask("run-actor-1", "ping", patience_s=0.0)
    with pytest.raises(ActorAwayError):
        async for _ in stream("run-actor-1", "tail"):
            pass
