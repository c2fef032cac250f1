"""Gathers what a receipt states about a decided form, from the stores; changes nothing."""

from typing import Any, Protocol

from graph.events import FormSubmitted
from hitl.approval import Vote
from hitl.errors import FormNotFoundError, FormUndecidedError
from hitl.form import Form
from hitl.receipt import ByAccount, ByApiKey, ByLink, Decider, Decision, TakenUp, receipt_statement, sign_receipt
from hitl.receipt_key import ReceiptKey
from store.account_record import Account, EndUser
from store.decisions import DecisionStore
from store.form_record import GivenAnswer
from store.forms import FormStore
from store.journal import Journal


class People(Protocol):
    """Who somebody is."""

    async def account(self, account_id: str) -> Account | None:
        """Return an account, or None."""
        ...

    async def end_user_by_id(self, end_user_id: str) -> EndUser | None:
        """Return an end user, or None."""
        ...


class Receipts:
    """States who decided what. It says what the stores hold now; only then it is signed."""

    def __init__(self, forms: FormStore, decisions: DecisionStore, journal: Journal, people: People) -> None:
        self._forms = forms
        self._decisions = decisions
        self._journal = journal
        self._people = people

    async def statement(self, form_id: str) -> dict:
        """Return what the receipt of a form states; see ``hitl.receipt``.

        Raises:
            FormNotFoundError: there is no such form.
            FormUndecidedError: it has no answer.
        """
        form = await self._forms.get(form_id)
        if form is None:
            raise FormNotFoundError()
        given = await self._decisions.answer(form_id)
        if given is None:
            raise FormUndecidedError(form_id, form.status)
        votes = await self._decisions.votes(form_id)
        decision = Decision(given.submission, await self._decider(form, given, votes), given.by.via, given.at)
        run = await self._journal.get(form.run_id) if form.run_id else None
        version_id = run.version_id if run is not None else None
        return receipt_statement(form, decision, votes, version_id, await self._taken_up(form))

    async def _decider(self, form: Form, given: GivenAnswer, votes: list[Vote]) -> Decider:
        by = given.by
        if by.account_id is not None:
            voted = next((vote.email for vote in votes if vote.account_id == by.account_id), None)
            account = await self._people.account(by.account_id) if voted is None else None
            return ByAccount(by.account_id, voted or (account.email if account else ""))
        if by.api_key_id is not None and by.end_user_id is not None:
            user = await self._people.end_user_by_id(by.end_user_id)
            return ByApiKey(by.api_key_id, user.session_id if user else "")
        recipients = (await self._forms.recipients([form.form_id])).get(form.form_id, [])
        kind = next((str(each.type) for each in recipients if each.recipient_id == given.recipient_id), "")
        return ByLink(given.recipient_id or "", kind)

    async def _taken_up(self, form: Form) -> TakenUp | None:
        """Return the run's fact of the answer; the inbox alone does not tell it from one that came too late."""
        facts = await self._journal.read(form.run_id) if form.run_id else []
        for number, fact in facts:
            if isinstance(fact, FormSubmitted) and fact.form_id == form.form_id:
                return TakenUp(number, fact.at)
        return None


class SignedReceipts:
    """Receipts with their signature, for whoever asks for one."""

    def __init__(self, receipts: Receipts, key: ReceiptKey) -> None:
        self._receipts = receipts
        self._key = key

    async def receipt(self, form_id: str) -> dict[str, Any]:
        """Return the signed receipt of a form; see ``hitl.receipt``.

        Raises:
            FormNotFoundError: there is no such form.
            FormUndecidedError: it has no answer.
        """
        return sign_receipt(await self._receipts.statement(form_id), self._key)
