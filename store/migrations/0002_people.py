"""What people do around forms: votes, claims, mails, conversations, sessions."""

import secrets
import string
import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables; what each is for is said in ``store.tables``."""
    _create_web()


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
