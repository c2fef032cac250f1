"""Reminders, escalation, claims and handing over, on every kind of store."""

import asyncio
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest

from graph.human_rules import Approval, AppRules
from hitl.approval import approval_of
from hitl.claim import Claim
from hitl.errors import (
    FormAlreadySubmittedError,
    FormClaimedError,
    FormExpiredError,
    FormNotFoundError,
    NotAnApproverError,
    TransferRefusedError,
)
from hitl.form import Form, FormStatus
from hitl.hand_over import HandOverKind
from hitl.recipient import Member, Recipient, RecipientType
from hitl.schedule import Moment, passed
from store.form_record import Submitter
from store.human_time_record import Act, Ask, Firing, HandOver
from store.inbox_record import InboxQuery
from store_world import (
    ANSWER,
    NOW,
    PERSON,
    StoreWorld,
    acts_on,
    finished,
    given,
    mails,
    make_id,
    new_form,
    node_finished,
    start,
    token_of,
    write,
)

_numbers = count(1)


@dataclass(slots=True)
class Team:
    """A form that asks Ann, who can hand it to Bob; Olga owns the workspace, Zoe belongs to another one."""

    world: StoreWorld
    form: Form
    ann: str
    bob: str
    olga: str
    zoe: str
    recipient: Recipient

    def act(self, account_id: str, at: float = NOW + 1, act_id: str = "") -> Act:
        """Something that an account does."""
        return Act(act_id or make_id("act", next(_numbers)), self.form.form_id, account_id, at, "console")

    def ask(self, account_id: str) -> Ask:
        """What asks an account to answer."""
        recipient = member_recipient(self.form, account_id, str(next(_numbers)))
        return Ask(account_id, recipient, [token_of(recipient)])

    def hand_over(self, by: str, giver: str, to: str, kind: HandOverKind = "reassign", act_id: str = "") -> HandOver:
        """A form on its way to another account."""
        return HandOver(self.act(by, act_id=act_id), kind, giver, Member(to, f"{to}@x.org"), self.ask(to))

    async def events(self) -> list[str]:
        """The audit."""
        return [entry.event for entry in await acts_on(self.world.forms, self.form.form_id)]

    async def living(self) -> list[str | None]:
        """The accounts of the active recipients."""
        recipients = (await self.world.forms.recipients([self.form.form_id]))[self.form.form_id]
        return [each.payload.get("user_id") for each in recipients if each.is_active]


def member_recipient(form: Form, account_id: str, name: str = "") -> Recipient:
    """A recipient that asks one account."""
    payload = {"user_id": account_id, "email": f"{account_id}@x.org"}
    recipient_id = make_id("recipient", form.form_id, account_id, name)
    return Recipient(recipient_id, form.form_id, RecipientType.EMAIL_MEMBER, payload=payload)


async def team(world: StoreWorld, *moments: Moment, **definition: Any) -> Team:
    """Open the form of a team."""
    run = await start(world)
    form = new_form(run)
    form = replace(form, definition=replace(form.definition, **definition))
    ids = {}
    for name, role in (("ann", "normal"), ("bob", "normal"), ("olga", "owner"), ("zoe", "owner")):
        workspace = make_id("elsewhere") if name == "zoe" else form.workspace_id
        ids[name] = (await world.accounts.ensure_account(f"{name}@x.org", name, workspace, role)).account_id
    recipient = member_recipient(form, ids["ann"])
    await world.forms.open(form, [recipient], [token_of(recipient)], moments)
    return Team(world, form, recipient=recipient, **ids)


def firing(found: Team, moments: tuple[Moment, ...], count: int, now: float, *asks: Ask) -> Firing:
    """What the moments that have passed at ``now`` do."""
    due = passed(moments, count, now)
    assert due is not None
    return Firing(found.form.form_id, count, due, asks, [], now)


REMINDER, ESCALATION = Moment(NOW + 10, "reminder"), Moment(NOW + 20, "escalation", ("bob@x.org",))


