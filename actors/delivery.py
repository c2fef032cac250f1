"""Takes what is due out of the outbox, has it sent, and records what came of it.

Each entry is lent for longer than an attempt may take, and goes back to be due if this process dies. Between SMTP's
250 and its record a crash is possible: then the mail is sent again, with the same Message-ID and the same link.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, assert_never

import structlog

from actors.background import Background, insist
from graph.errors import GreenroomError, RefusedError, UnavailableError
from graph.ports import Clock
from store.outbox import Attempt, Outbox
from store.outbox_record import OutboxEntry

_log = structlog.get_logger()

SLOTS: Final = 16
"""How many attempts are under way at a time: what hangs does not hold up the rest."""
CLAIM_S: Final = 120.0
"""How long an entry is lent; more than any attempt takes."""
REFILL_S: Final = 30.0
"""Longest pause between two looks into the outbox, where every hint was lost."""
RETIRE_S: Final = 60.0
"""How long a courier that is replaced may take to finish; more than any attempt takes."""
_ANOTHER_COURIER_S: Final = 0.05
MAX_ATTEMPTS: Final = 40
FIRST_DELAY_S: Final = 15.0
LONGEST_DELAY_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Sent:
    """It was handed over. ``message_id``: of a mail."""

    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """It is not needed any more."""

    reason: str


Sender = Callable[[OutboxEntry], Awaitable[Sent | Dropped]]
"""Sends one entry once. Raises RefusedError where trying again cannot help, another GreenroomError where it can."""


class Deliveries:
    """Sends what is due as long as ``run`` runs. Belongs to one event loop."""

    def __init__(
        self,
        outbox: Outbox,
        senders: Mapping[str, Sender],
        clock: Clock,
        first_delay_s: float = FIRST_DELAY_S,
        max_attempts: int = MAX_ATTEMPTS,
    ) -> None:
        """Prepare; nothing happens yet.

        Args:
            outbox: what is to be sent.
            senders: kind of an entry -> what sends it.
            clock: Unix seconds.
            first_delay_s: before the second attempt; doubled after each, up to an hour.
            max_attempts: after so many an entry has failed.
        """
        self._outbox = outbox
        self._senders = senders
        self._clock = clock
        self._first_delay_s = first_delay_s
        self._max_attempts = max_attempts
        self._woken = asyncio.Event()
        self._ended = asyncio.Event()
        self._is_retired = False
        self._under_way: set[str] = set()
        self._background = Background()

    def wake(self) -> None:
        """Look into the outbox at once. May be called often."""
        self._woken.set()

    async def run(self) -> None:
        """Send for good; returns only by an error.

        Raises:
            GreenroomError: the store cannot be used.
        """
        while True:
            self._woken.clear()
            wait_s = await self._begin_due()
            try:
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def retire(self, within_s: float = RETIRE_S) -> None:
        """Begin nothing more, and return when what is under way is recorded, or after ``within_s``."""
        self._is_retired = True
        try:
            async with asyncio.timeout(within_s):
                while self._under_way:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            _log.warning("retired with attempts under way", count=len(self._under_way))

    async def close(self) -> None:
        """Break off what is under way; it is due again when its loan has run out."""
        await self._background.close()

    async def _begin_due(self) -> float:
        """Begin to send what is due; return after how many seconds to look again, if nothing wakes before."""
        free = 0 if self._is_retired else SLOTS - len(self._under_way)
        next_at = await self._outbox.next_at() if free else None
        now = self._clock.now()
        if next_at is None:
            # Where all slots are taken, the first attempt that ends wakes.
            return REFILL_S
        if next_at > now:
            return min(next_at - now, REFILL_S)
        claimed = await self._outbox.claim(now, now + CLAIM_S, free)
        for entry in claimed:
            # One whose loan ran out because the store was away for its record is not tried a second time.
            if entry.entry_id not in self._under_way:
                self._under_way.add(entry.entry_id)
                self._background.start(self._deliver(entry), f"send {entry.entry_id}")
        return 0.0 if claimed else _ANOTHER_COURIER_S

    async def _deliver(self, entry: OutboxEntry) -> None:
        try:
            await self._record(entry, await self._attempt(entry))
        finally:
            self._under_way.discard(entry.entry_id)
            self._woken.set()
            self._ended.set()

    async def _record(self, entry: OutboxEntry, attempt: Attempt) -> None:
        """Store what came of an attempt, however long the store is away: or what was sent would be sent again."""
        await insist(f"record of {entry.entry_id}", partial(self._outbox.record, entry, attempt), UnavailableError)

    async def _attempt(self, entry: OutboxEntry) -> Attempt:
        """Try once and return what came of it."""
        if entry.attempts > self._max_attempts:
            # Nothing was recorded of the attempts before: each of them ended this process, or failed by our fault.
            return Attempt("failed", self._clock.now(), "sending it broke off every time; see the courier's log")
        try:
            outcome = await self._senders[entry.kind](entry)
        except GreenroomError as error:
            return self._failure(entry, error)
        at = self._clock.now()
        match outcome:
            case Sent():
                return Attempt("sent", at, message_id=outcome.message_id)
            case Dropped():
                return Attempt("dropped", at, outcome.reason)
            case _:
                assert_never(outcome)

    def _failure(self, entry: OutboxEntry, error: GreenroomError) -> Attempt:
        now = self._clock.now()
        is_final = isinstance(error, RefusedError) or entry.attempts >= self._max_attempts
        _log.warning(
            "not sent", entry_id=entry.entry_id, kind=entry.kind, occasion=entry.occasion, form_id=entry.form_id,
            run_id=entry.run_id, attempt=entry.attempts, is_final=is_final, reason=str(error),
        )  # fmt: skip
        if is_final:
            return Attempt("failed", now, str(error))
        return Attempt("pending", now, str(error), now + self._delay_s(entry.attempts))

    def _delay_s(self, attempts: int) -> float:
        """Return how long to wait after attempt number ``attempts``; spread, so that failures do not come in step."""
        longest = min(self._first_delay_s * 2 ** (attempts - 1), LONGEST_DELAY_S)
        return longest * random.uniform(0.5, 1.0)
