"""The outbox as rows: whoever decides that something is to be sent puts it here, in the transaction of the decision.

The same entry is put here once, however often it is added; the courier takes it from here (``store.outbox``).
"""

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import Connection

from store.insert_once import insert_once
from store.outbox_record import OutboxEntry, new_mail
from store.outbox_tables import outbox


def add_mail(connection: Connection, form_id: str, recipient_id: str, kind: str, due_at: float) -> None:
    """Have a mail sent to one recipient of a form, from ``due_at`` on, if the form waits and the recipient is active.

    Args:
        connection: within its transaction.
        form_id: the form.
        recipient_id: its recipient.
        kind: opened, reminder, escalated, transferred or delivery_test.
        due_at: Unix seconds; two mails of one kind to one recipient differ in it, equal ones are one mail.
    """
    add_entries(connection, [new_mail(form_id, recipient_id, kind, due_at)])


def add_entries(connection: Connection, entries: Iterable[OutboxEntry]) -> None:
    """Put ``entries`` into the outbox, each unless it was put there before."""
    for entry in entries:
        insert_once(connection, outbox, asdict(entry))
