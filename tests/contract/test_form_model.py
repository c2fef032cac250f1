"""A form under random orders of everything that can happen to it: SQLite and memory agree, and its rules hold."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from graph.errors import GreenroomError
from hitl.addressing import account_of
from hitl.errors import FormClaimedError
from hitl.form import FormStatus
from hitl.form_state import decide_deadline
from hitl.recipient import Member, Recipient, RecipientType
from hitl.schedule import Moment, passed
from store.form_record import Submitter
from store.human_time_record import Act, Ask, Firing, HandOver
from store.inbox_record import InboxQuery
from store.run_rows import insert_once
from store.tables import members
from store_world import (
    ANSWER,
    NOW,
    StoreWorld,
    finished,
    mails,
    make_id,
    memory_world,
    new_form,
    sql_world,
    start,
    token_of,
    write,
)

NAMES = ("ann", "bob", "olga", "zoe")
ROLES = {"ann": "normal", "bob": "normal", "olga": "owner"}
MOMENTS = (
    Moment(NOW + 600, "reminder"),
    Moment(NOW + 1200, "escalation", ("bob@x.org",)),
    Moment(NOW + 1800, "reminder"),
    Moment(NOW + 2400, "escalation", ("olga@x.org", "ann@x.org")),
)
people = st.sampled_from(NAMES)


class FormMachine(RuleBasedStateMachine):
    """Does the same to both stores; what happens must be the same."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="greenroom-form-"))
        path = self.folder / "greenroom.db"
        shutil.copy(self.template, path)
        self.worlds = [memory_world(), sql_world(f"sqlite:///{path}")]
        self.numbers = count(1)
        self.clock = NOW + 1
        self.has_ended = False
        self.statuses = [FormStatus.WAITING]
        self.passed_counts = [0]

    def teardown(self) -> None:
        """Close the database and remove it."""
        database = self.worlds[1].database
        assert database is not None
        self.runner.run(database.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def both(self, work: Any) -> Any:
        """Do ``work`` in each store; return what came of it, an error as its class."""
        results = [self.runner.run(self._outcome(work(world))) for world in self.worlds]
        assert results[0] == results[1]
        return results[0]

    async def _outcome(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await work
        except GreenroomError as error:
            return type(error)

    def now(self) -> float:
        """The time; a little later at each look, so that the audit has an order."""
        self.clock += 0.001
        return self.clock

    def act(self, name: str) -> Act:
        """Something that a person does now."""
        return Act(make_id("act", next(self.numbers)), self.form.form_id, name, self.now(), "console")

    def ask(self, name: str) -> Ask:
        """What asks a person to answer."""
        payload = {"user_id": name, "email": f"{name}@x.org"}
        recipient_id = make_id("recipient", next(self.numbers))
        recipient = Recipient(recipient_id, self.form.form_id, RecipientType.EMAIL_MEMBER, payload=payload)
        return Ask(name, recipient, [token_of(recipient)])

    @initialize()
    def open(self) -> None:
        """A form that asks Ann; Zoe belongs to nobody's workspace."""
        self.form = new_form(None, kind="runtime", run_id=make_id("run"))
        first = self.ask("ann")
        for world in self.worlds:
            self.runner.run(self._people(world))
            self.runner.run(start(world))
            self.runner.run(world.forms.open(self.form, [first.recipient], first.tokens, MOMENTS))

    async def _people(self, world: StoreWorld) -> None:
        # Accounts are made with random ids: here they are named like their people.
        for name, role in ROLES.items():
            if world.rows is not None:
                world.rows.members[self.form.workspace_id, name] = role
            else:
                await add_member(world, self.form.workspace_id, name, role)

    @rule(seconds=st.sampled_from([-900.0, 1.0, 300.0, 700.0, 2500.0]))
    def time_passes(self, seconds: float) -> None:
        """The clock goes on, or jumps back."""
        self.clock += seconds

    @rule(name=people)
    def claim(self, name: str) -> None:
        """Somebody claims the form."""
        act = self.act(name)
        self.both(lambda world: world.human_time.claim(act, 600.0))

    @rule(name=people)
    def release(self, name: str) -> None:
        """Somebody ends the claim."""
        act = self.act(name)
        self.both(lambda world: world.human_time.release(act))

    @rule(name=people, giver=people, to=st.sampled_from(sorted(ROLES)), kind=st.sampled_from(["reassign", "delegate"]))
    def hand_over(self, name: str, giver: str, to: str, kind: Any) -> None:
        """Somebody hands on a place, perhaps not the own one."""
        order = HandOver(self.act(name), kind, giver, Member(to, f"{to}@x.org"), self.ask(to))
        self.both(lambda world: world.human_time.hand_over(order))

    @rule(name=people, seconds=st.sampled_from([-5.0, 500.0]))
    def snooze(self, name: str, seconds: float) -> None:
        """Somebody puts the form away, or takes it back."""
        act = self.act(name)
        self.both(lambda world: world.human_time.snooze(act, act.at + seconds))

    @rule()
    def timer(self) -> None:
        """The timer looks at the form: deadline, or moments that have passed."""
        now = self.now()
        form = self.both(lambda world: world.forms.get(self.form.form_id))
        outcome = decide_deadline(form, now)
        if outcome is not None:
            self.both(lambda world: world.forms.close(form.form_id, outcome, now, "late"))
            return
        found = self.both(lambda world: world.human_time.schedule(form.form_id))
        due = passed(found.moments, found.passed_count, now)
        if due is not None:
            asks = [self.ask(address.partition("@")[0]) for address in due.to]
            firing = Firing(form.form_id, found.passed_count, due, asks, [], now)
            self.both(lambda world: world.human_time.fire(firing))

    @rule(name=st.sampled_from(sorted(ROLES)))
    def answer(self, name: str) -> None:
        """Somebody who has logged in answers."""
        now = self.now()
        claim = self.both(lambda world: world.human_time.claim_of(self.form.form_id, now))
        result = self.both(
            lambda world: world.forms.submit(self.form.form_id, None, 0, ANSWER, Submitter(name, via="console"), now)
        )
        if claim is not None and claim.account_id != name:
            assert isinstance(result, type) and issubclass(result, GreenroomError)
        else:
            assert result is not FormClaimedError

    @rule(name=st.sampled_from(sorted(ROLES)))
    def revoke(self, name: str) -> None:
        """An operator ends the links of somebody."""
        now = self.now()
        for each in self.recipients():
            if each.is_active and account_of(each) == name:
                self.both(lambda world, each=each: world.forms.revoke(each.recipient_id, now))

    @rule()
    def end_run(self) -> None:
        """The run ends, however; its forms are closed later."""
        if not self.has_ended:
            self.has_ended = True
            self.both(lambda world: world.journal.append(write([finished("stopped")], 1)))

    @rule()
    def close_run(self) -> None:
        """The forms of a run that has ended are closed."""
        now = self.now()
        self.both(lambda world: world.forms.close_run(make_id("run"), now))

    def recipients(self) -> list[Recipient]:
        """The recipients of the form."""
        return self.both(lambda world: world.forms.recipients([self.form.form_id])).get(self.form.form_id, [])

    @invariant()
    def first_decision_stays(self) -> None:
        """A form leaves waiting once, has one answer at most, and moments only pass."""
        form = self.both(lambda world: world.forms.get(self.form.form_id))
        if self.statuses[-1] is not FormStatus.WAITING:
            assert form.status is self.statuses[-1]
        self.statuses.append(form.status)
        entries = self.runner.run(self.worlds[0].forms.audit(self.form.form_id))
        ends = [entry.event for entry in entries if entry.event in ("submitted", "timeout", "expired")]
        assert ends == ([] if form.status is FormStatus.WAITING else [str(form.status)])
        found = self.both(lambda world: world.human_time.schedule(self.form.form_id))
        assert found.passed_count >= self.passed_counts[-1]
        self.passed_counts.append(found.passed_count)

    async def _audited(self, world: StoreWorld) -> list[tuple[str, str | None, str]]:
        return [(each.event, each.account_id, each.detail) for each in await world.forms.audit(self.form.form_id)]

    @invariant()
    def stores_agree(self) -> None:
        """Audit, mails and inboxes are the same; whoever is asked has one living place."""
        entries = [self.runner.run(self._audited(world)) for world in self.worlds]
        assert entries[0] == entries[1]
        assert sorted(self.both(mails)) == sorted(self.runner.run(mails(self.worlds[0])))
        places = [account_of(each) for each in self.recipients() if each.is_active]
        rows = self.worlds[0].rows
        assert rows is not None
        assert sorted(filter(None, places)) == sorted(account_id for _, account_id in rows.asked)
        for name in NAMES:
            for filter_ in ("mine", "unclaimed", "all"):
                query = InboxQuery(self.form.workspace_id, name, self.clock, filter_, status=None, with_snoozed=True)
                self.both(lambda world, query=query: inbox_of(world, query))


async def inbox_of(world: StoreWorld, query: InboxQuery) -> Any:
    """A page without the names of claimants: in SQL these people have no accounts."""
    page = await world.human_time.inbox(query)
    return [(row.form, row.claim, row.snoozed_until) for row in page.rows], page.has_more


async def add_member(world: StoreWorld, workspace_id: str, account_id: str, role: str) -> None:
    """Make somebody a member under an id that is given."""
    assert world.database is not None
    row = {"workspace_id": workspace_id, "account_id": account_id, "role": role}
    await world.database.write(lambda connection: insert_once(connection, members, row))


@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_form_obeys_its_rules_in_any_order(sqlite_template: Path) -> None:
    """Whatever people, clocks, timers and runs do, and in whichever order, a form keeps its rules in every store."""
    FormMachine.template = sqlite_template
    few = settings(
        max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(FormMachine, settings=few)
