"""The crew brings run actors up, also where some cannot start."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError

from actors import run_crew
from actors.code_version import code_version
from actors.errors import ActorAwayError
from actors.messages import ActorState
from actors.pool import Pool
from actors.run_crew import RunCrew
from actors.settings import Settings

PATIENCE_S = 10.0
Answer = Callable[[], Awaitable[ActorState]]


async def up() -> ActorState:
    """Answer as an actor that is up."""
    return ActorState("", 0, code_version())


async def dead() -> ActorState:
    """Answer as an actor that could not start."""
    raise ActorDiedError()


def unavailable_once() -> Answer:
    """Return the answer of an actor whose process comes up after the first call."""
    calls = count()

    async def answer() -> ActorState:
        if next(calls) == 0:
            raise ActorUnavailableError("not yet", None)
        return await up()

    return answer


class Method:
    """A method of an actor."""

    def __init__(self, answer: Callable[[], Awaitable[Any]]) -> None:
        self.remote = answer


class Actor:
    """The handle of a run actor whose pings are answered by ``answer``, and which never dies afterwards."""

    def __init__(self, answer: Answer) -> None:
        self.ping = Method(answer)
        self.watch = Method(asyncio.Event().wait)


@pytest.mark.parametrize("first", [dead, unavailable_once()], ids=["could not start", "slow to start"])
async def test_pool_fills_at_once_whatever_its_first_actor_does(first: Answer, monkeypatch: pytest.MonkeyPatch):
    """One that could not start is replaced at the next look, one that is slow is waited for."""
    answers = [first, up]
    made: dict[str, Actor] = {}

    def make(settings: str, name: str, cpus: float) -> Actor:
        made[name] = Actor(answers[min(len(made), 1)])
        return made[name]

    def find(name: str) -> Any:
        if made[name].ping.remote is dead:
            raise ActorAwayError(name)
        return made[name]

    async def ping(name: str, *args: Any, **options: Any) -> ActorState:
        return await made[name].ping.remote()

    for name, fake in {"make_run_actor": make, "find": find, "ask": ping, "list_named_actors": lambda **_: []}.items():
        monkeypatch.setattr(run_crew, name, fake)
    settings = Settings(pool_size=1, ping_interval_s=0.01)
    pool = Pool(1, 10, 100, 60.0, lambda: "lease")
    is_full = asyncio.Event()
    crew = RunCrew(settings, pool, is_full.set, lambda name, is_blamed: None)
    await crew.adopt()
    pings = asyncio.create_task(crew.look_after())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not pool.actor_names:
                await is_full.wait()
                is_full.clear()
    finally:
        pings.cancel()
        await crew._background.close()
    assert pool.actor_names == [name for name, actor in made.items() if actor.ping.remote is not dead]
    assert len(made) == (2 if first is dead else 1)
