"""What people do around forms: votes, claims, mails, conversations, sessions."""

import secrets
import string
import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables; what each is for is said in ``store.tables`` and the ``store.*_tables`` beside it."""
    _create_decisions()
    _create_outbox()
    _create_human_time()
    _create_console()
    _create_conversations()
    _create_web()
    _create_archive()
    _create_mcp()
    _create_bearers()
    op.add_column("runs", sa.Column("traceparent", sa.String(64), nullable=True))
    op.add_column("audit", sa.Column("reason", sa.String(32), nullable=True))


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


def _create_mcp() -> None:
    op.create_table(
        "mcp_servers",
        sa.Column("server_id", sa.String(64), nullable=False),
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("parameters", sa.LargeBinary(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", name="pk_mcp_servers"),
        sa.UniqueConstraint("app_id", name="uq_mcp_servers_app_id"),
        sa.UniqueConstraint("code_hash", name="uq_mcp_servers_code_hash"),
    )


def _create_bearers() -> None:
    op.create_table(
        "bearer_tokens",
        sa.Column("token_id", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(64), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("device_label", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("last_used_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("token_id", name="pk_bearer_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_bearer_tokens_token_hash"),
    )
    op.create_index("ix_bearer_tokens_account_id", "bearer_tokens", ["account_id"])
    op.create_index("ix_bearer_tokens_expires_at", "bearer_tokens", ["expires_at"])
    op.create_table(
        "device_codes",
        sa.Column("device_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("user_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("device_label", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("account_id", sa.String(64), nullable=True),
        sa.Column("polled_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("device_hash", name="pk_device_codes"),
        sa.UniqueConstraint("user_hash", name="uq_device_codes_user_hash"),
    )
    op.create_index("ix_device_codes_expires_at", "device_codes", ["expires_at"])
