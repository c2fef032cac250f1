"""The rules of the store of decisions, on every kind of store."""

from dataclasses import replace
from typing import Any

import pytest

from graph.human_rules import Approval, AppRules
from graph.ports import InboxItem
from hitl.approval import Vote, approval_of
from hitl.errors import (
    AlreadyVotedError,
    FormAlreadySubmittedError,
    FormExpiredError,
    FormNotFoundError,
    NotAnApproverError,
    SelfApprovalError,
)
from hitl.form import Form, FormStatus
from hitl.recipient import Recipient, RecipientType
from hitl.submission import Submission
from store.form_record import GivenAnswer, Resumable, Submitter, VoteOutcome
from store_world import (
    ANSWER,
    NOW,
    PERSON,
    StoreWorld,
    acts_on,
    finished,
    given,
    make_id,
    new_form,
    new_run,
    open_form,
    pause_with_form,
    recipient_of,
    token_of,
    write,
)

BOARD = ("anna@x.org", "bert@x.org", "cleo@x.org")


def asking(quorum: int = 2, account_id: str | None = None, **rules: Any) -> Any:
    """The definition of a form that needs ``quorum`` of the board."""
    kept = Approval.model_validate({"approvers": ["group:board"], "quorum": quorum, **rules})
    approval = approval_of(kept, AppRules(groups={"board": BOARD}), account_id, "")
    return replace(new_form(None).definition, approval=approval)


def vote(name: str, answer: Submission = ANSWER, at: float = NOW + 1, **more: Any) -> Vote:
    """A vote of the account ``name``."""
    return Vote(make_id(name), f"{name}@x.org", answer, at, "console", **more)


async def test_vote_that_decides_closes_the_form_and_reaches_the_run(world: StoreWorld) -> None:
    """Votes before it leave the form open; the deciding one closes it with its own values, all in one step."""
    run, form, recipient = await pause_with_form(world, definition=asking())
    first = vote("anna", Submission("approve", "Approve", {"comment": "first"}), key_hash=b"k" * 32)
    second = vote("bert", Submission("approve", "Approve", {"comment": "a\x00b", "files": [{"id": 1}]}), NOW + 2)
    assert await world.decisions.vote(form.form_id, first, None, 0) == VoteOutcome(False, None)
    assert await world.forms.get(form.form_id) == form
    assert await world.journal.inbox(run.run_id) == []
    assert await world.decisions.answer(form.form_id) is None
    decided = await world.decisions.vote(form.form_id, second, recipient.recipient_id, 1)
    assert decided == VoteOutcome(True, Resumable(run.run_id, "paused", "actor-1"))
    assert await world.forms.get(form.form_id) == replace(form, status=FormStatus.SUBMITTED, closed_at=NOW + 2)
    item = InboxItem(form.form_id, "submitted", form.form_id, "approve", second.submission.values)
    assert await world.journal.inbox(run.run_id) == [item]
    assert await world.decisions.votes(form.form_id) == [first, second]
    by = Submitter(make_id("bert"), via="console")
    assert await world.decisions.answer(form.form_id) == GivenAnswer(
        second.submission, by, recipient.recipient_id, NOW + 2
    )
    told = [(entry.event, entry.account_id, entry.detail) for entry in await acts_on(world.forms, form.form_id)]
    assert told == [
        ("voted", make_id("anna"), "approve"),
        ("voted", make_id("bert"), "approve"),
        ("submitted", make_id("bert"), "approve"),
    ]


@pytest.mark.parametrize(
    ("voter", "error"), [("dora", NotAnApproverError), ("cleo", SelfApprovalError), ("anna", AlreadyVotedError)]
)
async def test_vote_that_does_not_count_leaves_nothing(world: StoreWorld, voter: str, error: type) -> None:
    """Who is no approver, who started the run, who has voted: an error, and no vote."""
    _, form, _ = await pause_with_form(world, definition=asking(account_id=make_id("cleo"), self_approval=False))
    await world.decisions.vote(form.form_id, vote("anna"), None, 0)
    with pytest.raises(error):
        await world.decisions.vote(form.form_id, vote(voter, Submission("reject", "Reject")), None, 0)
    assert len(await world.decisions.votes(form.form_id)) == len(await acts_on(world.forms, form.form_id)) == 1


async def test_votes_come_back_in_the_order_in_which_they_were_counted(world: StoreWorld) -> None:
    """Also where the clock went back in between."""
    _, form, _ = await pause_with_form(world, definition=asking(3))
    for name, at in (("cleo", NOW + 3), ("anna", NOW + 1), ("bert", NOW + 1)):
        await world.decisions.vote(form.form_id, vote(name, at=at), None, 0)
    assert [each.email for each in await world.decisions.votes(form.form_id)] == [
        "cleo@x.org", "anna@x.org", "bert@x.org"
    ]  # fmt: skip


