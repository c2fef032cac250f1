"""The values of an account's inbox: the forms that people are asked to answer, over all runs of a workspace."""

from dataclasses import dataclass
from typing import Literal

from hitl.claim import Claim
from hitl.form import Form, FormStatus

InboxFilter = Literal["mine", "unclaimed", "all"]
"""``mine``: forms that ask the account itself, and for owners and admins every form of the workspace. ``unclaimed``:
waiting forms of the workspace that nobody has claimed. ``all``: every form of the workspace."""


@dataclass(frozen=True, slots=True)
class InboxQuery:
    """Which part of an inbox to read.

    ``account_id``: whose inbox, a member of the workspace; an account that is none sees nothing. ``now``: Unix
    seconds. ``status``: None for every status. ``text``: in the node's title or the app's name, letters A-Z in either
    case. ``before``: the form id of the last row seen, for the next page. ``with_snoozed``: also the forms that the
    account has put away until later. ``limit``: rows of the page, 1 to 200.
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
    """A form in an inbox. Node title, run, opening and deadlines are those of ``form``.

    ``due_at``: the earlier of its deadlines. ``claim``: None where nobody has claimed it, or the claim has run out.
    ``claimant``: the name of whoever claimed it, "" without a claim. ``snoozed_until``: None, or until when the
    account has put it away.
    """

    form: Form
    app_name: str
    due_at: float
    claim: Claim | None = None
    claimant: str = ""
    snoozed_until: float | None = None


@dataclass(frozen=True, slots=True)
class InboxPage:
    """Rows, the newest form first. ``has_more``: another page begins ``before`` the last row's form."""

    rows: tuple[InboxRow, ...]
    has_more: bool
