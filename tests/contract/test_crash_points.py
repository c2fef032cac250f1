"""The life of a form with a crash at every commit: before it, and right after it. Nothing is lost, nothing doubled."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from actors.messages import ClaimOrder, ReassignOrder, RunOrder, SubmitOrder, order_run
from actors.settings import Settings
from actors.wiring import Ports
from factories import document, edge, end, human, llm, node, workflow_of
from graph.events import FormSubmitted, FormTimedOut, NodeFinished
from hitl.form import FormStatus
from one_process import OneProcess, World, clock, copied
from store.migrate import migrate
from store.run_record import NewRun
from store_world import make_id
from surface_world import SetClock

__all__ = ["clock"]

RUN = make_id("run")
HOUR_S = 3600.0
LATER_S = 200.0
"""Longer than an entry of the outbox is lent: what a dead courier held is due again."""
HOOKS = ["run.paused", "form.decided", "run.resumed", "run.finished"]


def asking() -> dict[str, Any]:
    """Return a workflow that asks an outside person by mail, then two approvers, with a model call behind each."""
    late = {"timeout": 24, "timeout_unit": "hour"}
    first = human("first", **late, greenroom={"reminders": [{"after": "1h"}]})
    mail = {"recipients": {"items": [{"type": "external", "email": "out@y.org"}]}, "subject": "?", "body": "{{#url#}}"}
    first["data"]["delivery_methods"].append({"type": "email", "enabled": True, "id": "mail", "config": mail})
    approval = {"approvers": ["group:board"], "quorum": 2}
    escalation = [{"after": "2h", "to": ["zoe@x.org"]}]
    board = human("board", **late, greenroom={"approval": approval, "escalation": escalation})
    nodes = [node("start1", "start", variables=[]), first, llm("draft"), board, llm("publish"), llm("regret")]
    nodes.append(end("end1", text=["publish", "text"]))
    edges = [edge("start1", "first"), edge("first", "draft", "approve"), edge("first", "regret", "__timeout")]
    edges += [edge("draft", "board"), edge("board", "publish", "approve"), edge("publish", "end1")]
    hook = {"url": "https://hook.example", "events": HOOKS, "secret_env": "GREENROOM_WEBHOOK_KEY"}
    rules = {"groups": {"board": ["ann@x.org", "bob@x.org"]}, "webhooks": [hook]}
    return {**document(nodes, edges), "greenroom": rules}


@dataclass(frozen=True)
class Template:
    """A data folder with the app in it, to copy; ``accounts``: name -> account id."""

    data: Path
    order: RunOrder
    accounts: dict[str, str]


@pytest.fixture(scope="session")
async def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The app that asks, imported into an empty database."""
    data = tmp_path_factory.mktemp("template") / "data"
    settings = Settings(data_dir=data)
    migrate(settings.database_url_to_open())
    ports = Ports(settings)
    _ = ports.secrets
    workspace = (await ports.accounts.ensure_workspace("test")).workspace_id
    accounts = {}
    for name in ("ann", "bob", "max", "zoe"):
        account = await ports.accounts.ensure_account(f"{name}@x.org", name, workspace, "normal")
        accounts[name] = account.account_id
    app_id, version_id = await ports.apps.import_app(workspace, workflow_of(asking()), None, is_published=True)
    owner = (workspace, app_id, version_id, "workflow", "service-api", "end_user", make_id("end user"), "abc")
    await ports.close()
    return Template(data, order_run(NewRun(RUN, *owner, {}, SetClock().at)), accounts)


