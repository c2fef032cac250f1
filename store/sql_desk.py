"""The rows of one waiting form in SQL, for ``store.form_desk``, and the forms that a failing container cut off."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from hitl.claim import Claim
from hitl.form import Form, FormStatus
from hitl.form_state import close
from hitl.recipient import Recipient
from store.audit_rows import add_audit
from store.decision_tables import votes
from store.form_record import CUT_OFF, AuditEntry, AuditEvent, expired_entry
from store.form_rows import (
    RECIPIENTS,
    add_recipients,
    add_tokens,
    lock_form,
    mark_closed,
    recipient_of,
    update_recipient,
)
from store.human_time_record import Ask, Schedule
from store.human_time_rows import add_asked, drop_asked, read_claim, read_schedule
from store.human_time_tables import asked_accounts, claims, cut_executions, schedules, snoozes
from store.outbox_rows import add_mail
from store.run_record import TERMINAL
from store.tables import audit, forms, is_waiting, members, runs

_ROLE = select(members.c.role).where(
    members.c.workspace_id == bindparam("key_workspace_id"), members.c.account_id == bindparam("key_account_id")
)
_IS_ASKED = select(
    exists().where(
        asked_accounts.c.form_id == bindparam("key_form_id"), asked_accounts.c.account_id == bindparam("key_account_id")
    )
)
_IS_DONE = select(exists().where(audit.c.entry_id == bindparam("key_entry_id")))
_HAS_ENTRY = select(
    exists().where(
        audit.c.form_id == bindparam("key_form_id"),
        audit.c.event == bindparam("key_event"),
        audit.c.account_id == bindparam("key_account_id"),
        audit.c.detail == bindparam("key_detail"),
    )
)
_DROP_CLAIM = delete(claims).where(claims.c.form_id == bindparam("key_form_id"))
_SNOOZES = select(snoozes.c.account_id, snoozes.c.until).where(snoozes.c.form_id == bindparam("key_form_id"))
_DROP_SNOOZE = delete(snoozes).where(
    snoozes.c.form_id == bindparam("key_form_id"), snoozes.c.account_id == bindparam("key_account_id")
)
_ADVANCE = (
    update(schedules)
    .where(schedules.c.form_id == bindparam("key_form_id"))
    .values(passed_count=bindparam("new_passed_count"), next_at=bindparam("new_next_at"))
)
_VOTERS = select(votes.c.account_id).where(votes.c.form_id == bindparam("key_form_id"))
_CUT = select(cut_executions.c.execution_id).limit(1)
_CUT_FORMS = (
    select(forms.c.form_id)
    .join(cut_executions, cut_executions.c.execution_id == forms.c.execution_id)
    .where(is_waiting)
    .order_by(forms.c.form_id)
)
_FORGET_CUT = delete(cut_executions).where(
    exists().where(forms.c.execution_id == cut_executions.c.execution_id, ~is_waiting)
    | exists().where(runs.c.run_id == cut_executions.c.run_id, runs.c.status.in_(sorted(TERMINAL)))
)


class SqlDesk:
    """Implements FormDesk over a connection, in the caller's transaction."""

    def __init__(self, connection: Connection, form: Form, has_ended: bool) -> None:
        self._connection = connection
        self._key = {"key_form_id": form.form_id}
        self.form = form
        self.has_ended = has_ended
        needs_votes = form.definition.approval is not None
        self.voters = frozenset(connection.execute(_VOTERS, self._key).scalars()) if needs_votes else frozenset[str]()

    def is_done(self, entry_id: str) -> bool:
        """Whether an audit entry has this id; see FormDesk."""
        return bool(self._connection.execute(_IS_DONE, {"key_entry_id": entry_id}).scalar())

    def has_entry(self, event: AuditEvent, account_id: str, detail: str) -> bool:
        """Whether this account did just this before; see FormDesk."""
        key = {"key_event": event, "key_account_id": account_id, "key_detail": detail}
        return bool(self._connection.execute(_HAS_ENTRY, self._key | key).scalar())

    def role(self, account_id: str) -> str | None:
        """Return the role of an account; see FormDesk."""
        key = {"key_workspace_id": self.form.workspace_id, "key_account_id": account_id}
        return self._connection.execute(_ROLE, key).scalar()

    def is_asked(self, account_id: str) -> bool:
        """Whether the form asks this account in person; see FormDesk."""
        return bool(self._connection.execute(_IS_ASKED, self._key | {"key_account_id": account_id}).scalar())

    def recipients(self) -> list[Recipient]:
        """Return the recipients; see FormDesk."""
        return [recipient_of(row) for row in self._connection.execute(RECIPIENTS, self._key)]

    def claim(self) -> Claim | None:
        """Return the last claim; see FormDesk."""
        return read_claim(self._connection, self.form.form_id)

    def put_claim(self, claim: Claim | None) -> None:
        """Replace the claim; see FormDesk."""
        self._connection.execute(_DROP_CLAIM, self._key)
        if claim is not None:
            row = {"form_id": claim.form_id, "account_id": claim.account_id}
            self._connection.execute(insert(claims), row | {"at": claim.at, "expires_at": claim.expires_at})

    def snoozes(self) -> dict[str, float]:
        """Return account id -> until when it has put the form away; see FormDesk."""
        return {row.account_id: row.until for row in self._connection.execute(_SNOOZES, self._key)}

    def put_snooze(self, account_id: str, until: float | None) -> None:
        """Replace the time until which an account has put the form away; see FormDesk."""
        self._connection.execute(_DROP_SNOOZE, self._key | {"key_account_id": account_id})
        if until is not None:
            row = {"form_id": self.form.form_id, "account_id": account_id, "until": until}
            self._connection.execute(insert(snoozes), row)

    def schedule(self) -> Schedule | None:
        """Return the moments of the form; see FormDesk."""
        return read_schedule(self._connection, self.form.form_id)

    def advance(self, passed_count: int, next_at: float | None) -> None:
        """Note how many moments have passed; see FormDesk."""
        self._connection.execute(_ADVANCE, self._key | {"new_passed_count": passed_count, "new_next_at": next_at})

    def ask(self, ask: Ask) -> None:
        """Add a recipient with its tokens; see FormDesk."""
        add_recipients(self._connection, [ask.recipient], len(self.recipients()))
        add_tokens(self._connection, ask.tokens)
        add_asked(self._connection, self.form, ask.account_id)

    def unask(self, account_id: str, recipients: Sequence[Recipient]) -> None:
        """Revoke the recipients of an account; see FormDesk."""
        for each in recipients:
            update_recipient(self._connection, replace(each, state="revoked"))
        drop_asked(self._connection, self.form.form_id, account_id)

    def add_mail(self, recipient_id: str, kind: str, at: float) -> None:
        """Have a mail sent to a recipient; see FormDesk."""
        add_mail(self._connection, self.form.form_id, recipient_id, kind, at)

    def log(self, entry: AuditEntry) -> None:
        """Store an audit entry; see FormDesk."""
        add_audit(self._connection, entry)


def open_desk(connection: Connection, form_id: str) -> SqlDesk:
    """Return the desk of a form, which is locked behind its run.

    Raises:
        FormNotFoundError: there is no such form.
    """
    form, run = lock_form(connection, form_id)
    return SqlDesk(connection, form, run is not None and run.run_status in TERMINAL)


def has_cut(connection: Connection) -> bool:
    """Whether there are executions that were cut off, and whose forms may still have to be closed."""
    return connection.execute(_CUT).first() is not None


def expire_cut_forms(connection: Connection, now: float) -> list[str]:
    """Expire the waiting forms of node executions that were cut off and return their ids; their runs go on."""
    form_ids = list(connection.execute(_CUT_FORMS).scalars())
    waiting = [
        form
        for form in (lock_form(connection, form_id)[0] for form_id in form_ids)
        if form.status is FormStatus.WAITING
    ]
    for form in waiting:
        mark_closed(connection, close(form, "expired", now))
        add_audit(connection, expired_entry(form.form_id, now, "cut_off", CUT_OFF))
    connection.execute(_FORGET_CUT)
    return [form.form_id for form in waiting]
