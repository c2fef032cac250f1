"""Forms, recipients, tokens, answers and audit as rows: each operation one function over a connection.

The caller holds the transaction. Locks are taken in the order run, form, then what hangs on the form. The id of the
audit entry names the operation: where it is stored already, an earlier attempt was committed and its answer lost.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, insert, select, update

from graph.ports import InboxItem
from hitl.deadline import next_deadline
from hitl.errors import FormExpiredError, FormNotFoundError
from hitl.form import Form, FormDefinition, FormStatus
from hitl.form_state import DeadlineOutcome, close, submit
from hitl.recipient import Recipient, RecipientType
from hitl.submission import Submission
from store.compression import compress, decompress
from store.database import AnyRow
from store.errors import GenerationConflictError
from store.form_record import SYSTEM, AuditEntry, Resumable, TokenRow, new_entry
from store.run_record import TERMINAL
from store.run_rows import add_item, insert_once, lock_run
from store.tables import audit, form_recipients, form_tokens, forms, is_waiting, submissions

FORM = select(forms).where(forms.c.form_id == bindparam("key_form_id"))
_LOCK_FORM = FORM.with_for_update()
_RUN_OF_FORM = select(forms.c.run_id).where(forms.c.form_id == bindparam("key_form_id"))
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
_RECIPIENT = select(form_recipients).where(form_recipients.c.recipient_id == bindparam("key_recipient_id"))
_UPDATE_RECIPIENT = (
    update(form_recipients)
    .where(form_recipients.c.recipient_id == bindparam("key_recipient_id"))
    .values(state=bindparam("new_state"), generation=bindparam("new_generation"))
)
_INSERT_RECIPIENTS = insert(form_recipients)
_INSERT_TOKENS = insert(form_tokens)
_INSERT_SUBMISSION = insert(submissions)
_INSERT_AUDIT = insert(audit)
_AUDIT_ENTRY = select(audit.c.entry_id).where(audit.c.entry_id == bindparam("key_entry_id"))

_FORM_FIELDS = tuple(part.name for part in fields(Form))
_AUDIT_FIELDS = tuple(part.name for part in fields(AuditEntry))
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


def open_form(connection: Connection, form: Form, recipients: Sequence[Recipient], tokens: Sequence[TokenRow]) -> Form:
    """Store a form with its recipients and tokens and return it; or return the form that its execution has.

    The form of a run that has ended meanwhile is stored expired.
    """
    run = lock_run(connection, form.run_id) if form.run_id is not None else None
    key = {"key_execution_id": form.execution_id}
    existing = connection.execute(_FORM_OF_EXECUTION, key).one_or_none()
    if existing is not None:
        return form_of(existing)
    if run is not None and run.status in TERMINAL:
        form = close(form, "expired", form.created_at)
    row = {name: getattr(form, name) for name in _FORM_FIELDS} | {"status": str(form.status)}
    row["definition"] = compress(orjson.dumps(form.definition, option=orjson.OPT_NON_STR_KEYS))
    row["due_at"] = next_deadline(form.expires_at, form.global_expires_at)
    if not insert_once(connection, forms, row):
        return form_of(connection.execute(_FORM_OF_EXECUTION, key).one())
    rows = [
        {
            "recipient_id": each.recipient_id,
            "form_id": form.form_id,
            "position": position,
            "type": str(each.type),
            "state": each.state,
            "generation": each.generation,
            "payload": orjson.dumps(each.payload, option=orjson.OPT_NON_STR_KEYS),
        }
        for position, each in enumerate(recipients)
    ]
    if rows:
        connection.execute(_INSERT_RECIPIENTS, rows)
    _add_tokens(connection, tokens)
    return form


def submit_form(
    connection: Connection,
    recipient_generation: int | None,
    submission: Submission,
    entry: AuditEntry,
) -> Resumable | None:
    """Store an answer and put it into the inbox of its run; returns that run, None for a form without one.

    Args:
        connection: within its transaction.
        recipient_generation: the generation that the recipient of ``entry`` must have; ignored without a recipient.
        submission: the checked answer.
        entry: which form, who gives the answer, and when.

    Raises:
        FormNotFoundError: no such form, or the recipient is not one of its living ones.
        FormAlreadySubmittedError: another answer came first.
        FormExpiredError: a deadline has passed, or the run has ended.
    """
    form, run = _lock_form(connection, entry.form_id)
    if form.status is not FormStatus.WAITING and _is_done(connection, entry):
        return run
    if entry.recipient_id is not None:
        recipient = connection.execute(_RECIPIENT, {"key_recipient_id": entry.recipient_id}).one_or_none()
        needed = (form.form_id, "active", recipient_generation)
        if recipient is None or (recipient.form_id, recipient.state, recipient.generation) != needed:
            raise FormNotFoundError()
    closed = submit(form, entry.at)
    if run is not None and run.run_status in TERMINAL:
        raise FormExpiredError(form.form_id)
    _close_form(connection, closed)
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
    }
    connection.execute(_INSERT_SUBMISSION, row)
    _add_audit(connection, entry)
    return run


def close_form(connection: Connection, outcome: DeadlineOutcome, entry: AuditEntry) -> Resumable | None:
    """End a waiting form without an answer; ``expired`` ends the other waiting forms of its run too.

    Returns:
        The run, with a new item in its inbox; None where the form waits no more, has no run, or the run has ended
        (the form is then expired, whatever ``outcome`` says).
    """
    try:
        form, run = _lock_form(connection, entry.form_id)
    except FormNotFoundError:
        return None
    if form.status is not FormStatus.WAITING:
        return run if _is_done(connection, entry) else None
    if run is not None and run.run_status in TERMINAL:
        outcome, run = "expired", None
    _close_form(connection, close(form, outcome, entry.at))
    _add_audit(connection, replace(entry, event=outcome))
    if run is not None:
        item = InboxItem(form.form_id, outcome, form.form_id, reason=entry.detail)
        add_item(connection, run.run_id, item, entry.at)
        if outcome == "expired":
            expire_forms(connection, run.run_id, entry.at, entry.detail)
    return run


def expire_forms(connection: Connection, run_id: str, now: float, detail: str) -> list[str]:
    """Expire the waiting forms of a run whose row is locked; returns their ids."""
    form_ids = list(connection.execute(_LOCK_WAITING_OF_RUN, {"key_run_id": run_id}).scalars())
    for form_id in form_ids:
        key = {"key_form_id": form_id, "new_status": str(FormStatus.EXPIRED), "new_closed_at": now}
        connection.execute(_CLOSE_FORM, key)
        _add_audit(connection, new_entry(form_id, "expired", now, SYSTEM, detail=detail))
    return form_ids


def expire_forms_of_ended_run(connection: Connection, run_id: str, now: float) -> list[str]:
    """Expire the waiting forms of a run that has ended; returns their ids, none while the run goes on."""
    run = lock_run(connection, run_id)
    if run is None or run.status not in TERMINAL:
        return []
    return expire_forms(connection, run_id, now, "the run has ended")


def revoke_recipient(connection: Connection, recipient_id: str, entry: AuditEntry) -> None:
    """Make the tokens of a recipient worthless on every surface.

    Raises:
        FormNotFoundError: there is no such recipient.
    """
    recipient = _lock_recipient(connection, recipient_id)
    if recipient.state != "revoked":
        _update_recipient(connection, replace(recipient, state="revoked"))
        _add_audit(connection, replace(entry, form_id=recipient.form_id))


def reissue_tokens(connection: Connection, recipient_id: str, tokens: Sequence[TokenRow], entry: AuditEntry) -> int:
    """Give a recipient new tokens, which ends the earlier ones; returns the new generation.

    Raises:
        FormNotFoundError: there is no such recipient.
        GenerationConflictError: the tokens are not those of the next generation.
    """
    recipient = _lock_recipient(connection, recipient_id)
    if _is_done(connection, entry):
        return recipient.generation
    generation = recipient.generation + 1
    if any(token.generation != generation or token.recipient_id != recipient_id for token in tokens):
        raise GenerationConflictError(recipient_id, generation)
    _update_recipient(connection, replace(recipient, generation=generation))
    _add_tokens(connection, tokens)
    _add_audit(connection, replace(entry, form_id=recipient.form_id))
    return generation


def _lock_form(connection: Connection, form_id: str) -> tuple[Form, Resumable | None]:
    """Lock a form behind its run and return both; without a row, the run's first commit is still to come."""
    key = {"key_form_id": form_id}
    found = connection.execute(_RUN_OF_FORM, key).one_or_none()
    if found is None:
        raise FormNotFoundError()
    run = None
    if found.run_id is not None:
        locked = lock_run(connection, found.run_id)
        run = Resumable(found.run_id, locked.status if locked else "running", locked.actor if locked else "")
    return form_of(connection.execute(_LOCK_FORM, key).one()), run


