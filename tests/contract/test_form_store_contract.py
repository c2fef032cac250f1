"""The rules of the store of forms, on every kind of store."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from graph.ports import InboxItem
from hitl.errors import FormAlreadySubmittedError, FormExpiredError, FormNotFoundError, InvalidSubmissionError
from hitl.form import Form, FormStatus
from hitl.recipient import Recipient, RecipientType
from hitl.submission import Submission
from hitl.surface import Surface
from store.errors import GenerationConflictError
from store.form_record import Resumable, Submitter
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
    start,
    token_of,
    write,
)


async def test_form_comes_back_as_it_was_opened(world: StoreWorld) -> None:
    """A form, its recipients and their order are read back equal; unknown ids give nothing."""
    run = await start(world)
    form = new_form(run)
    recipients = [
        recipient_of(form, RecipientType.BACKSTAGE),
        recipient_of(form),
        recipient_of(form, RecipientType.CONSOLE),
    ]
    assert await world.forms.open(form, recipients, []) == form
    assert await world.forms.get(form.form_id) == form
    assert await world.forms.by_run(run.run_id) == [form]
    assert await world.forms.recipients([form.form_id, "nobody's\x00form"]) == {form.form_id: recipients}
    assert await world.forms.get("nobody's\x00form") is None
    assert await world.forms.waiting_count() == 1


async def test_open_gives_the_form_of_the_execution_again(world: StoreWorld) -> None:
    """One node execution has one form: a second opening changes nothing and gives the first form."""
    run = await start(world)
    first = new_form(run)
    recipient = await open_form(world, first)
    second = new_form(run, "other", execution_id=first.execution_id, created_at=NOW + 5)
    assert await world.forms.open(second, [recipient_of(second)], [token_of(recipient_of(second))]) == first
    assert await world.forms.recipients([first.form_id, second.form_id]) == {first.form_id: [recipient]}
    assert await world.forms.by_token(token_of(recipient_of(second)).token_hash) is None


async def test_open_expires_the_form_of_an_ended_run(world: StoreWorld) -> None:
    """A form that is opened behind the end of its run does not wait for anybody."""
    run = await start(world)
    await world.journal.append(write([finished("stopped")], 1))
    opened = await world.forms.open(new_form(run), [], [])
    assert (opened.status, opened.closed_at) == (FormStatus.EXPIRED, NOW)
    assert await world.forms.waiting_count() == 0


async def test_form_can_be_opened_and_answered_before_the_first_commit_of_its_run(world: StoreWorld) -> None:
    """An answer that is faster than the run's first commit waits in its inbox."""
    run = new_run()
    form = new_form(run)
    recipient = await open_form(world, form)
    answered = await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    assert answered.run == Resumable(run.run_id, "running", "")
    assert [item.form_id for item in await world.journal.inbox(run.run_id)] == [form.form_id]


async def test_token_leads_to_its_form_and_recipient(world: StoreWorld) -> None:
    """A token hash gives form, recipient, surface and purpose; an unknown one nothing."""
    run = await start(world)
    form = new_form(run)
    recipient = recipient_of(form)
    tokens = [token_of(recipient, surface) for surface in (Surface.SERVICE_API, Surface.WEB)]
    await world.forms.open(form, [recipient], tokens)
    match = await world.forms.by_token(tokens[1].token_hash)
    assert match is not None
    assert (match.form, match.recipient) == (form, recipient)
    assert (match.surface, match.purpose, match.generation) == (Surface.WEB, tokens[1].purpose, 1)
    assert await world.forms.by_token(b"\x00" * 32) is None


async def test_submit_closes_the_form_and_reaches_the_run(world: StoreWorld) -> None:
    """An accepted answer closes the form, is kept with who gave it, and lies in the run's inbox."""
    run, form, recipient = await pause_with_form(world)
    answer = Submission("approve", "Approve", {"comment": "a\x00b", "files": [{"id": 1}]})
    answered = await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(answer), PERSON, NOW + 1)
    assert answered.run == Resumable(run.run_id, "paused", "actor-1")
    assert await world.forms.get(form.form_id) == replace(form, status=FormStatus.SUBMITTED, closed_at=NOW + 1)
    assert await world.forms.submission(form.form_id) == answer
    assert await world.journal.inbox(run.run_id) == [
        InboxItem(form.form_id, "submitted", form.form_id, "approve", answer.values)
    ]
    (entry,) = await acts_on(world.forms, form.form_id)
    assert (entry.event, entry.at, entry.recipient_id) == ("submitted", NOW + 1, recipient.recipient_id)
    assert (entry.account_id, entry.end_user_id, entry.via) == (None, "end-user", "service_api")


