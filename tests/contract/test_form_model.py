"""A form under random orders of everything that can happen to it: SQLite and memory agree, and its rules hold."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from actors.answers import Answers, Taken
from actors.messages import SubmitOrder
from graph.errors import GreenroomError
from graph.human_rules import Approval, AppRules
from hitl.addressing import account_of
from hitl.approval import approval_of
from hitl.errors import (
    AlreadyVotedError,
    FormAlreadySubmittedError,
    FormClaimedError,
    FormExpiredError,
    FormNotFoundError,
    IdempotencyKeyReusedError,
    NotAnApproverError,
)
from hitl.form import Form, FormStatus
from hitl.form_state import decide_deadline
from hitl.recipient import Member, Recipient, RecipientType
from hitl.schedule import Moment, passed
from store.form_record import Submitter
from store.human_time_record import Act, Ask, Firing, HandOver
from store.inbox_record import InboxQuery
from store.run_rows import insert_once
from store.tables import members
from store_world import (
    NOW,
    StoreWorld,
    finished,
    form_opened,
    mails,
    make_id,
    memory_world,
    new_form,
    paused,
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
ACTIONS = [{"id": "approve", "title": "Approve"}, {"id": "reject", "title": "Reject"}]
QUORUM = 2


class SetClock:
    """The clock of whoever takes answers."""

    at = NOW

    def now(self) -> float:
        """Return the time that was set."""
        return self.at


class Everybody:
    """The members of the workspace, who have no accounts here."""

    async def members(self, workspace_id: str) -> list[Member]:
        """Return them."""
        return [Member(name, f"{name}@x.org") for name in ROLES]


@dataclass
class AnswerModel:
    """What answers to one form mean, said once more in a few lines. ``said``: who -> their order, as it counted."""

    needs_votes: bool
    has_ended: bool = False
    status: FormStatus = FormStatus.WAITING
    said: dict[str | None, SubmitOrder] = field(default_factory=dict)
    decided_by: SubmitOrder | None = None

    def faults(self, order: SubmitOrder, form: Form, places: list[Recipient], holder: str | None, now: float) -> set:
        """Return every error that ``order`` may meet; none: it counts."""
        found: set[type] = set()
        if self.status is FormStatus.SUBMITTED:
            found.add(FormAlreadySubmittedError)
        elif self.status is not FormStatus.WAITING or self.has_ended or now >= form.expires_at:
            found.add(FormExpiredError)
        living = {(each.recipient_id, each.generation) for each in places if each.is_active}
        if order.recipient_id is not None and (order.recipient_id, order.generation) not in living:
            found.add(FormNotFoundError)
        own = [each.is_active for each in places if account_of(each) == order.account_id]
        if self.needs_votes and (order.account_id not in ROLES or (own and not any(own))):
            found.add(NotAnApproverError)
        if self.needs_votes and order.account_id in self.said:
            found.add(AlreadyVotedError)
        if not self.needs_votes and order.account_id and holder not in (None, order.account_id):
            found.add(FormClaimedError)
        return found

    def take(self, order: SubmitOrder) -> bool:
        """Count an order without faults; return whether it decides."""
        self.said[order.account_id] = order
        agreeing = [each for each in self.said.values() if each.action == order.action]
        if self.needs_votes and order.action != "reject" and len(agreeing) < QUORUM:
            return False
        self.status, self.decided_by = FormStatus.SUBMITTED, order
        return True

    def is_repetition(self, order: SubmitOrder) -> bool:
        """Whether ``order`` says again what the same submitter has said."""
        before = self.said.get(order.account_id)
        is_same_place = before is not None and (self.needs_votes or before.recipient_id == order.recipient_id)
        return is_same_place and before is not None and (before.action, before.inputs) == (order.action, order.inputs)


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
        self.acts: list[Callable[[StoreWorld], Coroutine[Any, Any, Any]]] = []
        self.set_clock = SetClock()
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
        if self.model.needs_votes:
            # Whoever votes has logged in: nobody is asked otherwise.
            payload = {"account_id": name, "email": f"{name}@x.org"}
            recipient = Recipient(recipient_id, self.form.form_id, RecipientType.CONSOLE, payload=payload)
        return Ask(name, recipient, [token_of(recipient)])

    @initialize(needs_votes=st.booleans(), is_paused=st.booleans())
    def open(self, needs_votes: bool, is_paused: bool) -> None:
        """A form that asks Ann, or needs two of three; Zoe belongs to nobody's workspace. Its run may have paused."""
        self.model, self.is_paused = AnswerModel(needs_votes), is_paused
        rules = Approval.model_validate({"approvers": ["group:all"], "quorum": QUORUM, "reject": ["reject"]})
        groups = AppRules(groups={"all": tuple(f"{name}@x.org" for name in ROLES)})
        form = new_form(None, kind="runtime", run_id=make_id("run"))
        kept = {"approval": approval_of(rules, groups, None, "")} if needs_votes else {}
        self.form = replace(form, definition=replace(form.definition, actions=ACTIONS, **kept))
        first = self.ask("ann")
        for world in self.worlds:
            self.runner.run(self._people(world))
            self.runner.run(start(world))
            self.runner.run(world.forms.open(self.form, [first.recipient], first.tokens, MOMENTS))
            if is_paused:
                facts = [form_opened(self.form), paused(self.form.form_id)]
                self.runner.run(world.journal.pause(write(facts, 1), b"state"))

    async def _people(self, world: StoreWorld) -> None:
        # Accounts are made with random ids: here they are named like their people.
        for name, role in ROLES.items():
            if world.rows is not None:
                world.rows.members[self.form.workspace_id, name] = role
            else:
                await add_member(world, self.form.workspace_id, name, role)

    def do(self, work: Callable[[StoreWorld], Coroutine[Any, Any, Any]]) -> None:
        """Do what has an id of its own, and remember it if the audit tells of it."""
        before = self.both(self._audited)
        result = self.both(work)
        if self.both(self._audited) != before:
            assert not isinstance(result, type)
            self.acts.append(work)

    @rule(place=st.integers(0, 99))
    def do_again(self, place: int) -> None:
        """A call whose reply was lost is made again, perhaps much later: nothing happens."""
        if self.acts:
            work = self.acts[place % len(self.acts)]
            before = self.both(self._whole)
            assert not isinstance(self.both(work), type)
            assert self.both(self._whole) == before

    async def _whole(self, world: StoreWorld) -> Any:
        forms, human_time = world.forms, world.human_time
        places = (await forms.recipients([self.form.form_id])).get(self.form.form_id)
        claim = await human_time.claim_of(self.form.form_id, self.clock)
        return await forms.get(self.form.form_id), places, claim, await self._audited(world), sorted(await mails(world))

    @rule(seconds=st.sampled_from([-900.0, 1.0, 300.0, 700.0, 2500.0]))
    def time_passes(self, seconds: float) -> None:
        """The clock goes on, or jumps back."""
        self.clock += seconds

    @rule(name=people)
    def claim(self, name: str) -> None:
        """Somebody claims the form."""
        act = self.act(name)
        self.do(lambda world: world.human_time.claim(act, 600.0))

    @rule(name=people)
    def release(self, name: str) -> None:
        """Somebody ends the claim."""
        act = self.act(name)
        self.do(lambda world: world.human_time.release(act))

    @rule(name=people, giver=people, to=st.sampled_from(sorted(ROLES)), kind=st.sampled_from(["reassign", "delegate"]))
    def hand_over(self, name: str, giver: str, to: str, kind: Any) -> None:
        """Somebody hands on a place, perhaps not the own one."""
        order = HandOver(self.act(name), kind, giver, Member(to, f"{to}@x.org"), self.ask(to))
        self.do(lambda world: world.human_time.hand_over(order))

    @rule(name=people, seconds=st.sampled_from([-5.0, 500.0]))
    def snooze(self, name: str, seconds: float) -> None:
        """Somebody puts the form away, or takes it back."""
        act = self.act(name)
        self.do(lambda world: world.human_time.snooze(act, act.at + seconds))

    @rule()
    def timer(self) -> None:
        """The timer looks at the form: deadline, or moments that have passed."""
        now = self.now()
        form = self.both(lambda world: world.forms.get(self.form.form_id))
        outcome = decide_deadline(form, now)
        if outcome is not None:
            self.both(lambda world: world.forms.close(form.form_id, outcome, now, "late"))
            assert self.model.status is FormStatus.WAITING
            self.model.status = FormStatus.EXPIRED if self.has_ended else FormStatus(outcome)
            return
        found = self.both(lambda world: world.human_time.schedule(form.form_id))
        due = passed(found.moments, found.passed_count, now)
        if due is not None:
            asks = [self.ask(address.partition("@")[0]) for address in due.to]
            firing = Firing(form.form_id, found.passed_count, due, asks, [], now)
            self.both(lambda world: world.human_time.fire(firing))

    @rule(
        name=st.sampled_from([*NAMES, None]),
        link=st.one_of(st.none(), st.integers(0, 9)),
        stale=st.sampled_from([0, 0, 0, 1]),
        action=st.sampled_from(["approve", "approve", "reject"]),
        repeats=st.sampled_from(["", "", "again", "key"]),
    )
    def answer(self, name: str | None, link: int | None, stale: int, action: str, repeats: str) -> None:
        """Somebody answers or votes, through a link or not, with a login or not, for the first time or again."""
        now, places = self.now(), self.recipients()
        place = None if link is None else places[link % len(places)]
        if place is None and name is None:
            return
        order = SubmitOrder(
            self.form.form_id, None if place is None else place.recipient_id,
            0 if place is None else place.generation - stale, action, {"comment": "fine"}, "console", name,
            is_repeated=repeats == "again", key_hash=b"k" * 32 if repeats == "key" else None,
        )  # fmt: skip
        claim = self.both(lambda world: world.human_time.claim_of(self.form.form_id, now))
        faults = self.model.faults(order, self.form, places, None if claim is None else claim.account_id, now)
        before = self.both(self._whole)
        self.set_clock.at = now
        result = self.both(lambda world: self._answers(world).take(order))
        if not faults:
            assert isinstance(result, Taken) and result.is_decided == self.model.take(order), result
            assert (result.run is not None) == result.is_decided
            return
        assert self.both(self._whole) == before
        if isinstance(result, Taken):
            assert repeats and self.model.is_repetition(order) and result.run is None
        else:
            assert result in faults or (result is IdempotencyKeyReusedError and repeats == "key"), (result, faults)
            assert not (repeats and self.model.is_repetition(order) and faults == {FormAlreadySubmittedError})

    def _answers(self, world: StoreWorld) -> Answers:
        return Answers(world.forms, world.decisions, Everybody(), self.set_clock)

    @rule(place=st.integers(0, 9))
    def reissue(self, place: int) -> None:
        """Somebody gets new links, which end the old ones; asked for twice under one id it is done once."""
        places, now, number = self.recipients(), self.now(), next(self.numbers)
        recipient = places[place % len(places)]
        tokens = [token_of(recipient, generation=recipient.generation + 1)]
        by, operation_id = Submitter(), make_id("reissue", number)
        self.do(lambda world: world.forms.reissue(recipient.recipient_id, tokens, now, by, operation_id))

    @rule()
    def stop(self) -> None:
        """The run is asked to stop: where it has paused, its form expires at once."""
        now = self.now()
        self.both(lambda world: self._stopped(world, now))
        if self.is_paused and not self.has_ended and self.model.status is FormStatus.WAITING:
            self.model.status = FormStatus.EXPIRED

    async def _stopped(self, world: StoreWorld, now: float) -> str:
        return (await world.journal.request_stop(make_id("run"), "enough", now)).status

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
            self.has_ended = self.model.has_ended = True
            head, epoch = (3, 2) if self.is_paused else (1, 1)
            end = write([finished("stopped")], head, epoch=epoch, found_epoch=1)
            assert self.both(lambda world: world.journal.append(end)) == head + 1

    @rule()
    def close_run(self) -> None:
        """The forms of a run that has ended are closed."""
        now = self.now()
        self.both(lambda world: world.forms.close_run(make_id("run"), now))
        if self.has_ended and self.model.status is FormStatus.WAITING:
            self.model.status = FormStatus.EXPIRED

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

    @invariant()
    def model_agrees(self) -> None:
        """The form stands as the model says, with its answer, its votes, and at most one item in its run's inbox."""
        form_id, decided_by = self.form.form_id, self.model.decided_by
        assert self.both(lambda world: world.forms.get(form_id)).status is self.model.status
        answer = self.both(lambda world: world.decisions.answer(form_id))
        assert (answer is None) == (decided_by is None)
        if decided_by is not None:
            given = answer.submission.action_id, answer.by.account_id, answer.recipient_id
            assert given == (decided_by.action, decided_by.account_id, decided_by.recipient_id)
        votes = self.both(lambda world: world.decisions.votes(form_id))
        said = self.model.said if self.model.needs_votes else {}
        assert {vote.account_id: vote.submission.action_id for vote in votes} == {
            name: order.action for name, order in said.items()
        }
        items = self.both(lambda world: world.journal.inbox(make_id("run")))
        assert len([item for item in items if item.form_id == form_id]) <= 1
        if decided_by is not None and not self.has_ended:
            assert [item.action_id for item in items if item.form_id == form_id] == [decided_by.action]

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
@pytest.mark.parametrize(
    ("examples", "steps"),
    [(30, 25), pytest.param(300, 40, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
    ids=["few", "many"],
)
def test_form_obeys_its_rules_in_any_order(examples: int, steps: int, sqlite_template: Path) -> None:
    """Whatever people, clocks, timers and runs do, and in whichever order, a form keeps its rules in every store."""
    FormMachine.template = sqlite_template
    bounds = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(FormMachine, settings=bounds)
