"""The SQL schema of what people use without an account: sites of apps, and what was uploaded for forms.

    sites            the address of an app's web app: its code, and whether it is open
    form_uploads     which recipient uploaded which file for a form; the file itself is a row of ``files``

The rules of ``store.tables`` hold here too.
"""

from sqlalchemy import Boolean, Column, Double, Index, String, Table

from store.tables import Id, metadata

sites = Table(
    "sites",
    metadata,
    Column("app_id", Id(64), primary_key=True),
    Column("code", String(32), nullable=False, unique=True),
    Column("is_open", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
)

form_uploads = Table(
    "form_uploads",
    metadata,
    Column("file_id", Id(64), primary_key=True),
    Column("form_id", Id(64), nullable=False),
    Column("recipient_id", Id(64), nullable=False),
    Column("uploaded_at", Double, nullable=False),
    Index("ix_form_uploads_form_id_recipient_id", "form_id", "recipient_id"),
)
