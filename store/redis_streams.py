"""Hints over a Redis Stream: nodes that share a Redis need no hub actor. Any Redis from 5.0 on, or Valkey.

Whatever happens to Redis costs readers at most the second after which they look at the journal by themselves. Nothing
here makes a run wait or fail.
"""

# Redis key schema
#
# greenroom:hints     stream, one entry for each hint: run = run id, number = head of its journal, actor = name of the
#                     run actor or "". Trimmed on writing to about KEPT_COUNT entries, never expires. May be deleted
#                     at any time. Installations that share a database of a Redis see each other's hints, to no effect.

import asyncio
from collections import deque
from typing import Any, Final

import structlog

from store.errors import StoreUnavailableError
from store.hint_record import KEPT_COUNT, POLL_S, Hint, HintBatch

_log = structlog.get_logger()

HINTS_KEY: Final = "greenroom:hints"

BATCH_COUNT: Final = 1000
"""How many hints are read or written at once; also how many wait for a Redis that is away."""
SEND_S: Final = 2.0
"""How long connecting or writing may take."""
FIRST_DELAY_S: Final = 0.05
LAST_DELAY_S: Final = 1.0
"""A Redis that is away is tried again after the first delay, then after twice as long, up to the last."""

_SEQUENCE_BITS: Final = 64


class RedisHints:
    """A ``HintCarrier`` over Redis. Belongs to one event loop; connects at first use.

    The number of a hint is its entry id: the milliseconds, then 64 bits of sequence number.
    """

    def __init__(self, url: str, kept_count: int = KEPT_COUNT, poll_s: float = POLL_S) -> None:
        """Prepare; does no I/O.

        Args:
            url: of Redis, with its password; see ``Settings.redis_url_to_open``.
            kept_count: how many hints are kept, about.
            poll_s: how long a poll waits for the first hint.
        """
        # 15 MB and a quarter of a second, which a process without Redis must not pay for.
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        self._failures = (RedisError, OSError)
        # Repeating is done here, where its delays are bounded.
        self._redis = Redis.from_url(
            url,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=SEND_S,
            socket_timeout=poll_s + SEND_S,
        )
        self._kept_count = kept_count
        self._poll_ms = max(1, round(poll_s * 1000))
        self._unsent: deque[Hint] = deque(maxlen=BATCH_COUNT)
        self._sender: asyncio.Task[None] | None = None
        self._is_away = False

    def publish(self, hint: Hint) -> None:
        """Pass a hint on, one way: neither waits nor raises; the oldest unsent ones are dropped. Needs a loop."""
        self._unsent.append(hint)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send(), name="send hints")

    async def poll(self, after: int) -> HintBatch:
        """Return the hints from number ``after`` on, waiting some seconds for the first; changes nothing.

        A reset where hints from ``after`` on may have been trimmed or lost with the stream.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        seen = max(0, after - 1)
        try:
            # Not atomic: what is trimmed in between makes a reset that was not needed, never hides one.
            async with self._redis.pipeline(transaction=False) as pipeline:
                if after > 0:
                    pipeline.xread({HINTS_KEY: _entry_id(seen)}, count=BATCH_COUNT, block=self._poll_ms)
                pipeline.xrange(HINTS_KEY, count=1)
                pipeline.xrevrange(HINTS_KEY, count=1)
                *read, oldest, newest = await pipeline.execute()
        except self._failures as error:
            self._note_away(error)
            raise StoreUnavailableError(f"Redis ({type(error).__name__})") from error
        self._note_answer()
        entries = read[0][0][1] if read and read[0] else []
        hints = [_hint(fields) for _, fields in entries]
        if not _has_missed(after, seen, oldest, newest, has_read=bool(entries)):
            return HintBatch(_number(entries[-1]) + 1 if entries else after, hints)
        last = entries or newest
        return HintBatch(_number(last[-1]) + 1 if last else 1, hints, is_reset=True)

    async def close(self) -> None:
        """Let go of the connections; unsent hints are lost."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        await self._redis.aclose()

    async def _send(self) -> None:
        delay_s = FIRST_DELAY_S
        while self._unsent:
            hints = list(self._unsent)
            self._unsent.clear()
            try:
                async with asyncio.timeout(SEND_S):
                    await self._add(hints)
            except self._failures as error:
                # They are dropped: before another try arrives, their readers have looked by themselves.
                self._note_away(error)
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, LAST_DELAY_S)
            else:
                self._note_answer()
                delay_s = FIRST_DELAY_S

    async def _add(self, hints: list[Hint]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for hint in hints:
                fields: dict[Any, Any] = {"run": hint.run_id, "number": hint.number, "actor": hint.actor}
                pipeline.xadd(HINTS_KEY, fields, maxlen=self._kept_count, approximate=True)
            await pipeline.execute()

    def _note_away(self, error: Exception) -> None:
        # Once for an outage, and never the text of the error, which is not ours.
        if not self._is_away:
            self._is_away = True
            _log.warning("Redis is away: readers look at the journal every second", error=type(error).__name__)

    def _note_answer(self) -> None:
        if self._is_away:
            self._is_away = False
            _log.info("Redis answers again")


def _has_missed(after: int, seen: int, oldest: list[Any], newest: list[Any], *, has_read: bool) -> bool:
    """Say whether entries after ``seen`` may be gone, given the first and the last entry of the stream."""
    if after <= 0:
        return True
    if seen == 0:
        # The place before the first entry of an empty stream: what was added since may have been trimmed too.
        return has_read
    # A stream that was lost begins anew: after our place, or before it if the clock went back.
    return not oldest or _number(oldest[0]) > seen or _number(newest[0]) < seen


def _entry_id(number: int) -> str:
    return f"{number >> _SEQUENCE_BITS}-{number & ((1 << _SEQUENCE_BITS) - 1)}"


def _number(entry: tuple[str, dict[str, str]]) -> int:
    milliseconds, _, sequence = entry[0].partition("-")
    return (int(milliseconds) << _SEQUENCE_BITS) | int(sequence)


def _hint(fields: dict[str, str]) -> Hint:
    number = fields.get("number", "")
    return Hint(fields.get("run", ""), int(number) if number.isdecimal() else 0, fields.get("actor", ""))
