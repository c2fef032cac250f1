"""The SQL tables of decisions by several people; the rules of ``store.tables`` hold for them too.

votes     what each account has said about a form that needs approvers; never changed
"""

from sqlalchemy import Column, Double, Integer, LargeBinary, String, Table

from store.tables import Id, OutsideText, metadata

votes = Table(
    "votes",
    metadata,
    Column("form_id", Id(64), primary_key=True),
    Column("account_id", Id(64), primary_key=True),
    # Its place among the votes on the form, from 0.
    Column("position", Integer, nullable=False),
    # The address of the account when it voted.
    Column("email", OutsideText, nullable=False),
    Column("action_id", OutsideText, nullable=False),
    Column("action_title", OutsideText, nullable=False),
    Column("field_values", LargeBinary, nullable=False),
    Column("via", String(32), nullable=False),
    Column("voted_at", Double, nullable=False),
    # SHA-256 of the Idempotency-Key that came with the vote.
    Column("key_hash", LargeBinary(32)),
    sqlite_with_rowid=False,
)
