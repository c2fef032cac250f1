"""The values that the store of forms takes and gives, beside those of ``hitl``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from uuid import UUID, uuid5

import uuid_utils

from hitl.form import Form, FormStatus
from hitl.form_token import Purpose
from hitl.recipient import Recipient
from hitl.submission import Submission
from hitl.surface import Surface

AuditEvent = Literal[
    "opened", "viewed", "voted", "submitted", "timeout", "expired", "revoked", "reissued",
    "reminded", "escalated", "claimed", "released", "reassigned", "delegated", "snoozed",
]  # fmt: skip
"""``opened``: its detail names the recipients that got tokens; ``viewed``: an account that has logged in read it."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """What the store knows of a form token: its SHA-256, and for whom, where and what it is."""

    token_hash: bytes
    recipient_id: str
    surface: Surface
    purpose: Purpose
    generation: int


@dataclass(frozen=True, slots=True)
class TokenMatch:
    """What a living form token stands for."""

    form: Form
    recipient: Recipient
    surface: Surface
    purpose: Purpose
    generation: int


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who acts on a form, as far as known. ``via``: a surface, "python" or "system".

    ``account_id`` has logged in; ``end_user_id`` is who the holder of the API key ``api_key_id`` claims it is.
    """

    account_id: str | None = None
    end_user_id: str | None = None
    via: str = "system"
    api_key_id: str | None = None


CUT_OFF: Final = "its container ended without it"
"""Audit detail of a form whose container pass was cut off; its run goes on."""
ExpiryReason = Literal["global_deadline", "run_ended", "cut_off"]
"""Why a form expired: the global deadline passed, its own or that of another form of its run; its run was stopped or
has ended; its container pass was cut off."""
SYSTEM: Final = Submitter()
"""Nobody in person: a deadline, a stop, an operator's command."""


@dataclass(frozen=True, slots=True)
class Resumable:
    """A run with a new inbox item, as it stood when the item came in.

    ``run_status`` "running": ``actor`` executes it and is to be told ("" when its first commit is still to come);
    "paused": it is to be resumed.
    """

    run_id: str
    run_status: str
    actor: str


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """The answer that decided a form. ``recipient_id``: as whom it was given, None by form id; ``at``: Unix seconds.

    ``key_hash``: of the Idempotency-Key that came with it, if any.
    """

    submission: Submission
    by: Submitter
    recipient_id: str | None
    at: float
    key_hash: bytes | None = field(default=None, repr=False)


AnswerTo = Callable[[Form], Submission]
"""Makes the checked answer to a form as it stands, or raises what is wrong with it; pure, and may be called again."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A stored answer: the form it answers, and the run that has a new inbox item, None for a form without one."""

    form: Form
    run: Resumable | None


@dataclass(frozen=True, slots=True)
class VoteOutcome:
    """What a counted vote did. ``run``: that has a new inbox item; None while the form waits, and without a run."""

    is_decided: bool
    run: Resumable | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to a form, when.

    ``at``: Unix seconds; ``detail``: free text; ``reason``: why a form expired, None for every other event.
    """

    entry_id: str
    form_id: str
    event: AuditEvent
    at: float
    recipient_id: str | None = None
    account_id: str | None = None
    end_user_id: str | None = None
    via: str = "system"
    detail: str = ""
    reason: ExpiryReason | None = None


def new_entry(
    form_id: str,
    event: AuditEvent,
    at: float,
    by: Submitter,
    recipient_id: str | None = None,
    detail: str = "",
    entry_id: str = "",
) -> AuditEntry:
    """Return an audit entry; without ``entry_id`` with an id of its own."""
    entry_id = entry_id or str(uuid_utils.uuid7())
    return AuditEntry(entry_id, form_id, event, at, recipient_id, by.account_id, by.end_user_id, by.via, detail)


def opening_entry(form: Form, recipients: Sequence[Recipient]) -> AuditEntry:
    """Return what the audit says of a new form: that it was opened, and the recipients to whom tokens were issued."""
    # One entry: a form that nobody has answered yet should take little room.
    issued_to = " ".join(each.recipient_id for each in recipients)
    return new_entry(form.form_id, "opened", form.created_at, SYSTEM, detail=issued_to)


def expired_entry(form_id: str, at: float, reason: ExpiryReason, detail: str) -> AuditEntry:
    """Return the audit entry of a form that nobody can answer any more."""
    return replace(new_entry(form_id, "expired", at, SYSTEM, detail=detail), reason=reason)


def viewed_entry(form_id: str, by: Submitter, now: float) -> AuditEntry:
    """Return the audit entry of a first reading; its id stands for form and account, so there is one at most."""
    entry_id = str(uuid5(UUID(form_id), f"viewed by {by.account_id}"))
    return replace(new_entry(form_id, "viewed", now, by), entry_id=entry_id)


def first_mails(form: Form, recipients: Sequence[Recipient]) -> list[tuple[str, str]]:
    """Return (recipient id, occasion) of the mails that opening a form sends; none for a form that does not wait."""
    if form.status is not FormStatus.WAITING:
        return []
    occasion = "opened" if form.kind == "runtime" else "delivery_test"
    return [(each.recipient_id, occasion) for each in recipients if each.payload.get("email")]
