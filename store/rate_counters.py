"""How often something was done lately: counted in this process, or in Redis for all processes together.

Losing Redis costs the sharing and nothing else: each process then counts for itself.
"""

# Redis key schema
#
# greenroom-rates:LIMITS/<name>/<count>/<seconds>/second   how often <name> was done in the window that began with the
#                     first time; expires with it. May be deleted at any time. Names hold addresses of callers or
#                     hashes, never a form token.

import asyncio
import time
from typing import Any, Final, Protocol

import structlog
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_log = structlog.get_logger()

PREFIX: Final = "greenroom-rates"
ANSWER_S: Final = 0.5
"""How long Redis may take; a request waits for it."""
AWAY_S: Final = 5.0
"""How long a Redis that did not answer is left alone."""


class RateCounter(Protocol):
    """Counts."""

    async def take(self, name: str, count: int, window_s: int) -> float | None:
        """Count ``name`` once more, unless it has happened ``count`` times within the window.

        Args:
            name: what is counted; letters, digits and ``:``.
            count: how often it may happen.
            window_s: length of a window in seconds; it begins with the first time.

        Returns:
            None if it was counted; else after how many seconds the window ends.
        """
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


class LocalCounter:
    """Counts in this process."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()

    async def take(self, name: str, count: int, window_s: int) -> float | None:
        """Count ``name``; see RateCounter."""
        return await _take(self._storage, name, count, window_s)

    async def close(self) -> None:
        """Do nothing: nothing is open."""


class SharedCounter:
    """Counts in Redis; in this process while that is away. Belongs to one event loop; connects at first use."""

    def __init__(self, url: str) -> None:
        """Prepare; does no I/O.

        Args:
            url: of Redis, with its password; see ``Settings.redis_url_to_open``.
        """
        self._pool = ConnectionPool.from_url(
            url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=ANSWER_S, socket_timeout=ANSWER_S
        )
        # The address is that of the pool; the library wants one besides.
        pool: Any = self._pool
        self._storage = RedisStorage(
            "async+redis://", implementation="redispy", key_prefix=PREFIX, connection_pool=pool
        )
        self._local = LocalCounter()
        self._away_until = 0.0

    async def take(self, name: str, count: int, window_s: int) -> float | None:
        """Count ``name``; see RateCounter."""
        if time.monotonic() >= self._away_until:
            try:
                async with asyncio.timeout(2 * ANSWER_S):
                    return await _take(self._storage, name, count, window_s)
            except (RedisError, OSError) as error:
                self._away_until = time.monotonic() + AWAY_S
                # Never the text of the error, which is not ours.
                _log.warning("Redis is away: each process counts requests for itself", error=type(error).__name__)
        return await self._local.take(name, count, window_s)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._pool.aclose()


async def _take(storage: Storage, name: str, count: int, window_s: int) -> float | None:
    limiter, window = FixedWindowRateLimiter(storage), RateLimitItemPerSecond(count, window_s)
    if await limiter.hit(window, name):
        return None
    return max(0.0, (await limiter.get_window_stats(window, name)).reset_time - time.time())
