"""A newer deployment meets the actors of the one before: it replaces them, and no run loses anything."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.calls import COURIER, EVENT_HUB, HITL_ACTOR, SUPERVISOR, ask
from actors.code_version import code_version
from backing import IS_REDIS
from cli import upgrading
from graph.events import NodeFinished, RunRecovered
from local_cluster import LocalCluster
from models.scripted_model import Script
from older_actors import OLDER, make_older_actors
from stage import Stage, end_actors, open_stage, run_actors

pytestmark = pytest.mark.timeout(300)

NAMED = (SUPERVISOR, HITL_ACTOR, COURIER, *(() if IS_REDIS else (EVENT_HUB,)))
HELD = Script.answer("one", " two", hold_after=1)


@pytest.fixture(scope="module")
async def stage(ray_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A Greenroom with a pool of two."""
    async with open_stage(tmp_path_factory.mktemp("stage"), pool_size=2) as stage:
        yield stage


async def go_back(stage: Stage) -> None:
    """Have the actors of an older deployment in place of all that there are."""
    await end_actors()
    make_older_actors(stage.settings)
    assert {await ask(name, "version", patience_s=60.0) for name in NAMED} == {OLDER}


async def upgrade(stage: Stage, **changes: Any) -> None:
    """Deploy this version over the older one, with these settings."""
    await asyncio.to_thread(upgrading.upgrade, stage.settings.model_copy(update=changes))
    assert {await ask(name, "version") for name in NAMED} == {code_version()}


def finished(facts: list) -> list[str]:
    """The nodes that finished, in order."""
    return [fact.node_id for fact in facts if isinstance(fact, NodeFinished)]


async def test_runs_go_on_in_new_actors_when_a_newer_version_is_deployed(stage: Stage):
    """Old actors go; an executing run finishes its node and goes on in a new one, a paused one on its answer."""
    await go_back(stage)
    script = await stage.set_script(HELD)
    asking, executing = await stage.order("asking"), await stage.order("model")
    assert (await stage.ports.runs.start(asking)).status == "paused"
    run = asyncio.create_task(stage.ports.runs.start(executing))
    await script.wait_held.remote()
    older = (await stage.ports.journal.get(executing.run_id)).actor
    await upgrade(stage, drain_s=120.0, max_recoveries=0)
    await stage.until(lambda: ask(older, "is_draining"), "the wish to leave")
    await script.release.remote()
    outcome = await run
    assert (outcome.status, outcome.outputs) == ("succeeded", {"out": "one two"})
    facts = await stage.facts(executing.run_id)
    assert finished(facts) == ["start", "t", "llm", "end"]
    assert len([fact for fact in facts if isinstance(fact, RunRecovered)]) == 1
    assert len(await script.calls.remote()) == 1
    await stage.answer(asking.run_id, "yes")
    record = await stage.until_status(asking.run_id, "succeeded", "failed")
    assert record.outputs == {"out": "yes"}
    assert older not in {record.actor, (await stage.ports.journal.get(executing.run_id)).actor}
    await stage.until(lambda: older not in run_actors(), "the end of the older actor")


@pytest.mark.long
async def test_node_that_takes_too_long_is_cut_and_runs_again_when_a_newer_version_is_deployed(stage: Stage):
    """After its time to drain an old actor is ended; its node runs again with its key, finished ones do not."""
    await go_back(stage)
    script = await stage.set_script(HELD)
    order = await stage.order("model")
    run = asyncio.create_task(stage.ports.runs.start(order))
    await script.wait_held.remote()
    await upgrade(stage, drain_s=0.0, max_recoveries=0)

    async def is_asked_again() -> bool:
        return len(await script.calls.remote()) == 2

    await stage.until(is_asked_again, "the second call")
    await script.release.remote()
    assert (await run).outputs == {"out": "one two"}
    assert finished(await stage.facts(order.run_id)) == ["start", "t", "llm", "end"]
    assert len({call.request.idempotency_key for call in await script.calls.remote()}) == 1
