"""Taking answers: digests, votes of accounts, and what is the same answer again."""

from dataclasses import replace
from typing import Any

import pytest

from actors.answers import Answers, Taken
from actors.messages import KnownFiles, SubmitOrder
from graph.human_rules import Approval, AppRules
from hitl.answer_file import FileFacts
from hitl.approval import approval_of
from hitl.digest import form_digest
from hitl.errors import (
    AlreadyVotedError,
    FormAlreadySubmittedError,
    FormChangedError,
    FormExpiredError,
    FormNotFoundError,
    IdempotencyKeyReusedError,
    InvalidSubmissionError,
    NotAnApproverError,
)
from hitl.form import Form
from hitl.recipient import RecipientType
from store.memory_accounts import MemoryAccounts
from store.memory_decisions import MemoryDecisions
from store.memory_forms import MemoryForms
from store.memory_store import MemoryStore
from store_world import NOW, new_form, new_run, recipient_of, token_of
from surface_world import SetClock

INPUTS = [
    {"type": "paragraph", "output_variable_name": "comment"},
    {"type": "file", "output_variable_name": "report", "allowed_file_types": []},
]
UPLOAD = {"transfer_method": "local_file", "upload_file_id": "f1", "type": "document"}


class Desk:
    """Answers over a store in memory, with one open form and the accounts anna and bert."""

    def __init__(self, inputs: Any = INPUTS[:1], **asked: Any) -> None:
        self.store, self.clock = MemoryStore(), SetClock(NOW)
        self.forms, self.decisions = MemoryForms(self.store), MemoryDecisions(self.store)
        accounts = MemoryAccounts(self.store)
        self.answers = Answers(self.forms, self.decisions, accounts, self.clock)
        self._accounts = accounts
        blank = new_form(new_run())
        self.form: Form = replace(blank, definition=replace(blank.definition, inputs=list(inputs), **asked))
        self.recipient = recipient_of(self.form)
        self.ids: dict[str, str] = {}

    async def open(self) -> "Desk":
        """Store the form and make the accounts."""
        workspace = await self._accounts.ensure_workspace("w")
        self.form = replace(self.form, workspace_id=workspace.workspace_id)
        console = recipient_of(self.form, RecipientType.BACKSTAGE)
        await self.forms.open(self.form, [self.recipient, console], [token_of(self.recipient)])
        for name in ("anna", "bert"):
            account = await self._accounts.ensure_account(f"{name}@x.org", name, workspace.workspace_id, "normal")
            self.ids[name] = account.account_id
        other = await self._accounts.ensure_workspace("elsewhere")
        stranger = await self._accounts.ensure_account("zoe@x.org", "zoe", other.workspace_id, "normal")
        self.ids["zoe"] = stranger.account_id
        return self

    def order(self, comment: str = "fine", action: str = "approve", **more: Any) -> SubmitOrder:
        """An answer of the form's recipient."""
        plain = SubmitOrder(
            self.form.form_id, self.recipient.recipient_id, 1, action, {"comment": comment}, "service_api"
        )
        return replace(plain, **more)

    def vote(self, name: str, comment: str = "fine", **more: Any) -> SubmitOrder:
        """An answer of an account by the form's id."""
        account = {"recipient_id": None, "generation": 0, "via": "console", "account_id": self.ids[name]}
        return self.order(comment, **{**account, **more})


def approval(**rules: Any) -> dict[str, Any]:
    """The part of a definition that says who approves."""
    return {"approval": approval_of(Approval.model_validate(rules), AppRules(), None, "")}


async def test_answer_to_what_was_shown_is_taken() -> None:
    """With the digest of the form an answer counts; with another it is refused, and the form stays open."""
    desk = await Desk().open()
    for order in (desk.order(form_digest="0" * 64), desk.order(form_digest="", action="nonsense")):
        with pytest.raises(FormChangedError):
            await desk.answers.take(order)
    assert (await desk.forms.get(desk.form.form_id)) == desk.form
    taken = await desk.answers.take(desk.order(form_digest=form_digest(desk.form.definition)))
    assert taken.is_decided
    assert taken.run is not None


async def test_votes_of_accounts_decide_together() -> None:
    """The first vote leaves the form open, the second decides and gives the run to wake."""
    desk = await Desk(**approval(quorum=2)).open()
    assert await desk.answers.take(desk.vote("anna")) == Taken(False, None)
    decided = await desk.answers.take(desk.vote("bert"))
    assert decided.is_decided
    assert decided.run is not None
    with pytest.raises(FormAlreadySubmittedError):
        await desk.answers.take(desk.vote("anna"))


