"""Human time in the HITL actor: moments fire in time, once, also after downtime; accounts hand forms on."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from actors.deadlines import Deadlines
from actors.form_opening import new_form, new_moments, new_recipients, token_rows
from actors.human_time import HumanTime
from actors.messages import ActOrder, ClaimOrder, DelegateOrder, FormOrder, ReassignOrder, ReleaseOrder, SnoozeOrder
from graph.human_rules import AppRules, FormRules
from graph.ports import FormRequest
from hitl.errors import FormClaimedError, FormNotFoundError, PersonNotFoundError
from hitl.form import Form, FormStatus
from hitl.form_state import decide_deadline
from hitl.form_token import TokenKey
from store_world import StoreWorld, acts_on, mails, memory_world

HOUR = 3600.0
KEY = TokenKey(b"k" * 32)
MAIL = {"type": "email", "config": {"recipients": {"items": [{"type": "external", "email": "eve@out.org"}]}}}
GROUPS = AppRules(groups={"legal": ("lea@x.org", "nobody@x.org")})


class SetClock:
    """A clock that is set by hand."""

    time = 1_000_000.0

    def now(self) -> float:
        """Return the time that it was set to."""
        return self.time


class Desk:
    """A HITL actor's timers over a store in memory; ``restart`` makes new ones over the same rows."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.world: StoreWorld = memory_world()
        self.ids = count(1)
        self.accounts: dict[str, str] = {}
        self.restart()

    def restart(self) -> None:
        """Forget everything that is not stored."""
        self.human_time = HumanTime(
            self.world.human_time, self.world.forms, self.world.accounts, self.token_key, self.clock, 600.0, self.new_id
        )
        self.deadlines = Deadlines(self.due, self.fire, self.clock)

    def new_id(self) -> str:
        """Count."""
        return f"id{next(self.ids):04}"

    async def token_key(self) -> TokenKey:
        """The key of form tokens."""
        return KEY

    async def due(self, until: float) -> list[tuple[str, float]]:
        """Deadlines and moments, as the HITL actor reads them."""
        found = [*await self.world.forms.due(until), *await self.world.human_time.due(until)]
        return sorted(found, key=lambda each: each[1])

    async def fire(self, form_id: str) -> None:
        """Do what is due, as the HITL actor does."""
        form = await self.world.forms.get(form_id)
        outcome = decide_deadline(form, self.clock.now()) if form else None
        if outcome is None:
            await self.human_time.fire(form_id, form)
        else:
            await self.world.forms.close(form_id, outcome, self.clock.now())

    async def member(self, name: str, role: str = "normal") -> str:
        """The id of a member of the workspace."""
        return (await self.world.accounts.ensure_account(f"{name}@x.org", name, "ws", role)).account_id

    async def opened(self, hours: float = 10.0, methods: tuple[dict, ...] = (MAIL,), **rules: Any) -> Form:
        """Open a form as the HITL actor does."""
        request = FormRequest("run", "node", self.new_id(), "Title", "Well?", [], [], {}, list(methods), hours * HOUR)
        request = replace(request, rules=FormRules.model_validate(rules))
        order = FormOrder(request, "ws", "app", "service-api", None, app_rules=GROUPS)
        form = new_form(order, self.clock.now(), 0.0, self.new_id)
        recipients = new_recipients(order, form.form_id, await self.world.accounts.members("ws"), self.new_id)
        tokens = [row for each in recipients for row in token_rows(form, each, KEY)]
        return await self.world.forms.open(form, recipients, tokens, new_moments(order, form))

    async def at(self, hours: float) -> None:
        """Let the clock stand at ``hours`` after the beginning, and the timers look until nothing is due."""
        self.clock.time = SetClock.time + hours * HOUR
        await self.deadlines.refill()
        while await self.deadlines.fire_due():
            await self.deadlines.refill()

    async def sent(self) -> list[str]:
        """The kinds of mails, as they were stored."""
        return [kind for _, kind, _ in await mails(self.world)]

    async def act(self, order: ActOrder) -> None:
        """Carry out what an account wants."""
        await self.human_time.act(order)


async def test_reminders_fire_once_each_in_their_time():
    """A form reminds when its rules say so, and ends at its deadline."""
    desk = Desk()
    form = await desk.opened(reminders=[{"after": "2h"}, {"before_deadline": "1h"}])
    for hours, expected in ((1.99, 0), (2.0, 1), (2.0, 1), (8.99, 1), (9.0, 2), (9.9, 2)):
        await desk.at(hours)
        assert await desk.sent() == ["reminder"] * expected
    await desk.at(10.0)
    stored = await desk.world.forms.get(form.form_id)
    assert stored is not None and stored.status is FormStatus.TIMEOUT
    assert await desk.world.human_time.due(1e12) == []


async def test_moments_survive_a_restart():
    """What is due after a restart is fired by the new timers, and not again what the old ones have fired."""
    desk = Desk()
    await desk.opened(reminders=[{"after": "2h"}, {"after": "4h"}])
    await desk.at(2.0)
    desk.restart()
    await desk.at(2.5)
    assert await desk.sent() == ["reminder"]
    await desk.at(4.0)
    assert await desk.sent() == ["reminder", "reminder"]


