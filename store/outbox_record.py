"""What goes into the outbox and comes out of it: mails about forms, events to webhooks, and how each fared."""

from dataclasses import dataclass, field
from typing import Final, Literal
from uuid import UUID, uuid5

DeliveryKind = Literal["mail", "webhook"]
DeliveryState = Literal["pending", "sent", "failed", "dropped"]
"""``dropped``: it was not needed any more when its turn came, such as a mail to a form that had been answered."""

_NAMESPACE: Final = UUID("0d2a5a36-4f35-5a55-9d6c-6d7a2f0c1e8b")


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One thing to send; the fields are the columns of ``store.outbox_tables``. Times are Unix seconds."""

    entry_id: str
    kind: DeliveryKind
    occasion: str
    due_at: float
    next_at: float
    form_id: str | None = None
    recipient_id: str | None = None
    run_id: str | None = None
    attempts: int = 0
    state: DeliveryState = "pending"
    last_error: str = ""
    message_id: str | None = None
    target: str = ""
    secret_env: str = ""
    body: bytes = field(default=b"", repr=False)
    sent_at: float | None = None


def new_mail(form_id: str, recipient_id: str, occasion: str, due_at: float) -> OutboxEntry:
    """Return the mail to one recipient of a form; equal arguments give the same entry.

    Args:
        form_id: the form.
        recipient_id: its recipient.
        occasion: opened, reminder, escalated, transferred or delivery_test.
        due_at: Unix seconds; also what tells several mails of one occasion apart, such as two reminders.
    """
    entry_id = _entry_id("mail", form_id, recipient_id, occasion, repr(float(due_at)))
    return OutboxEntry(entry_id, "mail", occasion, due_at, due_at, form_id, recipient_id)


def _entry_id(*parts: str) -> str:
    return str(uuid5(_NAMESPACE, "\0".join(parts)))
