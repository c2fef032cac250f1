"""The SQL schema of MCP servers; the rules of ``store.tables`` hold here too.

mcp_servers     through which address agents may call an app; one row an app, of its code only the SHA-256
"""

from sqlalchemy import Boolean, Column, Double, LargeBinary, Table

from store.tables import Id, OutsideText, metadata

mcp_servers = Table(
    "mcp_servers",
    metadata,
    Column("server_id", Id(64), primary_key=True),
    Column("app_id", Id(64), nullable=False, unique=True),
    Column("code_hash", LargeBinary(32), nullable=False, unique=True),
    Column("description", OutsideText, nullable=False),
    # JSON: start input -> description.
    Column("parameters", LargeBinary, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)