async def test_next_moment_is_due_until_it_has_been_fired(world: StoreWorld) -> None:
    """A form is found by its next moment; what has been fired is due no more, and is not fired again."""
    found = await team(world, REMINDER, ESCALATION)
    moments, form_id = (REMINDER, ESCALATION), found.form.form_id
    assert await world.human_time.due(NOW + 9) == []
    assert await world.human_time.due(NOW + 99) == [(form_id, NOW + 10)]
    reminding = firing(found, moments, 0, NOW + 11)
    assert await world.human_time.fire(reminding)
    assert not await world.human_time.fire(reminding)
    assert await world.human_time.due(NOW + 99) == [(form_id, NOW + 20)]
    assert await mails(world) == [(found.recipient.recipient_id, "reminder", NOW + 11)]
    schedule = await world.human_time.schedule(form_id)
    assert schedule is not None
    assert (schedule.moments, schedule.passed_count) == (moments, 1)
    assert await world.human_time.fire(firing(found, moments, 1, NOW + 21, found.ask(found.bob)))
    assert await world.human_time.due(NOW + 9999) == []
    assert await found.events() == ["reminded", "escalated"]


async def test_escalation_asks_further_people_in_one_transaction(world: StoreWorld) -> None:
    """Who is escalated to has a living token and a mail; those asked already get no second seat."""
    found = await team(world, REMINDER, ESCALATION)
    asks = (found.ask(found.bob), found.ask(found.ann))
    assert await world.human_time.fire(firing(found, (REMINDER, ESCALATION), 0, NOW + 30, *asks))
    assert await found.living() == [found.ann, found.bob]
    match = await world.forms.by_token(asks[0].tokens[0].token_hash)
    assert match is not None and match.recipient == asks[0].recipient
    assert sorted(await mails(world)) == sorted(
        [
            (found.recipient.recipient_id, "reminder", NOW + 30),
            (asks[0].recipient.recipient_id, "escalated", NOW + 30),
            (found.recipient.recipient_id, "escalated", NOW + 30),
        ]
    )
    entries = await acts_on(world.forms, found.form.form_id)
    assert [(entry.event, entry.detail) for entry in entries] == [
        ("reminded", "1 recipients"),
        ("escalated", "to bob@x.org"),
    ]


async def test_closed_form_neither_reminds_nor_escalates(world: StoreWorld) -> None:
    """After the answer, the deadline or the end of its run nothing more is sent, and nothing stays due."""
    found = await team(world, REMINDER)
    await world.forms.submit(found.form.form_id, found.recipient.recipient_id, 1, given(ANSWER), PERSON, NOW + 5)
    assert not await world.human_time.fire(firing(found, (REMINDER,), 0, NOW + 11))
    assert await world.human_time.due(NOW + 99) == []
    assert await mails(world) == []


async def test_form_past_its_deadline_does_not_remind(world: StoreWorld) -> None:
    """A reminder that is overdue together with the deadline is left out: the form ends instead."""
    found = await team(world, REMINDER)
    assert not await world.human_time.fire(firing(found, (REMINDER,), 0, NOW + 3600))
    assert await mails(world) == []
    await world.human_time.clear(found.form.form_id)
    assert await world.human_time.due(NOW + 9999) == []


async def test_form_of_an_ended_run_does_not_remind(world: StoreWorld) -> None:
    """A run that has ended asks nobody any more."""
    found = await team(world, REMINDER)
    await world.journal.append(write([finished("stopped")], 1))
    assert not await world.human_time.fire(firing(found, (REMINDER,), 0, NOW + 11))
    assert await mails(world) == []


async def test_claim_keeps_other_accounts_away_and_nobody_else(world: StoreWorld) -> None:
    """A claimed form is answered by its claimant among the accounts; a link answers it all the same."""
    found = await team(world)
    form_id = found.form.form_id
    claim = await world.human_time.claim(found.act(found.bob), 60.0)
    assert claim == Claim(form_id, found.bob, NOW + 1, NOW + 61)
    assert await world.human_time.claim_of(form_id, NOW + 60) == claim
    with pytest.raises(FormClaimedError) as caught:
        await world.human_time.claim(found.act(found.ann), 60.0)
    assert (caught.value.account_id, caught.value.expires_at) == (found.bob, NOW + 61)
    ann = Submitter(found.ann, via="console")
    with pytest.raises(FormClaimedError):
        await world.forms.submit(form_id, None, 0, given(ANSWER), ann, NOW + 2)
    by_link = await world.forms.submit(
        form_id, found.recipient.recipient_id, 1, given(ANSWER), Submitter(via="web"), NOW + 2
    )
    assert by_link.run is not None
    with pytest.raises(FormAlreadySubmittedError):
        await world.human_time.claim(found.act(found.bob), 60.0)