async def test_answer_is_checked_where_it_is_stored(world: StoreWorld) -> None:
    """The check sees the form as it stands; what it refuses leaves no trace, and the form takes the next answer."""
    run, form, recipient = await pause_with_form(world)
    seen: list[Form] = []

    def refused(found: Form) -> Submission:
        seen.append(found)
        raise InvalidSubmissionError("no")

    with pytest.raises(InvalidSubmissionError):
        await world.forms.submit(form.form_id, recipient.recipient_id, 1, refused, PERSON, NOW)
    assert seen == [form] == [await world.forms.get(form.form_id)]
    assert (await world.journal.inbox(run.run_id), await acts_on(world.forms, form.form_id)) == ([], [])
    answered = await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    assert answered.form.definition == form.definition
    (entry,) = await acts_on(world.forms, form.form_id)
    assert entry.detail == ANSWER.action_id


async def test_submit_by_account_needs_no_recipient(world: StoreWorld) -> None:
    """The console answers by form id for an account; the account is recorded."""
    _, form, _ = await pause_with_form(world)
    await world.forms.submit(form.form_id, None, 0, given(ANSWER), Submitter(account_id="account", via="python"), NOW)
    (entry,) = await acts_on(world.forms, form.form_id)
    assert (entry.account_id, entry.via, entry.recipient_id) == ("account", "python", None)


async def test_second_answer_is_refused(world: StoreWorld) -> None:
    """The first answer wins; what came second leaves nothing behind."""
    run, form, recipient = await pause_with_form(world)
    await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    with pytest.raises(FormAlreadySubmittedError):
        await world.forms.submit(form.form_id, None, 0, given(Submission("reject", "Reject")), PERSON, NOW)
    assert await world.forms.submission(form.form_id) == ANSWER
    assert len(await world.journal.inbox(run.run_id)) == len(await acts_on(world.forms, form.form_id)) == 1


async def test_answer_comes_too_late_when_the_run_has_ended(world: StoreWorld) -> None:
    """A form whose run has ended is expired for its recipients, closed already or not."""
    run, form, recipient = await pause_with_form(world)
    await world.journal.append(write([finished("stopped")], 3, epoch=2, found_epoch=1))
    with pytest.raises(FormExpiredError):
        await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    assert await world.forms.close_run(run.run_id, NOW) == [form.form_id]
    assert await world.forms.close_run(run.run_id, NOW) == []
    with pytest.raises(FormExpiredError):
        await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    assert await world.journal.inbox(run.run_id) == []


@pytest.mark.parametrize("changes", [{"expires_at": NOW + 1}, {"global_expires_at": NOW + 1}])
async def test_answer_comes_too_late_when_a_deadline_has_passed(world: StoreWorld, changes: dict[str, Any]) -> None:
    """A passed deadline refuses the answer before any timer has marked the form."""
    _, form, recipient = await pause_with_form(world, **changes)
    with pytest.raises(FormExpiredError):
        await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW + 1)
    assert await world.forms.get(form.form_id) == form


async def test_answer_needs_a_living_recipient_of_the_form(world: StoreWorld) -> None:
    """Unknown, foreign, revoked and replaced recipients all get the same refusal, also on an answered form."""
    _, form, recipient = await pause_with_form(world)
    _, other, stranger = await pause_with_form(world, "other run")
    revoked = recipient_of(other, RecipientType.CONSOLE)
    await world.forms.submit(other.form_id, None, 0, given(ANSWER), PERSON, NOW)
    wrong = [(form, "unknown", 1), (form, stranger.recipient_id, 1), (form, recipient.recipient_id, 2)]
    wrong += [(other, revoked.recipient_id, 1), (new_form(None, "no such form"), None, 1)]
    for asked, recipient_id, generation in wrong:
        with pytest.raises(FormNotFoundError):
            await world.forms.submit(asked.form_id, recipient_id, generation, given(ANSWER), PERSON, NOW)


