"""Handing a form on: who may, and what of it counts as done already.

    reassign   another account is asked instead; the tokens of the one before are worth nothing any more
    delegate   another account is asked as well; the one before may still answer, but is not reminded any more

An account is *asked* when it is a recipient by e-mail, a named approver, or the one who runs the app in the console.
"""

from dataclasses import dataclass
from typing import Literal

from hitl.approval import Terms
from hitl.errors import FormNotFoundError, NotAnApproverError, TransferRefusedError
from hitl.form import Form
from hitl.recipient import Member

HandOverKind = Literal["reassign", "delegate"]
ALL_SEEING = frozenset({"owner", "admin"})
"""Roles in a workspace whose accounts see every form of it and may hand it on."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands to a form.

    ``role``: in the form's workspace, None where it is no member. ``has_voted``: where the form needs approvers.
    """

    role: str | None
    is_asked: bool
    has_voted: bool = False

    @property
    def sees_all(self) -> bool:
        """Whether it sees every form of the workspace."""
        return self.role in ALL_SEEING


def check_may_answer(form: Form, standing: Standing) -> None:
    """Return when an account may answer ``form`` as itself: every member may, unless the node names who decides.

    Raises:
        FormNotFoundError: it is no member of the workspace.
        NotAnApproverError: only accounts that are asked may answer this form.
    """
    if standing.role is None:
        raise FormNotFoundError()
    if form.definition.only_asked and not standing.is_asked:
        raise NotAnApproverError(form.form_id)


def check_may_hand_over(form: Form, by: Standing, giver: Standing, is_own: bool) -> None:
    """Return when one account may hand on what another, the giver, is asked.

    Args:
        form: the form.
        by: who hands it on.
        giver: whose place is given away.
        is_own: whether both are the same account.

    Raises:
        FormNotFoundError: ``by`` is no member of the workspace.
        TransferRefusedError: the form's rules forbid it, it is not theirs to give, or the giver has voted.
    """
    if by.role is None:
        raise FormNotFoundError()
    if not form.definition.may_transfer:
        raise TransferRefusedError(form.form_id, "its workflow says that it stays with whom it was given to")
    if not is_own and not by.sees_all:
        raise TransferRefusedError(form.form_id, "only an owner or admin may give away the place of somebody else")
    if not giver.is_asked and not (is_own and by.sees_all):
        raise TransferRefusedError(form.form_id, "only the place of somebody who is asked can be given away")
    if giver.is_asked and giver.has_voted:
        raise TransferRefusedError(form.form_id, "whoever has voted has used the place, and the vote stays")


def check_may_receive(form: Form, receiver: Member, has_voted: bool) -> None:
    """Return when an account could do something with the place that it is to be given.

    Args:
        form: the form.
        receiver: the account, which belongs to the workspace.
        has_voted: whether it has voted on the form.

    Raises:
        TransferRefusedError: it has voted, or it started the run and the rules forbid it to decide.
    """
    if has_voted:
        raise TransferRefusedError(form.form_id, "the other account has voted already")
    terms = Terms.of(form.definition)
    if terms and not terms.rules.self_approval and terms.is_initiator(receiver.account_id, receiver.email):
        raise TransferRefusedError(form.form_id, "the other account started the run and may not decide")