async def test_nobody_votes_without_having_logged_in() -> None:
    """A link, an end user's name and an account of another workspace prove no approver."""
    desk = await Desk(**approval()).open()
    for order in (desk.order(), desk.order(end_user_id="anna@x.org"), desk.vote("zoe")):
        with pytest.raises(NotAnApproverError):
            await desk.answers.take(order)
    assert await desk.decisions.votes(desk.form.form_id) == []


async def test_vote_that_does_not_fit_is_refused_and_may_be_mended() -> None:
    """A refused vote is none."""
    desk = await Desk(**approval()).open()
    with pytest.raises(InvalidSubmissionError):
        await desk.answers.take(desk.vote("anna", action="nonsense"))
    assert (await desk.answers.take(desk.vote("anna"))).is_decided


async def test_same_answer_again_is_refused_by_default() -> None:
    """As in Dify: the second answer is too late, whoever gives it."""
    desk = await Desk().open()
    await desk.answers.take(desk.order())
    with pytest.raises(FormAlreadySubmittedError):
        await desk.answers.take(desk.order())


@pytest.mark.parametrize("repetition", [{"key_hash": b"k"}, {"is_repeated": True}, {}])
async def test_same_answer_again_is_accepted_where_that_may_be(repetition: dict[str, Any]) -> None:
    """With a key, as an internal repetition, or on an idempotent node; nothing happens a second time."""
    desk = await Desk(is_idempotent=not repetition).open()
    await desk.answers.take(desk.order())
    before = list(desk.store.audit)
    assert await desk.answers.take(desk.order(**repetition)) == Taken(True, None)
    for other in (desk.order("other", **repetition), desk.order(**repetition, recipient_id=None)):
        with pytest.raises(FormAlreadySubmittedError):
            await desk.answers.take(other)
    assert desk.store.audit == before


async def test_key_with_another_answer_is_refused() -> None:
    """The same key stands for one answer; also one that does not fit the form is another answer."""
    desk = await Desk().open()
    await desk.answers.take(desk.order(key_hash=b"k"))
    for order in (desk.order("other", key_hash=b"k"), desk.order(action="nonsense", key_hash=b"k")):
        with pytest.raises(IdempotencyKeyReusedError):
            await desk.answers.take(order)
    with pytest.raises(FormAlreadySubmittedError):
        await desk.answers.take(desk.order("other", key_hash=b"another key"))


async def test_internal_repetition_is_of_the_same_user_in_the_same_way() -> None:
    """Another user's equal answer through the same link is no repetition of a lost call."""
    desk = await Desk().open()
    await desk.answers.take(desk.order(end_user_id="one"))
    for other in ({"end_user_id": "two"}, {"end_user_id": "one", "via": "web"}):
        with pytest.raises(FormAlreadySubmittedError):
            await desk.answers.take(desk.order(**other, is_repeated=True))


async def test_same_vote_again_is_told_how_the_form_stands() -> None:
    """A repeated vote is accepted before and after the decision; another vote under the key is not."""
    desk = await Desk(**approval(quorum=2)).open()
    await desk.answers.take(desk.vote("anna", key_hash=b"k"))
    assert await desk.answers.take(desk.vote("anna", key_hash=b"k")) == Taken(False, None)
    with pytest.raises(IdempotencyKeyReusedError):
        await desk.answers.take(desk.vote("anna", "other", key_hash=b"k"))
    with pytest.raises(AlreadyVotedError):
        await desk.answers.take(desk.vote("anna"))
    await desk.answers.take(desk.vote("bert"))
    assert await desk.answers.take(desk.vote("anna", key_hash=b"k")) == Taken(True, None)


async def test_uploaded_file_is_the_same_whatever_link_names_it() -> None:
    """A link is signed anew for every request; another file is another answer."""
    desk = await Desk(INPUTS).open()

    def order(file_id: str, link: str) -> SubmitOrder:
        files = KnownFiles(uploads={file_id: FileFacts("a.pdf", "application/pdf", 3, link)})
        inputs = {"comment": "fine", "report": {**UPLOAD, "upload_file_id": file_id}}
        return desk.order(inputs=inputs, files=files, key_hash=b"k")

    await desk.answers.take(order("f1", "http://x/1?sign=a"))
    assert await desk.answers.take(order("f1", "http://x/1?sign=b")) == Taken(True, None)
    with pytest.raises(IdempotencyKeyReusedError):
        await desk.answers.take(order("f2", "http://x/1?sign=a"))


async def test_form_that_is_over_or_unknown_takes_nothing() -> None:
    """Past its deadline, and without a form."""
    desk = await Desk().open()
    with pytest.raises(FormNotFoundError):
        await desk.answers.take(desk.order(form_id="00000000-0000-7000-8000-000000000000"))
    desk.clock.at = desk.form.expires_at
    with pytest.raises(FormExpiredError):
        await desk.answers.take(desk.order(form_digest="0" * 64, action="nonsense"))
