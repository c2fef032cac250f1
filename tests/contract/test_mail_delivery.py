"""Mails of forms, from the outbox to a real SMTP server."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from actors.delivery import CLAIM_S, Deliveries
from actors.senders import MailSender
from effects.mail import Mailer, MailServer
from free_ports import free_ports
from hitl.form import Form, FormDefinition
from hitl.form_token import Purpose, TokenKey, derive_token
from hitl.recipient import Recipient, RecipientType
from hitl.surface import Surface
from local_mail import LocalMail, body_of, local_mail
from store.errors import StoreUnavailableError
from store.outbox import Attempt, Outbox
from store.outbox_record import OutboxEntry
from store.outbox_rows import add_mail
from store_world import ANSWER, NOW, PERSON, StoreWorld, given, make_id, memory_world, new_form, sql_world, start

KEY = TokenKey(b"k" * 32)
PUBLIC = "https://greenroom.example"


@pytest.fixture
async def on_sqlite(sqlite_url: str) -> AsyncIterator[StoreWorld]:
    """An empty store on SQLite."""
    world = sql_world(sqlite_url)
    yield world
    assert world.database is not None
    await world.database.close()


class SetClock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        """Return the time that was set."""
        return self.at


@pytest.fixture
def mails() -> Iterator[LocalMail]:
    """A mail server."""
    with local_mail() as server:
        yield server


class Post:
    """A courier's work without its actor, over one store."""

    def __init__(
        self, world: StoreWorld, server: MailServer | None, outbox: Any = None, timeout_s: float = 60.0, **options: Any
    ) -> None:
        self.world, self.clock = world, SetClock()
        mailer = Mailer(server, timeout_s) if server else None
        sender = MailSender(world.forms, mailer, self._key, PUBLIC + "/", self.clock)
        self.deliveries = Deliveries(outbox or world.outbox, {"mail": sender.send}, self.clock, **options)

    async def _key(self) -> TokenKey:
        return KEY

    async def open(self, *emails: str, subject: str = "Pay?", body: str = "[Open]({{#url#}})", **changes) -> Form:
        """Open a form with a recipient for each address."""
        definition = FormDefinition(
            "Well?", actions=[{"id": "approve"}], node_title="Payment", mails={"m": {"subject": subject, "body": body}}
        )
        form = new_form(await start(self.world), definition=definition, **changes)
        await self.world.forms.open(form, [recipient(form, email) for email in emails], [])
        return form

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Deliver in the background."""
        task = asyncio.create_task(self.deliveries.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.deliveries.close()

    async def until(self, form: Form, *states: str) -> list:
        """Return how the mails of ``form`` fare once their states are ``states``, in any order."""
        async with asyncio.timeout(60):
            while True:
                found = await self.world.outbox.deliveries(form.form_id)
                if sorted(each.state for each in found) == sorted(states):
                    return found
                await asyncio.sleep(0.01)

    async def until_tried(self, form: Form, attempts: int) -> None:
        """Return once a mail has an error of that attempt."""
        async with asyncio.timeout(60):
            while True:
                found = await self.world.outbox.deliveries(form.form_id)
                # While an attempt is under way the reason is that of the one before.
                done = [each for each in found if each.next_at != self.clock.at + CLAIM_S]
                if any(each.attempts == attempts and each.last_error for each in done):
                    return
                await asyncio.sleep(0.01)

    def pass_time(self, seconds: float) -> None:
        """Set the clock forward."""
        self.clock.at += seconds
        self.deliveries.wake()


class HaltedOutbox:
    """An outbox that stores no record until it may go on; ``reached``: the first record was tried."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.claim, self.next_at = outbox.claim, outbox.next_at
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self.error: Exception | None = None

    async def record(self, entry: OutboxEntry, attempt: Attempt) -> None:
        """Wait, fail once if told to, and store."""
        self.reached.set()
        await self.go_on.wait()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        await self._outbox.record(entry, attempt)


def recipient(form: Form, email: str, type: RecipientType = RecipientType.EMAIL_EXTERNAL, **payload) -> Recipient:
    """A recipient of ``form`` who is sent the text of method m."""
    payload = {"email": email, "delivery_method_id": "m", **payload}
    return Recipient(make_id("recipient", form.form_id, email), form.form_id, type, payload=payload)


