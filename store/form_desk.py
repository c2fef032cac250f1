"""What people and time do to a waiting form, written once: a desk gives the form's rows, in SQL or in memory.

The caller holds the transaction, and the desk has locked run and form. Every act leaves its audit entry in it.
"""

from collections.abc import Sequence
from typing import Protocol

from hitl.addressing import account_of, to_remind
from hitl.claim import Claim, check_claim, claimed
from hitl.deadline import next_deadline
from hitl.errors import FormExpiredError, FormNotFoundError
from hitl.form import Form, FormStatus
from hitl.form_state import check_open, passed_deadline
from hitl.hand_over import Standing, check_may_answer, check_may_hand_over, check_may_receive
from hitl.recipient import Recipient
from hitl.schedule import Passed
from store.form_record import SYSTEM, AuditEntry, AuditEvent, new_entry
from store.human_time_record import Act, Ask, Firing, HandOver, Schedule


class FormDesk(Protocol):
    """The rows of one form, locked. ``has_ended``: whether its run has; ``voters``: the accounts that have voted."""

    form: Form
    has_ended: bool
    voters: frozenset[str]

    def is_done(self, entry_id: str) -> bool:
        """Whether an audit entry has this id: the act that it names was carried out before."""
        ...

    def has_entry(self, event: AuditEvent, account_id: str, detail: str) -> bool:
        """Whether this account did just this before."""
        ...

    def role(self, account_id: str) -> str | None:
        """Return the role of an account in the form's workspace, None where it is no member."""
        ...

    def is_asked(self, account_id: str) -> bool:
        """Whether the form asks this account in person."""
        ...

    def recipients(self) -> list[Recipient]:
        """Return the recipients, revoked ones too, in their order."""
        ...

    def claim(self) -> Claim | None:
        """Return the last claim; it may have run out."""
        ...

    def put_claim(self, claim: Claim | None) -> None:
        """Replace the claim."""
        ...

    def snoozes(self) -> dict[str, float]:
        """Return account id -> until when it has put the form away; times that have passed too."""
        ...

    def put_snooze(self, account_id: str, until: float | None) -> None:
        """Replace the time until which an account has put the form away."""
        ...

    def schedule(self) -> Schedule | None:
        """Return the moments of the form, None where it never had any."""
        ...

    def advance(self, passed_count: int, next_at: float | None) -> None:
        """Note how many moments have passed, and when the next one is due."""
        ...

    def ask(self, ask: Ask) -> None:
        """Add a recipient with its tokens behind the others, and the account to those asked in person."""
        ...

    def unask(self, account_id: str, recipients: Sequence[Recipient]) -> None:
        """Revoke ``recipients``, which are those of the account, and take it from those asked in person."""
        ...

    def add_mail(self, recipient_id: str, kind: str, at: float) -> None:
        """Have a mail sent to a recipient; see ``store.outbox_rows.add_mail``."""
        ...

    def log(self, entry: AuditEntry) -> None:
        """Store an audit entry."""
        ...


def claim_form(desk: FormDesk, act: Act, lifetime_s: float) -> Claim:
    """Claim the form for an account, or extend its claim; see HumanTimeStore.claim."""
    if desk.is_done(act.act_id):
        # Also where it has ended since, or the form has: a call that is repeated does nothing more.
        return claimed(None, act.form_id, act.account_id, act.at, lifetime_s)[0]
    _check_open(desk, act)
    check_may_answer(desk.form, _standing(desk, act.account_id))
    claim, is_new = claimed(desk.claim(), act.form_id, act.account_id, act.at, lifetime_s)
    desk.put_claim(claim)
    if is_new:
        desk.log(new_entry(act.form_id, "claimed", act.at, act.by, entry_id=act.act_id))
    return claim


def release_form(desk: FormDesk, act: Act) -> None:
    """End the claim of a form; see HumanTimeStore.release."""
    standing = _standing(desk, act.account_id)
    if standing.role is None:
        raise FormNotFoundError()
    claim = desk.claim()
    if claim is None or not claim.is_living(act.at) or desk.is_done(act.act_id):
        return
    if not standing.sees_all:
        check_claim(claim, act.account_id, act.at)
    desk.put_claim(None)
    detail = "" if claim.account_id == act.account_id else f"claim of {claim.account_id}"
    desk.log(new_entry(act.form_id, "released", act.at, act.by, detail=detail, entry_id=act.act_id))


