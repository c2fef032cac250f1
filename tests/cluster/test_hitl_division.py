"""Three HITL actors, none of which looks for what was left behind after its start: nothing may depend on that."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import ray

import factories as f
from actors.calls import HITL_ACTOR
from actors.hitl_parts import HitlPart, hitl_actor_of, hitl_parts
from actors.messages import SubmitOrder
from actors.settings import Settings
from actors.start_actors import start_actors
from graph.events import FormSubmitted
from hitl.form import FormStatus
from hitl.surface import Surface
from local_cluster import LocalCluster
from stage import Stage, kill_process, named_actors, open_stage, pid_of

pytestmark = pytest.mark.timeout(300)

COUNT = 3
NEVER_S = 86_400.0
TWO_IN_A_ROW = (
    [f.start("topic"), f.human("first"), f.human("second"), f.end(out=["second", "comment"])],
    [f.edge("start", "first"), f.edge("first", "second", "approve"), f.edge("second", "end", "approve"),
     f.edge("first", "end", "reject"), f.edge("second", "end", "reject")],
)  # fmt: skip
TWO_AT_ONCE = (
    [f.start("topic"), f.human("first"), f.human("second"),
     f.template("both", "{{ a }} {{ b }}", a=["first", "comment"], b=["second", "comment"]),
     f.end(out=["both", "output"])],
    [f.edge("start", "first"), f.edge("start", "second"), f.edge("first", "both", "approve"),
     f.edge("second", "both", "approve"), f.edge("first", "both", "reject"), f.edge("second", "both", "reject"),
     f.edge("both", "end")],
)  # fmt: skip
OURS = {"actor", "outcome", "via", "state", "status", "end", "process", "le"}
OF_RAY = {"Component", "NodeAddress", "NodeId", "SessionName", "Version", "WorkerId", "JobId", "ActorId", "Name"}


@pytest.fixture(scope="module")
async def stage(ray_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A Greenroom with three HITL actors and two more workflows."""
    folder = tmp_path_factory.mktemp("stage")
    async with open_stage(folder, pool_size=3, hitl_actors=COUNT, hitl_reconcile_s=NEVER_S) as stage:
        workspace = await stage.ports.accounts.ensure_workspace(stage.settings.workspace_name)
        for name, graph in (("in a row", TWO_IN_A_ROW), ("at once", TWO_AT_ONCE)):
            workflow = f.workflow(*graph)
            stage.apps[name], _ = await stage.ports.apps.import_app(workspace.workspace_id, workflow, None)
        yield stage


async def start(stage: Stage, app: str) -> tuple[str, list[str]]:
    """Start a run that asks; return its id and those of its forms."""
    order = await stage.order(app)
    outcome = await stage.ports.runs.start(order)
    assert outcome.status == "paused"
    return order.run_id, [form.form_id for form in outcome.forms]


async def submit(stage: Stage, form_id: str, comment: str) -> None:
    """Answer a form by its id."""
    await stage.ports.forms_client.submit(SubmitOrder(form_id, None, 0, "approve", {"comment": comment}, "python"))


async def test_forms_are_spread_and_all_answered_though_an_actor_is_killed(stage: Stage):
    """Each actor opens forms; one of them dies while all are answered, and no answer is lost or counts twice."""
    by_actor: dict[str, list[str]] = defaultdict(list)
    runs: dict[str, str] = {}
    while not (len(by_actor) == COUNT and len(runs) >= 12):
        run_id, (form_id,) = await start(stage, "asking")
        by_actor[hitl_actor_of(form_id, COUNT)].append(form_id)
        runs[form_id] = run_id
    assert set(by_actor) == {part.actor for part in hitl_parts(COUNT)}
    victim = "hitl-actor-1"
    before = await asyncio.to_thread(pid_of, victim)
    answers = [asyncio.create_task(submit(stage, form_id, form_id)) for form_id in runs]
    await asyncio.to_thread(kill_process, victim)
    await asyncio.gather(*answers)
    for form_id, run_id in runs.items():
        record = await stage.until_status(run_id, "succeeded", "failed")
        assert record.outputs == {"out": form_id}
        assert sum(isinstance(fact, FormSubmitted) for fact in await stage.facts(run_id)) == 1
        assert (await stage.ports.forms.get(form_id)).status is FormStatus.SUBMITTED
    await stage.until(lambda: victim in named_actors(HITL_ACTOR), "the killed actor to come back")
    assert await asyncio.to_thread(pid_of, victim) != before