async def test_who_is_asked_in_person_may_vote_until_the_place_is_given_away(world: StoreWorld) -> None:
    """A recipient that names account and address adds to the approvers; revoked, it ends an approver's say.

    The recipient of whoever runs the app names no address and makes nobody an approver.
    """
    run = new_run()
    form: Form = replace(new_form(run), definition=asking(2))

    def console(name: str, **payload: str) -> Recipient:
        payload = {"account_id": make_id(name), **payload}
        return Recipient(make_id("recipient", name), form.form_id, RecipientType.CONSOLE, payload=payload)

    dora, anna = console("dora", email="dora@x.org"), console("anna", email="anna@x.org")
    await world.forms.open(form, [dora, anna, console("eve")], [])
    await world.forms.revoke(anna.recipient_id, NOW)
    for name in ("anna", "eve"):
        with pytest.raises(NotAnApproverError):
            await world.decisions.vote(form.form_id, vote(name), None, 0)
    assert not (await world.decisions.vote(form.form_id, vote("dora"), None, 0)).is_decided
    assert (await world.decisions.vote(form.form_id, vote("bert"), None, 0)).is_decided


async def test_vote_on_a_form_that_is_over_is_refused(world: StoreWorld) -> None:
    """Decided, past its deadline, or of an ended run: as an answer would be."""
    _, form, _ = await pause_with_form(world, definition=asking(1))
    await world.decisions.vote(form.form_id, vote("anna"), None, 0)
    with pytest.raises(FormAlreadySubmittedError):
        await world.decisions.vote(form.form_id, vote("bert"), None, 0)
    _, late, _ = await pause_with_form(world, "late", definition=asking(1))
    with pytest.raises(FormExpiredError):
        await world.decisions.vote(late.form_id, vote("anna", at=late.expires_at), None, 0)
    run, orphan, _ = await pause_with_form(world, "orphan", definition=asking(1))
    await world.journal.append(write([finished("stopped")], 3, run=run, epoch=2, found_epoch=1))
    with pytest.raises(FormExpiredError):
        await world.decisions.vote(orphan.form_id, vote("anna"), None, 0)
    assert await world.decisions.votes(orphan.form_id) == []


async def test_form_takes_either_an_answer_or_votes(world: StoreWorld) -> None:
    """No answer passes by the approvers, and a form without rules is decided by its answer."""
    _, form, recipient = await pause_with_form(world, definition=asking(1))
    with pytest.raises(NotAnApproverError):
        await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    _, plain, _ = await pause_with_form(world, "plain")
    for form_id in (plain.form_id, make_id("nobody's form")):
        with pytest.raises(FormNotFoundError):
            await world.decisions.vote(form_id, vote("anna"), None, 0)


async def test_vote_through_a_recipient_needs_a_living_one(world: StoreWorld) -> None:
    """A revoked or renewed recipient is not found."""
    _, form, recipient = await pause_with_form(world, definition=asking(1))
    await world.forms.reissue(recipient.recipient_id, [token_of(recipient, generation=2)], NOW)
    for recipient_id, generation in ((recipient.recipient_id, 1), (make_id("nobody"), 1)):
        with pytest.raises(FormNotFoundError):
            await world.decisions.vote(form.form_id, vote("anna"), recipient_id, generation)
    await world.decisions.vote(form.form_id, vote("anna"), recipient.recipient_id, 2)


async def test_answer_keeps_how_its_submitter_is_known(world: StoreWorld) -> None:
    """The key that brought an end user's answer, and the hash of its Idempotency-Key, are kept."""
    _, form, recipient = await pause_with_form(world)
    by = Submitter(end_user_id="end-user", via="service_api", api_key_id="key")
    await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), by, NOW, b"h" * 32)
    assert await world.decisions.answer(form.form_id) == GivenAnswer(ANSWER, by, recipient.recipient_id, NOW, b"h" * 32)
    assert await world.decisions.votes(form.form_id) == []


async def test_audit_begins_with_the_opening(world: StoreWorld) -> None:
    """A form was opened, and each recipient was issued its tokens; a repeated opening says nothing."""
    run = new_run()
    form = new_form(run)
    recipient = await open_form(world, form)
    await open_form(world, form)
    entries = await world.forms.audit(form.form_id)
    assert [(entry.event, entry.detail, entry.at) for entry in entries] == [("opened", recipient.recipient_id, NOW)]


async def test_first_reading_of_each_account_is_noted(world: StoreWorld) -> None:
    """However often an account reads a form, the audit says so once; an unknown form is not found."""
    _, form, _ = await pause_with_form(world)
    for name, at in (("anna", NOW), ("bert", NOW + 1), ("anna", NOW + 2)):
        await world.decisions.view(form.form_id, Submitter(make_id(name), via="console"), at)
    viewed = [(entry.event, entry.account_id, entry.at) for entry in await acts_on(world.forms, form.form_id)]
    assert viewed == [("viewed", make_id("anna"), NOW), ("viewed", make_id("bert"), NOW + 1)]
    with pytest.raises(FormNotFoundError):
        await world.decisions.view(make_id("nobody's form"), Submitter("anna"), NOW)


async def test_vote_before_the_first_commit_of_its_run_waits_in_its_inbox(world: StoreWorld) -> None:
    """A form may be decided before its run has a row."""
    run = new_run()
    form: Form = replace(new_form(run), definition=asking(1))
    await world.forms.open(form, [recipient_of(form)], [])
    outcome = await world.decisions.vote(form.form_id, vote("anna"), None, 0)
    assert outcome == VoteOutcome(True, Resumable(run.run_id, "running", ""))
    assert [item.form_id for item in await world.journal.inbox(run.run_id)] == [form.form_id]