def hand_over_form(desk: FormDesk, order: HandOver) -> None:
    """Have another account asked; see HumanTimeStore.hand_over."""
    act, giver, receiver = order.act, order.giver, order.receiver.account_id
    event: AuditEvent = "reassigned" if order.kind == "reassign" else "delegated"
    detail = f"{giver} to {receiver}"
    if desk.is_done(act.act_id):
        return
    _check_open(desk, act)
    by, of_giver = _standing(desk, act.account_id), _standing(desk, giver)
    is_given = desk.is_asked(receiver) and (order.kind == "delegate" or not of_giver.is_asked)
    if is_given and desk.has_entry(event, act.account_id, detail):
        return
    check_may_hand_over(desk.form, by, of_giver, giver == act.account_id)
    if giver == receiver:
        return
    check_may_receive(desk.form, order.receiver, receiver in desk.voters)
    recipient_id = _ask(desk, order.ask)
    desk.put_snooze(receiver, None)
    if order.kind == "reassign":
        desk.unask(giver, [each for each in desk.recipients() if each.is_active and account_of(each) == giver])
        desk.put_snooze(giver, None)
    elif of_giver.is_asked:
        # Put away for good: whoever delegates is not reminded any more, and finds the form among the snoozed ones.
        desk.put_snooze(giver, next_deadline(desk.form.expires_at, desk.form.global_expires_at))
    claim = desk.claim()
    if claim is not None and claim.account_id == giver:
        desk.put_claim(None)
    desk.add_mail(recipient_id, "transferred", act.at)
    desk.log(new_entry(act.form_id, event, act.at, act.by, recipient_id, detail, act.act_id))


def snooze_form(desk: FormDesk, act: Act, until: float) -> None:
    """Put the form away in an account's inbox; see HumanTimeStore.snooze."""
    if desk.is_done(act.act_id):
        return
    _check_open(desk, act)
    if _standing(desk, act.account_id).role is None:
        raise FormNotFoundError()
    found = desk.snoozes().get(act.account_id)
    is_away = found is not None and found > act.at
    if until <= act.at:
        desk.put_snooze(act.account_id, None)
        if is_away:
            desk.log(new_entry(act.form_id, "snoozed", act.at, act.by, detail="until now", entry_id=act.act_id))
    elif found != until:
        desk.put_snooze(act.account_id, until)
        desk.log(new_entry(act.form_id, "snoozed", act.at, act.by, detail=f"until {int(until)}", entry_id=act.act_id))


def fire_moments(desk: FormDesk, firing: Firing) -> bool:
    """Do what the moments of a form that have passed say; see HumanTimeStore.fire."""
    found, now, passed = desk.schedule(), firing.at, firing.passed
    if found is None or found.passed_count != firing.found_count:
        return False
    if desk.form.status is not FormStatus.WAITING or desk.has_ended:
        desk.advance(found.passed_count, None)
        return False
    if passed_deadline(desk.form, now) is not None:
        return False
    desk.advance(passed.count, passed.next_at)
    if passed.is_reminder:
        _remind(desk, now)
    if passed.to:
        _escalate(desk, firing, passed)
    return True


def _remind(desk: FormDesk, now: float) -> None:
    away = [account_id for account_id, until in desk.snoozes().items() if until > now]
    recipients = to_remind(desk.recipients(), {*away, *desk.voters})
    for each in recipients:
        desk.add_mail(each.recipient_id, "reminder", now)
    desk.log(new_entry(desk.form.form_id, "reminded", now, SYSTEM, detail=f"{len(recipients)} recipients"))


def _escalate(desk: FormDesk, firing: Firing, passed: Passed) -> None:
    for ask in firing.asks:
        if ask.account_id not in desk.voters:
            desk.add_mail(_ask(desk, ask), "escalated", firing.at)
    detail = f"to {', '.join(passed.to)}"
    if firing.unknown:
        detail += f"; no account has {', '.join(firing.unknown)}"
    desk.log(new_entry(desk.form.form_id, "escalated", firing.at, SYSTEM, detail=detail))


def _ask(desk: FormDesk, ask: Ask) -> str:
    """Ask an account that is not asked yet; return the id of its recipient.

    The recipient of whoever runs the app in the console does not count: no mail reaches it, and it approves nothing.
    """
    for each in desk.recipients():
        if each.is_active and each.payload.get("email") and account_of(each) == ask.account_id:
            return each.recipient_id
    desk.ask(ask)
    return ask.recipient.recipient_id


def _standing(desk: FormDesk, account_id: str) -> Standing:
    return Standing(desk.role(account_id), desk.is_asked(account_id), account_id in desk.voters)


def _check_open(desk: FormDesk, act: Act) -> None:
    check_open(desk.form, act.at)
    if desk.has_ended:
        raise FormExpiredError(desk.form.form_id)