async def test_claim_is_extended_by_its_claimant_and_runs_out(world: StoreWorld) -> None:
    """Claiming again is no second claim; after its time another account can claim and answer."""
    found = await team(world)
    await world.human_time.claim(found.act(found.bob), 60.0)
    again = await world.human_time.claim(found.act(found.bob, NOW + 30), 60.0)
    assert (again.at, again.expires_at) == (NOW + 1, NOW + 90)
    assert await found.events() == ["claimed"]
    assert await world.human_time.claim_of(found.form.form_id, NOW + 90) is None
    await world.human_time.claim(found.act(found.ann, NOW + 90), 60.0)
    assert await found.events() == ["claimed", "claimed"]
    answered = await world.forms.submit(
        found.form.form_id, None, 0, given(ANSWER), Submitter(found.ann, via="x"), NOW + 91
    )
    assert answered.run is not None


async def test_claim_is_released_by_its_claimant_or_an_owner(world: StoreWorld) -> None:
    """Nobody else ends a claim; releasing what is not claimed does nothing."""
    found = await team(world)
    await world.human_time.release(found.act(found.bob))
    await world.human_time.claim(found.act(found.bob), 60.0)
    with pytest.raises(FormClaimedError):
        await world.human_time.release(found.act(found.ann))
    with pytest.raises(FormNotFoundError):
        await world.human_time.release(found.act(found.zoe))
    await world.human_time.release(found.act(found.bob))
    await world.human_time.claim(found.act(found.ann), 60.0)
    await world.human_time.release(found.act(found.olga))
    assert await world.human_time.claim_of(found.form.form_id, NOW + 2) is None
    assert sorted(await found.events()) == ["claimed", "claimed", "released", "released"]


async def test_claim_is_for_those_who_may_answer(world: StoreWorld) -> None:
    """Whoever could not answer the form cannot keep others from it."""
    named = Approval(approvers=("ann@x.org",))
    found = await team(world, approval=approval_of(named, AppRules(), None, ""))
    with pytest.raises(FormNotFoundError):
        await world.human_time.claim(found.act(found.zoe), 60.0)
    with pytest.raises(NotAnApproverError):
        await world.human_time.claim(found.act(found.bob), 60.0)
    assert (await world.human_time.claim(found.act(found.ann), 60.0)).account_id == found.ann


async def test_reassigned_form_is_answered_by_the_receiver_alone(world: StoreWorld) -> None:
    """The giver's tokens are worth nothing any more, its claim ends, and the receiver has tokens and a mail."""
    found = await team(world)
    await world.human_time.claim(found.act(found.ann), 600.0)
    order = found.hand_over(found.ann, found.ann, found.bob)
    await world.human_time.hand_over(order)
    await world.human_time.hand_over(order)
    assert await found.living() == [found.bob]
    assert await world.forms.by_token(token_of(found.recipient).token_hash) is None
    assert await world.forms.by_token(order.ask.tokens[0].token_hash) is not None
    assert await world.human_time.claim_of(found.form.form_id, NOW + 2) is None
    assert await mails(world) == [(order.ask.recipient.recipient_id, "transferred", NOW + 1)]
    entries = [each for each in await acts_on(world.forms, found.form.form_id) if each.event == "reassigned"]
    assert [(each.account_id, each.detail) for each in entries] == [(found.ann, f"{found.ann} to {found.bob}")]


async def test_same_reassignment_again_changes_nothing(world: StoreWorld) -> None:
    """A person who sends the same form off twice has sent it once; back and forth again is another matter."""
    found = await team(world)
    await world.human_time.hand_over(found.hand_over(found.ann, found.ann, found.bob))
    await world.human_time.hand_over(found.hand_over(found.ann, found.ann, found.bob))
    assert await found.living() == [found.bob]
    await world.human_time.hand_over(found.hand_over(found.bob, found.bob, found.ann))
    await world.human_time.hand_over(found.hand_over(found.ann, found.ann, found.bob))
    assert await found.living() == [found.bob]
    assert await found.events() == ["reassigned"] * 3


async def test_delegate_is_asked_as_well(world: StoreWorld) -> None:
    """Whoever delegates may still answer, but is not reminded any more; handing back brings the form back."""
    later = Moment(NOW + 40, "reminder")
    found = await team(world, REMINDER, later)
    order = found.hand_over(found.ann, found.ann, found.bob, "delegate")
    await world.human_time.hand_over(order)
    await world.human_time.hand_over(found.hand_over(found.ann, found.ann, found.bob, "delegate"))
    assert await found.living() == [found.ann, found.bob]
    assert await world.human_time.fire(firing(found, (REMINDER, later), 0, NOW + 11))
    await world.human_time.hand_over(found.hand_over(found.bob, found.bob, found.ann))
    assert await found.living() == [found.ann]
    assert await world.human_time.fire(firing(found, (REMINDER, later), 1, NOW + 41))
    reminded = [recipient_id for recipient_id, kind, _ in await mails(world) if kind == "reminder"]
    assert reminded == [order.ask.recipient.recipient_id, found.recipient.recipient_id]
    assert sorted(await found.events()) == ["delegated", "reassigned", "reminded", "reminded"]


