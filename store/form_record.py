"""The values that the store of forms takes and gives, beside those of ``hitl``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import uuid_utils

from hitl.form import Form, FormStatus
from hitl.form_token import Purpose
from hitl.recipient import ApprovalChannel, Recipient
from hitl.surface import Surface

AuditEvent = Literal["submitted", "timeout", "expired", "revoked", "reissued"]


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
    """Who acts on a form, as far as known. ``via``: a surface, "python" or "system"."""

    account_id: str | None = None
    end_user_id: str | None = None
    via: str = "system"


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
class AuditEntry:
    """Who did what to a form, when. ``at``: Unix seconds; ``detail``: free text, such as a reason."""

    entry_id: str
    form_id: str
    event: AuditEvent
    at: float
    recipient_id: str | None = None
    account_id: str | None = None
    end_user_id: str | None = None
    via: str = "system"
    detail: str = ""


def new_entry(
    form_id: str,
    event: AuditEvent,
    at: float,
    by: Submitter,
    recipient_id: str | None = None,
    detail: str = "",
) -> AuditEntry:
    """Return an audit entry with an id of its own."""
    entry_id = str(uuid_utils.uuid7())
    return AuditEntry(entry_id, form_id, event, at, recipient_id, by.account_id, by.end_user_id, by.via, detail)


def first_mails(form: Form, recipients: Sequence[Recipient]) -> list[tuple[str, str]]:
    """Return (recipient id, occasion) of the mails that opening a form sends; none for a form that does not wait."""
    if form.status is not FormStatus.WAITING:
        return []
    occasion = "opened" if form.kind == "runtime" else "delivery_test"
    return [(each.recipient_id, occasion) for each in recipients if each.type.channel is ApprovalChannel.EMAIL]
