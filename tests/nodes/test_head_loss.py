"""The head is lost, and with it Ray's control store; what that has stored lets everything go on."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenroom_on_nodes import NAMED, World, world
from local_postgres import LocalPostgres
from local_valkey import local_valkey

pytestmark = pytest.mark.long

_log = logging.getLogger(__name__)


@pytest.fixture(params=["on disk", "in Redis"])
async def stored(request: pytest.FixtureRequest, data: Path, database: LocalPostgres) -> AsyncIterator[World]:
    """A world whose Ray stores its state in each of the two ways."""
    if request.param == "on disk":
        async with world(data, database) as opened:
            yield opened
        return
    with local_valkey() as valkey:
        address = valkey.url.removeprefix("redis://").partition("/")[0]
        async with world(data, database) as opened:
            opened.nodes.environment |= {"RAY_gcs_storage": "redis", "RAY_REDIS_ADDRESS": address}
            yield opened


async def test_everything_lives_through_the_loss_of_the_head(stored: World):
    """Actors live on without a head; answers, forms, tokens and starts work again when it is back."""
    nodes = stored
    first, named, runners = await nodes.start_three()
    before = {title: named.processes(title)[0].pid for title in NAMED}
    waiting = await nodes.start("asking")
    left, right = await nodes.paused(waiting)
    tokens = [await nodes.token(form) for form in (left, right)]
    run_id = await nodes.start("held")
    await nodes.effects.wait("/held", 1)

    nodes.close()
    first.lose()
    nodes.effects.release()
    await nodes.check_whole(run_id, nodes=5)
    assert nodes.effects.keys["/held"].total() == 1
    back_at = time.time()
    first = await asyncio.to_thread(nodes.nodes.start_head)
    await nodes.connect(first)
    assert [await nodes.token(form) for form in (left, right)] == tokens
    await nodes.answer(left)
    _log.info("seconds from the start of the head to an accepted answer: %.1f", time.time() - back_at)
    await nodes.answer(right)
    await nodes.check_whole(waiting, nodes=7)
    await nodes.check_whole(await nodes.start("held"), nodes=5)
    assert {title: named.processes(title)[0].pid for title in NAMED} == before
    assert runners.processes("ray::RunActor")


async def test_everything_lives_through_the_loss_of_all_nodes(stored: World):
    """When all machines come back, named actors start by themselves, runs in flight go on, forms wait as before."""
    nodes = stored
    first, named, runners = await nodes.start_three()
    waiting = await nodes.start("asking")
    left, right = await nodes.paused(waiting)
    tokens = [await nodes.token(form) for form in (left, right)]
    run_id = await nodes.start("held")
    await nodes.effects.wait("/held", 1)

    nodes.close()
    for node in (first, named, runners):
        node.lose()
    nodes.effects.release()
    back_at = time.time()
    first = await asyncio.to_thread(nodes.nodes.start_head)
    workers = [await asyncio.to_thread(nodes.nodes.start_worker, cpus=1) for _ in range(2)]
    await nodes.check_whole(run_id, nodes=5)
    _log.info("seconds from the start of the head to the end of the run in flight: %.1f", time.time() - back_at)
    await nodes.connect(first)
    assert [await nodes.token(form) for form in (left, right)] == tokens
    await nodes.answer(left)
    await nodes.answer(right)
    await nodes.check_whole(waiting, nodes=7)
    assert set(nodes.effects.keys["/before"].values()) == {1}
    assert workers
