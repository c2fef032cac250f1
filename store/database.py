"""A database behind two calls, ``write`` and ``read``: each runs a function over a connection in one transaction.

So every operation of the store is written once, for SQLite and PostgreSQL. Temporary failures (locked, connection
lost, server restarting) are repeated here with growing pauses, then become StoreUnavailableError. A failure during
COMMIT leaves the outcome unknown and the function runs again: every work must recognise what it has stored before.
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import sqlalchemy.exc
from sqlalchemy import URL, ColumnClause, Connection, Row, Select, inspect, make_url, select, table

from store.errors import SchemaOutdatedError, StoreUnavailableError, UnsupportedDatabaseError
from store.postgres_lane import ConnectionShare, PostgresConnections, check_driver, is_full
from store.sqlite_lane import SqliteLane
from store.tables import SCHEMA_REVISION

RETRY_FOR_S = 10.0
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0
_PAUSE_WHERE_FULL_S = 0.4

T = TypeVar("T")

AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]

_SQLITE_TEMPORARY = {5, 6, 10, 13, 14, 15}
"""BUSY, LOCKED, IOERR, FULL, CANTOPEN, PROTOCOL."""
_SQLSTATE_TEMPORARY = ("08", "53", "57P", "58", "40001", "40P01", "55P03")
"""Connection lost, no room, shutting down, file system, serialization, deadlock, lock not there."""


class _Lane(Protocol):
    async def run(self, work: Callable[[Connection], Any]) -> Any: ...

    async def close(self) -> None: ...


class Database:
    """Runs works in transactions. Nothing is opened before the first one; belongs to one event loop at a time."""

    def __init__(self, url: URL, writer: _Lane, reader: _Lane, retry_for_s: float) -> None:
        self._url = url
        self._writer = writer
        self._reader = reader
        self._retry_for_s = retry_for_s
        self._is_checked = False

    def __repr__(self) -> str:
        return f"Database({self._url.render_as_string(hide_password=True)})"

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Return what ``work`` returns, committed.

        ``work`` runs again after a temporary failure, also after one that left open whether it was committed.

        Raises:
            StoreUnavailableError: the failure lasts.
            SchemaOutdatedError: the database needs a migration.
        """
        if not self._is_checked:
            await self._check_schema()
        return await self._persist(self._writer, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Return what ``work`` returns; all it reads is from one moment.

        Raises:
            StoreUnavailableError: the database stays away.
            SchemaOutdatedError: the database needs a migration.
        """
        if not self._is_checked:
            await self._check_schema()
        return await self._persist(self._reader, work)

    async def close(self) -> None:
        """Finish what is queued and close the connections; may be repeated."""
        await self._writer.close()
        await self._reader.close()

    async def _check_schema(self) -> None:
        path = sqlite_path(self._url)
        is_missing = path is not None and not path.exists()
        found = None if is_missing else await self._persist(self._reader, stored_revision)
        # Revisions are numbered and only add: a database that is ahead serves this version too.
        if found is None or found < SCHEMA_REVISION:
            raise SchemaOutdatedError(found, SCHEMA_REVISION)
        self._is_checked = True

    async def _persist(self, lane: _Lane, work: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        begun_at, pause_s = loop.time(), _FIRST_PAUSE_S
        while True:
            try:
                return cast(T, await lane.run(work))
            except (sqlalchemy.exc.DBAPIError, sqlalchemy.exc.TimeoutError, OSError) as error:
                if not _is_temporary(error):
                    raise
                if loop.time() - begun_at + pause_s > self._retry_for_s:
                    raise StoreUnavailableError(_reason(error)) from error
                # Who has waited for long must not ask less often than who comes anew, or it would wait for ever.
                pause_s = _PAUSE_WHERE_FULL_S if is_full(error) else pause_s
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def open_database(url: str, *, retry_for_s: float = RETRY_FOR_S, share: ConnectionShare | None = None) -> Database:
    """Return the database at ``url`` without touching it yet.

    Args:
        url: ``sqlite:///<file>``, ``postgresql://…`` (psycopg) or ``postgresql+asyncpg://…``.
        retry_for_s: how long temporary failures are repeated.
        share: the connections that this process may have to a PostgreSQL.

    Raises:
        UnsupportedDatabaseError: it is neither.
        DatabaseDriverError: the driver that it names is unknown or not installed.
    """
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    if path is not None:
        writer, reader = SqliteLane(path, is_writer=True), SqliteLane(path, is_writer=False)
        return Database(parsed, writer, reader, retry_for_s)
    connections = PostgresConnections(parsed, share or ConnectionShare())
    reader = connections.lane(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return Database(parsed, connections.lane(), reader, retry_for_s)


def parse_url(url: str) -> URL:
    """Return ``url`` taken apart.

    Raises:
        UnsupportedDatabaseError: it is neither a SQLite file nor PostgreSQL.
        DatabaseDriverError: the driver that it names is unknown or not installed.
    """
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url)
    except sqlalchemy.exc.ArgumentError:
        # The text may hold a password and is not repeated.
        raise UnsupportedDatabaseError("what the database URL names") from None
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise UnsupportedDatabaseError(backend)
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UnsupportedDatabaseError("SQLite in memory")
    if backend == "postgresql":
        check_driver(parsed)
    return parsed


def sqlite_path(url: URL) -> Path | None:
    """Return the absolute path of a SQLite database, None for another kind."""
    return Path(url.database or "").absolute() if url.get_backend_name() == "sqlite" else None


def stored_revision(connection: Connection) -> str | None:
    """Return the schema revision of the database, None where there is none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    column: ColumnClause[str] = ColumnClause("version_num")
    return connection.execute(select(column).select_from(table("alembic_version"))).scalar()


def _is_temporary(error: Exception) -> bool:
    if isinstance(error, sqlalchemy.exc.TimeoutError | OSError):
        return True
    if getattr(error, "connection_invalidated", False):
        return True
    cause = getattr(error, "orig", None)
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return (code & 0xFF) in _SQLITE_TEMPORARY
    state = getattr(cause, "sqlstate", None)
    if state is None:
        # A connection that could not be made carries no state.
        return isinstance(error, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError)
    return state.startswith(_SQLSTATE_TEMPORARY)


def _reason(error: Exception) -> str:
    """Return one line that says what failed, without statements and their values."""
    lines = str(getattr(error, "orig", None) or error).splitlines()
    return lines[0] if lines else type(error).__name__
