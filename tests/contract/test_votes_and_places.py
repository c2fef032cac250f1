"""Approvers who hand their place on, are escalated to, or have voted already, on every kind of store."""

from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest

from graph.human_rules import Approval, AppRules
from hitl.approval import Vote, approval_of
from hitl.errors import NotAnApproverError, TransferRefusedError
from hitl.form import Form
from hitl.hand_over import HandOverKind
from hitl.recipient import Member, Recipient, RecipientType
from hitl.schedule import Moment, passed
from store.human_time_record import Act, Ask, Firing, HandOver
from store_world import ANSWER, NOW, StoreWorld, acts_on, mails, make_id, new_form, start

_numbers = count(1)
REMINDER, ESCALATION = Moment(NOW + 10, "reminder"), Moment(NOW + 20, "escalation", ("dora@x.org",))


@dataclass(slots=True)
class Board:
    """A form that two of Anna, Bert and Cleo decide. Dora is another account; Olga owns the workspace."""

    world: StoreWorld
    form: Form
    ids: dict[str, str]

    async def vote(self, name: str) -> bool:
        """Vote; return whether that decides."""
        vote = Vote(self.ids[name], f"{name}@x.org", ANSWER, NOW + 5, "console")
        return (await self.world.decisions.vote(self.form.form_id, vote, None, 0)).is_decided

    async def hand_over(self, by: str, to: str, kind: HandOverKind = "reassign", giver: str = "") -> None:
        """Hand a place on, one's own unless ``giver`` is named."""
        act = Act(make_id("act", next(_numbers)), self.form.form_id, self.ids[by], NOW + 4, "console")
        receiver = Member(self.ids[to], f"{to}@x.org")
        order = HandOver(act, kind, self.ids[giver or by], receiver, self.ask(to))
        await self.world.human_time.hand_over(order)

    async def fire(self, *moments: Moment, asks: tuple[Ask, ...] = ()) -> None:
        """Let all moments pass."""
        due = passed(moments, 0, NOW + 30)
        assert due is not None
        assert await self.world.human_time.fire(Firing(self.form.form_id, 0, due, asks, [], NOW + 30))

    def ask(self, name: str) -> Ask:
        """What asks an account to vote."""
        return Ask(self.ids[name], self.recipient(name, str(next(_numbers))), [])

    def recipient(self, name: str, number: str = "") -> Recipient:
        """The recipient that asks an account in person."""
        payload = {"account_id": self.ids[name], "email": f"{name}@x.org"}
        recipient_id = make_id("recipient", self.form.form_id, name, number)
        return Recipient(recipient_id, self.form.form_id, RecipientType.CONSOLE, payload=payload)

    async def told(self, kind: str) -> list[str]:
        """The addresses that mails of a kind went to."""
        recipients = (await self.world.forms.recipients([self.form.form_id]))[self.form.form_id]
        emails = {each.recipient_id: each.payload.get("email", "") for each in recipients}
        return sorted(emails[recipient_id] for recipient_id, of, _ in await mails(self.world) if of == kind)


async def board(world: StoreWorld, *moments: Moment, runner: str = "", **rules: Any) -> Board:
    """Open the form of a board; ``runner`` has started its run in the console."""
    run = await start(world)
    form = new_form(run)
    people = {"anna": "normal", "bert": "normal", "cleo": "normal", "dora": "normal", "olga": "owner"}
    ids = {
        name: (await world.accounts.ensure_account(f"{name}@x.org", name, form.workspace_id, role)).account_id
        for name, role in people.items()
    }
    approvers = ("anna@x.org", "bert@x.org", "cleo@x.org")
    kept = Approval.model_validate({"approvers": ["group:board"], "quorum": 2, **rules})
    approval = approval_of(kept, AppRules(groups={"board": approvers}), ids.get(runner), "")
    found = Board(world, replace(form, definition=replace(form.definition, approval=approval)), ids)
    recipients = [found.recipient(name) for name in ("anna", "bert", "cleo")]
    if runner:
        payload = {"account_id": ids[runner]}
        recipients.append(Recipient(make_id("runner"), form.form_id, RecipientType.CONSOLE, payload=payload))
    await world.forms.open(found.form, recipients, [], moments)
    return found


