"""The table of what is to be sent: mails about forms, and events to webhooks.

``entry_id`` follows from what is to be sent, so the same thing is put here once. Nothing in a row lets anyone act: the
link of a mail is made when the mail is handed over, and a signing secret is named, never stored.

    kind         mail or webhook
    occasion     of a mail why it is sent (opened, reminder …), of a webhook the event (run.paused …)
    due_at       from when on it is to be sent; next_at: when it is tried next, moved on by every claim
    attempts     how often it was claimed; also the number under which a claimer records what came of it
    last_error   why the last attempt failed, or why it was dropped
    message_id   of a mail that was handed over
    target, secret_env, body    of a webhook: where to, which environment variable signs it, what is sent
"""

from sqlalchemy import Column, Double, Index, Integer, LargeBinary, String, Table, literal_column

from store.tables import Id, OutsideText, metadata

outbox = Table(
    "outbox",
    metadata,
    Column("entry_id", Id(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("occasion", String(32), nullable=False),
    Column("form_id", Id(64)),
    Column("recipient_id", Id(64)),
    Column("run_id", Id(64)),
    Column("due_at", Double, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("last_error", OutsideText, nullable=False),
    Column("message_id", OutsideText),
    Column("target", OutsideText, nullable=False),
    Column("secret_env", String(255), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("sent_at", Double),
    Index("ix_outbox_form_id", "form_id"),
    Index("ix_outbox_run_id", "run_id"),
)
# Literal, so that SQLite recognises the condition of the partial index.
is_pending = outbox.c.state == literal_column("'pending'")
Index("ix_outbox_pending", outbox.c.next_at, sqlite_where=is_pending, postgresql_where=is_pending)
