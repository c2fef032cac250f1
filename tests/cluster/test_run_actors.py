"""Runs on real actors: how many at a time, who may use them, what a crash or a gone caller changes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import ray
from ray.util.state import list_tasks

from actors.calls import ask, find
from actors.errors import BusyError
from actors.messages import Cursor, LeaseRequest
from graph.events import FormOpened, NodeFinished, RunFinished, RunRecovered, RunResumed
from local_cluster import LocalCluster
from models.scripted_model import Script
from stage import Stage, kill_process, open_stage, pid_of, pids, ray_address, run_actors

HELD = Script.answer("one", " two", hold_after=1)
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
async def stage(ray_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A Greenroom with a pool of three."""
    async with open_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


def finished(facts: list, node_id: str) -> int:
    """How often a node finished."""
    return sum(isinstance(fact, NodeFinished) and fact.node_id == node_id for fact in facts)


async def test_ten_runs_share_three_actors_when_started_at_once(stage: Stage):
    """No more runs execute at a time than the pool has actors, and all of them finish."""
    script = await stage.set_script(Script.answer("one", hold_after=0))
    orders = [await stage.order("model") for _ in range(10)]
    runs = [asyncio.create_task(stage.ports.runs.start(order)) for order in orders]
    await script.wait_held.remote(3)
    assert len(await stage.ports.journal.running_runs()) == 3
    assert len(run_actors()) == 3
    await script.release.remote()
    outcomes = await asyncio.gather(*runs)
    assert [outcome.status for outcome in outcomes] == ["succeeded"] * 10
    records = [await stage.ports.journal.get(order.run_id) for order in orders]
    assert len({record.actor for record in records if record}) <= 3

    async def are_named() -> bool:
        # Ray's processes report their calls once a second.
        tasks = await asyncio.to_thread(list_tasks, ray_address(), limit=1000)
        return {order.run_id for order in orders} <= {name for task in tasks for name in task.name.split()}

    await stage.until(are_named, "calls named by their runs")


async def test_many_short_runs_at_once_each_have_their_outcome(stage: Stage):
    """Many short runs at once: each has its own outcome and journal, whether it came alone or with others."""
    orders = [await stage.order("plain", topic=f"tea {number}") for number in range(40)]
    outcomes = await asyncio.gather(*(stage.ports.runs.start(order) for order in orders))
    assert [outcome.run_id for outcome in outcomes] == [order.run_id for order in orders]
    assert [outcome.outputs for outcome in outcomes] == [{"out": f"tea {number}!"} for number in range(40)]
    for order in orders:
        assert isinstance((await stage.facts(order.run_id))[-1], RunFinished)


async def test_runs_that_come_together_execute_in_turn(stage: Stage):
    """What a call tells is durable; what it had no time for has not begun, or is joined by asking for it alone."""
    orders = [await stage.order("plain", topic=f"tea {number}") for number in range(4)]
    actor = run_actors()[0]
    outcomes = await ask(actor, "run_in_turn", orders, "some-lease", patience_s=0.0)
    for outcome in outcomes:
        assert (await stage.ports.journal.get(outcome.run_id)).status == "succeeded"
    for order in orders[len(outcomes) :]:
        outcomes.append(await ask(actor, "run", order, "some-lease", patience_s=0.0))
    assert [(outcome.run_id, outcome.outputs["out"]) for outcome in outcomes] == [
        (order.run_id, f"tea {number}!") for number, order in enumerate(orders)
    ]


async def test_actor_gives_runs_back_that_come_with_a_long_one(stage: Stage):
    """The call ends while the long run executes, which then is asked for alone; those after it have not begun."""
    script = await stage.set_script(HELD)
    long, after = await stage.order("model"), await stage.order("plain")
    actor = run_actors()[0]
    assert await ask(actor, "run_in_turn", [long, after], "some-lease", patience_s=0.0) == []
    assert await stage.ports.journal.get(after.run_id) is None
    joined = asyncio.create_task(ask(actor, "run", long, "some-lease", patience_s=0.0))
    await script.wait_held.remote()
    await script.release.remote()
    assert (await joined).outputs == {"out": "one two"}
    assert len(await script.calls.remote()) == 1


async def test_run_survives_its_actor_when_killed_in_a_model_call(stage: Stage):
    """A run goes on in another actor after SIGKILL; nodes that had finished do not run again."""
    script = await stage.set_script(HELD)
    order = await stage.order("model")
    run = asyncio.create_task(stage.ports.runs.start(order))
    await script.wait_held.remote()
    record = await stage.until_status(order.run_id, "running")
    kill_process(record.actor)
    await stage.until(lambda: _is_recovered(stage, order.run_id), "the recovery")
    await script.release.remote()
    outcome = await run
    assert (outcome.status, outcome.outputs) == ("succeeded", {"out": "one two"})
    facts = await stage.facts(order.run_id)
    assert sum(isinstance(fact, RunRecovered) for fact in facts) == 1
    assert finished(facts, "t") == finished(facts, "llm") == 1
    assert (await stage.ports.journal.get(order.run_id)).actor != record.actor


async def _is_recovered(stage: Stage, run_id: str) -> bool:
    return any(isinstance(fact, RunRecovered) for fact in await stage.facts(run_id))


