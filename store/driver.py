"""Runs the statements of the busiest paths: on SQLite by its driver, with what SQLAlchemy has made of them once.

The way of a statement through SQLAlchemy takes about ten times as long as SQLite takes for it. So what a run that asks
a person executes goes this way; what people do now and then need not. On PostgreSQL all of it is SQLAlchemy's.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, UpdateBase
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import result_tuple
from sqlalchemy.exc import DBAPIError

from store.database import AnyRow, AnySelect

SQLITE: Final = sqlite.dialect()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement as SQLite's driver takes it.

    ``arguments``: names of the parameters in their order, each with what makes the driver's value of one of ours;
    ``make_row``: makes a row of the driver's, whose values are ours already.
    """

    sql: str
    arguments: Sequence[tuple[str, Callable[[Any], Any] | None]]
    make_row: Callable[[Sequence[Any]], AnyRow]


def fetch(connection: Connection, statement: AnySelect | UpdateBase, values: Mapping[str, Any]) -> Sequence[AnyRow]:
    """Return the rows of ``statement``, a constant of the program whose parameters are all in ``values``."""
    if connection.dialect.name != SQLITE.name:
        return connection.execute(statement, values).all()
    known = _prepared_once(statement)
    return [known.make_row(row) for row in execute(connection, known, values)[0]]


def fetch_one(connection: Connection, statement: AnySelect, values: Mapping[str, Any]) -> AnyRow | None:
    """Return the row of ``statement``, which has one at most, or None; see ``fetch``."""
    rows = fetch(connection, statement, values)
    return rows[0] if rows else None


def change(connection: Connection, statement: UpdateBase, values: Mapping[str, Any]) -> int:
    """Execute ``statement``, as ``fetch`` does, and return how many rows it has changed."""
    if connection.dialect.name != SQLITE.name:
        return connection.execute(statement, values).rowcount
    return execute(connection, _prepared_once(statement), values)[1]


def prepared(statement: AnySelect | UpdateBase, names: Sequence[str] | None = None) -> Prepared:
    """Return ``statement`` as SQLite's driver takes it.

    Args:
        statement: its columns are of types whose values are the driver's.
        names: of the columns that an INSERT sets.
    """
    compiled = statement.compile(dialect=SQLITE, column_keys=names)
    types = {name: bind.type.dialect_impl(SQLITE) for name, bind in compiled.binds.items()}
    columns = list(statement.exported_columns)
    if any(column.type.dialect_impl(SQLITE).result_processor(SQLITE, None) for column in columns):
        raise TypeError("SQLite has other values for a column of this statement")
    order = compiled.positiontup or []
    arguments = [(name, types[name].bind_processor(SQLITE)) for name in order]
    return Prepared(str(compiled), arguments, result_tuple([column.name for column in columns]))


def execute(connection: Connection, known: Prepared, *sets: Mapping[str, Any]) -> tuple[list[Any], int]:
    """Execute a statement on SQLite's driver, once for each of ``sets`` of values.

    Returns:
        Its rows, and how many it has changed; errors are those of SQLAlchemy.
    """
    driver: Any = connection.connection.driver_connection
    rows = [
        [convert(values[name]) if convert else values[name] for name, convert in known.arguments] for values in sets
    ]
    try:
        cursor = driver.execute(known.sql, rows[0]) if len(rows) == 1 else driver.executemany(known.sql, rows)
        return cursor.fetchall(), cursor.rowcount
    except sqlite3.Error as error:
        raise DBAPIError.instance(known.sql, None, error, sqlite3.Error, True, dialect=SQLITE) from error


_prepared_once = lru_cache(maxsize=256)(prepared)
