"""The store of decisions: votes on forms that need approvers, who has decided a form, and who has read it.

``DecisionStore`` says the rules; ``SqlDecisions`` keeps them in SQL, the memory twin is ``store.memory_decisions``. A
vote is counted while its form is locked: of votes at the same moment each sees those before it, and the one that
decides closes the form and reaches the run's inbox in the same transaction.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, bindparam, insert, select

from hitl.approval import Decided, Refused, Terms, Vote, is_asked, refusal_error, ruling_on
from hitl.errors import FormNotFoundError
from hitl.submission import Submission
from store.audit_rows import add_audit, audit_row, is_done
from store.database import AnyRow, AnySelect, Database
from store.decision_tables import votes
from store.form_record import AuditEntry, GivenAnswer, Submitter, VoteOutcome, new_entry, viewed_entry
from store.form_rows import FORM, accept, check_answerable, check_recipient, lock_form, recipient_of
from store.insert_once import insert_once
from store.tables import audit, form_recipients, submissions


class DecisionStore(Protocol):
    """Stores decisions. Every operation is one transaction, durable when it returns."""

    async def vote(self, form_id: str, vote: Vote, recipient_id: str | None, generation: int) -> VoteOutcome:
        """Count a vote; if it decides, close the form and put its answer into the inbox of the run.

        Args:
            form_id: a form with approval rules.
            vote: the checked vote of an account that has logged in and belongs to the form's workspace.
            recipient_id: as whom; None where the account answers by form id.
            generation: of the token that was used; ignored without a recipient.

        Raises:
            FormNotFoundError: no such form, or none with approval rules; or the recipient is not of the form,
                revoked, or of another generation.
            FormAlreadySubmittedError: the form is decided.
            FormExpiredError: a deadline has passed, or the run has ended.
            NotAnApproverError: the account is none of the approvers.
            SelfApprovalError: it has started the run, and the rules forbid that.
            AlreadyVotedError: it has voted.
        """
        ...

    async def votes(self, form_id: str) -> list[Vote]:
        """Return the votes on a form, in the order in which they were counted."""
        ...

    async def answer(self, form_id: str) -> GivenAnswer | None:
        """Return what decided a form and who gave it, or None."""
        ...

    async def view(self, form_id: str, by: Submitter, now: float) -> None:
        """Note that an account that has logged in has read a form; only the first time of each account counts.

        Raises:
            FormNotFoundError: there is no such form.
        """
        ...


_VOTES = select(votes).where(votes.c.form_id == bindparam("key_form_id")).order_by(votes.c.position)
_RECIPIENTS = select(form_recipients).where(form_recipients.c.form_id == bindparam("key_form_id"))
_ANSWER = select(submissions).where(submissions.c.form_id == bindparam("key_form_id"))


class SqlDecisions:
    """Implements DecisionStore over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def vote(self, form_id: str, vote: Vote, recipient_id: str | None, generation: int) -> VoteOutcome:
        """Count a vote; see DecisionStore."""
        by = Submitter(vote.account_id, via=vote.via)
        voted = new_entry(form_id, "voted", vote.at, by, recipient_id, vote.submission.action_id)
        decided = new_entry(form_id, "submitted", vote.at, by, recipient_id, vote.submission.action_id)
        return await self._database.write(lambda connection: _count(connection, vote, generation, voted, decided))

    async def votes(self, form_id: str) -> list[Vote]:
        """Return the votes on a form; see DecisionStore."""
        return [_vote_of(row) for row in await self._rows(_VOTES, form_id)]

    async def answer(self, form_id: str) -> GivenAnswer | None:
        """Return what decided a form; see DecisionStore."""
        rows = await self._rows(_ANSWER, form_id)
        return _answer_of(rows[0]) if rows else None

    async def view(self, form_id: str, by: Submitter, now: float) -> None:
        """Note that an account has read a form; see DecisionStore."""
        entry = viewed_entry(form_id, by, now)

        def work(connection: Connection) -> None:
            if connection.execute(FORM, {"key_form_id": form_id}).one_or_none() is None:
                raise FormNotFoundError()
            insert_once(connection, audit, audit_row(entry))

        await self._database.write(work)

    async def _rows(self, statement: AnySelect, form_id: str) -> Sequence[AnyRow]:
        key = {"key_form_id": form_id}
        return await self._database.read(lambda connection: connection.execute(statement, key).all())


def _count(connection: Connection, vote: Vote, generation: int, voted: AuditEntry, decided: AuditEntry) -> VoteOutcome:
    """Count ``vote`` within a transaction; ``voted`` and ``decided``: what the audit will say."""
    form, run = lock_form(connection, voted.form_id)
    if is_done(connection, voted):
        has_decided = is_done(connection, decided)
        return VoteOutcome(has_decided, run if has_decided else None)
    check_recipient(connection, voted, generation)
    terms = Terms.of(form.definition)
    if terms is None:
        raise FormNotFoundError()
    check_answerable(form, run, vote.at)
    earlier = [_vote_of(row) for row in connection.execute(_VOTES, {"key_form_id": form.form_id})]
    recipients = map(recipient_of, connection.execute(_RECIPIENTS, {"key_form_id": form.form_id}))
    ruling = ruling_on(terms, earlier, vote, is_asked(recipients, vote.account_id))
    if isinstance(ruling, Refused):
        raise refusal_error(ruling.reason, form.form_id)
    connection.execute(insert(votes), _row_of(form.form_id, len(earlier), vote))
    add_audit(connection, voted)
    if not isinstance(ruling, Decided):
        return VoteOutcome(False, None)
    accept(connection, form, run, vote.submission, decided, None, vote.key_hash)
    return VoteOutcome(True, run)


def _row_of(form_id: str, position: int, vote: Vote) -> dict[str, Any]:
    return {
        "form_id": form_id,
        "account_id": vote.account_id,
        "position": position,
        "email": vote.email,
        "action_id": vote.submission.action_id,
        "action_title": vote.submission.action_title,
        "field_values": orjson.dumps(vote.submission.values, option=orjson.OPT_NON_STR_KEYS),
        "via": vote.via,
        "voted_at": vote.at,
        "key_hash": vote.key_hash,
    }


def _vote_of(row: AnyRow) -> Vote:
    submission = Submission(row.action_id, row.action_title, orjson.loads(row.field_values))
    return Vote(row.account_id, row.email, submission, row.voted_at, row.via, row.key_hash)


def _answer_of(row: AnyRow) -> GivenAnswer:
    submission = Submission(row.action_id, row.action_title, orjson.loads(row.field_values))
    by = Submitter(row.account_id, row.end_user_id, row.via, row.api_key_id)
    return GivenAnswer(submission, by, row.recipient_id, row.submitted_at, row.key_hash)
