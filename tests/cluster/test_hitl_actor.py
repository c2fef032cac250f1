"""Forms on the real HITL actor: answers, deadlines, crashes, stops, and runs that wait while nothing runs."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uuid_utils

from actors.calls import HITL_ACTOR, SUPERVISOR, ask
from actors.forms import FormsClient
from actors.messages import FormOrder
from actors.start_actors import start_actors
from graph.events import FormSubmitted, NodeFinished
from graph.ports import FormRequest
from hitl.errors import FormAlreadySubmittedError, FormExpiredError, FormNotFoundError, InvalidSubmissionError
from hitl.form import FormStatus
from hitl.form_token import hash_token
from hitl.surface import Surface
from local_cluster import LocalCluster
from stage import Stage, end_actors, kill_process, open_stage, pid_of

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
async def stage(ray_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A Greenroom with a pool of two."""
    async with open_stage(tmp_path_factory.mktemp("stage"), pool_size=2) as stage:
        yield stage


async def paused(stage: Stage) -> tuple[str, str]:
    """Start a run that asks; return its id and that of its form."""
    order = await stage.order("asking")
    outcome = await stage.ports.runs.start(order)
    assert outcome.status == "paused"
    return order.run_id, outcome.forms[0].form_id


async def test_answer_resumes_the_run_on_another_lease(stage: Stage):
    """An accepted answer is durable, taken up once, and ends the run behind its action."""
    run_id, form_id = await paused(stage)
    await stage.answer(run_id, "yes")
    record = await stage.until_status(run_id, "succeeded", "failed")
    assert record.outputs == {"out": "yes"}
    assert await stage.ports.journal.inbox(run_id) == []
    assert (await stage.ports.forms.get(form_id)).status is FormStatus.SUBMITTED


async def test_second_answer_is_refused(stage: Stage):
    """The first answer closes the form for everybody; the error arrives with its class and its fields."""
    run_id, form_id = await paused(stage)
    await stage.answer(run_id, "first")
    with pytest.raises(FormAlreadySubmittedError) as caught:
        await stage.answer(run_id, "second")
    assert caught.value.form_id == form_id


async def test_one_answer_wins_when_many_race(stage: Stage):
    """Of answers sent at once exactly one is accepted, and the journal agrees with it."""
    run_id, _ = await paused(stage)
    results = await asyncio.gather(*(stage.answer(run_id, str(n)) for n in range(8)), return_exceptions=True)
    winners = [number for number, result in enumerate(results) if result is None]
    assert len(winners) == 1
    record = await stage.until_status(run_id, "succeeded")
    assert record.outputs == {"out": str(winners[0])}


async def test_form_stays_open_when_the_answer_does_not_fit(stage: Stage):
    """A refused answer changes nothing; the same recipient can answer again."""
    run_id, _ = await paused(stage)
    with pytest.raises(InvalidSubmissionError):
        await stage.answer(run_id, action="dance")
    await stage.answer(run_id)
    await stage.until_status(run_id, "succeeded")


async def test_form_waits_on_when_the_hitl_actor_is_killed(stage: Stage):
    """SIGKILL of the HITL actor loses no form; an answer sent meanwhile is accepted once by the next one."""
    run_id, _ = await paused(stage)
    before = await asyncio.to_thread(pid_of, HITL_ACTOR)
    await asyncio.to_thread(kill_process, HITL_ACTOR)
    await stage.answer(run_id, "later")
    record = await stage.until_status(run_id, "succeeded")
    assert record.outputs == {"out": "later"}
    assert await asyncio.to_thread(pid_of, HITL_ACTOR) != before
    facts = await stage.facts(run_id)
    assert sum(isinstance(fact, FormSubmitted) for fact in facts) == 1


async def test_answer_is_taken_up_when_nobody_was_woken(stage: Stage):
    """An answer that was stored but whose wake-up was lost is found by the reconciler."""
    run_id, form_id = await paused(stage)
    record = await stage.ports.journal.request_stop(run_id, "lost", 1.0)
    assert record.status == "paused"
    stopped = await stage.until_status(run_id, "stopped")
    assert stopped.error == "lost"
    assert (await stage.ports.forms.get(form_id)).status is FormStatus.EXPIRED


async def test_stop_ends_a_paused_run_and_its_form(stage: Stage):
    """A paused run that is stopped ends as stopped, and its form cannot be answered any more."""
    run_id, _ = await paused(stage)
    await stage.ports.runs.stop(run_id, "Stopped by user.")
    record = await stage.until_status(run_id, "stopped")
    assert record.error == "Stopped by user."
    with pytest.raises(FormExpiredError):
        await stage.answer(run_id)


