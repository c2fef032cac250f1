"""Runs whose hints go over Redis: with a real Valkey, and without it from one moment to the next."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis import Redis

from actors.hints import HintSubscription
from actors.messages import Cursor
from graph.events import RunFinished, RunPaused
from local_cluster import LocalCluster
from local_valkey import LocalValkey, local_valkey
from stage import Stage, named_actors, open_stage
from store.redis_streams import HINTS_KEY

LONG_S = 120.0
"""Longer than a test may take: readers are woken by hints, or not at all."""


@pytest.fixture
def valkey() -> Iterator[LocalValkey]:
    """A Valkey for one test."""
    with local_valkey() as server:
        yield server


@pytest.fixture
async def stage(ray_cluster: LocalCluster, valkey: LocalValkey, tmp_path: Path) -> AsyncIterator[Stage]:
    """A Greenroom with a Redis."""
    async with open_stage(tmp_path, redis_url=valkey.url, pool_size=2) as opened:
        yield opened


class Following:
    """A reader of one run, from its first fact to its last."""

    def __init__(self, stage: Stage, run_id: str) -> None:
        self.numbers: list[int] = []
        self.facts: list[object] = []
        self.task = asyncio.create_task(self._read(stage, run_id))

    async def _read(self, stage: Stage, run_id: str) -> None:
        async for batch in stage.ports.runs.follow(run_id, Cursor()):
            self.numbers += [number for number, _ in batch.facts]
            self.facts += [fact for _, fact in batch.facts]

    def is_paused(self) -> bool:
        """Say whether it has come to the pause."""
        return any(isinstance(fact, RunPaused) for fact in self.facts)

    async def check_end(self, stage: Stage, run_id: str) -> None:
        """Wait for the end, and check that every fact came once and in order."""
        await asyncio.wait_for(self.task, LONG_S / 2)
        assert self.facts == await stage.facts(run_id)
        assert self.numbers == list(range(1, len(self.numbers) + 1))
        assert isinstance(self.facts[-1], RunFinished)
        assert self.facts[-1].status == "succeeded"


async def test_reader_is_told_of_the_resumption_over_redis(stage: Stage, valkey: LocalValkey):
    """A reader that waits through a pause is woken through the stream; there is no hub and no clock to do it."""
    assert "event-hub" not in named_actors()
    stage.ports.hints = HintSubscription(stage.ports.hint_carrier, LONG_S)
    order = await stage.order("asking")
    assert (await stage.ports.runs.start(order)).status == "paused"
    # The first poll is a reset, which wakes everybody; what comes after is due to hints.
    await asyncio.wait_for(stage.ports.hints.wait(order.run_id, 0), LONG_S / 2)
    following = Following(stage, order.run_id)
    await stage.until(following.is_paused, "the pause")
    await stage.answer(order.run_id, "good")
    await following.check_end(stage, order.run_id)
    with Redis.from_url(valkey.url, decode_responses=True) as client:
        entries = client.xrange(HINTS_KEY)
    assert order.run_id in str(entries)


async def test_death_of_redis_loses_no_event(stage: Stage, valkey: LocalValkey):
    """Without its Redis a reader gets every fact, a second later at most, and new runs start and finish."""
    order = await stage.order("asking")
    assert (await stage.ports.runs.start(order)).status == "paused"
    following = Following(stage, order.run_id)
    await stage.until(following.is_paused, "the pause")
    valkey.kill()
    await stage.answer(order.run_id, "good")
    await following.check_end(stage, order.run_id)
    assert (await stage.ports.runs.start(await stage.order("plain"))).status == "succeeded"
    again = await stage.order("asking")
    assert (await stage.ports.runs.start(again)).status == "paused"
    following = Following(stage, again.run_id)
    await stage.until(following.is_paused, "the pause")
    valkey.restart()
    await stage.answer(again.run_id, "good")
    await following.check_end(stage, again.run_id)
