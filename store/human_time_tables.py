"""The tables of human time: what becomes of a form while nobody answers it, and whose it is meanwhile.

    asked_accounts    form x account: whom a form asks in person, for their inboxes; kept when the form closes
    claims            the last claim of a form; it counts until expires_at
    snoozes           form x account: put away in that inbox until a time
    schedules         a form's reminders and escalation: its moments, how many have passed, when the next one is due
    cut_executions    node executions that ended without an answer inside a container pass that was cut off

``next_at`` is null after the last moment, and once the form was found closed. A row of cut_executions stays until its
form has been expired: it may be opened after it. Rules of ``store.tables`` hold here too.
"""

from sqlalchemy import Column, Double, Index, Integer, LargeBinary, Table

from store.tables import Id, forms, is_waiting, metadata

Index("ix_forms_inbox", forms.c.workspace_id, forms.c.created_at, forms.c.form_id)
Index(
    "ix_forms_inbox_waiting",
    forms.c.workspace_id,
    forms.c.created_at,
    forms.c.form_id,
    sqlite_where=is_waiting,
    postgresql_where=is_waiting,
)

asked_accounts = Table(
    "asked_accounts",
    metadata,
    Column("form_id", Id(64), primary_key=True),
    Column("account_id", Id(64), primary_key=True),
    # That of the form: an inbox is read in this order.
    Column("created_at", Double, nullable=False),
    Index("ix_asked_accounts_inbox", "account_id", "created_at", "form_id"),
    sqlite_with_rowid=False,
)

claims = Table(
    "claims",
    metadata,
    Column("form_id", Id(64), primary_key=True),
    Column("account_id", Id(64), nullable=False),
    Column("at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    sqlite_with_rowid=False,
)

snoozes = Table(
    "snoozes",
    metadata,
    Column("form_id", Id(64), primary_key=True),
    Column("account_id", Id(64), primary_key=True),
    Column("until", Double, nullable=False),
    sqlite_with_rowid=False,
)

schedules = Table(
    "schedules",
    metadata,
    Column("form_id", Id(64), primary_key=True),
    Column("moments", LargeBinary, nullable=False),
    Column("passed_count", Integer, nullable=False),
    Column("next_at", Double),
)
has_next = schedules.c.next_at.is_not(None)
Index("ix_schedules_next", schedules.c.next_at, sqlite_where=has_next, postgresql_where=has_next)

cut_executions = Table(
    "cut_executions",
    metadata,
    Column("execution_id", Id(64), primary_key=True),
    Column("run_id", Id(64), nullable=False),
    sqlite_with_rowid=False,
)
