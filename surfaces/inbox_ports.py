"""What an account's inbox shows, and what it can do with a form there besides answering it."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from hitl.form import Form, FormStatus

InboxFilter = Literal["mine", "unclaimed", "all"]


@dataclass(frozen=True, slots=True)
class InboxQuery:
    """Which part of an inbox to read.

    ``account_id``: whose inbox, a member of the workspace. ``now``: Unix seconds. ``status``: None for every status.
    ``text``: in the node's title or the app's name. ``before``: the form id of the last row seen.
    """

    workspace_id: str
    account_id: str
    now: float
    filter: InboxFilter = "mine"
    app_id: str | None = None
    status: FormStatus | None = FormStatus.WAITING
    text: str | None = None
    before: str | None = None
    with_snoozed: bool = False
    limit: int = 50


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A form in an inbox. ``due_at``: the earlier of its deadlines; ``claim``: ``account_id``, ``expires_at``."""

    form: Form
    app_name: str
    due_at: float
    claim: Any = None
    claimant: str = ""
    snoozed_until: float | None = None


@dataclass(frozen=True, slots=True)
class InboxPage:
    """Rows, the newest form first. ``has_more``: another page begins ``before`` the last row's form."""

    rows: tuple[InboxRow, ...]
    has_more: bool


class InboxReads(Protocol):
    """Reads inboxes."""

    async def inbox(self, query: InboxQuery) -> InboxPage:
        """Return one page of an inbox."""
        ...


@dataclass(frozen=True, slots=True)
class ClaimOrder:
    """``account_id`` says that it will answer the form."""

    form_id: str
    account_id: str
    via: str
    order_id: str


@dataclass(frozen=True, slots=True)
class ReleaseOrder:
    """``account_id`` gives its claim back."""

    form_id: str
    account_id: str
    via: str
    order_id: str


@dataclass(frozen=True, slots=True)
class ReassignOrder:
    """``account_id`` hands the form to the account with the address ``to``."""

    form_id: str
    account_id: str
    to: str
    via: str
    instead_of: str | None
    order_id: str


@dataclass(frozen=True, slots=True)
class DelegateOrder:
    """``account_id`` has the account with the address ``to`` asked in its place."""

    form_id: str
    account_id: str
    to: str
    via: str
    order_id: str


@dataclass(frozen=True, slots=True)
class SnoozeOrder:
    """``account_id`` puts the form away in its inbox until a time, Unix seconds."""

    form_id: str
    account_id: str
    until: float
    via: str
    order_id: str


ActOrder = ClaimOrder | ReleaseOrder | ReassignOrder | DelegateOrder | SnoozeOrder


class InboxActs(Protocol):
    """Carries out what accounts do with forms besides answering them."""

    async def act(self, order: ActOrder) -> None:
        """Carry out ``order``; durable on return, and once under its id.

        Raises:
            RefusedError: the form is somebody else's for now, or not this account's to hand on.
        """
        ...
