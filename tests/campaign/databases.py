"""A PostgreSQL for a campaign, which is stopped hard and started again."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

AWAY_S = (0.0, 2.0)


class CampaignPostgres:
    """One server on a port of its own. ``url``: of its database, with password."""

    def __init__(self, server: Any, url: str) -> None:
        self._server = server
        self.url = url

    def stop(self) -> None:
        """End it at once, as a crash would."""
        self._server.stop()

    def start(self) -> None:
        """Start it again with what it had."""
        self._server.start()


@contextmanager
def postgres_for_campaign(folder: Path) -> Iterator[CampaignPostgres]:
    """Start a PostgreSQL with its data in ``folder`` and end it."""
    raise NotImplementedError(folder)
    yield


def postgres_blows(
    database: CampaignPostgres, choice: random.Random
) -> dict[str, Callable[[], Awaitable[None]]]:
    """Return the blows that a database takes."""

    async def restart() -> None:
        await asyncio.to_thread(database.stop)
        await asyncio.sleep(choice.uniform(*AWAY_S))
        await asyncio.to_thread(database.start)

    return {"restart the database": restart}
