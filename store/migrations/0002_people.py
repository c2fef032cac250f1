"""What people do around forms: votes, claims, mails, conversations, sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables; what each is for is said in ``store.tables`` and the ``store.*_tables`` beside it."""
    _create_decisions()
    _create_outbox()
    _create_human_time()


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


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("entry_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("occasion", sa.String(32), nullable=False),
        sa.Column("form_id", sa.String(64), nullable=True),
        sa.Column("recipient_id", sa.String(64), nullable=True),
        sa.Column("run_id", sa.String(64), nullable=True),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("next_at", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("secret_env", sa.String(255), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("sent_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("entry_id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_form_id", "outbox", ["form_id"])
    op.create_index("ix_outbox_run_id", "outbox", ["run_id"])
    op.create_index(
        "ix_outbox_pending",
        "outbox",
        ["next_at"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )


def _create_human_time() -> None:
    op.add_column("forms", sa.Column("node_title", sa.Text(), nullable=True))
    op.create_index("ix_forms_inbox", "forms", ["workspace_id", "created_at", "form_id"])
    is_waiting = sa.text("status = 'waiting'")
    op.create_index(
        "ix_forms_inbox_waiting",
        "forms",
        ["workspace_id", "created_at", "form_id"],
        sqlite_where=is_waiting,
        postgresql_where=is_waiting,
    )
    op.create_table(
        "asked_accounts",
        sa.Column("form_id", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("form_id", "account_id", name="pk_asked_accounts"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_asked_accounts_inbox", "asked_accounts", ["account_id", "created_at", "form_id"])
    op.create_table(
        "claims",
        sa.Column("form_id", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("form_id", name="pk_claims"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "snoozes",
        sa.Column("form_id", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("form_id", "account_id", name="pk_snoozes"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "schedules",
        sa.Column("form_id", sa.String(64), nullable=False),
        sa.Column("moments", sa.LargeBinary(), nullable=False),
        sa.Column("passed_count", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("form_id", name="pk_schedules"),
    )
    has_next = sa.text("next_at IS NOT NULL")
    op.create_index("ix_schedules_next", "schedules", ["next_at"], sqlite_where=has_next, postgresql_where=has_next)
    op.create_table(
        "cut_executions",
        sa.Column("execution_id", sa.String(64), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", name="pk_cut_executions"),
        sqlite_with_rowid=False,
    )