async def test_node_deadline_reaches_the_run(world: StoreWorld) -> None:
    """A form that times out is closed once and lies in the run's inbox as timeout; its siblings wait on."""
    run, form, _ = await pause_with_form(world)
    sibling = new_form(run, "sibling")
    await open_form(world, sibling)
    assert await world.forms.close(form.form_id, "timeout", NOW + 9) == Resumable(run.run_id, "paused", "actor-1")
    assert await world.forms.close(form.form_id, "timeout", NOW + 10) is None
    assert await world.forms.close("unknown", "timeout", NOW) is None
    assert await world.forms.get(form.form_id) == replace(form, status=FormStatus.TIMEOUT, closed_at=NOW + 9)
    assert await world.journal.inbox(run.run_id) == [InboxItem(form.form_id, "timeout", form.form_id)]
    assert await world.forms.get(sibling.form_id) == sibling


async def test_global_deadline_closes_the_siblings_too(world: StoreWorld) -> None:
    """A run that is given up needs one item; none of its forms waits any longer."""
    run, form, _ = await pause_with_form(world)
    sibling = new_form(run, "sibling")
    await open_form(world, sibling)
    await world.forms.close(form.form_id, "expired", NOW + 9, "given up")
    forms = await world.forms.by_run(run.run_id)
    assert [each.status for each in forms] == [FormStatus.EXPIRED, FormStatus.EXPIRED]
    assert await world.journal.inbox(run.run_id) == [
        InboxItem(form.form_id, "expired", form.form_id, reason="given up")
    ]
    for each in (form, sibling):
        entries = await acts_on(world.forms, each.form_id)
        assert [(entry.detail, entry.reason) for entry in entries] == [("given up", "global_deadline")]


@pytest.mark.parametrize(("outcome", "reason"), [("timeout", None), ("expired", "global_deadline")])
async def test_audit_says_why_a_form_expired(world: StoreWorld, outcome: Any, reason: str | None) -> None:
    """The deadline that passed says it, not the text beside."""
    _, form, _ = await pause_with_form(world)
    await world.forms.close(form.form_id, outcome, NOW + 9, "its container ended without it")
    assert [entry.reason for entry in await acts_on(world.forms, form.form_id)] == [reason]


async def test_audit_says_that_a_form_expired_with_its_run(world: StoreWorld) -> None:
    """Whoever stops a run may say what they like."""
    run, form, _ = await pause_with_form(world)
    await world.journal.request_stop(run.run_id, "Human input global timeout at node human", NOW + 9)
    assert [entry.reason for entry in await acts_on(world.forms, form.form_id)] == ["run_ended"]


async def test_deadline_of_an_ended_run_only_closes_the_form(world: StoreWorld) -> None:
    """A form left over by a run that has ended expires at its deadline, and nobody is resumed."""
    run, form, _ = await pause_with_form(world)
    await world.journal.append(write([finished()], 3, epoch=2, found_epoch=1))
    assert await world.forms.close(form.form_id, "timeout", NOW + 9) is None
    closed = await world.forms.get(form.form_id)
    assert closed is not None and closed.status is FormStatus.EXPIRED
    assert [entry.reason for entry in await acts_on(world.forms, form.form_id)] == ["run_ended"]
    assert await world.journal.inbox(run.run_id) == []


async def test_answered_form_has_no_deadline(world: StoreWorld) -> None:
    """The answer came first: the deadline changes nothing."""
    _, form, recipient = await pause_with_form(world)
    await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    assert await world.forms.close(form.form_id, "expired", NOW + 9) is None
    closed = await world.forms.get(form.form_id)
    assert closed is not None and closed.status is FormStatus.SUBMITTED


async def test_forms_of_an_executing_run_stay_open(world: StoreWorld) -> None:
    """Only the forms of a run that has ended are closed with it."""
    run, form, _ = await pause_with_form(world)
    assert await world.forms.close_run(run.run_id, NOW) == []
    assert await world.forms.close_run("unknown", NOW) == []
    assert await world.forms.get(form.form_id) == form