def token_for(form: Form, email: str, generation: int = 1) -> str:
    """The token in the link of a recipient."""
    recipient_id = make_id("recipient", form.form_id, email)
    return derive_token(KEY, Purpose.SUBMIT, form.form_id, recipient_id, Surface.WEB, generation)


async def test_each_recipient_gets_one_mail_with_a_link_of_their_own(world: StoreWorld, mails: LocalMail):
    """Two recipients, two mails, each with its link, in text and HTML, and nothing is sent twice."""
    post = Post(world, mails.server)
    form = await post.open("ann@x.example", "ben@x.example")
    async with post.working():
        sent = await post.until(form, "sent", "sent")
        post.pass_time(10 * CLAIM_S)
        assert await world.outbox.next_at() is None
    assert sorted(mails.asked) == ["ann@x.example", "ben@x.example"]
    (mail,) = mails.to("ann@x.example")
    link = f"{PUBLIC}/form/{token_for(form, 'ann@x.example')}"
    assert body_of(mail, "plain").strip() == f"[Open]({link})"
    assert f'<a href="{link}"' in body_of(mail, "html")
    assert (mail["Subject"], mail["From"], mail["Auto-Submitted"]) == (
        "Pay?", "Greenroom <noreply@greenroom.example>", "auto-generated"
    )  # fmt: skip
    assert all(each.sent_at == NOW and each.last_error == "" for each in sent)


async def test_mail_is_tried_again_after_a_passing_refusal(mails: LocalMail):
    """After a 451 the mail waits its time and is taken then; the reason shows meanwhile."""
    post = Post(memory_world(), mails.server)
    mails.rcpt["ann@x.example"] = ["451 greylisted, come again"]
    form = await post.open("ann@x.example")
    async with post.working():
        await post.until_tried(form, 1)
        (waiting,) = await post.world.outbox.deliveries(form.form_id)
        assert (waiting.state, waiting.last_error) == ("pending", "451 greylisted, come again")
        assert waiting.next_at is not None and 7.5 <= waiting.next_at - NOW <= 15
        post.pass_time(15)
        (sent,) = await post.until(form, "sent")
    assert (sent.attempts, sent.last_error, len(mails.taken)) == (2, "", 1)


async def test_mail_fails_at_a_refusal_for_good_and_holds_up_nobody(mails: LocalMail):
    """A 550 is final and says why; other recipients get theirs."""
    post = Post(memory_world(), mails.server)
    mails.rcpt["gone@x.example"] = ["550 no such user"]
    form = await post.open("gone@x.example", "ann@x.example", "no address", "a@x.example, b@x.example")
    async with post.working():
        found = await post.until(form, "failed", "sent", "failed", "failed")
    errors = {each.to: each.last_error for each in found}
    assert errors == {
        "gone@x.example": "550 no such user",
        "ann@x.example": "",
        "no address": "'no address' is no e-mail address",
        "a@x.example, b@x.example": "'a@x.example, b@x.example' is no e-mail address",
    }


async def test_recipient_that_hangs_holds_up_nobody(mails: LocalMail):
    """A server that never answers for one recipient takes neither time nor place of the others."""
    post = Post(memory_world(), mails.server, timeout_s=3600.0)
    mails.hung.add("slow@x.example")
    form = await post.open("slow@x.example", "ann@x.example")
    async with post.working():
        await post.until(form, "pending", "sent")
    assert [mail["To"] for mail in mails.taken] == ["ann@x.example"]


async def test_recipient_that_hangs_is_tried_again(mails: LocalMail):
    """An attempt without an answer ends, and another one follows."""
    post = Post(memory_world(), mails.server, timeout_s=0.5)
    mails.hung.add("slow@x.example")
    form = await post.open("slow@x.example")
    async with post.working():
        await post.until_tried(form, 1)
        post.pass_time(60)
        await post.until_tried(form, 2)
    assert mails.taken == []


