"""What the way of a run that asks a person costs the database: commits, and statements past SQLAlchemy."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.exc import IntegrityError

from benchmarks.hitl_cycle import cycles
from store.database import open_database
from store.driver import change, fetch, fetch_one, prepared
from store.insert_once import insert_rows
from store.tables import end_users, workspaces

WORKSPACES = select(workspaces).order_by(workspaces.c.name)
WORKSPACE = select(workspaces).where(workspaces.c.workspace_id == bindparam("key_id"))
RENAME = update(workspaces).where(workspaces.c.workspace_id == bindparam("key_id")).values(name=bindparam("new_name"))


def add(connection: Connection, *names: str) -> None:
    """Store a workspace for each of ``names``, which are their ids too."""
    insert_rows(connection, workspaces, [{"workspace_id": name, "name": name, "created_at": 1.0} for name in names])


async def test_a_cycle_is_four_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The form, the pause, the answer, the rest of the run: each is one transaction, and there is no other."""
    traces: list[list[str]] = []
    connect = sqlite3.connect

    def connect_traced(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        traces.append([])
        connection.set_trace_callback(traces[-1].append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_traced)
    async with cycles(tmp_path) as running:
        paused = await running.pause()
        await running.resume(paused)
    form_id = paused.forms[0].form_id
    transactions = [part for trace in traces for part in "\n".join(trace).split("BEGIN IMMEDIATE")[1:]]
    ours = [part for part in transactions if paused.run_id in part or form_id in part]
    changing = [part for part in ours if "INSERT" in part or "UPDATE" in part]
    tables = ["INTO forms", "INTO snapshots", "INTO submissions", "UPDATE runs"]
    assert [[table in part for table in tables].index(True) for part in changing] == [0, 1, 2, 3]


async def test_works_of_one_turn_share_a_commit(sqlite_url: str):
    """Works that come in the same turn of the event loop wait for one sync to disk."""
    database = open_database(sqlite_url)
    statements: list[str] = []
    await database.write(
        lambda connection: connection.connection.driver_connection.set_trace_callback(statements.append)
    )
    statements.clear()
    await asyncio.gather(*(database.write(lambda connection, name=name: add(connection, name)) for name in "abcdefgh"))
    assert sum(statement == "COMMIT" for statement in statements) == 1
    assert len(await database.read(lambda connection: connection.execute(WORKSPACES).all())) == 8
    await database.close()


async def test_closing_does_what_the_same_turn_brought(sqlite_url: str):
    """A work that has not been handed to the thread yet is done before the database is closed."""
    database = open_database(sqlite_url)
    await database.write(lambda connection: add(connection, "a"))
    last = asyncio.create_task(database.write(lambda connection: add(connection, "b")))
    await asyncio.sleep(0)
    await database.close()
    await last
    again = open_database(sqlite_url)
    assert [row.name for row in await again.read(lambda connection: connection.execute(WORKSPACES).all())] == ["a", "b"]
    await again.close()


def test_a_loop_that_stopped_holds_nobody_up(sqlite_url: str):
    """Works of the next event loop are done, although one that stopped in its turn has handed nothing over."""
    database = open_database(sqlite_url)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(database.write(lambda connection: add(connection, "a")))
    lost = loop.create_task(database.write(lambda connection: add(connection, "b")))
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert not lost.done()

    async def go_on() -> list[str]:
        await database.write(lambda connection: add(connection, "c"))
        names = await database.read(lambda connection: [row.name for row in connection.execute(WORKSPACES)])
        await database.close()
        return names

    assert asyncio.run(go_on())[-1] == "c"
    lost.cancel()
    loop.run_until_complete(asyncio.gather(lost, return_exceptions=True))
    loop.close()


async def test_statements_past_sqlalchemy_do_the_same(database_url: str):
    """Rows have names, changes are counted, text is made storable, and what is refused is SQLAlchemy's error."""
    database = open_database(database_url)

    def work(connection: Connection) -> None:
        add(connection, "a", "b")
        assert change(connection, RENAME, {"key_id": "b", "new_name": "c\x00"}) == 1
        assert change(connection, RENAME, {"key_id": "nobody", "new_name": "d"}) == 0
        assert [row._asdict() for row in fetch(connection, WORKSPACES, {})] == [
            {"workspace_id": "a", "name": "a", "created_at": 1.0},
            {"workspace_id": "b", "name": "c\ufffd", "created_at": 1.0},
        ]
        row = fetch_one(connection, WORKSPACE, {"key_id": "b"})
        assert row is not None and (row.workspace_id, row[1]) == ("b", "c\ufffd")
        assert fetch_one(connection, WORKSPACE, {"key_id": "nobody"}) is None

    await database.write(work)
    with pytest.raises(IntegrityError):
        await database.write(lambda connection: change(connection, RENAME, {"key_id": "b", "new_name": "a"}))
    await database.close()


def test_statement_whose_values_would_need_converting_is_refused():
    """SQLite has 0 and 1 for what is true or not: such a column is read by SQLAlchemy."""
    with pytest.raises(TypeError, match="SQLite"):
        prepared(select(end_users))
