"""What people do around forms: votes, claims, mails, conversations, sessions; the archive of ended runs, traces."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables; what each is for is said in ``store.tables``."""
    _create_archive()
    op.add_column("runs", sa.Column("traceparent", sa.String(64), nullable=True))


def _create_archive() -> None:
    op.create_table(
        "archives",
        sa.Column("bundle_id", sa.String(64), nullable=False),
        sa.Column("run_count", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("blobs", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("bundle_id", name="pk_archives"),
    )
    op.create_table(
        "archived_runs",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("bundle_id", sa.String(64), nullable=False),
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("created_by_id", sa.String(64), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=False),
        sa.Column("restored_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "bundle_id", name="pk_archived_runs"),
    )
    op.create_index("ix_archived_runs_bundle_id", "archived_runs", ["bundle_id"])
    op.create_index("ix_archived_runs_created_by_id", "archived_runs", ["created_by_id"])
