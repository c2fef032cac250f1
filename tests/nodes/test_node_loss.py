"""A node is lost, with all its processes at one moment or as if the network to it were cut."""

import asyncio
import logging
import time

import pytest

from greenroom_on_nodes import NAMED, POOL_SIZE, World, until
from ray_nodes import RayNode

pytestmark = pytest.mark.long

_log = logging.getLogger(__name__)


@pytest.mark.parametrize("is_cut", [False, True], ids=["lost", "cut off"])
async def test_runs_move_when_the_node_of_their_actors_is_lost(nodes: World, is_cut: bool):
    """Runs in the middle of a node go on elsewhere, paused ones wait on; nothing happens twice."""
    _, _, runners = await nodes.start_three()
    await asyncio.to_thread(nodes.nodes.start_worker, cpus=1)
    waiting = await nodes.start("asking")
    left, right = await nodes.paused(waiting)
    tokens = [await nodes.token(form) for form in (left, right)]
    runs = [await nodes.start("held") for _ in range(POOL_SIZE)]
    await nodes.effects.wait("/held", POOL_SIZE)
    executions = set(nodes.effects.keys["/held"])

    lost_at = time.time()
    (runners.freeze if is_cut else runners.lose)()
    taken_over_at = [await nodes.until_recovered(run_id) for run_id in runs]
    _log.info("seconds until the runs went on: %.1f", max(taken_over_at) - lost_at)
    await nodes.effects.wait("/held", 2 * POOL_SIZE)
    assert set(nodes.effects.keys["/held"]) == executions, "a node that runs again has its key again"
    nodes.effects.release()
    for run_id in runs:
        await nodes.check_whole(run_id, nodes=5)
    if is_cut:
        # What comes back belongs to nobody any more: nothing of it may show.
        runners.thaw()
    assert [await nodes.token(form) for form in (left, right)] == tokens
    await nodes.answer(left)
    await nodes.answer(right)
    for run_id, count in ((waiting, 7), *((run_id, 5) for run_id in runs)):
        await nodes.check_whole(run_id, nodes=count)
    for path in ("/before", "/after"):
        assert set(nodes.effects.keys[path].values()) == {1}, path


async def test_named_actors_come_back_when_their_node_is_lost(nodes: World):
    """Supervisor, HITL actor, hub and courier come up elsewhere; runs that execute do not notice."""
    _, named, runners = await nodes.start_three()
    spare = await asyncio.to_thread(nodes.nodes.start_worker, cpus=1)
    waiting = await nodes.start("asking")
    left, right = await nodes.paused(waiting)
    run_id = await nodes.start("held")
    await nodes.effects.wait("/held", 1)

    lost_at = time.time()
    named.lose()
    await nodes.answer(left)
    _log.info("seconds until an answer was taken: %.1f", time.time() - lost_at)
    await nodes.answer(right)
    await nodes.check_whole(waiting, nodes=7)
    _log.info("seconds until the answered run had ended: %.1f", time.time() - lost_at)
    for title in NAMED:
        await until(lambda title=title: _is_on(title, runners, spare), title)
    nodes.effects.release()
    await nodes.check_whole(run_id, nodes=5)
    assert nodes.effects.keys["/held"].total() == 1, "the actor of the run lived on"
    await nodes.check_whole(await nodes.start("held"), nodes=5)


async def test_run_is_given_up_when_every_actor_runs_out_of_memory(nodes: World):
    """Ray ends the largest processes of a node that is short of memory; a run it ends again and again is given up."""
    cluster = nodes.nodes
    first = await asyncio.to_thread(cluster.start_head)
    await asyncio.to_thread(cluster.start_worker, cpus=1)
    await nodes.connect(first)
    # One look at the memory in fifteen seconds, which finds too much of it taken: one process ends each time.
    hungry = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "15000"}
    await asyncio.to_thread(cluster.start_worker, cpus=1, **hungry)
    run_id = await nodes.start("held")
    record = await nodes.until_status(run_id, "failed", "succeeded")
    assert record.error is not None and record.error.startswith("the run was given up")
    assert "; the last time it" in record.error
    assert nodes.effects.keys["/before"].total() == 1, "what had finished did not run again"
    assert nodes.effects.keys["/held"].total() == 1 + nodes.ports.settings.max_recoveries


async def _is_on(title: str, *nodes: RayNode) -> bool:
    return any(node.processes(title) for node in nodes)
