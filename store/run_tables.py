"""Which rows belong to a run, in every table: read, deleted and put back as a whole.

A table belongs to runs by its columns: ``run_id``, ``form_id`` of a form of the run, or ``recipient_id`` of such a
form. So a table that is added later is archived without anybody remembering it. Hashes stay behind: a column whose
name ends in ``_hash`` is never copied, and a table that cannot do without one (form_tokens) is only deleted.

Copied rows are JSON: bytes are ``{"text": …}`` where they are UTF-8, else ``{"base64": …}``.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, inspect, select

# Every table must be known, or its rows would stay behind.
from store import (  # noqa: F401
    bearer_tables,
    chat_tables,
    console_tables,
    decision_tables,
    human_time_tables,
    mcp_tables,
    outbox_tables,
    web_tables,
)
from store.archive_tables import archived_runs
from store.database import AnyRow
from store.errors import UnknownTablesError
from store.insert_once import insert_once
from store.packing import digests_in
from store.tables import form_recipients, forms, metadata, runs

IDS_AT_ONCE: Final = 500
"""How many ids one statement names: SQLite takes some thousand parameters."""

STORAGE_KEY: Final = "storage_key"
"""The columns with this name hold the digest of a file's content."""

_KEYS: Final = ("run_id", "form_id")
_ELSE_KEY: Final = "recipient_id"

Row = dict[str, Any]
RowsOfRun = dict[str, list[Row]]
"""Table name -> its rows of one run, as JSON values."""


@dataclass(frozen=True, slots=True)
class RunTable:
    """A table with rows of runs. ``keys``: the columns that say whose; ``is_copied``: False where rows only go."""

    table: Table
    keys: tuple[str, ...]
    is_copied: bool

    @property
    def copied(self) -> list[Column[Any]]:
        """The columns that are copied."""
        return [column for column in self.table.c if not column.name.endswith("_hash")]


@dataclass(frozen=True, slots=True)
class Ids:
    """What hangs together: each id of a form or recipient -> the run that it belongs to; a run is its own."""

    of_run: dict[str, str]
    of_form: dict[str, str]
    of_recipient: dict[str, str]

    def get(self, key: str) -> dict[str, str]:
        """Return id -> run for a key column."""
        return {"run_id": self.of_run, "form_id": self.of_form, _ELSE_KEY: self.of_recipient}[key]


def tables_of_runs() -> list[RunTable]:
    """Return every table with rows of runs, by name; the run itself is the first."""
    found = []
    for table in sorted(metadata.tables.values(), key=lambda table: (table is not runs, table.name)):
        keys = tuple(key for key in _KEYS if key in table.c) or ((_ELSE_KEY,) if _ELSE_KEY in table.c else ())
        if keys and table is not archived_runs:
            is_copied = all(column.nullable for column in table.c if column.name.endswith("_hash"))
            found.append(RunTable(table, keys, is_copied))
    return found


def check_tables(connection: Connection) -> None:
    """Return if this version knows every table and column of the database.

    Raises:
        UnknownTablesError: it does not: what lies there might be lost, or be all that refers to a value.
    """
    unknown = []
    for (_, table), columns in inspect(connection).get_multi_columns().items():
        if table not in metadata.tables:
            unknown += [] if table == "alembic_version" else [table]
        else:
            known = metadata.tables[table].c
            unknown += [f"{table}.{column['name']}" for column in columns if column["name"] not in known]
    if unknown:
        raise UnknownTablesError(tuple(sorted(unknown)))


def ids_of(connection: Connection, run_ids: Sequence[str], *, is_locking: bool = False) -> Ids:
    """Return what belongs to the runs; ``is_locking``: lock the runs, then their forms, in order of their ids."""
    found = select(runs.c.run_id).order_by(runs.c.run_id)
    of_form = select(forms.c.form_id, forms.c.run_id).order_by(forms.c.form_id)
    if is_locking:
        found, of_form = found.with_for_update(), of_form.with_for_update()
    run_of = {row.run_id: row.run_id for row in _select_in(connection, found, runs.c.run_id, run_ids)}
    form_of = {row.form_id: row.run_id for row in _select_in(connection, of_form, forms.c.run_id, sorted(run_of))}
    recipients = select(form_recipients.c.recipient_id, form_recipients.c.form_id)
    rows = _select_in(connection, recipients, form_recipients.c.form_id, list(form_of))
    return Ids(run_of, form_of, {row.recipient_id: form_of[row.form_id] for row in rows})


def read_runs(connection: Connection, ids: Ids) -> dict[str, RowsOfRun]:
    """Return run id -> its rows, in the order of their keys: equal rows give equal values."""
    found: dict[str, RowsOfRun] = {run_id: {} for run_id in sorted(ids.of_run)}
    for each in tables_of_runs():
        if not each.is_copied:
            continue
        key_names = [column.name for column in each.table.primary_key]
        rows: dict[str, tuple[str, Row]] = {}
        for key in each.keys:
            runs_by_id = ids.get(key)
            for row in _select_in(connection, select(*each.copied), each.table.c[key], list(runs_by_id)):
                values = row._asdict()
                name = "\x00".join(str(values[column]) for column in key_names)
                rows.setdefault(name, (runs_by_id[values[key]], values))
        for name in sorted(rows):
            run_id, values = rows[name]
            copied = {column: _as_json(value) for column, value in values.items()}
            found[run_id].setdefault(each.table.name, []).append(copied)
    return found


def delete_runs(connection: Connection, ids: Ids) -> None:
    """Delete every row of the runs."""
    for each in reversed(tables_of_runs()):
        for key in each.keys:
            delete_in(connection, each.table, each.table.c[key], list(ids.get(key)))


def put_back(connection: Connection, rows: RowsOfRun) -> bool:
    """Insert the rows of one run; what is there stays as it is.

    Columns that this version does not know are dropped, those that the copy does not know stay empty.

    Returns:
        Whether the run was not there.
    """
    is_new = False
    for each in tables_of_runs():
        for row in rows.get(each.table.name, []):
            values = {name: _as_value(value) for name, value in row.items() if name in each.table.c}
            is_inserted = insert_once(connection, each.table, values)
            is_new = is_new or (each.table is runs and is_inserted)
    return is_new


def delete_in(connection: Connection, table: Table, column: ColumnElement[Any], values: Sequence[Any]) -> int:
    """Delete the rows of ``table`` whose ``column`` has one of ``values``; return how many there were."""
    count = 0
    for some in chunks(values, IDS_AT_ONCE):
        count += connection.execute(delete(table).where(column.in_(some))).rowcount
    return count


def chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield ``values`` in pieces of at most ``size``."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _select_in(connection: Connection, statement: Any, column: Column[Any], values: Sequence[str]) -> Iterator[AnyRow]:
    for some in chunks(values, IDS_AT_ONCE):
        yield from connection.execute(statement.where(column.in_(some))).all()


def _as_json(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _as_value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return value["text"].encode() if "text" in value else base64.b64decode(value["base64"])


def digests_of_run(rows: RowsOfRun) -> set[str]:
    """Return the digests of the large values and files that the rows of a run refer to."""
    found: set[str] = set()
    for each in rows.values():
        for row in each:
            for name, value in row.items():
                found |= digests_of_value(name, _as_value(value))
    return found


def digests_of_value(column_name: str, value: Any) -> set[str]:
    """Return the digests that the value of a column refers to: the content of a file, or large parts of JSON."""
    if column_name == STORAGE_KEY:
        return {value} if value else set()
    return digests_in(value) if isinstance(value, bytes) else set()
