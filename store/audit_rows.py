"""The audit as rows: who did what to a form."""

from dataclasses import fields
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from store.form_record import AuditEntry
from store.insert_once import insert_rows
from store.tables import audit

_FIELDS: Final = tuple(part.name for part in fields(AuditEntry))
_ENTRY: Final = select(audit.c.entry_id).where(audit.c.entry_id == bindparam("key_entry_id"))


def audit_row(entry: AuditEntry) -> dict[str, Any]:
    """Return the row of an entry."""
    return {name: getattr(entry, name) for name in _FIELDS}


def add_audit(connection: Connection, entry: AuditEntry) -> None:
    """Store an entry of the audit."""
    insert_rows(connection, audit, [audit_row(entry)])


def is_done(connection: Connection, entry: AuditEntry) -> bool:
    """Whether the operation that ``entry`` names was committed before, its answer having been lost."""
    return connection.execute(_ENTRY, {"key_entry_id": entry.entry_id}).first() is not None
