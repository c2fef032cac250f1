"""Inserts rows on every kind of database: all of them, or those whose key is not there yet."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

from store.driver import SQLITE, Prepared, execute, prepared


def insert_once(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert ``row``, unless one with an equal key is there; return whether it was inserted."""
    return _insert_rows(connection, table, [row], is_once=True) == 1


def insert_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert ``rows``, which have the same columns."""
    if rows:
        _insert_rows(connection, table, rows, is_once=False)


def _insert_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *, is_once: bool) -> int:
    if connection.dialect.name != SQLITE.name:
        # Some drivers count no rows of several sets of values.
        values = rows[0] if len(rows) == 1 else rows
        return connection.execute(_statement(table, connection.dialect.name, is_once), values).rowcount
    return execute(connection, _for_driver(table, tuple(rows[0]), is_once), *rows)[1]


@cache
def _statement(table: Table, dialect: str, is_once: bool) -> Insert:
    of_dialect = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[dialect]
    statement = of_dialect(table).on_conflict_do_nothing() if is_once else of_dialect(table)
    # The row count of an INSERT is dropped unless asked for.
    return statement.execution_options(preserve_rowcount=True)


@cache
def _for_driver(table: Table, names: tuple[str, ...], is_once: bool) -> Prepared:
    return prepared(_statement(table, SQLITE.name, is_once), names)
