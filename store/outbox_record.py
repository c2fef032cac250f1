"""What goes into the outbox and comes out of it: mails about forms, events to webhooks, and how each fared."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from uuid import UUID, uuid5

import orjson

from hitl.form import Form

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


def new_webhooks(
    targets: Iterable[tuple[str, str]],
    event: str,
    key: str,
    at: float,
    says: dict[str, Any],
    run_id: str | None,
    form_id: str | None = None,
) -> list[OutboxEntry]:
    """Return one event for each webhook; equal ``targets``, ``event`` and ``key`` give the same entries.

    Args:
        targets: (URL, environment variable of the signing secret) of each webhook.
        event: run.paused, form.decided, run.resumed or run.finished.
        key: what the event happened to, such as the run and the number of the fact.
        at: when it happened, Unix seconds.
        says: what the body holds beside id, event and time: ids and a status, nothing else.
        run_id: the run it belongs to, None for a form without one.
        form_id: the form it belongs to, None for an event of a whole run.
    """
    entries = []
    for index, (url, secret_env) in enumerate(targets):
        entry_id = _entry_id("webhook", event, key, str(index), url)
        body = orjson.dumps({"id": entry_id, "event": event, "created_at": at, **says})
        entry = OutboxEntry(entry_id, "webhook", event, at, at, form_id, None, run_id)
        entries.append(replace(entry, target=url, secret_env=secret_env, body=body))
    return entries


def decided(form: Form, action_id: str | None) -> list[OutboxEntry]:
    """Return the events that tell how ``form`` ended; none where its app tells nobody.

    Args:
        form: the form, closed.
        action_id: the action that was chosen, None at a deadline.
    """
    targets = [(hook["url"], hook["secret_env"]) for hook in form.definition.webhooks]
    says = {
        "app_id": form.app_id,
        "run_id": form.run_id,
        "form_id": form.form_id,
        "node_id": form.node_id,
        "status": str(form.status),
        "action_id": action_id,
    }
    return new_webhooks(targets, "form.decided", form.form_id, form.closed_at or 0.0, says, form.run_id, form.form_id)


def _entry_id(*parts: str) -> str:
    return str(uuid5(_NAMESPACE, "\0".join(parts)))
