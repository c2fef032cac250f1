"""One SQLite connection in one thread: the works of a process queue for it and are done in order.

A writing lane takes the write lock when its transaction begins (``BEGIN IMMEDIATE``: a transaction that reads first
and writes later fails at once with "database is locked" where another process wrote in between). Works that wait
together share one transaction, each behind its own savepoint, so that one sync to disk serves them all; each is
told of its end only after the commit.

What one turn of the event loop brings is handed over together when the turn is over. Otherwise the thread would begin
with the first work, dispute the interpreter with the loop, and leave the others to the next sync.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, PoolProxiedConnection, create_engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from store.errors import StoreUnavailableError

BUSY_TIMEOUT_S = 30.0
READER_CACHE_KB = 1024
"""Half of what SQLite takes: a count must not fill a process's memory with an index; the system caches files too."""
CHECKPOINT_PAGES = 4000
"""After so much log, 16 MB, it is copied into the file: four times as seldom as SQLite does it, since commits change
the same pages again and again, and a copy writes each of them once."""
_BATCH_LIMIT = 64

Work = Callable[[Connection], Any]


@dataclass(slots=True, eq=False)
class _Job:
    work: Work
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def deliver(self) -> None:
        """Tell whoever awaits the job; runs in that one's loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class SqliteLane:
    """Runs works one after the other on its own connection to the database file at ``path``."""

    def __init__(self, path: Path, *, is_writer: bool) -> None:
        self._is_writer = is_writer
        self._engine = sqlite_engine(path, is_writer=is_writer)
        self._connection: Connection | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._gathered: list[_Job] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._is_ending = False

    async def run(self, work: Work) -> Any:
        """Return what ``work`` returns, its transaction committed.

        Whoever stops waiting does not undo a work that has begun.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        with self._lock:
            if self._is_closed:
                raise StoreUnavailableError("it is closed")
            if self._thread is None:
                name = f"sqlite-{'writer' if self._is_writer else 'reader'}"
                self._thread = threading.Thread(target=self._work_off, name=name, daemon=True)
                self._thread.start()
            # A loop that ended before its turn was over hands nothing over.
            if not self._gathered or self._gathered[-1].loop is not loop:
                loop.call_soon(self._hand_over)
            self._gathered.append(job)
        return await job.future

    async def close(self) -> None:
        """Do what is queued, then end the thread; may be repeated."""
        with self._lock:
            self._is_closed = True
            thread, self._thread = self._thread, None
        self._hand_over()
        if thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(thread.join)

    def _hand_over(self) -> None:
        with self._lock:
            for job in self._gathered:
                self._jobs.put(job)
            self._gathered.clear()

    def _work_off(self) -> None:
        while not self._is_ending:
            jobs = [self._jobs.get()]
            while len(jobs) < _BATCH_LIMIT and not self._jobs.empty():
                jobs.append(self._jobs.get())
            self._is_ending = jobs[-1] is None
            batch = [job for job in jobs if job is not None and not job.future.cancelled()]
            if batch:
                self._do(batch)
                _deliver(batch)
        self._disconnect()

    def _do(self, batch: list[_Job]) -> None:
        """Run the jobs of ``batch`` in one transaction; each has its result or its error afterwards."""
        is_shared = self._is_writer and len(batch) > 1
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            with self._connection.begin():
                for job in batch:
                    if is_shared:
                        _run_behind_savepoint(self._connection, job)
                    else:
                        job.result = job.work(self._connection)
        except Exception as error:  # noqa: BLE001  # boundary: it belongs to those who await the jobs
            for job in batch:
                job.error = error
            if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError):
                self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def sqlite_engine(path: Path, *, is_writer: bool) -> Engine:
    """Return an engine for an existing database file; each connection it makes stays with its thread."""
    address = f"file:{quote(str(path))}?mode=rw"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        if not is_writer:
            connection.execute("PRAGMA query_only=ON")
            connection.execute(f"PRAGMA cache_size=-{READER_CACHE_KB}")
        return connection

    def begin(dbapi_connection: PoolProxiedConnection) -> None:
        raw: Any = dbapi_connection.driver_connection
        raw.execute("BEGIN IMMEDIATE" if is_writer else "BEGIN")

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    # An event listener would do too, but every statement of an engine that has one costs a fifth more.
    engine.dialect.do_begin = begin
    return engine


def _run_behind_savepoint(connection: Connection, job: _Job) -> None:
    raw: Any = connection.connection.driver_connection
    _execute(raw, "SAVEPOINT job")
    try:
        job.result = job.work(connection)
    except Exception as error:  # boundary: what failed belongs to the one who awaits this job
        if not raw.in_transaction:
            raise  # SQLite gave the whole transaction up (disk full …): nothing of the batch is stored
        _execute(raw, "ROLLBACK TO job")
        job.error = error
    _execute(raw, "RELEASE job")


def _execute(raw: Any, statement: str) -> None:
    """Execute a statement without values on the driver's connection: half the cost of the way through SQLAlchemy."""
    try:
        raw.execute(statement)
    except sqlite3.Error as error:
        raise OperationalError(statement, None, error) from error


def _deliver(batch: list[_Job]) -> None:
    """Tell all who wait, one call into each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_deliver_here, jobs)


def _deliver_here(jobs: list[_Job]) -> None:
    for job in jobs:
        job.deliver()
