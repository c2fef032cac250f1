"""Waking runs: every answer is taken up without anybody looking again later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors import run_waker
from actors.errors import ActorAwayError, RunElsewhereError
from actors.messages import Lease
from actors.run_waker import LeasedWaker
from store.errors import FencedError
from store.forms import Resumable

PAUSED = Resumable("run", "paused", "")


class Actors:
    """Run actors that answer as they are told to. ``answers``: what the next calls of resume give, None: the end."""

    def __init__(self) -> None:
        self.answers: list[Exception | None] = []
        self.resumed = 0
        self.woken: list[str] = []
        self.may_return = asyncio.Event()
        self.is_asked = asyncio.Event()
        self.is_held = False

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """Lend an actor."""
        yield Lease("lease", f"run-actor-{self.resumed}")

    def hold(self) -> None:
        """Note that a lease is wanted in advance."""
        self.is_held = True

    async def ask(self, actor: str, method: str, *args: Any, **options: Any) -> None:
        """Resume a run, as soon as it may return."""
        assert (method, args) == ("resume", ("run", "lease"))
        self.resumed += 1
        self.is_asked.set()
        await self.may_return.wait()
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer

    def tell(self, actor: str, method: str, *args: Any) -> None:
        """Note who was woken."""
        assert (method, args) == ("wake", ("run",))
        self.woken.append(actor)


@pytest.fixture
async def actors(monkeypatch: pytest.MonkeyPatch) -> Actors:
    """Actors in Ray's place."""
    made = Actors()
    monkeypatch.setattr(run_waker, "ask", made.ask)
    monkeypatch.setattr(run_waker, "tell", made.tell)
    return made


async def idle(waker: LeasedWaker) -> None:
    """Wait until nothing is being resumed."""
    async with asyncio.timeout(60):
        while waker.resuming_count:
            await asyncio.sleep(0)


async def test_paused_run_is_resumed_once_for_many_wakes(actors: Actors):
    """Before its actor has begun, further items are for that same resumption."""
    waker = LeasedWaker(actors)
    waker.wake(PAUSED)
    actors.may_return.set()
    await idle(waker)
    assert (actors.resumed, actors.woken) == (1, [])


async def test_answer_that_comes_when_the_run_has_paused_again_resumes_it_again(actors: Actors):
    """Its actor does not execute it any more, though the call that resumed it has not returned yet."""
    waker = LeasedWaker(actors)
    waker.wake(PAUSED)
    await actors.is_asked.wait()
    waker.wake(PAUSED)
    assert actors.woken == ["run-actor-0"]
    actors.may_return.set()
    await idle(waker)
    assert actors.resumed == 2


async def test_executing_run_is_told_where_it_executes(actors: Actors):
    """Nothing is resumed; a run whose first commit is still to come looks for itself."""
    waker = LeasedWaker(actors)
    waker.wake(Resumable("run", "running", "run-actor-7"))
    waker.wake(Resumable("run", "running", ""))
    assert (actors.resumed, actors.woken) == (0, ["run-actor-7"])


async def test_run_that_another_took_over_is_woken_there(actors: Actors):
    """Who was faster may have read the inbox before this item: after a fence the run is looked for, and told."""
    actors.answers = [FencedError("run"), RunElsewhereError("run", "run-actor-9")]
    actors.may_return.set()
    waker = LeasedWaker(actors)
    waker.wake(PAUSED)
    await idle(waker)
    assert (actors.resumed, actors.woken) == (2, ["run-actor-9"])


async def test_run_is_resumed_by_another_actor_when_the_first_dies(actors: Actors):
    """A dead run actor does not end the resumption."""
    actors.answers = [ActorAwayError("run-actor-0")]
    actors.may_return.set()
    waker = LeasedWaker(actors)
    waker.warm_up()
    waker.wake(PAUSED)
    await idle(waker)
    assert (actors.resumed, actors.is_held) == (2, True)