async def test_delegate_may_vote_and_so_may_the_giver(world: StoreWorld) -> None:
    """Delegating adds a person who decides; the two of them are a quorum."""
    found = await board(world)
    with pytest.raises(NotAnApproverError):
        await found.vote("dora")
    await found.hand_over("anna", "dora", "delegate")
    assert not await found.vote("dora")
    assert await found.vote("anna")


@pytest.mark.parametrize(("by", "giver"), [("anna", ""), ("olga", "anna")])
async def test_receiver_of_a_reassigned_place_votes_instead_of_the_giver(
    world: StoreWorld, by: str, giver: str
) -> None:
    """The place counts once, whoever gave it away; it can come back."""
    found = await board(world)
    await found.hand_over(by, "dora", giver=giver)
    with pytest.raises(NotAnApproverError):
        await found.vote("anna")
    await found.hand_over("dora", "anna")
    with pytest.raises(NotAnApproverError):
        await found.vote("dora")
    assert not await found.vote("anna")
    assert await found.vote("bert")


async def test_who_is_escalated_to_may_vote(world: StoreWorld) -> None:
    """An escalation adds to those who decide."""
    found = await board(world, ESCALATION)
    await found.fire(ESCALATION, asks=(found.ask("dora"),))
    assert not await found.vote("dora")
    assert await found.vote("bert")


async def test_runner_of_the_app_votes_once_the_form_is_handed_to_it(world: StoreWorld) -> None:
    """Running the app makes nobody an approver, but does not keep somebody from becoming one; a mail says so."""
    found = await board(world, runner="dora")
    with pytest.raises(NotAnApproverError):
        await found.vote("dora")
    await found.hand_over("anna", "dora")
    assert await found.told("transferred") == ["dora@x.org"]
    assert not await found.vote("dora")


async def test_whoever_has_voted_is_neither_reminded_nor_told_of_the_escalation(world: StoreWorld) -> None:
    """Mails go to those whose word is still missing."""
    found = await board(world, REMINDER, ESCALATION)
    await found.vote("anna")
    await found.fire(REMINDER, ESCALATION, asks=(found.ask("anna"), found.ask("bert"), found.ask("dora")))
    assert await found.told("reminder") == ["bert@x.org", "cleo@x.org"]
    assert await found.told("escalated") == ["bert@x.org", "dora@x.org"]


@pytest.mark.parametrize("kind", ["reassign", "delegate"])
async def test_place_that_was_voted_with_is_not_given_away(world: StoreWorld, kind: HandOverKind) -> None:
    """Not by whoever voted, nor by an owner in their place; the vote stays and nothing else changes."""
    found = await board(world)
    await found.vote("anna")
    for by, giver in (("anna", "anna"), ("olga", "anna")):
        with pytest.raises(TransferRefusedError, match="has used the place"):
            await found.hand_over(by, "dora", kind, giver)
    assert [each.event for each in await acts_on(world.forms, found.form.form_id)] == ["voted"]
    with pytest.raises(NotAnApproverError):
        await found.vote("dora")
    assert await found.vote("bert")


async def test_place_is_not_given_to_somebody_who_could_do_nothing_with_it(world: StoreWorld) -> None:
    """Who has voted, or may not decide because they started the run: the place would be lost."""
    found = await board(world, runner="dora", self_approval=False)
    await found.vote("bert")
    for receiver, reason in (("bert", "has voted already"), ("dora", "started the run")):
        with pytest.raises(TransferRefusedError, match=reason):
            await found.hand_over("anna", receiver)
    assert await found.vote("anna")


async def test_claim_does_not_hold_up_votes(world: StoreWorld) -> None:
    """A form that several people decide waits for each of them, whoever has claimed it."""
    found = await board(world)
    act = Act(make_id("act"), found.form.form_id, found.ids["anna"], NOW + 4, "console")
    await world.human_time.claim(act, 600.0)
    assert not await found.vote("bert")
    assert await found.vote("anna")