@dataclass
class Script:
    """What people and clocks do with one run, one step after the other; a step whose reply was lost is repeated.

    ``told``: what was acknowledged, by step; ``tried``: the steps that were begun; ``crashes``: how many there were.
    """

    template: Template
    clock: SetClock
    told: dict[str, Any] = field(default_factory=dict)
    tried: Counter[str] = field(default_factory=Counter)
    crashes: int = 0

    async def do(self, step: str, work: Callable[[bool], Awaitable[Any]]) -> None:
        """Do a step that has not been acknowledged; ``work`` is told whether it was begun before."""
        if step not in self.told:
            self.tried[step] += 1
            self.told[step] = await work(self.tried[step] > 1)

    async def pass_until(self, process: OneProcess, node_id: str, seconds: float) -> None:
        """Set the clock to when a form has been open for so long, unless it is later."""
        form = await process.form(RUN, node_id)
        self.clock.at = max(self.clock.at, form.created_at + seconds + 1)

    async def begin(self, process: OneProcess) -> None:
        """Take over what a process before has left, start the run, and send the mails."""
        await process.recover()
        await process.reconcile()
        await self.do("start", lambda again: process.start(self.template.order))
        await process.deliver()

    async def remind(self, process: OneProcess) -> None:
        """Let the time of the reminder come."""
        await self.pass_until(process, "first", HOUR_S)
        await process.tick()
        await process.deliver()

    async def answer(self, process: OneProcess) -> None:
        """Have the outside person answer through the link; the run goes on to the board."""
        form = await process.form(RUN, "first")
        recipient = await process.recipient(form, "out@y.org")

        def order(again: bool) -> SubmitOrder:
            return SubmitOrder(
                form.form_id, recipient.recipient_id, 1, "approve", {"comment": "yes"}, "web", is_repeated=again
            )

        await self.do("answer", lambda again: process.hitl.submit(order(again)))
        await process.settle()
        await process.reconcile()
        await process.deliver()

    async def decide(self, process: OneProcess) -> None:
        """Escalate, hand a place on, claim it, and have two of three approvers vote."""
        form = await process.form(RUN, "board")
        await self.pass_until(process, "board", 2 * HOUR_S)
        await process.tick()
        await process.deliver()
        people = self.template.accounts
        on = ReassignOrder(form.form_id, people["bob"], "max@x.org", "console", order_id=make_id("reassign"))
        claim = ClaimOrder(form.form_id, people["ann"], "console", order_id=make_id("claim"))
        await self.do("reassign", lambda again: process.hitl.act(on))
        await self.do("claim", lambda again: process.hitl.act(claim))
        await process.deliver()
        for name in ("ann", "max"):

            def order(again: bool, name: str = name) -> SubmitOrder:
                return SubmitOrder(
                    form.form_id, None, 0, "approve", {"comment": name}, "console", people[name], is_repeated=again
                )

            await self.do(f"vote {name}", lambda again, order=order: process.hitl.submit(order(again)))
        await process.settle()

    async def pass_deadline(self, process: OneProcess) -> None:
        """Let nobody answer in time."""
        await self.pass_until(process, "first", 24 * HOUR_S)
        await process.tick()

    async def stop(self, process: OneProcess) -> None:
        """Stop the run while it waits."""
        await self.do("stop", lambda again: process.hitl.stop(RUN, "enough"))
        await process.settle()

    async def finish(self, process: OneProcess) -> None:
        """Take up what is left, and send everything."""
        await process.reconcile()
        await process.hitl.run_ended(RUN)
        await process.deliver()


Step = Callable[[Script, OneProcess], Awaitable[None]]
LIVES: dict[str, list[Step]] = {
    "answered": [Script.begin, Script.remind, Script.answer, Script.decide, Script.finish],
    "timed out": [Script.begin, Script.pass_deadline, Script.finish],
    "stopped": [Script.begin, Script.remind, Script.stop, Script.finish],
}
ENDS = {"answered": "succeeded", "timed out": "succeeded", "stopped": "stopped"}
NODES = {
    "answered": ["start1", "first", "draft", "board", "publish", "end1"],
    "timed out": ["start1", "first", "regret"],
    "stopped": ["start1"],
}
COMMITS = {"answered": 30, "timed out": 13, "stopped": 12}
"""At least so many commits are cut."""
FORMS = {
    "answered": {"first": FormStatus.SUBMITTED, "board": FormStatus.SUBMITTED},
    "timed out": {"first": FormStatus.TIMEOUT},
    "stopped": {"first": FormStatus.EXPIRED},
}
EVENTS = {
    "answered": {"run.paused": 2, "form.decided": 2, "run.resumed": 2, "run.finished": 1},
    "timed out": {"run.paused": 1, "form.decided": 1, "run.resumed": 1, "run.finished": 1},
    "stopped": {"run.paused": 1, "run.finished": 1},
}
AUDITS = {
    "answered": {
        "first": ["opened", "reminded", "submitted"],
        "board": ["opened", "escalated", "reassigned", "claimed", "voted", "voted", "submitted"],
    },
    "timed out": {"first": ["opened", "timeout"]},
    "stopped": {"first": ["opened", "reminded", "expired"]},
}


