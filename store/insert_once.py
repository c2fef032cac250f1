"""Inserts rows on every kind of database: all of them, or those whose key is not there yet.

SQLite's driver is given the statement and the values that SQLAlchemy makes. To run it through SQLAlchemy too takes five
times as long, and most of what a form takes on its way are inserts.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

_SQLITE: Final = sqlite.dialect()


def insert_once(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert ``row``, unless one with an equal key is there; return whether it was inserted."""
    return _insert_rows(connection, table, [row], is_once=True) == 1


def insert_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert ``rows``, which have the same columns."""
    if rows:
        _insert_rows(connection, table, rows, is_once=False)


def _insert_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *, is_once: bool) -> int:
    if connection.dialect.name != _SQLITE.name:
        # Some drivers count no rows of several sets of values.
        values = rows[0] if len(rows) == 1 else rows
        return connection.execute(_statement(table, connection.dialect.name, is_once), values).rowcount
    sql, columns = _for_driver(table, tuple(rows[0]), is_once)
    converted = [[convert(row[name]) if convert else row[name] for name, convert in columns] for row in rows]
    driver: Any = connection.connection.driver_connection
    try:
        return driver.executemany(sql, converted).rowcount
    except sqlite3.Error as error:
        raise DBAPIError.instance(sql, None, error, sqlite3.Error, True, dialect=_SQLITE) from error


@cache
def _statement(table: Table, dialect: str, is_once: bool) -> Insert:
    of_dialect = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[dialect]
    statement = of_dialect(table).on_conflict_do_nothing() if is_once else of_dialect(table)
    # The row count of an INSERT is dropped unless asked for.
    return statement.execution_options(preserve_rowcount=True)


@cache
def _for_driver(
    table: Table, names: tuple[str, ...], is_once: bool
) -> tuple[str, list[tuple[str, Callable[[Any], Any] | None]]]:
    """Return the statement's text, and the columns it takes in their order, each with what converts its values."""
    compiled = _statement(table, _SQLITE.name, is_once).compile(dialect=_SQLITE, column_keys=list(names))
    types = {name: table.c[name].type.dialect_impl(_SQLITE) for name in names}
    order = compiled.positiontup or []
    return str(compiled), [(name, types[name].bind_processor(_SQLITE)) for name in order]
