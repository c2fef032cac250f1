"""Forms, recipients, tokens, answers and audit as rows: each operation one function over a connection.

The caller holds the transaction. Locks are taken in the order run, form, then what hangs on the form. The id of the
audit entry names the operation: where it is stored already, an earlier attempt was committed and its answer lost.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, select, update

from graph.ports import InboxItem
from hitl.addressing import account_of, asked_accounts
from hitl.claim import check_claim
from hitl.deadline import next_deadline
from hitl.errors import FormExpiredError, FormNotFoundError, NotAnApproverError
from hitl.form import Form, FormDefinition, FormStatus
from hitl.form_state import DeadlineOutcome, check_open, close, submit
from hitl.recipient import Recipient, RecipientType
from hitl.schedule import Moment
from hitl.submission import Submission
from store.audit_rows import add_audit, is_done
from store.compression import compress, decompress
from store.database import AnyRow
from store.driver import change, fetch_one
from store.errors import GenerationConflictError
from store.form_record import (
    Answered,
    AnswerTo,
    AuditEntry,
    ExpiryReason,
    Resumable,
    TokenRow,
    expired_entry,
    first_mails,
    opening_entry,
)
from store.human_time_rows import drop_asked, is_cut, open_human_time, read_claim
from store.insert_once import insert_once, insert_rows
from store.outbox_record import decided
from store.outbox_rows import add_entries, add_mail
from store.run_record import TERMINAL
from store.run_rows import add_item, lock_run
from store.tables import form_recipients, form_tokens, forms, is_waiting, runs, submissions

FORM = select(forms).where(forms.c.form_id == bindparam("key_form_id"))
_LOCK_FORM = FORM.with_for_update()
_RUN_OF_FORM = select(forms.c.run_id).where(forms.c.form_id == bindparam("key_form_id"))
_FORM_WITH_RUN = (
    select(forms, runs.c.status.label("run_status"), runs.c.actor.label("run_actor"))
    .outerjoin(runs, runs.c.run_id == forms.c.run_id)
    .where(forms.c.form_id == bindparam("key_form_id"))
)
_FORM_OF_EXECUTION = select(forms).where(forms.c.execution_id == bindparam("key_execution_id"))
_LOCK_WAITING_OF_RUN = (
    select(forms.c.form_id)
    .where(forms.c.run_id == bindparam("key_run_id"), is_waiting)
    .order_by(forms.c.form_id)
    .with_for_update()
)
_CLOSE_FORM = (
    update(forms)
    .where(forms.c.form_id == bindparam("key_form_id"), is_waiting)
    .values(status=bindparam("new_status"), closed_at=bindparam("new_closed_at"))
)
RECIPIENTS = (
    select(form_recipients)
    .where(form_recipients.c.form_id == bindparam("key_form_id"))
    .order_by(form_recipients.c.position)
)
_RECIPIENT = select(form_recipients).where(form_recipients.c.recipient_id == bindparam("key_recipient_id"))
_UPDATE_RECIPIENT = (
    update(form_recipients)
    .where(form_recipients.c.recipient_id == bindparam("key_recipient_id"))
    .values(state=bindparam("new_state"), generation=bindparam("new_generation"))
)

_FORM_FIELDS = tuple(part.name for part in fields(Form))
_DEFINITION_FIELDS = tuple(part.name for part in fields(FormDefinition))


def form_of(row: AnyRow) -> Form:
    """Return the form of a row of ``forms``."""
    values: dict[str, Any] = {name: getattr(row, name) for name in _FORM_FIELDS}
    stored = orjson.loads(decompress(row.definition))
    # A later version may have stored more than this one knows.
    definition = FormDefinition(**{name: stored[name] for name in _DEFINITION_FIELDS if name in stored})
    values |= {"definition": definition, "status": FormStatus(row.status)}
    return Form(**values)


def recipient_of(row: AnyRow) -> Recipient:
    """Return the recipient of a row of ``form_recipients``."""
    payload = orjson.loads(row.payload)
    return Recipient(row.recipient_id, row.form_id, RecipientType(row.type), row.state, row.generation, payload)


def open_form(
    connection: Connection,
    form: Form,
    recipients: Sequence[Recipient],
    tokens: Sequence[TokenRow],
    moments: Sequence[Moment] = (),
) -> Form:
    """Store a form with its recipients and tokens and return it; or return the form that its execution has.

    The form of a run that has ended meanwhile, or of an execution that was cut off, is stored expired.
    """
    run = lock_run(connection, form.run_id) if form.run_id is not None else None
    if run is not None and run.status in TERMINAL:
        form = close(form, "expired", form.created_at)
    row = {name: getattr(form, name) for name in _FORM_FIELDS} | {"status": str(form.status)}
    row["definition"] = compress(orjson.dumps(form.definition, option=orjson.OPT_NON_STR_KEYS))
    row["due_at"] = next_deadline(form.expires_at, form.global_expires_at)
    row["node_title"] = form.definition.node_title
    if not insert_once(connection, forms, row):
        return form_of(connection.execute(_FORM_OF_EXECUTION, {"key_execution_id": form.execution_id}).one())
    # A fact of the run cuts executions off: before its first one there is nothing to look for.
    if run is not None and is_cut(connection, form.execution_id):
        form = close(form, "expired", form.created_at)
        mark_closed(connection, form)
    add_recipients(connection, recipients)
    add_tokens(connection, tokens)
    add_audit(connection, opening_entry(form, recipients))
    if form.status is FormStatus.WAITING:
        open_human_time(connection, form, asked_accounts(recipients), moments)
    for recipient_id, occasion in first_mails(form, recipients):
        add_mail(connection, form.form_id, recipient_id, occasion, form.created_at)
    return form


def submit_form(
    connection: Connection,
    recipient_generation: int | None,
    answer: AnswerTo,
    entry: AuditEntry,
    api_key_id: str | None = None,
    key_hash: bytes | None = None,
) -> Answered:
    """Store an answer and put it into the inbox of its run.

    Args:
        connection: within its transaction.
        recipient_generation: the generation that the recipient of ``entry`` must have; ignored without a recipient.
        answer: makes the checked answer to the locked form.
        entry: which form, who gives the answer, and when.
        api_key_id: of the API key by which it came.
        key_hash: of the Idempotency-Key that came with it.

    Raises:
        GreenroomError: what ``answer`` raises.
        FormNotFoundError: no such form, or the recipient is not one of its living ones.
        FormAlreadySubmittedError: another answer came first.
        FormExpiredError: a deadline has passed, or the run has ended.
        NotAnApproverError: the form takes votes only.
        FormClaimedError: an account gives it, and another account has claimed the form.
    """
    form, run = lock_form(connection, entry.form_id)
    if form.status is not FormStatus.WAITING and is_done(connection, entry):
        return Answered(form, run)
    submission = answer(form)
    if form.definition.approval is not None:
        raise NotAnApproverError(form.form_id)
    check_recipient(connection, entry, recipient_generation)
    check_answerable(form, run, entry.at)
    if entry.account_id is not None:
        check_claim(read_claim(connection, form.form_id), entry.account_id, entry.at)
    accept(connection, form, run, submission, replace(entry, detail=submission.action_id), api_key_id, key_hash)
    return Answered(form, run)


def check_recipient(connection: Connection, entry: AuditEntry, generation: int | None) -> None:
    """Return when ``entry`` names no recipient, or a living one of its form with tokens of ``generation``.

    Raises:
        FormNotFoundError: it names another.
    """
    if entry.recipient_id is not None:
        recipient = fetch_one(connection, _RECIPIENT, {"key_recipient_id": entry.recipient_id})
        needed = (entry.form_id, "active", generation)
        if recipient is None or (recipient.form_id, recipient.state, recipient.generation) != needed:
            raise FormNotFoundError()


def check_answerable(form: Form, run: Resumable | None, now: float) -> None:
    """Return when ``form`` is open at ``now`` and its run has not ended.

    Raises:
        FormAlreadySubmittedError: it has its answer.
        FormExpiredError: a deadline has passed, or the run has ended.
    """
    check_open(form, now)
    if run is not None and run.run_status in TERMINAL:
        raise FormExpiredError(form.form_id)


def accept(
    connection: Connection,
    form: Form,
    run: Resumable | None,
    submission: Submission,
    entry: AuditEntry,
    api_key_id: str | None,
    key_hash: bytes | None,
) -> None:
    """Close an answerable, locked form with its answer, and put the answer into the inbox of its run."""
    closed = submit(form, entry.at)
    mark_closed(connection, closed)
    if run is not None:
        item = InboxItem(form.form_id, "submitted", form.form_id, submission.action_id, submission.values)
        add_item(connection, run.run_id, item, entry.at)
    row = {
        "form_id": form.form_id,
        "recipient_id": entry.recipient_id,
        "action_id": submission.action_id,
        "action_title": submission.action_title,
        "field_values": orjson.dumps(submission.values, option=orjson.OPT_NON_STR_KEYS),
        "account_id": entry.account_id,
        "end_user_id": entry.end_user_id,
        "via": entry.via,
        "submitted_at": entry.at,
        "api_key_id": api_key_id,
        "key_hash": key_hash,
    }
    insert_rows(connection, submissions, [row])
    add_audit(connection, entry)
    add_entries(connection, decided(closed, submission.action_id))


def close_form(connection: Connection, outcome: DeadlineOutcome, entry: AuditEntry) -> Resumable | None:
    """End a waiting form without an answer; ``expired`` ends the other waiting forms of its run too.

    Returns:
        The run, with a new item in its inbox; None where the form waits no more, has no run, or the run has ended
        (the form is then expired, whatever ``outcome`` says).
    """
    try:
        form, run = lock_form(connection, entry.form_id)
    except FormNotFoundError:
        return None
    if form.status is not FormStatus.WAITING:
        return run if is_done(connection, entry) else None
    reason: ExpiryReason | None = "global_deadline" if outcome == "expired" else None
    if run is not None and run.run_status in TERMINAL:
        outcome, run, reason = "expired", None, reason or "run_ended"
    closed = close(form, outcome, entry.at)
    mark_closed(connection, closed)
    add_audit(connection, replace(entry, event=outcome, reason=reason))
    add_entries(connection, decided(closed, None))
    if run is not None:
        item = InboxItem(form.form_id, outcome, form.form_id, reason=entry.detail)
        add_item(connection, run.run_id, item, entry.at)
        if outcome == "expired":
            expire_forms(connection, run.run_id, entry.at, entry.detail, "global_deadline")
    return run


def expire_forms(
    connection: Connection, run_id: str, now: float, detail: str, reason: ExpiryReason = "run_ended"
) -> list[str]:
    """Expire the waiting forms of a run whose row is locked; returns their ids."""
    form_ids = list(connection.execute(_LOCK_WAITING_OF_RUN, {"key_run_id": run_id}).scalars())
    for form_id in form_ids:
        key = {"key_form_id": form_id, "new_status": str(FormStatus.EXPIRED), "new_closed_at": now}
        connection.execute(_CLOSE_FORM, key)
        add_audit(connection, expired_entry(form_id, now, reason, detail))
    return form_ids


def expire_forms_of_ended_run(connection: Connection, run_id: str, now: float) -> list[str]:
    """Expire the waiting forms of a run that has ended; returns their ids, none while the run goes on."""
    run = lock_run(connection, run_id)
    if run is None or run.status not in TERMINAL:
        return []
    return expire_forms(connection, run_id, now, "the run has ended")


def revoke_recipient(connection: Connection, recipient_id: str, entry: AuditEntry) -> None:
    """Make the tokens of a recipient worthless on every surface; the account that it asked is asked no more.

    Raises:
        FormNotFoundError: there is no such recipient.
    """
    recipient = _lock_recipient(connection, recipient_id)
    if recipient.state != "revoked":
        update_recipient(connection, replace(recipient, state="revoked"))
        rows = connection.execute(RECIPIENTS, {"key_form_id": recipient.form_id})
        account_id = account_of(recipient)
        if account_id is not None and account_id not in asked_accounts(recipient_of(row) for row in rows):
            drop_asked(connection, recipient.form_id, account_id)
        add_audit(connection, replace(entry, form_id=recipient.form_id))


def reissue_tokens(connection: Connection, recipient_id: str, tokens: Sequence[TokenRow], entry: AuditEntry) -> int:
    """Give a recipient new tokens, which ends the earlier ones; returns the new generation.

    Raises:
        FormNotFoundError: there is no such recipient.
        GenerationConflictError: the tokens are not those of the next generation.
    """
    recipient = _lock_recipient(connection, recipient_id)
    if is_done(connection, entry):
        return recipient.generation
    generation = recipient.generation + 1
    if any(token.generation != generation or token.recipient_id != recipient_id for token in tokens):
        raise GenerationConflictError(recipient_id, generation)
    update_recipient(connection, replace(recipient, generation=generation))
    add_tokens(connection, tokens)
    if recipient.payload.get("email"):
        # Nobody else can tell such a recipient the new link.
        add_mail(connection, recipient.form_id, recipient_id, "opened", entry.at)
    add_audit(connection, replace(entry, form_id=recipient.form_id))
    return generation


def lock_form(connection: Connection, form_id: str) -> tuple[Form, Resumable | None]:
    """Lock a form behind its run and return both; without a row, the run's first commit is still to come.

    Raises:
        FormNotFoundError: there is no such form.
    """
    key = {"key_form_id": form_id}
    if connection.dialect.name == "sqlite":
        # Who writes to SQLite has locked everything: one look is enough.
        row = fetch_one(connection, _FORM_WITH_RUN, key)
        if row is None:
            raise FormNotFoundError()
        return form_of(row), _resumable(row.run_id, row.run_status, row.run_actor)
    found = connection.execute(_RUN_OF_FORM, key).one_or_none()
    if found is None:
        raise FormNotFoundError()
    run = lock_run(connection, found.run_id) if found.run_id is not None else None
    form = form_of(connection.execute(_LOCK_FORM, key).one())
    return form, _resumable(found.run_id, run.status if run else None, run.actor if run else None)


def _resumable(run_id: str | None, status: str | None, actor: str | None) -> Resumable | None:
    return None if run_id is None else Resumable(run_id, status or "running", actor or "")


def _lock_recipient(connection: Connection, recipient_id: str) -> Recipient:
    """Lock the form of a recipient, so that no answer is being checked meanwhile, and return the recipient."""
    key = {"key_recipient_id": recipient_id}
    row = connection.execute(_RECIPIENT, key).one_or_none()
    if row is None:
        raise FormNotFoundError()
    connection.execute(_LOCK_FORM, {"key_form_id": row.form_id})
    return recipient_of(connection.execute(_RECIPIENT, key).one())


def add_recipients(connection: Connection, recipients: Sequence[Recipient], first_position: int = 0) -> None:
    """Store recipients of a form, in this order, from the place ``first_position`` on."""
    rows = [
        {
            "recipient_id": each.recipient_id,
            "form_id": each.form_id,
            "position": position,
            "type": str(each.type),
            "state": each.state,
            "generation": each.generation,
            "payload": orjson.dumps(each.payload, option=orjson.OPT_NON_STR_KEYS),
        }
        for position, each in enumerate(recipients, first_position)
    ]
    insert_rows(connection, form_recipients, rows)


def update_recipient(connection: Connection, recipient: Recipient) -> None:
    """Store state and generation of a recipient."""
    values = {"new_state": recipient.state, "new_generation": recipient.generation}
    connection.execute(_UPDATE_RECIPIENT, {**values, "key_recipient_id": recipient.recipient_id})


def mark_closed(connection: Connection, closed: Form) -> None:
    """Store how a form ended that waited until now, and whose row is locked."""
    key = {"key_form_id": closed.form_id, "new_status": str(closed.status), "new_closed_at": closed.closed_at}
    change(connection, _CLOSE_FORM, key)


def add_tokens(connection: Connection, tokens: Sequence[TokenRow]) -> None:
    """Store the hashes of form tokens."""
    rows = [
        {
            "token_hash": token.token_hash,
            "recipient_id": token.recipient_id,
            "surface": str(token.surface),
            "purpose": str(token.purpose),
            "generation": token.generation,
        }
        for token in tokens
    ]
    insert_rows(connection, form_tokens, rows)