async def test_account_whose_links_were_revoked_is_asked_no_more(world: StoreWorld) -> None:
    """A revoked recipient has no place that it could give away, and no form in its inbox."""
    found = await team(world)
    await world.forms.revoke(found.recipient.recipient_id, NOW + 1)
    with pytest.raises(TransferRefusedError):
        await world.human_time.hand_over(found.hand_over(found.ann, found.ann, found.bob))
    page = await world.human_time.inbox(InboxQuery(found.form.workspace_id, found.ann, NOW + 2))
    assert page.rows == ()


async def test_place_is_given_away_by_its_holder_or_an_owner(world: StoreWorld) -> None:
    """Nobody gives away what is not theirs; an owner can, also without a place of its own."""
    found = await team(world)
    for by, giver in ((found.bob, found.bob), (found.bob, found.ann), (found.olga, found.bob)):
        with pytest.raises(TransferRefusedError):
            await world.human_time.hand_over(found.hand_over(by, giver, found.olga))
    with pytest.raises(FormNotFoundError):
        await world.human_time.hand_over(found.hand_over(found.zoe, found.zoe, found.bob))
    assert await found.events() == []
    await world.human_time.hand_over(found.hand_over(found.olga, found.ann, found.bob))
    assert await found.living() == [found.bob]
    await world.human_time.hand_over(found.hand_over(found.olga, found.olga, found.ann, "delegate"))
    assert await found.living() == [found.bob, found.ann]


async def test_form_stays_where_its_workflow_says_so(world: StoreWorld) -> None:
    """Without transfer nobody hands a form on, not even an owner."""
    found = await team(world, may_transfer=False)
    for by in (found.ann, found.olga):
        with pytest.raises(TransferRefusedError):
            await world.human_time.hand_over(found.hand_over(by, found.ann, found.bob))
    assert await found.living() == [found.ann]


async def test_handing_over_to_oneself_changes_nothing(world: StoreWorld) -> None:
    """The form is already there."""
    found = await team(world)
    await world.human_time.hand_over(found.hand_over(found.ann, found.ann, found.ann))
    assert (await found.living(), await found.events()) == ([found.ann], [])


async def test_closed_form_is_neither_claimed_nor_handed_over_nor_put_away(world: StoreWorld) -> None:
    """Past its deadline, or after the end of its run, a form is nobody's matter any more."""
    found = await team(world)
    late = found.act(found.ann, NOW + 3600)
    with pytest.raises(FormExpiredError):
        await world.human_time.claim(late, 60.0)
    await world.journal.append(write([finished("stopped")], 1))
    with pytest.raises(FormExpiredError):
        await world.human_time.hand_over(found.hand_over(found.ann, found.ann, found.bob))
    with pytest.raises(FormExpiredError):
        await world.human_time.snooze(found.act(found.ann), NOW + 50)
    with pytest.raises(FormNotFoundError):
        await world.human_time.claim(replace(late, form_id="nobody's\x00form"), 60.0)


async def test_repeated_call_does_nothing_more_whatever_came_between(world: StoreWorld) -> None:
    """A claim, a snooze or a hand-over whose reply was lost: released, taken back or answered since, it stays so."""
    found = await team(world)
    human_time = world.human_time
    claim, away, on = found.act(found.ann), found.act(found.ann), found.hand_over(found.ann, found.ann, found.bob)
    await human_time.claim(claim, 60.0)
    await human_time.release(found.act(found.ann))
    assert (await human_time.claim(claim, 60.0)).account_id == found.ann
    assert await human_time.claim_of(found.form.form_id, NOW + 2) is None
    await human_time.snooze(away, NOW + 99)
    await human_time.snooze(found.act(found.ann), NOW)
    await human_time.snooze(away, NOW + 99)
    await human_time.hand_over(on)
    await world.forms.submit(found.form.form_id, None, 0, given(ANSWER), Submitter(found.bob), NOW + 3)
    before = await found.events()
    await human_time.claim(claim, 60.0)
    await human_time.snooze(away, NOW + 99)
    await human_time.hand_over(on)
    assert await found.events() == before
    assert sorted(before) == ["claimed", "reassigned", "released", "snoozed", "snoozed", "submitted"]


