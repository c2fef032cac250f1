"""Connections of one process to PostgreSQL: few, lent for one transaction each, closed when nothing needs them.

The server has 100 for all processes as it comes, and there may be more run actors than that. So a run actor has one
connection and lets go of it soon after its last work; while a run waits for a person, a model or a reader it has none.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from sqlalchemy import URL, Connection

from store.errors import DatabaseDriverError, StoreUnavailableError

WAITING_LIMIT: Final = 1000
"""Works of one process that may wait for a connection; one more is refused at once instead of joining the queue."""
WAIT_S: Final = 30.0
"""How long a work waits for a connection of its own process."""
_PAUSE_S: Final = (0.1, 0.3)
"""Pause between two turns: long enough that processes which the server has refused find the place free."""
_KEEP_ALIVE: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""For psycopg, in seconds and ms: a server whose machine is gone is noticed after about half a minute."""
_FULL: Final = ("too many clients", "connection slots are reserved", "too many connections", "max_client_conn")
"""What PostgreSQL and PgBouncer say; psycopg tells no SQLSTATE of a connection that was not made."""


@dataclass(frozen=True, slots=True)
class ConnectionShare:
    """What one process takes of the server's connections.

    ``most``: connections at a time. ``idle_s``: seconds without any work after which they are closed. ``turn_s``:
    seconds after which a connection that is never idle is given up for a moment, so that others get one; None: never.
    Only for one connection.
    """

    most: int = 8
    idle_s: float = 30.0
    turn_s: float | None = None


RUN_ACTOR_SHARE: Final = ConnectionShare(most=1, idle_s=0.25, turn_s=2.0)
"""A run writes a commit at a time; making a connection anew costs a few milliseconds."""


class PostgresConnections:
    """Lends the connections of one process. Opens nothing before the first work; belongs to one event loop."""

    def __init__(self, url: URL, share: ConnectionShare) -> None:
        # 4 MB and its object mapper, which a process on SQLite must not pay for.
        from sqlalchemy.ext.asyncio import create_async_engine

        url, options = driver_options(url)
        self._share = share
        self._engine = create_async_engine(
            url,
            pool_size=share.most,
            max_overflow=0,
            pool_use_lifo=True,
            hide_parameters=True,
            connect_args=options,
        )
        self._places = asyncio.Semaphore(share.most)
        self._working_count = 0
        self._waiting_count = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._turn_ends_at: float | None = None
        self._closed_until = 0.0

    def lane(self, **options: Any) -> "PostgresLane":
        """Return what runs works on these connections, in transactions with the execution ``options``."""
        return PostgresLane(self, self._engine.execution_options(**options) if options else self._engine)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place among the connections for one transaction.

        Raises:
            StoreUnavailableError: too many works wait already.
            TimeoutError: none came free in time.
        """
        await self._wait_for_place()
        self._working_count += 1
        try:
            await self._make_ready()
            yield
            self._end_turn()
        finally:
            self._working_count -= 1
            self._places.release()
            if self._working_count == 0 and self._closing is None:
                loop = asyncio.get_running_loop()
                self._idle_timer = loop.call_later(self._share.idle_s, self._close_soon)

    async def close(self) -> None:
        """Close the connections that no work holds; may be repeated."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._closing is not None:
            await self._closing
        await self._engine.dispose()

    async def _wait_for_place(self) -> None:
        if self._waiting_count >= WAITING_LIMIT:
            raise StoreUnavailableError(f"{WAITING_LIMIT} works wait for a connection")
        self._waiting_count += 1
        try:
            async with asyncio.timeout(WAIT_S):
                await self._places.acquire()
        finally:
            self._waiting_count -= 1

    async def _make_ready(self) -> None:
        """Return when no connection is being closed and, for a new turn, when its pause is over."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self._closing is not None:
            await asyncio.shield(self._closing)
        if self._share.turn_s is not None and self._turn_ends_at is None:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, self._closed_until - loop.time()))
            self._turn_ends_at = loop.time() + self._share.turn_s

    def _end_turn(self) -> None:
        """Begin to close the connection whose turn is over."""
        now = asyncio.get_running_loop().time()
        if self._turn_ends_at is not None and now > self._turn_ends_at:
            self._closed_until = now + random.uniform(*_PAUSE_S)
            self._close_soon()

    def _close_soon(self) -> None:
        """Begin to close all connections; works that come meanwhile wait until they are closed."""
        self._idle_timer = self._turn_ends_at = None
        self._closing = asyncio.get_running_loop().create_task(self._close_all())

    async def _close_all(self) -> None:
        try:
            await self._engine.dispose()
        finally:
            self._closing = None


class PostgresLane:
    """Runs works on the connections of ``connections``, as many at a time as there are."""

    def __init__(self, connections: PostgresConnections, engine: Any) -> None:
        self._connections = connections
        self._engine = engine

    async def run(self, work: Callable[[Connection], Any]) -> Any:
        """Return what ``work`` returns, its transaction committed.

        Raises:
            StoreUnavailableError: too many works wait already.
            TimeoutError: no connection of this process came free in time.
        """
        async with self._connections.place(), self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        """Close the connections; may be repeated."""
        await self._connections.close()


def is_full(error: Exception) -> bool:
    """Return whether the server refused a connection because it has as many as it takes (SQLSTATE 53300)."""
    cause = getattr(error, "orig", None) or error
    return getattr(cause, "sqlstate", None) == "53300" or any(text in str(cause) for text in _FULL)


def check_driver(url: URL) -> None:
    """Return if the driver that the PostgreSQL ``url`` names can be used.

    Raises:
        DatabaseDriverError: it is unknown or not installed.
    """
    driver = url.drivername.partition("+")[2]
    if driver not in ("", "psycopg", "asyncpg"):
        raise DatabaseDriverError(driver, is_known=False)
    if driver == "asyncpg" and find_spec("asyncpg") is None:
        raise DatabaseDriverError(driver, is_known=True)


def driver_options(url: URL) -> tuple[URL, dict[str, Any]]:
    """Return ``url`` without what its driver takes as numbers, and that: ``?prepare_threshold=none`` for a pooler."""
    threshold = url.query.get("prepare_threshold")
    rest = url.difference_update_query(["prepare_threshold"])
    if url.drivername.endswith("+asyncpg"):
        return rest, {}
    options: dict[str, Any] = {name: value for name, value in _KEEP_ALIVE.items() if name not in url.query}
    if threshold is not None:
        text = str(threshold)
        options["prepare_threshold"] = int(text) if text.isdecimal() else None
    return rest, options