async def live(script: Script, life: str, process: OneProcess) -> bool:
    """Live a life from its beginning, repeating what was not acknowledged; at its end check what is promised."""

    async def lived() -> None:
        for step in LIVES[life]:
            await step(script, process)
        await check(life, script, process)

    return await process.live(lived())


async def check(life: str, script: Script, process: OneProcess) -> None:
    """Assert everything that is promised of a form, at the end of a life with that many crashes."""
    ports, world, crashes = process.ports, process.world, script.crashes
    record = await ports.journal.get(RUN)
    assert record is not None and record.status == ENDS[life]
    assert await ports.journal.untaken() == []
    facts = await ports.journal.read(RUN)
    assert [number for number, _ in facts] == list(range(1, len(facts) + 1)) and record.head == len(facts)
    assert [fact.node_id for _, fact in facts if isinstance(fact, NodeFinished)] == NODES[life]
    keys = Counter((request.name, request.idempotency_key) for request in world.chat.requests)
    assert sorted(name for name, _ in keys) == sorted(set(NODES[life]) & {"draft", "publish", "regret"})
    assert keys.total() - len(keys) <= crashes
    forms = {form.node_id: form for form in await ports.forms.by_run(RUN)}
    assert {name: form.status for name, form in forms.items()} == FORMS[life]
    closed = [fact.form_id for _, fact in facts if isinstance(fact, FormSubmitted | FormTimedOut)]
    assert sorted(closed) == sorted(form.form_id for form in forms.values() if life != "stopped")
    for name, form in forms.items():
        assert sorted(entry.event for entry in await ports.forms.audit(form.form_id)) == sorted(AUDITS[life][name])
        given = await ports.forms.submission(form.form_id)
        values = {"first": {"comment": "yes"}, "board": {"comment": "max"}}[name]
        assert (None if given is None else given.values) == (values if life == "answered" else None)
    await check_outbox(life, process, [form.form_id for form in forms.values()], crashes)


async def check_outbox(life: str, process: OneProcess, form_ids: list[str], crashes: int) -> None:
    """Assert that whatever was to be sent was, under one id each, and repeated by a crash at most."""
    outbox, world = process.ports.outbox, process.world
    deliveries = [each for form_id in form_ids for each in await outbox.deliveries(form_id)]
    mails = [each for each in deliveries if each.kind == "mail"]
    occasions = Counter(mail.occasion for mail in mails)
    if life == "answered":
        assert occasions == {"opened": 3, "reminder": 1, "escalated": 1, "transferred": 1}, occasions
    assert all(mail.state == "sent" for mail in mails), mails
    events = await outbox.deliveries_of_run(RUN)
    assert Counter(event.occasion for event in events) == EVENTS[life]
    assert all(event.state == "sent" for event in events)
    assert len(world.mails) == len(mails) and len(world.events) == len(events)
    assert set(world.events) == {event.entry_id for event in events}
    # Several may be under way at a crash; each of them is sent once more.
    assert max([*world.mails.values(), *world.events.values()]) <= 1 + crashes


@pytest.mark.parametrize("commits", [False, True], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize("life", LIVES)
async def test_crash_at_any_commit_loses_and_doubles_nothing(
    life: str, commits: bool, template: Template, clock: SetClock, tmp_path: Path
) -> None:
    """Whichever commit a process dies at, its successor brings run, form, audit, mails and events to the same end."""
    began_at = clock.at
    for number in count(1):
        clock.at = began_at
        data = copied(template.data, tmp_path / str(number))
        script, world = Script(template, clock), World()
        if await live(script, life, OneProcess(data, world, clock, dies_at=number, commits=commits)):
            break
        script.crashes += 1
        clock.at += LATER_S
        assert await live(script, life, OneProcess(data, world, clock, name="second"))
    assert number > COMMITS[life]


@pytest.mark.parametrize("seed", range(5))
async def test_many_crashes_lose_nothing(seed: int, template: Template, clock: SetClock, tmp_path: Path) -> None:
    """Also where successor after successor dies after a few commits."""
    random, data = Random(seed), copied(template.data, tmp_path / "data")
    script, world = Script(template, clock), World()
    for number in count(1):
        dying = {"dies_at": random.randint(1, 12), "commits": random.random() < 0.5}
        if await live(script, "answered", OneProcess(data, world, clock, name=f"life {number}", **dying)):
            break
        script.crashes += 1
        clock.at += LATER_S
    assert script.crashes > 1
