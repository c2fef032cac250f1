"""The SQL schema of the console: who is logged in, and what is being edited. It belongs to ``store.tables``.

    logins             one row a login; only the SHA-256 of its refresh token, and of the one before
    login_attempts     how often a password was tried lately, by the SHA-256 of the address that was named
    drafts             the workflow of an app as it is being edited; one row an app

The password hashes stand in ``accounts.password_hash``.
"""

from sqlalchemy import Column, Double, Index, Integer, LargeBinary, String, Table

from store.tables import Id, metadata

logins = Table(
    "logins",
    metadata,
    Column("login_id", Id(64), primary_key=True),
    Column("account_id", Id(64), nullable=False),
    Column("workspace_id", Id(64), nullable=False),
    Column("refresh_hash", LargeBinary(32), nullable=False, unique=True),
    Column("previous_hash", LargeBinary(32)),
    Column("refreshed_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index("ix_logins_account_id", "account_id"),
    Index("ix_logins_previous_hash", "previous_hash"),
    Index("ix_logins_expires_at", "expires_at"),
)

login_attempts = Table(
    "login_attempts",
    metadata,
    Column("name_hash", LargeBinary(32), primary_key=True),
    Column("first_at", Double, nullable=False),
    Column("attempt_count", Integer, nullable=False),
    Index("ix_login_attempts_first_at", "first_at"),
)

drafts = Table(
    "drafts",
    metadata,
    Column("app_id", Id(64), primary_key=True),
    Column("document", LargeBinary, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("created_by", Id(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_by", Id(64), nullable=False),
    Column("updated_at", Double, nullable=False),
)
