"""The outbox: what puts entries in, who may take them, what is recorded and shown."""

import asyncio

import pytest

from hitl.form import FormDefinition
from hitl.form_token import Purpose
from hitl.recipient import Recipient, RecipientType
from hitl.surface import Surface
from store.form_record import TokenRow
from store.outbox import Attempt
from store.outbox_record import new_webhooks
from store_world import (
    ANSWER,
    NOW,
    PERSON,
    StoreWorld,
    finished,
    first_write,
    given,
    make_id,
    new_form,
    new_run,
    paused,
    start,
    write,
)

HOOK = {"url": "https://hooks.example/a", "secret_env": "GREENROOM_WEBHOOK_A"}
ASKED = FormDefinition("Well?", actions=[{"id": "approve"}], mails={"m": {"subject": "S", "body": "B"}})
TOLD = FormDefinition("Well?", actions=[{"id": "approve"}], webhooks=[HOOK])


def mail_recipient(form, name: str = "ann") -> Recipient:
    """A recipient by e-mail."""
    payload = {"email": f"{name}@example.com", "delivery_method_id": "m"}
    return Recipient(make_id(name, form.form_id), form.form_id, RecipientType.EMAIL_EXTERNAL, payload=payload)


async def open_with_mails(world: StoreWorld, *names: str, **changes):
    """Open a form with recipients by e-mail, and one of the web app."""
    run = await start(world)
    form = new_form(run, definition=ASKED, **changes)
    others = [Recipient(make_id("web", form.form_id), form.form_id, RecipientType.STANDALONE_WEB_APP)]
    recipients = [mail_recipient(form, name) for name in names]
    await world.forms.open(form, [*recipients, *others], [])
    return form, recipients


async def test_opening_a_form_puts_one_mail_for_each_recipient(world: StoreWorld):
    """Recipients by e-mail get one mail each, others none; opening again adds nothing."""
    form, recipients = await open_with_mails(world, "ann", "ben")
    await world.forms.open(form, recipients, [])
    found = await world.outbox.deliveries(form.form_id)
    assert {(each.to, each.kind, each.occasion, each.state) for each in found} == {
        ("ann@example.com", "mail", "opened", "pending"),
        ("ben@example.com", "mail", "opened", "pending"),
    }
    assert all(each.due_at == NOW and each.next_at == NOW and each.attempts == 0 for each in found)
    assert await world.outbox.counts() == {("mail", "pending"): 2}


async def test_form_of_an_ended_run_sends_no_mail(world: StoreWorld):
    """A form that is expired as it is opened tells nobody."""
    run = await start(world)
    form = new_form(run, definition=ASKED)
    await world.journal.request_stop(run.run_id, "stop", NOW)
    stop = (await world.journal.inbox(run.run_id))[0]
    await world.journal.append(write([finished("stopped")], 1, run=run, taken=[stop.item_id]))
    await world.forms.open(form, [mail_recipient(form)], [])
    assert await world.outbox.deliveries(form.form_id) == []


async def test_claimed_entry_is_nobody_elses(world: StoreWorld):
    """What one courier has claimed no other gets before the time that the claim names."""
    await open_with_mails(world, "ann")
    (claimed,) = await world.outbox.claim(NOW, NOW + 60, 10)
    assert claimed.attempts == 1
    assert await world.outbox.claim(NOW + 59, NOW + 99, 10) == []
    (again,) = await world.outbox.claim(NOW + 60, NOW + 99, 10)
    assert again.attempts == 2


async def test_couriers_at_once_share_what_is_due(world: StoreWorld):
    """However many claim at the same time, each entry is given once."""
    await open_with_mails(world, *(f"person{number}" for number in range(12)))
    claims = await asyncio.gather(*(world.outbox.claim(NOW, NOW + 60, 5) for _ in range(6)))
    given = [entry.entry_id for claim in claims for entry in claim]
    assert len(given) == len(set(given))
    rest = await world.outbox.claim(NOW, NOW + 60, 100)
    assert len(given) + len(rest) == 12


async def test_claim_gives_the_longest_due_first_and_nothing_early(world: StoreWorld):
    """Entries come in the order of their time, as many as asked for."""
    form, (ann,) = await open_with_mails(world, "ann", created_at=NOW + 10)
    assert await world.outbox.next_at() == NOW + 10
    assert await world.outbox.claim(NOW + 9, NOW + 60, 10) == []
    (claimed,) = await world.outbox.claim(NOW + 11, NOW + 60, 1)
    assert (claimed.form_id, claimed.recipient_id) == (form.form_id, ann.recipient_id)
    assert await world.outbox.next_at() == NOW + 60


