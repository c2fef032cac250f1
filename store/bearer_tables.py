"""The SQL schema of bearer tokens and of devices that ask for one. It belongs to ``store.tables``.

bearer_tokens    one row a token; only its SHA-256, and its first letters
device_codes     a device that waits to be let in; only the SHA-256 of its two codes
"""

from sqlalchemy import Column, Double, Index, LargeBinary, String, Table

from store.tables import Id, OutsideText, metadata

bearer_tokens = Table(
    "bearer_tokens",
    metadata,
    Column("token_id", Id(64), primary_key=True),
    Column("account_id", Id(64), nullable=False),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("prefix", String(16), nullable=False),
    Column("client_id", Id(64), nullable=False),
    Column("device_label", OutsideText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("last_used_at", Double),
    Index("ix_bearer_tokens_account_id", "account_id"),
    Index("ix_bearer_tokens_expires_at", "expires_at"),
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("device_hash", LargeBinary(32), primary_key=True),
    Column("user_hash", LargeBinary(32), nullable=False, unique=True),
    Column("client_id", Id(64), nullable=False),
    Column("device_label", OutsideText, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("status", String(16), nullable=False),
    Column("account_id", Id(64)),
    Column("polled_at", Double),
    Index("ix_device_codes_expires_at", "expires_at"),
)
