"""Takes answers to forms: checks them, counts votes, and tells a repetition from a second answer."""

from dataclasses import dataclass
from typing import Protocol

from actors.messages import SubmitOrder
from graph.ports import Clock
from hitl.approval import Vote
from hitl.digest import check_answerable
from hitl.errors import (
    AlreadyVotedError,
    FormAlreadySubmittedError,
    IdempotencyKeyReusedError,
    InvalidSubmissionError,
    NotAnApproverError,
)
from hitl.form import Form
from hitl.recipient import Member
from hitl.submission import Submission, is_same_answer, validate_submission
from store.decisions import DecisionStore
from store.form_record import GivenAnswer, Resumable, Submitter
from store.forms import FormStore


class Members(Protocol):
    """Who belongs to a workspace."""

    async def members(self, workspace_id: str) -> list[Member]:
        """Return every account of a workspace with its address."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """An accepted answer.

    ``run``: to wake, if it has a new inbox item; a repetition gives none. ``is_announced``: webhooks are told of it.
    ``waited_s``: how long the form waited for this decision; None where it is none, or a repetition.
    """

    is_decided: bool
    run: Resumable | None = None
    is_announced: bool = False
    waited_s: float | None = None


class Answers:
    """What the HITL actor does with an answer, over the stores; keeps nothing in memory."""

    def __init__(self, forms: FormStore, decisions: DecisionStore, members: Members, clock: Clock) -> None:
        self._forms = forms
        self._decisions = decisions
        self._members = members
        self._clock = clock

    async def take(self, order: SubmitOrder) -> Taken:
        """Check an answer and store it: as the answer of the form, or as a vote where the form needs approvers.

        Durable on return. The same answer again is accepted, without any effect, where the order says that it
        repeats an earlier call, carries an Idempotency-Key, or the node is idempotent.

        Raises:
            FormNotFoundError: no such form, or the recipient is revoked or has newer tokens.
            FormAlreadySubmittedError: the form has its answer.
            FormExpiredError: a deadline has passed, or the run has ended.
            FormChangedError: the answer was given to another content.
            InvalidSubmissionError: the answer does not fit; the form stays open.
            NotAnApproverError: the form needs approvers, and this account is none or nobody has logged in.
            SelfApprovalError: the account has started the run, and the rules forbid that.
            AlreadyVotedError: the account has voted.
            IdempotencyKeyReusedError: the key came with another answer of the same submitter.
            UnavailableError: the store is away.
        """
        try:
            return await self._take(order)
        except (FormAlreadySubmittedError, AlreadyVotedError) as error:
            if not await self._is_repetition(order):
                raise
            return Taken(is_decided=isinstance(error, FormAlreadySubmittedError))

    async def _take(self, order: SubmitOrder) -> Taken:
        now = self._clock.now()
        # Only accounts vote. Any other answer is checked where it is stored, so that the form is read once.
        form = await self._forms.get(order.form_id) if order.account_id is not None else None
        if form is not None and form.definition.approval is not None:
            vote = await self._vote(form, order, now)
            outcome = await self._decisions.vote(form.form_id, vote, order.recipient_id, order.generation)
            return _taken(form, outcome.is_decided, outcome.run, now)
        by = Submitter(order.account_id, order.end_user_id, order.via, order.api_key_id)
        answered = await self._forms.submit(
            order.form_id,
            order.recipient_id,
            order.generation,
            lambda form: _answer_to(form, order, now),
            by,
            now,
            order.key_hash,
        )
        return _taken(answered.form, is_decided=True, run=answered.run, now=now)

    async def _vote(self, form: Form, order: SubmitOrder, now: float) -> Vote:
        """Return the answer as the vote of the account that gives it.

        Raises:
            NotAnApproverError: the account is not of the form's workspace.
        """
        answer = _answer_to(form, order, now)
        members = await self._members.members(form.workspace_id)
        voter = next((member for member in members if member.account_id == order.account_id), None)
        if voter is None:
            raise NotAnApproverError(form.form_id)
        return Vote(voter.account_id, voter.email, answer, now, order.via, order.key_hash)

    async def _is_repetition(self, order: SubmitOrder) -> bool:
        """Whether ``order`` says again what its submitter has said before, and may.

        Raises:
            IdempotencyKeyReusedError: it says something else under the same key.
        """
        form = await self._forms.get(order.form_id)
        if form is None:
            return False
        before = await self._said_before(form, order)
        if before is None:
            return False
        try:
            answer = validate_submission(form.definition, order.action, order.inputs, order.files)
            is_same = is_same_answer(answer, before.submission)
        except InvalidSubmissionError:
            is_same = False
        if not is_same and order.key_hash is not None and order.key_hash == before.key_hash:
            raise IdempotencyKeyReusedError(form.form_id)
        return is_same and (order.is_repeated or order.key_hash is not None or form.definition.is_idempotent)

    async def _said_before(self, form: Form, order: SubmitOrder) -> GivenAnswer | Vote | None:
        """Return the earlier answer or vote of whoever gives ``order``, or None."""
        if form.definition.approval is not None:
            votes = await self._decisions.votes(form.form_id)
            return next((vote for vote in votes if vote.account_id == order.account_id), None)
        given = await self._decisions.answer(form.form_id)
        if given is None or (given.recipient_id, given.by.account_id) != (order.recipient_id, order.account_id):
            return None
        # A caller's own repetition, which needs no key, is from the same user in the same way.
        is_same_way = (given.by.end_user_id, given.by.via) == (order.end_user_id, order.via)
        return None if order.is_repeated and not is_same_way else given


def _answer_to(form: Form, order: SubmitOrder, now: float) -> Submission:
    """Return the checked answer that ``order`` gives to ``form``."""
    check_answerable(form, order.form_digest, now)
    return validate_submission(form.definition, order.action, order.inputs, order.files)


def _taken(form: Form, is_decided: bool, run: Resumable | None, now: float) -> Taken:
    if not is_decided:
        return Taken(is_decided=False)
    return Taken(True, run, bool(form.definition.webhooks), now - form.created_at)