async def test_due_lists_waiting_forms_by_their_earlier_deadline(world: StoreWorld) -> None:
    """What is due comes soonest first, by the earlier of both deadlines, without closed forms."""
    run = await start(world)
    ends = {"late": (90.0, None), "global": (80.0, 10.0), "node": (20.0, 70.0), "closed": (5.0, None)}
    ids = {}
    for name, (node, end) in ends.items():
        form = new_form(run, name, expires_at=NOW + node, global_expires_at=None if end is None else NOW + end)
        await open_form(world, form)
        ids[name] = form.form_id
    await world.forms.close(ids["closed"], "timeout", NOW + 5)
    assert await world.forms.due(NOW + 20) == [(ids["global"], NOW + 10), (ids["node"], NOW + 20)]
    assert await world.forms.due(NOW + 100, limit=1) == [(ids["global"], NOW + 10)]
    assert await world.forms.waiting_count() == 3


async def test_delivery_test_has_no_run(world: StoreWorld) -> None:
    """A form of a delivery test is answered and closed without waking anybody."""
    first, second = new_form(None, "first"), new_form(None, "second")
    recipient = await open_form(world, first)
    await open_form(world, second)
    answered = await world.forms.submit(first.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    assert answered.run is None
    assert await world.forms.close(second.form_id, "timeout", NOW) is None
    closed = await world.forms.get(second.form_id)
    assert closed is not None and closed.status is FormStatus.TIMEOUT
    assert await world.journal.untaken() == []


async def test_revoked_recipient_is_worth_nothing(world: StoreWorld) -> None:
    """Revocation ends every token of the recipient, at once and for submits; it is on record once."""
    _, form, recipient = await pause_with_form(world)
    for _ in range(2):
        await world.forms.revoke(recipient.recipient_id, NOW, Submitter(account_id="admin", via="console"))
    assert await world.forms.by_token(token_of(recipient).token_hash) is None
    with pytest.raises(FormNotFoundError):
        await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    stored = (await world.forms.recipients([form.form_id]))[form.form_id]
    assert stored == [replace(recipient, state="revoked")]
    assert [(entry.event, entry.account_id) for entry in await acts_on(world.forms, form.form_id)] == [
        ("revoked", "admin")
    ]
    with pytest.raises(FormNotFoundError):
        await world.forms.revoke("unknown", NOW)


async def test_reissue_that_is_repeated_changes_nothing(world: StoreWorld) -> None:
    """Its caller did not hear that it was done; the tokens that it made stay good."""
    form = new_form(None)
    recipient = await open_form(world, form)
    second, third = token_of(recipient, generation=2), token_of(recipient, generation=3)
    reissue = partial(world.forms.reissue, recipient.recipient_id, now=NOW, operation_id=make_id("operation"))
    assert [await reissue([second]), await reissue([third])] == [2, 2]
    assert await world.forms.by_token(second.token_hash) is not None
    assert await world.forms.by_token(third.token_hash) is None
    assert len(await acts_on(world.forms, form.form_id)) == 1


async def test_reissue_replaces_the_tokens(world: StoreWorld) -> None:
    """Tokens of the next generation replace the earlier ones; others are refused."""
    _, form, recipient = await pause_with_form(world)
    token = token_of(recipient, generation=2)
    assert await world.forms.reissue(recipient.recipient_id, [token], NOW) == 2
    assert await world.forms.by_token(token_of(recipient).token_hash) is None
    match = await world.forms.by_token(token.token_hash)
    assert match is not None and match.recipient == replace(recipient, generation=2)
    with pytest.raises(GenerationConflictError):
        await world.forms.reissue(recipient.recipient_id, [token_of(recipient, generation=2)], NOW)
    with pytest.raises(FormNotFoundError):
        await world.forms.reissue("unknown", [], NOW)
    with pytest.raises(FormNotFoundError):
        await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    await world.forms.submit(form.form_id, recipient.recipient_id, 2, given(ANSWER), PERSON, NOW + 1)
    assert [entry.event for entry in await acts_on(world.forms, form.form_id)] == ["reissued", "submitted"]


async def test_recipients_are_found_for_many_forms(world: StoreWorld) -> None:
    """Recipients of more forms than one statement takes come together; a form without any is absent."""
    forms = [new_form(None, f"form {number}") for number in range(3)]
    for form in forms[:2]:
        await open_form(world, form)
    await world.forms.open(forms[2], [], [])
    asked = [form.form_id for form in forms] + [make_id("absent", number) for number in range(600)]
    found: dict[str, list[Recipient]] = await world.forms.recipients(asked)
    assert found == {form.form_id: [recipient_of(form)] for form in forms[:2]}
    assert await world.forms.recipients([]) == {}
