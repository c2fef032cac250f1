"""Greenroom from Python: Ray handles, events, forms by id."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import ray

from actors.client import Greenroom
from graph.errors import InvalidInputError
from hitl.errors import FormNotFoundError
from local_cluster import LocalCluster
from stage import Stage, open_stage, run_actors
from store.errors import AppNotFoundError

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
async def stage(ray_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A Greenroom whose actors serve a single run each."""
    async with open_stage(tmp_path_factory.mktemp("stage"), pool_size=2, runs_per_actor=1) as stage:
        yield stage


@pytest.fixture(scope="module")
async def greenroom(stage: Stage) -> AsyncIterator[Greenroom]:
    """A connection to it."""
    greenroom = await asyncio.to_thread(Greenroom.connect, settings=stage.settings)
    yield greenroom
    greenroom.close()


async def test_outcome_is_a_ray_handle_that_gives_the_pause_with_its_form(stage: Stage, greenroom: Greenroom):
    """A run that asks gives its open form, can be answered by the form's id, and ends."""

    def use() -> str:
        run = greenroom.start(stage.apps["asking"], {"topic": "tea"})
        names = [event["event"] for event in run.events()]
        assert names[0] == "run_started"
        assert names[-1] == "run_paused"
        outcome = ray.get(run.outcome)
        assert outcome.status == "paused"
        (form,) = outcome.forms
        assert greenroom.disposition(form.form_id, "service_api").form_token
        greenroom.submit(form.form_id, "approve", {"comment": "fine"})
        last = list(run.events(through_pauses=True))[-1]
        assert last["event"] == "run_finished"
        assert ray.get(greenroom.run(run.run_id).outcome).outputs == {"out": "fine"}
        return form.form_id

    entry = (await stage.ports.forms.audit(await asyncio.to_thread(use)))[-1]
    assert entry.via == "python"
    assert (await stage.ports.accounts.account(entry.account_id)).email == stage.settings.account_email


async def test_start_refuses_what_cannot_run(stage: Stage, greenroom: Greenroom):
    """An unknown app and an input of the wrong type are errors of the call, nothing is started."""
    with pytest.raises(AppNotFoundError):
        await asyncio.to_thread(greenroom.start, "no such app")
    with pytest.raises(InvalidInputError):
        await asyncio.to_thread(greenroom.start, stage.apps["plain"], {"topic": 3})


async def test_stop_ends_a_paused_run(stage: Stage, greenroom: Greenroom):
    """A run can be stopped by its handle."""

    def use() -> None:
        run = greenroom.start(stage.apps["asking"], {"topic": "tea"})
        form_id = ray.get(run.outcome).forms[0].form_id
        run.stop()
        assert list(run.events(through_pauses=True))[-1]["status"] == "stopped"
        with pytest.raises(FormNotFoundError):
            greenroom.submit("01a20c8f-0000-7000-8000-000000000000", "approve")
        assert form_id

    await asyncio.to_thread(use)


async def test_every_run_gets_a_fresh_process_when_actors_serve_one_run(stage: Stage, greenroom: Greenroom):
    """An actor that has served its runs is replaced; the pool stays at its size."""
    before = set(await asyncio.to_thread(run_actors))
    orders = [await stage.order("plain") for _ in range(3)]
    for order in orders:
        assert (await stage.ports.runs.start(order)).status == "succeeded"
    records = [await stage.ports.journal.get(order.run_id) for order in orders]
    assert len({record.actor for record in records}) == 3
    await stage.until(lambda: len(run_actors()) == 2 and not before & set(run_actors()), "the replacement")
