"""The memory twin of the store of forms: the rules of ``store.forms.FormStore`` over dictionaries."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from graph.ports import InboxItem
from hitl.addressing import account_of, asked_accounts
from hitl.claim import check_claim
from hitl.deadline import next_deadline
from hitl.errors import FormExpiredError, FormNotFoundError, NotAnApproverError
from hitl.form import Form, FormStatus
from hitl.form_state import DeadlineOutcome, check_open, close, submit
from hitl.form_token import Purpose
from hitl.recipient import Recipient
from hitl.schedule import Moment
from hitl.submission import Submission
from hitl.surface import Surface
from store.errors import GenerationConflictError
from store.form_record import (
    SYSTEM,
    Answered,
    AnswerTo,
    AuditEntry,
    ExpiryReason,
    GivenAnswer,
    Resumable,
    Submitter,
    TokenMatch,
    TokenRow,
    first_mails,
    new_entry,
    opening_entry,
)
from store.forms import ALL_PURPOSES, ALL_SURFACES
from store.memory_store import MemorySchedule, MemoryStore
from store.outbox_record import decided
from store.run_record import TERMINAL


class MemoryForms:
    """Implements FormStore in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def open(
        self,
        form: Form,
        recipients: Sequence[Recipient],
        tokens: Sequence[TokenRow],
        moments: Sequence[Moment] = (),
    ) -> Form:
        """Store a waiting form; see FormStore."""
        for existing in self._store.forms.values():
            if existing.execution_id == form.execution_id:
                return existing
        run = run_of(self._store, form)
        is_cut = self._store.cut.pop(form.execution_id, None) is not None
        if is_cut or (run is not None and run.run_status in TERMINAL):
            form = close(form, "expired", form.created_at)
        self._store.forms[form.form_id] = form
        self._store.recipients |= {each.recipient_id: each for each in recipients}
        self._store.tokens |= {token.token_hash: token for token in tokens}
        self._store.audit.append(opening_entry(form, recipients))
        if form.status is FormStatus.WAITING:
            self._store.asked |= {(form.form_id, account_id) for account_id in asked_accounts(recipients)}
            if moments:
                self._store.schedules[form.form_id] = MemorySchedule(tuple(moments), 0, moments[0].at)
        for recipient_id, occasion in first_mails(form, recipients):
            self._store.add_mail(form.form_id, recipient_id, occasion, form.created_at)
        return form

    async def get(self, form_id: str) -> Form | None:
        """Return a form, or None; see FormStore."""
        return self._store.forms.get(form_id)

    async def by_token(
        self,
        token_hash: bytes,
        surfaces: Sequence[Surface] = ALL_SURFACES,
        purposes: Sequence[Purpose] = ALL_PURPOSES,
    ) -> TokenMatch | None:
        """Return what a token stands for; see FormStore."""
        token = self._store.tokens.get(token_hash)
        if token is not None and (token.surface not in surfaces or token.purpose not in purposes):
            return None
        recipient = self._store.recipients.get(token.recipient_id) if token else None
        if token is None or recipient is None or not recipient.is_active or recipient.generation != token.generation:
            return None
        form = self._store.forms[recipient.form_id]
        return TokenMatch(form, recipient, token.surface, token.purpose, token.generation)

    async def by_run(self, run_id: str) -> list[Form]:
        """Return the forms of a run, oldest first; see FormStore."""
        found = [form for form in self._store.forms.values() if form.run_id == run_id]
        return sorted(found, key=lambda form: (form.created_at, form.form_id))

    async def recipients(self, form_ids: Iterable[str]) -> dict[str, list[Recipient]]:
        """Return form id -> recipients; see FormStore."""
        found: dict[str, list[Recipient]] = {}
        wanted = set(form_ids)
        for recipient in self._store.recipients.values():
            if recipient.form_id in wanted:
                found.setdefault(recipient.form_id, []).append(recipient)
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
        form = self._form(form_id)
        submission = answer(form)
        if form.definition.approval is not None:
            raise NotAnApproverError(form_id)
        check_recipient(self._store, form_id, recipient_id, generation)
        run = check_answerable(self._store, form, now)
        check_claim(self._store.claims.get(form_id), submitter.account_id, now)
        accept(self._store, form, GivenAnswer(submission, submitter, recipient_id, now, key_hash))
        return Answered(form, run)

    async def close(self, form_id: str, outcome: DeadlineOutcome, now: float, reason: str = "") -> Resumable | None:
        """End a waiting form at a deadline; see FormStore."""
        form = self._store.forms.get(form_id)
        if form is None or form.status is not FormStatus.WAITING:
            return None
        run = run_of(self._store, form)
        why: ExpiryReason | None = "global_deadline" if outcome == "expired" else None
        if run is not None and run.run_status in TERMINAL:
            outcome, run, why = "expired", None, why or "run_ended"
        self._store.close_form(form, outcome, now, reason, why)
        self._store.add_entries(decided(self._store.forms[form_id], None))
        if run is not None:
            self._store.add_item(run.run_id, InboxItem(form_id, outcome, form_id, reason=reason), now)
            if outcome == "expired":
                self._store.expire_forms(run.run_id, now, reason, "global_deadline")
        return run

    async def close_run(self, run_id: str, now: float) -> list[str]:
        """Expire the waiting forms of an ended run; see FormStore."""
        run = self._store.runs.get(run_id)
        if run is None or not run.is_terminal:
            return []
        return self._store.expire_forms(run_id, now, "the run has ended")

    async def due(self, until: float, limit: int = 1000) -> list[tuple[str, float]]:
        """Return the waiting forms due by ``until``; see FormStore."""
        waiting = [form for form in self._store.forms.values() if form.status is FormStatus.WAITING]
        found = [(form.form_id, next_deadline(form.expires_at, form.global_expires_at)) for form in waiting]
        return sorted((each for each in found if each[1] <= until), key=lambda each: each[1])[:limit]

    async def waiting_count(self) -> int:
        """Return how many forms wait; see FormStore."""
        return sum(form.status is FormStatus.WAITING for form in self._store.forms.values())

    async def submission(self, form_id: str) -> Submission | None:
        """Return the answer of a form, or None; see FormStore."""
        given = self._store.answers.get(form_id)
        return given.submission if given else None

    async def revoke(self, recipient_id: str, now: float, by: Submitter = SYSTEM) -> None:
        """Make the tokens of a recipient worthless; see FormStore."""
        recipient = self._recipient(recipient_id)
        if recipient.is_active:
            self._store.recipients[recipient_id] = replace(recipient, state="revoked")
            others = [each for each in self._store.recipients.values() if each.form_id == recipient.form_id]
            account_id = account_of(recipient)
            if account_id is not None and account_id not in asked_accounts(others):
                self._store.asked.discard((recipient.form_id, account_id))
            self._store.audit.append(new_entry(recipient.form_id, "revoked", now, by, recipient_id))

    async def reissue(
        self,
        recipient_id: str,
        tokens: Sequence[TokenRow],
        now: float,
        by: Submitter = SYSTEM,
        operation_id: str = "",
    ) -> int:
        """Replace the tokens of a recipient; see FormStore."""
        recipient = self._recipient(recipient_id)
        if any(entry.entry_id == operation_id for entry in self._store.audit):
            return recipient.generation
        generation = recipient.generation + 1
        if any(token.generation != generation or token.recipient_id != recipient_id for token in tokens):
            raise GenerationConflictError(recipient_id, generation)
        self._store.recipients[recipient_id] = replace(recipient, generation=generation)
        self._store.tokens |= {token.token_hash: token for token in tokens}
        entry = new_entry(recipient.form_id, "reissued", now, by, recipient_id)
        self._store.audit.append(replace(entry, entry_id=operation_id or entry.entry_id))
        if recipient.payload.get("email"):
            self._store.add_mail(recipient.form_id, recipient_id, "opened", now)
        return generation

    async def audit(self, form_id: str) -> list[AuditEntry]:
        """Return who did what to a form, oldest first; see FormStore."""
        found = [entry for entry in self._store.audit if entry.form_id == form_id]
        return sorted(found, key=lambda entry: (entry.at, entry.entry_id))

    def _form(self, form_id: str) -> Form:
        if form_id not in self._store.forms:
            raise FormNotFoundError()
        return self._store.forms[form_id]

    def _recipient(self, recipient_id: str) -> Recipient:
        if recipient_id not in self._store.recipients:
            raise FormNotFoundError()
        return self._store.recipients[recipient_id]


