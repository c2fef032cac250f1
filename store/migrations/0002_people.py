"""What people do around forms: votes, claims, mails, conversations, sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables; what each is for is said in ``store.tables`` and the ``store.*_tables`` beside it."""
    _create_decisions()


def _create_decisions() -> None:
    op.add_column("submissions", sa.Column("api_key_id", sa.String(64), nullable=True))
    op.add_column("submissions", sa.Column("key_hash", sa.LargeBinary(32), nullable=True))
    op.create_table(
        "votes",
        sa.Column("form_id", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column("action_title", sa.Text(), nullable=False),
        sa.Column("field_values", sa.LargeBinary(), nullable=False),
        sa.Column("via", sa.String(32), nullable=False),
        sa.Column("voted_at", sa.Double(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(32), nullable=True),
        sa.PrimaryKeyConstraint("form_id", "account_id", name="pk_votes"),
        sqlite_with_rowid=False,
    )
