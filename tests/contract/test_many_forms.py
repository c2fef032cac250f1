"""A run with several forms whose answers all come at once: it is never left paused, and each answer counts once."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from actors.messages import RunOrder, SubmitOrder, order_run
from actors.settings import Settings
from actors.wiring import Ports
from factories import document, edge, end, human, node, workflow_of
from graph.events import FormSubmitted
from one_process import OneProcess, World, clock
from store.migrate import migrate
from store.run_record import NewRun
from store_world import make_id
from surface_world import SetClock

__all__ = ["clock"]

FORMS = 5
AT_ONCE = 10


async def imported(data: Path) -> NewRun:
    """Import the app whose runs ask that many people at once; return a run of it."""
    names = [f"ask{number}" for number in range(FORMS)]
    asked = [human(name) for name in names]
    ends = end("end1", **{name: [name, "comment"] for name in names})
    edges = [edge("start1", name) for name in names] + [edge(name, "end1", "approve") for name in names]
    file = document([node("start1", "start", variables=[]), *asked, ends], edges)
    settings = Settings(data_dir=data)
    migrate(settings.database_url_to_open())
    ports = Ports(settings)
    workspace = (await ports.accounts.ensure_workspace("test")).workspace_id
    app_id, version_id = await ports.apps.import_app(workspace, workflow_of(file), None, is_published=True)
    await ports.close()
    owner = (workspace, app_id, version_id, "workflow", "service-api", "end_user", make_id("end user"), "abc")
    return NewRun("", *owner, {}, SetClock().at)


@pytest.mark.parametrize(
    "rounds", [30, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])], ids=["few", "many"]
)
async def test_answers_to_all_forms_at_once_leave_no_run_paused(rounds: int, clock: SetClock, tmp_path: Path) -> None:
    """All forms of a run are answered at the same moment, each twice, also while it pauses or is being resumed."""
    run, random, process = await imported(tmp_path), Random(1), OneProcess(tmp_path, World(), clock)

    async def lived() -> None:
        for start in range(0, rounds, AT_ONCE):
            orders = [order_run(replace(run, run_id=make_id(start + place))) for place in range(AT_ONCE)]
            await asyncio.gather(*(answered(process, order, random) for order in orders))
            await process.settle()
            for order in orders:
                await check(process, order.run_id)
        assert await process.ports.journal.untaken() == []
        assert await process.ports.forms.waiting_count() == 0

    assert await process.live(lived())


async def answered(process: OneProcess, order: RunOrder, random: Random) -> None:
    """Start a run, and answer each of its forms as soon as it is there, or all together when it has paused."""
    is_early = random.random() < 0.5
    running = asyncio.create_task(process.start(order))
    if not is_early:
        await running
    while len(forms := await process.ports.forms.by_run(order.run_id)) < FORMS:
        await asyncio.sleep(0)
    answers = [
        SubmitOrder(form.form_id, None, 0, "approve", {"comment": form.node_id}, "console", is_repeated=True)
        for form in [*forms, *forms]
    ]
    random.shuffle(answers)
    await asyncio.gather(*(later(process, answer, random.randint(0, 5)) for answer in answers))
    await running


async def later(process: OneProcess, answer: SubmitOrder, turns: int) -> None:
    """Submit a little later."""
    for _ in range(turns):
        await asyncio.sleep(0)
    await process.hitl.submit(answer)


async def check(process: OneProcess, run_id: str) -> None:
    """Assert that a run has ended with every answer in it, each taken up once."""
    record = await process.ports.journal.get(run_id)
    assert record is not None and record.status == "succeeded", record
    names = [f"ask{number}" for number in range(FORMS)]
    assert record.outputs == {name: name for name in names}
    facts = await process.ports.journal.read(run_id)
    assert Counter(fact.node_id for _, fact in facts if isinstance(fact, FormSubmitted)) == dict.fromkeys(names, 1)