async def test_reader_gets_every_fact_once_when_the_actor_dies(stage: Stage):
    """A reader that follows a run goes on through the death of its actor, and is told the text anew."""
    script = await stage.set_script(HELD)
    order = await stage.order("model")
    batches = []

    async def read() -> None:
        async for batch in stage.ports.runs.start_and_follow(order):
            batches.append(batch)

    reader = asyncio.create_task(read())
    await stage.until(lambda: any(batch.parts for batch in batches), "the first text")
    kill_process((await stage.ports.journal.get(order.run_id)).actor)
    await stage.until(
        lambda: len({part.attempt for batch in batches for part in batch.parts}) == 2, "text of the next attempt"
    )
    await script.release.remote()
    await reader
    numbers = [number for batch in batches for number, _ in batch.facts]
    assert numbers == list(range(1, len(numbers) + 1))
    assert isinstance(batches[-1].facts[-1][1], RunFinished)
    told = [number for batch in batches for number in batch.told.values()]
    assert told == [len("one two")]


async def test_actor_refuses_a_second_run_while_it_executes_one(stage: Stage):
    """Exclusivity is the run actor's own: BusyError names the run that it executes."""
    script = await stage.set_script(HELD)
    first, second = await stage.order("model"), await stage.order("plain")
    run = asyncio.create_task(stage.ports.runs.start(first))
    await script.wait_held.remote()
    actor = (await stage.ports.journal.get(first.run_id)).actor
    with pytest.raises(BusyError) as caught:
        await ask(actor, "run", second, "some-lease", patience_s=0.0)
    assert caught.value.run_id == first.run_id
    assert str(caught.value) == f"the run actor executes run {first.run_id}"
    await script.release.remote()
    assert (await run).status == "succeeded"


async def test_run_is_one_run_when_it_is_started_twice(stage: Stage):
    """Starting is repeatable: the same run id joins the run, or gives its outcome."""
    script = await stage.set_script(HELD)
    order = await stage.order("model")
    starts = [asyncio.create_task(stage.ports.runs.start(order)) for _ in range(2)]
    await script.wait_held.remote()
    await script.release.remote()
    outcomes = [*await asyncio.gather(*starts), await stage.ports.runs.start(order)]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert len(await script.calls.remote()) == 1


async def test_run_goes_on_when_its_caller_is_cancelled(stage: Stage):
    """A caller that goes away, also by Ray's own cancellation, changes nothing for the run."""
    script = await stage.set_script(HELD)
    order = await stage.order("model")
    lease = await ask("run-supervisor", "lease", LeaseRequest("test"))
    call = find(lease.actor_name).run.remote(order, lease.lease_id)
    await script.wait_held.remote()
    ray.cancel(call, recursive=True)
    with pytest.raises(ray.exceptions.RayError):
        await call
    await script.release.remote()
    record = await stage.until_status(order.run_id, "succeeded", "failed", "stopped")
    assert record.status == "succeeded"


async def test_reader_that_leaves_changes_nothing(stage: Stage):
    """Closing a stream ends neither the run nor its actor's work."""
    script = await stage.set_script(HELD)
    order = await stage.order("model")
    batches = stage.ports.runs.start_and_follow(order)
    await anext(batches)
    await script.wait_held.remote()
    await batches.aclose()
    await script.release.remote()
    assert (await stage.until_status(order.run_id, "succeeded", "failed", "stopped")).status == "succeeded"


async def test_stop_ends_a_run_and_its_model_call(stage: Stage):
    """A stop reaches an executing run at once and cancels what it waits for."""
    script = await stage.set_script(HELD)
    order = await stage.order("model")
    run = asyncio.create_task(stage.ports.runs.start(order))
    await script.wait_held.remote()
    await stage.ports.runs.stop(order.run_id, "Stopped by user.")
    outcome = await run
    assert (outcome.status, outcome.error) == ("stopped", "Stopped by user.")
    await script.release.remote()
    (call,) = await script.calls.remote()
    assert not call.is_ended


async def test_reader_follows_a_run_through_pause_and_resume(stage: Stage):
    """One stream carries a run from its start through the answer of a person to its end."""
    order = await stage.order("asking")
    outcome = await stage.ports.runs.start(order)
    assert outcome.status == "paused"
    assert [type(form) for form in outcome.forms] == [FormOpened]
    facts = []

    async def read() -> None:
        async for batch in stage.ports.runs.follow(order.run_id, Cursor()):
            facts.extend(fact for _, fact in batch.facts)

    reader = asyncio.create_task(read())
    await stage.answer(order.run_id, "good")
    await reader
    assert sum(isinstance(fact, RunResumed) for fact in facts) == 1
    assert isinstance(facts[-1], RunFinished)
    assert facts[-1].outputs == {"out": "good"}
    assert facts == await stage.facts(order.run_id)


async def test_supervisor_comes_back_when_killed_and_run_actors_survive(stage: Stage):
    """SIGKILL of the supervisor ends no run; the next one adopts the actors and leases them again."""
    script = await stage.set_script(HELD)
    order = await stage.order("model")
    run = asyncio.create_task(stage.ports.runs.start(order))
    await script.wait_held.remote()
    before = await stage.until_full()
    kill_process("run-supervisor")
    following = await stage.ports.runs.start(await stage.order("plain"))
    assert following.status == "succeeded"
    assert await asyncio.to_thread(pids) == before
    await script.release.remote()
    assert (await run).status == "succeeded"
    assert not await _is_recovered(stage, order.run_id)


async def test_stopped_process_is_ended_and_its_run_goes_on(stage: Stage):
    """A process that hangs looks alive to Ray; three missed pings end it, and another one takes the run over."""
    script = await stage.set_script(HELD)
    order = await stage.order("model")
    run = asyncio.create_task(stage.ports.runs.start(order))
    await script.wait_held.remote()
    actor = (await stage.ports.journal.get(order.run_id)).actor
    os.kill(await asyncio.to_thread(pid_of, actor), signal.SIGSTOP)
    await stage.until(lambda: _is_recovered(stage, order.run_id), "the recovery")
    await script.release.remote()
    assert (await run).status == "succeeded"
    assert actor not in run_actors()