async def test_downtime_sends_one_reminder_and_applies_every_escalation():
    """Whatever was missed while nothing ran: people are reminded once, and everybody is asked."""
    desk = Desk()
    lea, bob = await desk.member("lea"), await desk.member("bob")
    form = await desk.opened(
        reminders=[{"after": "1h"}, {"after": "2h"}, {"after": "3h"}],
        escalation=[{"after": "90m", "to": ["group:legal"]}, {"after": "150m", "to": ["bob@x.org", "lea@x.org"]}],
    )
    desk.restart()
    await desk.at(5.0)
    assert await desk.sent() == ["reminder", "escalated", "escalated"]
    recipients = (await desk.world.forms.recipients([form.form_id]))[form.form_id]
    asked = [each.payload.get("user_id") for each in recipients if each.type == "email_member"]
    assert sorted(asked) == sorted([lea, bob])
    details = [each.detail for each in await acts_on(desk.world.forms, form.form_id)]
    assert "to lea@x.org, nobody@x.org, bob@x.org; no account has nobody@x.org" in details


async def test_deadline_that_was_missed_wins_over_reminders():
    """A form whose deadline has passed during a downtime ends and reminds nobody."""
    desk = Desk()
    await desk.opened(reminders=[{"after": "1h"}], escalation=[{"after": "2h", "to": ["group:legal"]}])
    await desk.at(11.0)
    assert await desk.sent() == []
    assert await desk.world.forms.waiting_count() == 0
    assert await desk.world.human_time.due(1e12) == []


async def test_clock_that_jumps_back_repeats_nothing():
    """A moment that has been fired is past, whatever the clock says afterwards; the next one waits for its time."""
    desk = Desk()
    await desk.opened(reminders=[{"after": "2h"}, {"after": "4h"}])
    for hours, expected in ((3.0, 1), (1.0, 1), (2.0, 1), (3.9, 1), (4.0, 2), (3.0, 2)):
        await desk.at(hours)
        assert len(await desk.sent()) == expected


async def test_stand_ins_are_asked_at_the_opening():
    """Whoever stands in for an addressed person gets an own place, outside addresses included."""
    desk = Desk()
    bob = await desk.member("bob")
    form = await desk.opened(stand_ins={"Eve@out.org": "bob@x.org"})
    recipients = (await desk.world.forms.recipients([form.form_id]))[form.form_id]
    assert [each.payload for each in recipients if each.type == "email_member"] == [
        {"user_id": bob, "email": "bob@x.org"}
    ]
    assert (form.form_id, bob) in desk.world.rows.asked


async def test_named_approvers_get_no_link():
    """A form that counts only people who have logged in makes no token for the public page when it asks somebody."""
    desk = Desk()
    await desk.member("lea")
    approval = {"approvers": ["group:legal"]}
    await desk.opened(methods=(), approval=approval, escalation=[{"after": "1h", "to": ["bob@x.org"]}])
    await desk.member("bob")
    await desk.at(1.0)
    assert await desk.sent() == ["escalated"]
    assert {token.surface for token in desk.world.rows.tokens.values()} == {"console"}


async def test_orders_of_accounts_are_carried_out():
    """Claim, release, reassign, delegate and snooze each take effect for the account that orders them."""
    desk = Desk()
    ann, bob = await desk.member("ann"), await desk.member("bob")
    await desk.member("lea")
    form_id = (await desk.opened(methods=(), escalation=[{"after": "1h", "to": ["ann@x.org"]}])).form_id
    await desk.at(1.0)
    await desk.act(ClaimOrder(form_id, ann, "console"))
    with pytest.raises(FormClaimedError):
        await desk.act(ClaimOrder(form_id, bob, "console"))
    await desk.act(ReleaseOrder(form_id, ann, "console"))
    await desk.act(ReassignOrder(form_id, ann, " BOB@x.org", "console"))
    await desk.act(DelegateOrder(form_id, bob, "lea@x.org", "console"))
    await desk.act(SnoozeOrder(form_id, ann, desk.clock.now() + 60, "console"))
    events = [entry.event for entry in await acts_on(desk.world.forms, form_id)]
    assert sorted(events) == ["claimed", "delegated", "escalated", "reassigned", "released", "snoozed"]


async def test_owner_hands_on_the_place_of_somebody_else():
    """The place that is given away is named by its holder's address."""
    desk = Desk()
    olga, bob = await desk.member("olga", "owner"), await desk.member("bob")
    await desk.member("ann")
    form_id = (await desk.opened(methods=(), escalation=[{"after": "1h", "to": ["ann@x.org"]}])).form_id
    await desk.at(1.0)
    await desk.act(ReassignOrder(form_id, olga, "bob@x.org", "console", instead_of="ann@x.org"))
    assert {account for _, account in desk.world.rows.asked} == {bob}


async def test_form_goes_to_members_only():
    """An address that no account of the workspace has is refused; strangers are told nothing, not even that."""
    desk = Desk()
    ann = await desk.member("ann")
    form_id = (await desk.opened()).form_id
    with pytest.raises(PersonNotFoundError) as caught:
        await desk.act(DelegateOrder(form_id, ann, "nobody@x.org", "console"))
    assert caught.value.address == "nobody@x.org"
    with pytest.raises(FormNotFoundError):
        await desk.act(DelegateOrder(form_id, "stranger", "nobody@x.org", "console"))
    with pytest.raises(FormNotFoundError):
        await desk.act(ReassignOrder("no form", ann, "ann@x.org", "console"))