async def test_answer_in_the_moment_of_the_next_pause_is_taken_up(stage: Stage):
    """A form that is answered as soon as it is there, before or after its run has paused for it, is not left lying."""
    for number in range(8):
        run_id, (first,) = await start(stage, "in a row")
        await submit(stage, first, "go on")

        async def second(run_id: str = run_id) -> Any:
            return [form for form in await stage.ports.forms.by_run(run_id) if form.node_id == "second"]

        while not (found := await second()):
            await asyncio.sleep(0)
        await submit(stage, found[0].form_id, str(number))
        record = await stage.until_status(run_id, "succeeded", "failed")
        assert record.outputs == {"out": str(number)}


async def test_forms_of_one_run_at_different_actors_are_answered_at_once(stage: Stage):
    """Two actors resume the run at the same time: one of them does, the other's answer is taken up all the same."""
    is_shared = False
    for _ in range(6):
        run_id, form_ids = await start(stage, "at once")
        is_shared = is_shared or len({hitl_actor_of(form_id, COUNT) for form_id in form_ids}) == len(form_ids)
        await asyncio.gather(*(submit(stage, form_id, "yes") for form_id in form_ids))
        record = await stage.until_status(run_id, "succeeded", "failed")
        assert record.outputs == {"out": "yes yes"}
    assert is_shared


def is_stuck(line: str) -> bool:
    """Whether a line of figures says how many answers wait to be taken up from one of several HITL actors."""
    return "answers_not_resumed" in line and f'actor="{HITL_ACTOR}-' in line


async def test_figures_are_shown_to_prometheus_and_name_nobody(stage: Stage):
    """Ray's endpoint of the node has every figure, and their labels hold words from fixed lists only."""
    _, form_ids = await start(stage, "asking")
    url = f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics"
    names = ("greenroom_open_forms", "greenroom_answers_not_resumed", "greenroom_form_decisions_total",
             "greenroom_form_decision_seconds_count")  # fmt: skip

    async def shown() -> str | None:
        async with httpx2.AsyncClient(timeout=90.0) as client:
            text = (await client.get(url)).text
        # Figures of HITL actors that other stages had may still be there, and those of this one come later.
        is_there = any(is_stuck(line) for line in text.splitlines())
        return text if is_there and all(f"ray_{name}{{" in text for name in names) else None

    lines = [line for line in (await stage.until(shown, "the figures")).splitlines() if "greenroom_" in line]
    values = [line for line in lines if not line.startswith("#")]
    labels = {(key, value) for line in values for key, value in re.findall(r'(\w+)="([^"]*)"', line)}
    assert {key for key, _ in labels if not key.startswith("otel_scope_")} <= OURS | OF_RAY
    # Other Greenrooms of the same Ray show their figures there too.
    actors = {value for key, value in labels if key == "actor"}
    assert actors <= {HITL_ACTOR, *(part.actor for part in hitl_parts(COUNT))}
    assert {value for key, value in labels if key == "via"} <= {"python", "system", *Surface}
    assert not any(form_ids[0] in line or "somebody" in line for line in lines)
    stuck = [line for line in values if is_stuck(line)]
    assert stuck and all(float(line.rsplit(" ", 1)[1]) == 0 for line in stuck)


async def test_another_count_at_the_next_start_finds_every_form(stage: Stage):
    """A deployment with two actors in place of three ends the third, and forms opened before are answered."""
    run_id, (form_id,) = await start(stage, "asking")
    settings = {**stage.settings.model_dump(), "hitl_actors": 2}
    fewer = Settings.model_validate(settings)
    await start_actors(fewer, is_deployer=True)
    assert sorted(named_actors(HITL_ACTOR)) == ["hitl-actor-0", "hitl-actor-1"]
    for part in hitl_parts(2):
        handle = ray.get_actor(part.actor, namespace="greenroom")
        assert await handle.part.remote() == HitlPart(part.number, 2)
    stage.ports.forms_client = type(stage.ports.forms_client)(2)
    await submit(stage, form_id, "still there")
    record = await stage.until_status(run_id, "succeeded", "failed")
    assert record.outputs == {"out": "still there"}
