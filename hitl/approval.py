"""Who decides a form, and when enough of them have: approvers, quorum, groups, rejection, self-approval.

Pure: the terms of a form, the votes so far and one more vote give a ruling. A person is an account that has logged
in; a link or a name that somebody else sends proves nobody. The store counts a vote in the same transaction in which
the ruling takes effect.

Source: spec/beyond.md 1, row 5.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from graph.human_rules import Approval, AppRules, group_of
from hitl.errors import AlreadyVotedError, NotAnApproverError, SelfApprovalError
from hitl.form import FormDefinition
from hitl.recipient import Recipient, RecipientType
from hitl.submission import Submission

Refusal = Literal["not_an_approver", "self_approval", "already_voted"]


@dataclass(frozen=True, slots=True)
class Vote:
    """What one account has said. ``email``: its address then; ``via``: the surface; ``at``: Unix seconds.

    ``key_hash``: of the Idempotency-Key that came with it, if any.
    """

    account_id: str
    email: str
    submission: Submission
    at: float = 0.0
    via: str = ""
    key_hash: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """The vote does not count."""

    reason: Refusal


@dataclass(frozen=True, slots=True)
class StillOpen:
    """The vote counts, and more are needed."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The vote counts and decides for ``action_id``, which is its own action."""

    action_id: str


Ruling = Refused | StillOpen | Decided


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which a form is decided, fixed when it was opened.

    ``groups``: name -> addresses, of the groups that the rules name. ``initiator_id``: the account that started the
    run, None for an end user; ``initiator_user``: the name under which the run was started.
    """

    rules: Approval
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    initiator_id: str | None = None
    initiator_user: str = ""

    @classmethod
    def of(cls, asked: FormDefinition) -> Self | None:
        """Return the terms of a form, None where the first answer decides."""
        if asked.approval is None:
            return None
        groups = {name: frozenset(map(_plain, people)) for name, people in asked.approval["groups"].items()}
        initiator = asked.approval["initiator"]
        rules = Approval.model_validate(asked.approval["rules"])
        return cls(rules, groups, initiator["account_id"], initiator["user"])

    def approvers(self) -> frozenset[str] | None:
        """Return the addresses of who may decide, in lower case; None: every account of the workspace.

        The initiator is among them, even where the rules forbid that one to decide.
        """
        if not self.rules.approvers:
            return None
        return frozenset(address for person in self.rules.approvers for address in self._addresses(person))

    def _addresses(self, person: str) -> frozenset[str]:
        group = group_of(person)
        return frozenset((_plain(person),)) if group is None else self.groups.get(group, frozenset())

    def is_initiator(self, account_id: str, email: str) -> bool:
        """Whether the run was started by this account, or under its address."""
        return account_id == self.initiator_id or _plain(email) == _plain(self.initiator_user)

    def seats(self) -> list[frozenset[str]]:
        """Return the addresses of each group that must be represented; none where groups do not count."""
        names = dict.fromkeys(filter(None, map(group_of, self.rules.approvers)))
        return [self.groups.get(name, frozenset()) for name in names] if self.rules.each_group else []


def approval_of(rules: Approval | None, app: AppRules, account_id: str | None, user: str) -> dict[str, Any] | None:
    """Return what a new form keeps of the rules of its node, as ``Terms.of`` reads it; None without rules.

    Args:
        rules: of the node.
        app: of the workflow file, for its groups.
        account_id: the account that started the run, None when an end user did.
        user: the name under which the run was started.
    """
    if rules is None:
        return None
    names = dict.fromkeys(filter(None, map(group_of, rules.approvers)))
    return {
        "rules": rules.model_dump(mode="json"),
        "groups": {name: list(app.groups.get(name, ())) for name in names},
        "initiator": {"account_id": account_id, "user": user},
    }


def is_asked(recipients: Iterable[Recipient], account_id: str) -> bool | None:
    """Return whether a form asks an account in person, whatever its approvers are; None where it never did.

    In person asks a recipient in the console that names account and address: whoever was added to the approvers, by an
    escalation or because somebody handed the form on. Where all of them are revoked, the place was given away. The
    recipient of the one who runs the app in the console has no address: running it makes nobody an approver.
    """
    own = [
        each.is_active
        for each in recipients
        if each.type is RecipientType.CONSOLE
        and each.payload.get("account_id") == account_id
        and each.payload.get("email")
    ]
    return any(own) if own else None


def ruling_on(terms: Terms, votes: Sequence[Vote], vote: Vote, asked: bool | None = None) -> Ruling:
    """Return what one more vote means.

    An action that rejects decides at once, or by quorum alone where ``first_rejection`` is ``counts``. Any other
    decides when as many people as the quorum says have chosen it, and for each group that counts there is one of its
    people among them; who is in two groups stands for one of them.

    Args:
        terms: of the form.
        votes: that count so far, at most one of an account.
        vote: the new one, of an account that has logged in and belongs to the workspace.
        asked: whether the form asks that account in person (``is_asked``); None: the approvers alone say who may vote.
    """
    if refusal := _refusal(terms, votes, vote, asked):
        return Refused(refusal)
    rules, action = terms.rules, vote.submission.action_id
    is_rejection = action in rules.reject
    if is_rejection and rules.first_rejection == "decides":
        return Decided(action)
    agreeing = [each for each in (*votes, vote) if each.submission.action_id == action]
    if len(agreeing) < rules.quorum:
        return StillOpen()
    if not is_rejection and not _represents(terms.seats(), [_plain(each.email) for each in agreeing]):
        return StillOpen()
    return Decided(action)


def _refusal(terms: Terms, votes: Iterable[Vote], vote: Vote, asked: bool | None) -> Refusal | None:
    approvers = terms.approvers()
    is_approver = approvers is None or _plain(vote.email) in approvers
    if not (is_approver if asked is None else asked):
        return "not_an_approver"
    if not terms.rules.self_approval and terms.is_initiator(vote.account_id, vote.email):
        return "self_approval"
    if any(vote.account_id == each.account_id for each in votes):
        return "already_voted"
    return None


def _represents(seats: Sequence[frozenset[str]], people: Sequence[str]) -> bool:
    """Whether each seat can be given to a person of its own who is in its group (a matching of seats and people)."""
    seat_of: dict[int, int] = {}
    """Place of a person in ``people`` -> the seat that is theirs; two accounts may have had one address in turn."""

    def is_seated(seat: int, asked: set[int]) -> bool:
        for person, address in enumerate(people):
            if address in seats[seat] and person not in asked:
                asked.add(person)
                if person not in seat_of or is_seated(seat_of[person], asked):
                    seat_of[person] = seat
                    return True
        return False

    return all(is_seated(seat, set()) for seat in range(len(seats)))


def refusal_error(reason: Refusal, form_id: str) -> NotAnApproverError | SelfApprovalError | AlreadyVotedError:
    """Return the error that a refused voter is told."""
    errors = {
        "not_an_approver": NotAnApproverError,
        "self_approval": SelfApprovalError,
        "already_voted": AlreadyVotedError,
    }
    return errors[reason](form_id)


def _plain(address: str) -> str:
    return address.strip().lower()
