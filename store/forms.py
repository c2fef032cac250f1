"""The store of forms: what is asked, who may answer, what was answered, and who did what.

``FormStore`` says the rules; ``SqlForms`` keeps them in SQL (the statements: ``store.form_rows``), the memory twin
is ``store.memory_forms``. Answers and deadlines reach a run through its inbox, never through its journal. The HITL
actor is the only writer; anybody reads.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import bindparam, func, select

from hitl.form import Form
from hitl.form_state import DeadlineOutcome
from hitl.form_token import Purpose
from hitl.recipient import Recipient
from hitl.schedule import Moment
from hitl.submission import Submission
from hitl.surface import Surface
from store.database import AnyRow, AnySelect, Database
from store.form_record import (
    SYSTEM,
    Answered,
    AnswerTo,
    AuditEntry,
    Resumable,
    Submitter,
    TokenMatch,
    TokenRow,
    new_entry,
)
from store.form_rows import (
    FORM,
    close_form,
    expire_forms_of_ended_run,
    form_of,
    open_form,
    recipient_of,
    reissue_tokens,
    revoke_recipient,
    submit_form,
)
from store.tables import audit, form_recipients, form_tokens, forms, is_waiting, submissions

__all__ = ["AuditEntry", "FormStore", "Resumable", "SqlForms", "Submitter", "TokenMatch", "TokenRow"]

DUE_LIMIT = 1000
ALL_SURFACES: Final = tuple(Surface)
ALL_PURPOSES: Final = tuple(Purpose)


class FormStore(Protocol):
    """Stores forms. Every operation is one transaction, durable when it returns; the first decision wins."""

    async def open(
        self,
        form: Form,
        recipients: Sequence[Recipient],
        tokens: Sequence[TokenRow],
        moments: Sequence[Moment] = (),
    ) -> Form:
        """Store a waiting form with its recipients, the hashes of their tokens, its reminders and escalation.

        Returns:
            ``form``; or the form that its execution has already (nothing changes then); or ``form`` expired where
            its run has ended meanwhile, or its node execution was cut off.
        """
        ...

    async def get(self, form_id: str) -> Form | None:
        """Return a form, or None."""
        ...

    async def by_token(
        self,
        token_hash: bytes,
        surfaces: Sequence[Surface] = ALL_SURFACES,
        purposes: Sequence[Purpose] = ALL_PURPOSES,
    ) -> TokenMatch | None:
        """Return what a token stands for, if it was minted for one of ``surfaces`` and ``purposes``.

        None for an unknown one, one of a revoked recipient, and a replaced one. All that is None is so before
        anything of the form is read, so that each costs the same.
        """
        ...

    async def by_run(self, run_id: str) -> list[Form]:
        """Return the forms of a run, oldest first."""
        ...

    async def recipients(self, form_ids: Iterable[str]) -> dict[str, list[Recipient]]:
        """Return form id -> recipients, revoked ones too, in the order they were given; forms without are absent."""
        ...

    async def submit(
        self,
        form_id: str,
        recipient_id: str | None,
        generation: int,
        answer: AnswerTo,
        submitter: Submitter,
        now: float,
        key_hash: bytes | None = None,
    ) -> Answered:
        """Store an answer, close the form and put the answer into the inbox of its run.

        Args:
            form_id: the form.
            recipient_id: as whom; None where the caller has checked an account's right to answer.
            generation: of the token that was used; ignored without a recipient.
            answer: makes the checked answer, while the form is locked.
            submitter: who it was.
            now: Unix seconds.
            key_hash: of the Idempotency-Key that came with it.

        Raises:
            GreenroomError: what ``answer`` raises.
            FormNotFoundError: no such form, or the recipient is not of the form, revoked, or of another generation.
            FormAlreadySubmittedError: another answer came first.
            FormExpiredError: a deadline has passed, or the run has ended.
            NotAnApproverError: the form takes votes only (``store.decisions``).
            FormClaimedError: an account answers, and another account has claimed the form.
        """
        ...

    async def close(self, form_id: str, outcome: DeadlineOutcome, now: float, reason: str = "") -> Resumable | None:
        """End a waiting form at a deadline; ``expired`` ends the other waiting forms of its run with it.

        Args:
            form_id: the form.
            outcome: ``timeout`` at the node deadline, ``expired`` at the global one.
            now: Unix seconds.
            reason: for ``expired`` the error text of the run.

        Returns:
            The run that has a new inbox item; None where the form waits no more, has no run, or the run has ended
            (then the form is expired).
        """
        ...

    async def close_run(self, run_id: str, now: float) -> list[str]:
        """Expire the waiting forms of a run that has ended and return their ids; none while it goes on."""
        ...

    async def due(self, until: float, limit: int = DUE_LIMIT) -> list[tuple[str, float]]:
        """Return (form id, its earlier deadline) of waiting forms due by ``until``, soonest first."""
        ...

    async def waiting_count(self) -> int:
        """Return how many forms wait."""
        ...

    async def submission(self, form_id: str) -> Submission | None:
        """Return the answer of a form, or None."""
        ...

    async def revoke(self, recipient_id: str, now: float, by: Submitter = SYSTEM) -> None:
        """Make every token of a recipient worthless; may be repeated.

        Raises:
            FormNotFoundError: there is no such recipient.
        """
        ...

    async def reissue(
        self,
        recipient_id: str,
        tokens: Sequence[TokenRow],
        now: float,
        by: Submitter = SYSTEM,
        operation_id: str = "",
    ) -> int:
        """Replace the tokens of a recipient by those of its next generation, which is returned.

        Called again with the same ``operation_id`` it changes nothing; "": an id of its own.

        Raises:
            FormNotFoundError: there is no such recipient.
            GenerationConflictError: ``tokens`` are not those of its next generation.
        """
        ...

    async def audit(self, form_id: str) -> list[AuditEntry]:
        """Return who did what to a form, oldest first."""
        ...


# A token whose recipient is revoked, or whose generation is not the recipient's, is not found: like an unknown one.
_BY_TOKEN = (
    select(
        forms,
        *(column for column in form_recipients.c if column.name != "form_id"),
        form_tokens.c.surface,
        form_tokens.c.purpose,
    )
    .select_from(form_tokens)
    .join(form_recipients, form_recipients.c.recipient_id == form_tokens.c.recipient_id)
    .join(forms, forms.c.form_id == form_recipients.c.form_id)
    .where(
        form_tokens.c.token_hash == bindparam("key_token_hash"),
        form_tokens.c.surface.in_(bindparam("key_surfaces", expanding=True)),
        form_tokens.c.purpose.in_(bindparam("key_purposes", expanding=True)),
        form_recipients.c.generation == form_tokens.c.generation,
        form_recipients.c.state == "active",
    )
)
_BY_RUN = select(forms).where(forms.c.run_id == bindparam("key_run_id")).order_by(forms.c.created_at, forms.c.form_id)
_RECIPIENTS = (
    select(form_recipients)
    .where(form_recipients.c.form_id.in_(bindparam("key_form_ids", expanding=True)))
    .order_by(form_recipients.c.position)
)
DUE = (
    select(forms.c.form_id, forms.c.due_at)
    .where(is_waiting, forms.c.due_at <= bindparam("key_until"))
    .order_by(forms.c.due_at)
    .limit(bindparam("key_limit"))
)
_WAITING_COUNT = select(func.count()).select_from(forms).where(is_waiting)
_SUBMISSION = select(submissions.c.action_id, submissions.c.action_title, submissions.c.field_values).where(
    submissions.c.form_id == bindparam("key_form_id")
)
_AUDIT = select(audit).where(audit.c.form_id == bindparam("key_form_id")).order_by(audit.c.at, audit.c.entry_id)
_IDS_AT_ONCE = 500


class SqlForms:
    """Implements FormStore over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self,
        form: Form,
        recipients: Sequence[Recipient],
        tokens: Sequence[TokenRow],
        moments: Sequence[Moment] = (),
    ) -> Form:
        """Store a waiting form; see FormStore."""
        return await self._database.write(lambda connection: open_form(connection, form, recipients, tokens, moments))

    async def get(self, form_id: str) -> Form | None:
        """Return a form, or None; see FormStore."""
        rows = await self._rows(FORM, {"key_form_id": form_id})
        return form_of(rows[0]) if rows else None

    async def by_token(
        self,
        token_hash: bytes,
        surfaces: Sequence[Surface] = ALL_SURFACES,
        purposes: Sequence[Purpose] = ALL_PURPOSES,
    ) -> TokenMatch | None:
        """Return what a token stands for; see FormStore."""
        wanted = {"key_surfaces": [str(each) for each in surfaces], "key_purposes": [str(each) for each in purposes]}
        rows = await self._rows(_BY_TOKEN, {"key_token_hash": token_hash, **wanted})
        if not rows:
            return None
        recipient = recipient_of(rows[0])
        surface, purpose = Surface(rows[0].surface), Purpose(rows[0].purpose)
        return TokenMatch(form_of(rows[0]), recipient, surface, purpose, recipient.generation)

    async def by_run(self, run_id: str) -> list[Form]:
        """Return the forms of a run, oldest first; see FormStore."""
        return [form_of(row) for row in await self._rows(_BY_RUN, {"key_run_id": run_id})]

    async def recipients(self, form_ids: Iterable[str]) -> dict[str, list[Recipient]]:
        """Return form id -> recipients; see FormStore."""
        wanted = list(dict.fromkeys(form_ids))
        found: dict[str, list[Recipient]] = {}
        for start in range(0, len(wanted), _IDS_AT_ONCE):
            for row in await self._rows(_RECIPIENTS, {"key_form_ids": wanted[start : start + _IDS_AT_ONCE]}):
                found.setdefault(row.form_id, []).append(recipient_of(row))
        return found

    async def submit(
        self,
        form_id: str,
        recipient_id: str | None,
        generation: int,
        answer: AnswerTo,
        submitter: Submitter,
        now: float,
        key_hash: bytes | None = None,
    ) -> Answered:
        """Store an answer; see FormStore."""
        entry = new_entry(form_id, "submitted", now, submitter, recipient_id)
        key_id = submitter.api_key_id
        return await self._database.write(
            lambda connection: submit_form(connection, generation, answer, entry, key_id, key_hash)
        )

    async def close(self, form_id: str, outcome: DeadlineOutcome, now: float, reason: str = "") -> Resumable | None:
        """End a waiting form at a deadline; see FormStore."""
        entry = new_entry(form_id, outcome, now, SYSTEM, detail=reason)
        return await self._database.write(lambda connection: close_form(connection, outcome, entry))

    async def close_run(self, run_id: str, now: float) -> list[str]:
        """Expire the waiting forms of an ended run; see FormStore."""
        return await self._database.write(lambda connection: expire_forms_of_ended_run(connection, run_id, now))

    async def due(self, until: float, limit: int = DUE_LIMIT) -> list[tuple[str, float]]:
        """Return the waiting forms due by ``until``; see FormStore."""
        rows = await self._rows(DUE, {"key_until": until, "key_limit": limit})
        return [(row.form_id, row.due_at) for row in rows]

    async def waiting_count(self) -> int:
        """Return how many forms wait; see FormStore."""
        return (await self._rows(_WAITING_COUNT, {}))[0][0]

    async def submission(self, form_id: str) -> Submission | None:
        """Return the answer of a form, or None; see FormStore."""
        rows = await self._rows(_SUBMISSION, {"key_form_id": form_id})
        if not rows:
            return None
        return Submission(rows[0].action_id, rows[0].action_title, orjson.loads(rows[0].field_values))

    async def revoke(self, recipient_id: str, now: float, by: Submitter = SYSTEM) -> None:
        """Make the tokens of a recipient worthless; see FormStore."""
        entry = new_entry("", "revoked", now, by, recipient_id)
        await self._database.write(lambda connection: revoke_recipient(connection, recipient_id, entry))

    async def reissue(
        self,
        recipient_id: str,
        tokens: Sequence[TokenRow],
        now: float,
        by: Submitter = SYSTEM,
        operation_id: str = "",
    ) -> int:
        """Replace the tokens of a recipient; see FormStore."""
        entry = new_entry("", "reissued", now, by, recipient_id)
        entry = replace(entry, entry_id=operation_id or entry.entry_id)
        return await self._database.write(lambda connection: reissue_tokens(connection, recipient_id, tokens, entry))

    async def audit(self, form_id: str) -> list[AuditEntry]:
        """Return who did what to a form, oldest first; see FormStore."""
        return [AuditEntry(**row._asdict()) for row in await self._rows(_AUDIT, {"key_form_id": form_id})]

    async def _rows(self, statement: AnySelect, values: dict[str, Any]) -> Sequence[AnyRow]:
        return await self._database.read(lambda connection: connection.execute(statement, values).all())
