"""The values that the store of human time takes and gives, beside those of ``hitl``."""

from collections.abc import Sequence
from dataclasses import dataclass

from hitl.hand_over import HandOverKind
from hitl.recipient import Member, Recipient
from hitl.schedule import Moment, Passed
from store.form_record import Submitter, TokenRow


@dataclass(frozen=True, slots=True)
class Schedule:
    """The moments of a form, soonest first, and how many of them were dealt with."""

    moments: tuple[Moment, ...]
    passed_count: int


@dataclass(frozen=True, slots=True)
class Ask:
    """An account that is to be asked: the recipient it gets where it has none, with the hashes of its tokens."""

    account_id: str
    recipient: Recipient
    tokens: Sequence[TokenRow]


@dataclass(frozen=True, slots=True)
class Firing:
    """What the moments that have passed do to a form.

    ``found_count``: how many had passed before; where it is another number now, somebody was faster. ``unknown``:
    addresses of an escalation that no account of the workspace has.
    """

    form_id: str
    found_count: int
    passed: Passed
    asks: Sequence[Ask]
    unknown: Sequence[str]
    at: float


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something to a form, and when. ``act_id`` names it: repeated, it is done once."""

    act_id: str
    form_id: str
    account_id: str
    at: float
    via: str

    @property
    def by(self) -> Submitter:
        """Who it is, for the audit."""
        return Submitter(self.account_id, via=self.via)


@dataclass(frozen=True, slots=True)
class HandOver:
    """A form on its way from ``giver`` (an account id) to ``receiver``."""

    act: Act
    kind: HandOverKind
    giver: str
    receiver: Member
    ask: Ask