def run_of(store: MemoryStore, form: Form) -> Resumable | None:
    """Return the run of a form as it stands, None for a form without one."""
    if form.run_id is None:
        return None
    record = store.runs.get(form.run_id)
    return Resumable(form.run_id, record.status, record.actor) if record else Resumable(form.run_id, "running", "")


def check_recipient(store: MemoryStore, form_id: str, recipient_id: str | None, generation: int) -> None:
    """Return when there is no recipient, or a living one of the form with tokens of ``generation``.

    Raises:
        FormNotFoundError: it is another.
    """
    if recipient_id is not None:
        recipient = store.recipients.get(recipient_id)
        needed = (form_id, "active", generation)
        if recipient is None or (recipient.form_id, recipient.state, recipient.generation) != needed:
            raise FormNotFoundError()


def check_answerable(store: MemoryStore, form: Form, now: float) -> Resumable | None:
    """Return the run of ``form`` when the form is open at ``now`` and the run has not ended.

    Raises:
        FormAlreadySubmittedError: the form has its answer.
        FormExpiredError: a deadline has passed, or the run has ended.
    """
    check_open(form, now)
    run = run_of(store, form)
    if run is not None and run.run_status in TERMINAL:
        raise FormExpiredError(form.form_id)
    return run


def accept(store: MemoryStore, form: Form, given: GivenAnswer) -> None:
    """Close an answerable form with its answer, and put the answer into the inbox of its run."""
    form_id, submission = form.form_id, given.submission
    closed = store.forms[form_id] = submit(form, given.at)
    store.answers[form_id] = given
    store.add_entries(decided(closed, submission.action_id))
    store.audit.append(new_entry(form_id, "submitted", given.at, given.by, given.recipient_id, submission.action_id))
    if form.run_id is not None:
        item = InboxItem(form_id, "submitted", form_id, submission.action_id, submission.values)
        store.add_item(form.run_id, item, given.at)