@pytest.mark.parametrize("how", ["answered", "expired", "deadline", "revoked"])
async def test_closed_form_sends_no_mail(mails: LocalMail, how: str):
    """Before each attempt the form is looked at: an answered or expired one, or a revoked recipient, gets nothing."""
    post = Post(memory_world(), mails.server)
    mails.rcpt["ann@x.example"] = ["451 later"]
    form = await post.open("ann@x.example", expires_at=NOW + 100)
    async with post.working():
        await post.until_tried(form, 1)
        match how:
            case "answered":
                await post.world.forms.submit(form.form_id, None, 0, given(ANSWER), PERSON, NOW)
            case "expired":
                await post.world.forms.close(form.form_id, "expired", NOW)
            case "revoked":
                await post.world.forms.revoke(make_id("recipient", form.form_id, "ann@x.example"), NOW)
        post.pass_time(100 if how == "deadline" else 15)
        (dropped,) = await post.until(form, "dropped")
    assert mails.taken == []
    assert dropped.last_error in ("the form had its answer", "the form had expired", "the recipient was revoked")


async def test_crash_before_the_record_repeats_the_same_mail(mails: LocalMail):
    """A courier that dies between 250 and its record: the next one sends the same Message-ID and the same link."""
    world = memory_world()
    dying, living = Post(world, mails.server, HaltedOutbox(world.outbox)), Post(world, mails.server)
    form = await dying.open("ann@x.example")
    async with dying.working(), asyncio.timeout(60):
        while not mails.taken:
            await asyncio.sleep(0.01)
    assert (await world.outbox.deliveries(form.form_id))[0].state == "pending"
    async with living.working():
        living.pass_time(CLAIM_S)
        await living.until(form, "sent")
    first, second = mails.taken
    assert first["Message-ID"] == second["Message-ID"]
    assert body_of(first, "html") == body_of(second, "html")


async def test_store_that_is_away_for_the_record_repeats_nothing(mails: LocalMail):
    """A courier that lives records what it sent as soon as the store is back, however long that takes."""
    world = memory_world()
    halted = HaltedOutbox(world.outbox)
    post = Post(world, mails.server, halted)
    form = await post.open("ann@x.example")
    async with post.working():
        async with asyncio.timeout(60):
            await halted.reached.wait()
        post.pass_time(CLAIM_S + 1)
        async with asyncio.timeout(60):
            while (await post.world.outbox.deliveries(form.form_id))[0].attempts < 2:
                await asyncio.sleep(0.01)
        halted.error = StoreUnavailableError("away")
        halted.go_on.set()
        await post.until(form, "sent")
    assert len(mails.taken) == 1


async def test_courier_that_retires_finishes_what_it_began(mails: LocalMail):
    """A courier that is replaced records what is under way and begins nothing new."""
    world = memory_world()
    halted = HaltedOutbox(world.outbox)
    post = Post(world, mails.server, halted)
    form = await post.open("ann@x.example")
    async with post.working():
        async with asyncio.timeout(60):
            await halted.reached.wait()
        retired = asyncio.create_task(post.deliveries.retire())
        await asyncio.sleep(0)
        post.world.outbox._store.add_mail(form.form_id, make_id("recipient", form.form_id, "ann@x.example"), "x", NOW)
        post.deliveries.wake()
        assert not retired.done()
        halted.go_on.set()
        await retired
        assert sorted(each.state for each in await world.outbox.deliveries(form.form_id)) == ["pending", "sent"]
    assert len(mails.taken) == 1


async def test_failed_mail_is_sent_again_when_told(world: StoreWorld, mails: LocalMail):
    """What failed for want of a mail server is sent once there is one, on demand; what was sent is not."""
    without, post = Post(world, None), Post(world, mails.server)
    form = await post.open("ann@x.example")
    async with without.working():
        await without.until(form, "failed")
    assert await world.outbox.resend(form.form_id, NOW) == 1
    async with post.working():
        await post.until(form, "sent")
    assert await world.outbox.resend(form.form_id, NOW) == 0
    assert len(mails.taken) == 1


async def test_other_scripts_arrive_as_they_are(mails: LocalMail):
    """Subject, body and host name in any script; the host in the spelling that every server reads."""
    post = Post(memory_world(), mails.server)
    form = await post.open("ann@bücher.example", subject="Größe 大", body="Привет, [открыть]({{#url#}})")
    async with post.working():
        await post.until(form, "sent")
    (mail,) = mails.taken
    assert mails.asked == ["ann@xn--bcher-kva.example"]
    assert mail["Subject"] == "Größe 大" and body_of(mail, "plain").startswith("Привет, ")