def question(timeout_s: float) -> FormOrder:
    """An order for a form of a run that never begins."""
    request = FormRequest(
        run_id=str(uuid_utils.uuid7()),
        node_id="human",
        execution_id=str(uuid_utils.uuid7()),
        node_title="Human",
        form_content="Well?",
        inputs=[],
        actions=[{"id": "ok", "title": "OK"}],
        resolved_default_values={},
        delivery_methods=[{"type": "webapp", "enabled": True}],
        timeout_s=timeout_s,
    )
    return FormOrder(request, str(uuid_utils.uuid7()), str(uuid_utils.uuid7()), "service-api", None)


async def test_same_execution_gets_the_same_form(stage: Stage):
    """Opening a form may be repeated: there is one form for each node execution."""
    order = question(3600.0)
    opened = [await FormsClient().open_form(order) for _ in range(2)]
    assert opened[0] == opened[1]
    assert len(await stage.ports.forms.by_run(order.request.run_id)) == 1


async def test_form_times_out_by_itself_and_not_before_its_deadline(stage: Stage):
    """A node deadline ends the form, nobody has to look at it; tests/unit/test_form_deadlines.py says how soon."""
    opened = await FormsClient().open_form(question(1.0))

    async def closed():
        form = await stage.ports.forms.get(opened.form_id)
        return form if form.status is not FormStatus.WAITING else None

    form = await stage.until(closed, "the timeout")
    assert form.status is FormStatus.TIMEOUT
    assert form.closed_at >= form.expires_at


async def test_each_surface_is_shown_the_token_it_may_use(stage: Stage):
    """Tokens differ by surface, open the form, and stop doing so when the recipient is revoked or re-issued."""
    opened = await FormsClient().open_form(question(3600.0))
    for_people = [surface for surface in Surface if surface is not Surface.MCP]
    shown = {surface: await FormsClient().disposition(opened.form_id, surface) for surface in for_people}
    tokens = {each.form_token for each in shown.values()}
    assert None not in tokens
    assert len(tokens) == len(for_people)
    assert (await FormsClient().disposition(opened.form_id, Surface.MCP)).form_token is None
    token = shown[Surface.WEB].form_token
    match = await stage.ports.forms.by_token(hash_token(token))
    assert match.form.form_id == opened.form_id
    await FormsClient().reissue(opened.form_id, match.recipient.recipient_id)
    assert await stage.ports.forms.by_token(hash_token(token)) is None
    renewed = (await FormsClient().disposition(opened.form_id, Surface.WEB)).form_token
    assert (await stage.ports.forms.by_token(hash_token(renewed))).generation == 2
    await FormsClient().revoke(opened.form_id, match.recipient.recipient_id)
    assert await stage.ports.forms.by_token(hash_token(renewed)) is None
    assert (await FormsClient().disposition(opened.form_id, Surface.WEB)).form_token is None


async def test_unknown_form_is_not_found(stage: Stage):
    """Every miss is the same error."""
    with pytest.raises(FormNotFoundError):
        await FormsClient().disposition(str(uuid_utils.uuid7()), Surface.WEB)


async def test_paused_run_finishes_after_everything_was_stopped(stage: Stage):
    """A waiting run needs no process: all actors end, others start on the same database, and it goes on."""
    run_id, _ = await paused(stage)
    await end_actors()
    await start_actors(stage.settings)
    await stage.answer(run_id, "at last")
    record = await stage.until_status(run_id, "succeeded", "failed")
    assert record.outputs == {"out": "at last"}
    facts = await stage.facts(run_id)
    finished = [fact.node_id for fact in facts if isinstance(fact, NodeFinished)]
    assert sorted(finished) == ["end", "human", "start", "t"]


async def test_run_goes_on_when_its_actor_dies_while_it_resumes(stage: Stage):
    """Whatever dies between answer and end, the answer counts once and the run ends."""
    run_id, _ = await paused(stage)
    await stage.answer(run_id, "yes")
    await asyncio.to_thread(kill_process, SUPERVISOR)
    record = await stage.until_status(run_id, "succeeded", "failed")
    assert record.outputs == {"out": "yes"}
    assert await ask(SUPERVISOR, "version") == await ask(HITL_ACTOR, "version")
