"""Mails that are to be sent: a row each, stored in the transaction that gives reason for it."""

import uuid_utils
from sqlalchemy import Column, Connection, Double, String, Table, insert

from store.tables import Id, metadata

outbox = Table(
    "outbox",
    metadata,
    Column("mail_id", Id(64), primary_key=True),
    Column("form_id", Id(64), nullable=False),
    Column("recipient_id", Id(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("due_at", Double, nullable=False),
)


def add_mail(connection: Connection, form_id: str, recipient_id: str, kind: str, due_at: float) -> None:
    """Have a mail about a form sent to one of its recipients.

    Args:
        connection: within the caller's transaction.
        form_id: the form.
        recipient_id: to whom.
        kind: "opened", "reminder", "escalated" or "transferred".
        due_at: when, Unix seconds.
    """
    row = {"mail_id": str(uuid_utils.uuid7()), "form_id": form_id, "recipient_id": recipient_id, "kind": kind}
    connection.execute(insert(outbox), row | {"due_at": due_at})
