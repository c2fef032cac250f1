"""The memory twin of the store of decisions: the rules of ``store.decisions.DecisionStore`` over dictionaries."""

from hitl.approval import Decided, Refused, Terms, Vote, is_asked, refusal_error, ruling_on
from hitl.errors import FormNotFoundError
from store.form_record import GivenAnswer, Submitter, VoteOutcome, new_entry, viewed_entry
from store.memory_forms import accept, check_answerable, check_recipient
from store.memory_store import MemoryStore


class MemoryDecisions:
    """Implements DecisionStore in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def vote(self, form_id: str, vote: Vote, recipient_id: str | None, generation: int) -> VoteOutcome:
        """Count a vote; see DecisionStore."""
        form = self._store.forms.get(form_id)
        if form is None:
            raise FormNotFoundError()
        check_recipient(self._store, form_id, recipient_id, generation)
        terms = Terms.of(form.definition)
        if terms is None:
            raise FormNotFoundError()
        run = check_answerable(self._store, form, vote.at)
        votes = self._store.votes.setdefault(form_id, [])
        recipients = [each for each in self._store.recipients.values() if each.form_id == form_id]
        ruling = ruling_on(terms, votes, vote, is_asked(recipients, vote.account_id))
        if isinstance(ruling, Refused):
            raise refusal_error(ruling.reason, form_id)
        votes.append(vote)
        by, action = Submitter(vote.account_id, via=vote.via), vote.submission.action_id
        self._store.audit.append(new_entry(form_id, "voted", vote.at, by, recipient_id, action))
        if not isinstance(ruling, Decided):
            return VoteOutcome(False, None)
        accept(self._store, form, GivenAnswer(vote.submission, by, recipient_id, vote.at, vote.key_hash))
        return VoteOutcome(True, run)

    async def votes(self, form_id: str) -> list[Vote]:
        """Return the votes on a form; see DecisionStore."""
        return list(self._store.votes.get(form_id, []))

    async def answer(self, form_id: str) -> GivenAnswer | None:
        """Return what decided a form; see DecisionStore."""
        return self._store.answers.get(form_id)

    async def view(self, form_id: str, by: Submitter, now: float) -> None:
        """Note that an account has read a form; see DecisionStore."""
        if form_id not in self._store.forms:
            raise FormNotFoundError()
        entry = viewed_entry(form_id, by, now)
        if all(each.entry_id != entry.entry_id for each in self._store.audit):
            self._store.audit.append(entry)
