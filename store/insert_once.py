"""Inserts a row unless its key is there already, on every kind of database."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite


@cache
def _insert_once(table: Table, dialect: str) -> Insert:
    of_dialect = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[dialect]
    # The row count of an INSERT is dropped unless asked for.
    return of_dialect(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)


def insert_once(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert ``row``, unless one with an equal key is there; return whether it was inserted."""
    return connection.execute(_insert_once(table, connection.dialect.name), row).rowcount == 1