async def test_attempts_are_bounded(mails: LocalMail):
    """An entry whose every attempt failed is given up with the last reason."""
    post = Post(memory_world(), mails.server, max_attempts=3)
    mails.rcpt["ann@x.example"] = ["451 never"] * 9
    form = await post.open("ann@x.example")
    async with post.working():
        for attempt in (1, 2):
            await post.until_tried(form, attempt)
            post.pass_time(60)
        (failed,) = await post.until(form, "failed")
    assert (failed.attempts, failed.last_error, len(mails.asked)) == (3, "451 never", 3)


async def test_no_mail_server_shows_as_the_reason():
    """Without a mail server a mail fails at once and says what to set."""
    post = Post(memory_world(), None)
    form = await post.open("ann@x.example")
    async with post.working():
        (failed,) = await post.until(form, "failed")
    assert failed.last_error == "no mail server is configured: set GREENROOM_SMTP_URL"


async def test_mail_server_that_is_away_is_asked_again():
    """Nobody listens: the mail waits; a server without STARTTLS, which is demanded, is as good as away."""
    post = Post(memory_world(), MailServer("127.0.0.1", free_ports(1)[0], "none", "g@x.example"))
    form = await post.open("ann@x.example")
    async with post.working():
        await post.until_tried(form, 1)
        await post.until(form, "pending")


async def test_plain_connection_is_not_used_where_tls_is_demanded(mails: LocalMail):
    """A server that offers no STARTTLS is told nothing."""
    post = Post(memory_world(), replace(mails.server, tls="starttls"))
    form = await post.open("ann@x.example")
    async with post.working():
        await post.until_tried(form, 1)
    assert mails.asked == []
    assert "STARTTLS" in (await post.world.outbox.deliveries(form.form_id))[0].last_error


async def test_headers_cannot_be_injected(mails: LocalMail):
    """Line breaks in subject, title or address add neither headers nor recipients."""
    post = Post(memory_world(), mails.server)
    form = await post.open("ann@x.example", subject="Pay\r\nBcc: eve@x.example\r\n\r\nbody {{#node_title#}}")
    async with post.working():
        await post.until(form, "sent")
    (mail,) = mails.taken
    assert mail["Subject"] == "Pay Bcc: eve@x.example body Payment"
    assert mail["Bcc"] is None and mails.asked == ["ann@x.example"]


async def test_member_who_logs_in_is_sent_to_the_inbox(on_sqlite: StoreWorld, mails: LocalMail):
    """A recipient of the console gets no token by mail, but the address of the form in the inbox."""
    post = Post(on_sqlite, mails.server)
    form = new_form(await start(post.world))
    member = recipient(form, "ann@x.example", RecipientType.BACKSTAGE)
    await post.world.forms.open(form, [member], [])
    assert on_sqlite.database is not None
    await on_sqlite.database.write(lambda c: add_mail(c, form.form_id, member.recipient_id, "escalated", NOW))
    async with post.working():
        await post.until(form, "sent", "sent")
    assert all(f"{PUBLIC}/inbox/forms/{form.form_id}" in body_of(mail, "plain") for mail in mails.taken)
    assert sorted(mail["Subject"].startswith("Escalated: ") for mail in mails.taken) == [False, True]


async def test_token_stays_out_of_logs_and_database(on_sqlite: StoreWorld, tmp_path: Path, mails: LocalMail):
    """A server that quotes the link in its refusal does not bring it into the reason, a log line or the database."""
    post = Post(on_sqlite, mails.server)
    form = await post.open("ann@x.example")
    token = token_for(form, "ann@x.example")
    mails.data["ann@x.example"] = [f"451 {PUBLIC}/form/{token} is listed", f"550 {PUBLIC}/form/{token} is spam"]
    structlog.reset_defaults()
    with capture_logs() as logs:
        async with post.working():
            await post.until_tried(form, 1)
            post.pass_time(15)
            (failed,) = await post.until(form, "failed")
    assert failed.last_error == f"550 {PUBLIC}/form/*** is spam"
    assert len(logs) == 2 and token not in repr(logs) and not re.search(r"[A-Za-z0-9]{43}", repr(logs))
    files = list(tmp_path.glob("greenroom.db*"))
    assert files and not any(token.encode() in file.read_bytes() for file in files)