def _lock_recipient(connection: Connection, recipient_id: str) -> Recipient:
    """Lock the form of a recipient, so that no answer is being checked meanwhile, and return the recipient."""
    key = {"key_recipient_id": recipient_id}
    row = connection.execute(_RECIPIENT, key).one_or_none()
    if row is None:
        raise FormNotFoundError()
    connection.execute(_LOCK_FORM, {"key_form_id": row.form_id})
    return recipient_of(connection.execute(_RECIPIENT, key).one())


def _update_recipient(connection: Connection, recipient: Recipient) -> None:
    values = {"new_state": recipient.state, "new_generation": recipient.generation}
    connection.execute(_UPDATE_RECIPIENT, {**values, "key_recipient_id": recipient.recipient_id})


def _close_form(connection: Connection, closed: Form) -> None:
    key = {"key_form_id": closed.form_id, "new_status": str(closed.status), "new_closed_at": closed.closed_at}
    connection.execute(_CLOSE_FORM, key)


def _add_tokens(connection: Connection, tokens: Sequence[TokenRow]) -> None:
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
    if rows:
        connection.execute(_INSERT_TOKENS, rows)


def _add_audit(connection: Connection, entry: AuditEntry) -> None:
    connection.execute(_INSERT_AUDIT, {name: getattr(entry, name) for name in _AUDIT_FIELDS})


def _is_done(connection: Connection, entry: AuditEntry) -> bool:
    """Whether the operation that ``entry`` names was committed before, its answer having been lost."""
    return connection.execute(_AUDIT_ENTRY, {"key_entry_id": entry.entry_id}).first() is not None
