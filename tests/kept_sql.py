"""Databases of released versions as SQL text that people can read, and back."""

import re
import sqlite3
from collections.abc import Iterator

import orjson
from sqlalchemy import Connection, Engine, MetaData, create_engine, insert, select

from store.compression import decompress

_SHOWN_CHARS = 400


def dump(database: sqlite3.Connection, version: str) -> str:
    """Return the statements that make ``database``, its packed JSON beside each row as a comment."""
    lines = [f"-- The database of a Greenroom {version}; tests/released/keep.py says what is in it.", ""]
    for statement in database.iterdump():
        if statement.startswith("INSERT"):
            lines += [f"-- {shown}" for shown in _packed(statement)]
        lines.append(statement)
    return "\n".join(lines) + "\n"


def load(script: str, path: str) -> None:
    """Make a SQLite file of a dump."""
    database = sqlite3.connect(path)
    try:
        database.executescript(script)
    finally:
        database.close()


def copy_rows(sqlite_path: str, engine: Engine) -> None:
    """Put the rows of a SQLite file into the same tables of another database, which are empty."""
    source = create_engine(f"sqlite:///{sqlite_path}")
    tables = MetaData()
    tables.reflect(source)
    theirs = MetaData()
    theirs.reflect(engine)
    with source.connect() as reader, engine.begin() as writer:
        for name, table in tables.tables.items():
            if name != "alembic_version":
                _copy(reader, writer, select(table), theirs.tables[name])
    source.dispose()


def _copy(reader: Connection, writer: Connection, rows, table) -> None:
    found = [dict(row) for row in reader.execute(rows).mappings()]
    if found:
        writer.execute(insert(table), found)


def _packed(statement: str) -> Iterator[str]:
    for digits in re.findall(r"X'([0-9A-Fa-f]*)'", statement):
        content = bytes.fromhex(digits)
        try:
            text = orjson.dumps(orjson.loads(decompress(content))).decode()
        except Exception:  # boundary: hashes are no JSON  # noqa: BLE001
            continue
        yield text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]} …"
