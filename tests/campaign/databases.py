"""What a campaign does to its PostgreSQL."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from local_postgres import LocalPostgres

AWAY_S = (0.0, 2.0)


def postgres_blows(database: LocalPostgres, choice: random.Random) -> dict[str, Callable[[], Awaitable[bool]]]:
    """Return what a campaign does to ``database``: ended and started again, for up to two seconds."""

    async def restart() -> bool:
        await asyncio.to_thread(database.stop)
        await asyncio.sleep(choice.uniform(*AWAY_S))
        await asyncio.to_thread(database.start)
        return True

    return {"restart the database": restart}
