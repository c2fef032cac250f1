"""What a campaign does to its PostgreSQL and its Redis."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from local_postgres import LocalPostgres
from local_valkey import LocalValkey

AWAY_S = (0.0, 2.0)

Blows = dict[str, Callable[[], Awaitable[bool]]]


def postgres_blows(database: LocalPostgres, choice: random.Random) -> Blows:
    """Return what a campaign does to ``database``: ended and started again, for up to two seconds."""
    return {"restart the database": _restart(database.stop, database.start, choice)}


def redis_blows(valkey: LocalValkey, choice: random.Random) -> Blows:
    """Return what a campaign does to ``valkey``: it comes back empty after up to two seconds."""
    return {"kill Redis": _restart(valkey.kill, valkey.restart, choice)}


def _restart(
    stop: Callable[[], None], start: Callable[[], None], choice: random.Random
) -> Callable[[], Awaitable[bool]]:
    async def restart() -> bool:
        await asyncio.to_thread(stop)
        await asyncio.sleep(choice.uniform(*AWAY_S))
        await asyncio.to_thread(start)
        return True

    return restart
