"""What people do around forms: votes, claims, mails, conversations, sessions."""

import secrets
import string
import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables; what each is for is said in ``store.tables`` and the modules beside it."""
    _create_console()
    _create_conversations()
    _create_web()


def _create_console() -> None:
    op.add_column("accounts", sa.Column("password_hash", sa.Text(), nullable=True))
    op.create_table(
        "logins",
        sa.Column("login_id", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("workspace_id", sa.String(64), nullable=False),
        sa.Column("refresh_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(32), nullable=True),
        sa.Column("refreshed_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("login_id", name="pk_logins"),
        sa.UniqueConstraint("refresh_hash", name="uq_logins_refresh_hash"),
    )
    op.create_index("ix_logins_account_id", "logins", ["account_id"])
    op.create_index("ix_logins_previous_hash", "logins", ["previous_hash"])
    op.create_index("ix_logins_expires_at", "logins", ["expires_at"])
    op.create_table(
        "login_attempts",
        sa.Column("name_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("first_at", sa.Double(), nullable=False),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name_hash", name="pk_login_attempts"),
    )
    op.create_index("ix_login_attempts_first_at", "login_attempts", ["first_at"])
    op.create_table(
        "drafts",
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_by", sa.String(64), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("app_id", name="pk_drafts"),
    )
    op.create_index("ix_runs_app_id_run_id", "runs", ["app_id", "run_id"])
    op.create_index("ix_members_account_id", "members", ["account_id"])


def _create_conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("conversation_id", sa.String(64), nullable=False),
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("owner_role", sa.String(16), nullable=False),
        sa.Column("owner_id", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("inputs", sa.LargeBinary(), nullable=False),
        sa.Column("introduction", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", name="pk_conversations"),
    )
    op.create_index("ix_conversations_owner", "conversations", ["app_id", "owner_role", "owner_id", "updated_at"])
    op.create_table(
        "messages",
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("conversation_id", sa.String(64), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("inputs", sa.LargeBinary(), nullable=False),
        sa.Column("files", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("resources", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name="pk_messages"),
    )
    op.create_index("ix_messages_conversation_id", "messages", ["conversation_id", "created_at"])
    op.create_table(
        "conversation_variables",
        sa.Column("conversation_id", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("variable_id", sa.String(64), nullable=False),
        sa.Column("value_type", sa.String(32), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "name", name="pk_conversation_variables"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message_feedbacks",
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("conversation_id", sa.String(64), nullable=False),
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("end_user_id", sa.String(64), nullable=False),
        sa.Column("rating", sa.String(16), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name="pk_message_feedbacks"),
    )
    op.create_index("ix_message_feedbacks_app_id", "message_feedbacks", ["app_id", "created_at"])
    op.create_index("ix_message_feedbacks_conversation_id", "message_feedbacks", ["conversation_id"])


def _create_web() -> None:
    sites = op.create_table(
        "sites",
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("app_id", name="pk_sites"),
        sa.UniqueConstraint("code", name="uq_sites_code"),
    )
    op.create_table(
        "form_uploads",
        sa.Column("file_id", sa.String(64), nullable=False),
        sa.Column("form_id", sa.String(64), nullable=False),
        sa.Column("recipient_id", sa.String(64), nullable=False),
        sa.Column("uploaded_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("file_id", name="pk_form_uploads"),
    )
    op.create_index("ix_form_uploads_form_id_recipient_id", "form_uploads", ["form_id", "recipient_id"])
    # Apps that are there already get a site like those to come.
    letters = string.ascii_letters + string.digits
    for app_id in op.get_bind().execute(sa.text("SELECT app_id FROM apps")).scalars().all():
        code = "".join(secrets.choice(letters) for _ in range(16))
        op.get_bind().execute(
            sites.insert(), {"app_id": app_id, "code": code, "is_open": True, "created_at": time.time()}
        )