async def test_snoozing_spares_reminders_until_its_time(world: StoreWorld) -> None:
    """Each person is spared alone, until the time it named; a past time takes the form back."""
    later = Moment(NOW + 40, "reminder")
    found = await team(world, REMINDER, later)
    await world.human_time.snooze(found.act(found.ann), NOW + 30)
    await world.human_time.snooze(found.act(found.ann), NOW + 30)
    assert await world.human_time.fire(firing(found, (REMINDER, later), 0, NOW + 11))
    assert await mails(world) == []
    assert await world.human_time.fire(firing(found, (REMINDER, later), 1, NOW + 41))
    assert [kind for _, kind, _ in await mails(world)] == ["reminder"]
    await world.human_time.snooze(found.act(found.ann, NOW + 42), NOW + 90)
    await world.human_time.snooze(found.act(found.ann, NOW + 43), NOW)
    await world.human_time.snooze(found.act(found.ann, NOW + 44), NOW)
    with pytest.raises(FormNotFoundError):
        await world.human_time.snooze(found.act(found.zoe), NOW + 30)
    assert (await found.events()).count("snoozed") == 3


async def test_form_of_a_cut_off_execution_expires_and_its_run_goes_on(world: StoreWorld) -> None:
    """A container that fails without waiting leaves a form behind, which is closed without a word to the run."""
    found = await team(world, REMINDER)
    form = found.form
    assert await world.human_time.expire_cut(NOW + 2) == []
    await world.journal.append(write([node_finished(1)], 1, cut=[form.execution_id]))
    assert await world.human_time.expire_cut(NOW + 2) == [form.form_id]
    assert await world.human_time.expire_cut(NOW + 3) == []
    closed = await world.forms.get(form.form_id)
    assert closed is not None and (closed.status, closed.closed_at) == (FormStatus.EXPIRED, NOW + 2)
    run_id = make_id("run")
    record = await world.journal.get(run_id)
    assert record is not None and record.status == "running"
    assert await world.journal.inbox(run_id) == []
    assert await found.events() == ["expired"]


async def test_answer_that_came_before_the_cut_stays(world: StoreWorld) -> None:
    """A form that has its answer is left as it is."""
    found = await team(world)
    await world.forms.submit(found.form.form_id, None, 0, given(ANSWER), PERSON, NOW + 1)
    await world.journal.append(write([node_finished(1)], 1, cut=[found.form.execution_id]))
    assert await world.human_time.expire_cut(NOW + 2) == []
    assert await found.events() == ["submitted"]


async def test_form_that_opens_after_its_execution_was_cut_off_waits_for_nobody(world: StoreWorld) -> None:
    """The opening may be under way when its pass is cut off: the form is stored expired."""
    run = await start(world)
    form = new_form(run)
    await world.journal.append(write([node_finished(1)], 1, cut=[form.execution_id, "never opened"]))
    assert await world.human_time.expire_cut(NOW + 2) == []
    opened = await world.forms.open(form, [], [], [REMINDER])
    assert opened.status is FormStatus.EXPIRED
    assert (await world.human_time.due(NOW + 99), await world.forms.waiting_count()) == ([], 0)
    await world.journal.append(write([finished("stopped")], 2))
    assert await world.human_time.expire_cut(NOW + 3) == []


async def test_one_of_two_claims_at_once_counts(world: StoreWorld) -> None:
    """Accounts that claim a form at the same moment do not both believe that it is theirs."""
    found = await team(world)
    claims = [world.human_time.claim(found.act(each), 60.0) for each in (found.ann, found.bob) * 4]
    results = await asyncio.gather(*claims, return_exceptions=True)
    winners = {result.account_id for result in results if isinstance(result, Claim)}
    assert len(winners) == 1
    assert sum(isinstance(result, FormClaimedError) for result in results) == 4
    assert await found.events() == ["claimed"]


async def test_moment_is_fired_once_by_timers_that_meet(world: StoreWorld) -> None:
    """A timer that was replaced and its successor may both see that a moment has passed: one of them acts."""
    found = await team(world, REMINDER, ESCALATION)
    firings = [firing(found, (REMINDER, ESCALATION), 0, NOW + 30, found.ask(found.bob)) for _ in range(6)]
    results = await asyncio.gather(*(world.human_time.fire(each) for each in firings))
    assert sum(results) == 1
    assert sorted(kind for _, kind, _ in await mails(world)) == ["escalated", "reminder"]
    assert await found.living() == [found.ann, found.bob]