async def test_record_of_an_older_claim_changes_nothing(world: StoreWorld):
    """A courier that was thought dead cannot overwrite what its successor does."""
    form, _ = await open_with_mails(world, "ann")
    (stale,) = await world.outbox.claim(NOW, NOW + 60, 10)
    (fresh,) = await world.outbox.claim(NOW + 60, NOW + 120, 10)
    await world.outbox.record(stale, Attempt("failed", NOW + 61, "old news"))
    assert (await world.outbox.deliveries(form.form_id))[0].state == "pending"
    await world.outbox.record(fresh, Attempt("sent", NOW + 62, message_id="<1@x>"))
    (found,) = await world.outbox.deliveries(form.form_id)
    assert (found.state, found.sent_at, found.next_at, found.last_error) == ("sent", NOW + 62, None, "")
    assert await world.outbox.next_at() is None


async def test_record_of_a_sent_entry_counts_whoever_claimed_it_since(world: StoreWorld):
    """What was sent is sent: a record that comes late still ends the entry."""
    form, _ = await open_with_mails(world, "ann")
    (late,) = await world.outbox.claim(NOW, NOW + 60, 10)
    await world.outbox.claim(NOW + 60, NOW + 120, 10)
    await world.outbox.record(late, Attempt("sent", NOW + 61, message_id="<1@x>"))
    assert (await world.outbox.deliveries(form.form_id))[0].state == "sent"


async def test_failed_attempt_is_due_again_at_its_time(world: StoreWorld):
    """An attempt that may be repeated leaves the reason and the next time."""
    form, _ = await open_with_mails(world, "ann")
    (claimed,) = await world.outbox.claim(NOW, NOW + 60, 10)
    await world.outbox.record(claimed, Attempt("pending", NOW, "451 busy", NOW + 15))
    (found,) = await world.outbox.deliveries(form.form_id)
    assert (found.state, found.attempts, found.last_error, found.next_at) == ("pending", 1, "451 busy", NOW + 15)
    assert len(await world.outbox.claim(NOW + 15, NOW + 60, 10)) == 1


async def test_reissued_mail_recipient_is_sent_the_new_link(world: StoreWorld):
    """New tokens of a recipient by e-mail come with a mail of their own; of others with none."""
    form, (ann,) = await open_with_mails(world, "ann")
    token = TokenRow(b"h" * 32, ann.recipient_id, Surface.WEB, Purpose.SUBMIT, 2)
    await world.forms.reissue(ann.recipient_id, [token], NOW + 5)
    assert [each.due_at for each in await world.outbox.deliveries(form.form_id)] == [NOW, NOW + 5]


@pytest.mark.parametrize("outcome", ["submitted", "timeout"])
async def test_decided_form_is_told_in_the_same_transaction(world: StoreWorld, outcome: str):
    """The event of an answer or a deadline says ids, status and action; a second decision adds none."""
    run = await start(world)
    form = new_form(run, definition=TOLD)
    await world.forms.open(form, [], [])
    if outcome == "submitted":
        await world.forms.submit(form.form_id, None, 0, given(ANSWER), PERSON, NOW + 1)
    else:
        await world.forms.close(form.form_id, "timeout", NOW + 1)
    await world.forms.close(form.form_id, "timeout", NOW + 2)
    (entry,) = await world.outbox.claim(NOW + 1, NOW + 60, 10)
    action = '"approve"' if outcome == "submitted" else "null"
    assert (entry.kind, entry.occasion, entry.target) == ("webhook", "form.decided", HOOK["url"])
    assert entry.body.decode() == (
        f'{{"id":"{entry.entry_id}","event":"form.decided","created_at":{NOW + 1},"app_id":"{form.app_id}",'
        f'"run_id":"{run.run_id}","form_id":"{form.form_id}","node_id":"human","status":"{outcome}",'
        f'"action_id":{action}}}'
    )
    assert [each.to for each in await world.outbox.deliveries_of_run(run.run_id)] == [HOOK["url"]]


async def test_events_of_facts_are_stored_with_them(world: StoreWorld):
    """A write that the inbox holds back puts nothing into the outbox, a repeated one nothing twice."""
    run = new_run()
    entries = new_webhooks([(HOOK["url"], "E")], "run.paused", "key", NOW, {"status": "paused"}, run.run_id)
    await world.journal.append(first_write(run))
    pause = write([paused()], 1, run=run, outbox=entries)
    await world.journal.request_stop(run.run_id, "stop", NOW)
    assert await world.journal.pause(pause, b"state") != []
    assert await world.outbox.deliveries_of_run(run.run_id) == []
    item = (await world.journal.inbox(run.run_id))[0].item_id
    taking = write([paused()], 1, run=run, outbox=entries, taken=[item])
    assert await world.journal.pause(taking, b"state") == []
    assert await world.journal.pause(taking, b"state") == []
    (found,) = await world.outbox.deliveries_of_run(run.run_id)
    assert (found.kind, found.occasion, found.state) == ("webhook", "run.paused", "pending")
