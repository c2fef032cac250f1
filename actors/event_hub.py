"""Carries hints that something happened to a run; the facts themselves stay in the journal.

A lost hint costs its receiver a second, so the hub keeps nothing on disk and nothing is repeated. Where Redis is
configured, its stream takes the place of this actor.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence

import ray

from actors.calls import EVENT_HUB, WAITS, on_loop, options
from actors.code_version import code_version
from actors.contracts import crosses
from store.hint_record import KEPT_COUNT, POLL_S, Hint, HintBatch


class HintRing:
    """The last hints with their numbers. Numbers begin above those of any earlier ring, so a restart shows."""

    def __init__(self, first_number: int, kept_count: int = KEPT_COUNT) -> None:
        self._hints: deque[Hint] = deque(maxlen=kept_count)
        self._first_number = first_number
        self._changed = asyncio.Event()

    @property
    def next(self) -> int:
        """Number of the next hint."""
        return self._first_number + len(self._hints)

    def add(self, hints: Sequence[Hint]) -> None:
        """Add hints and wake who waits."""
        dropped = max(0, len(self._hints) + len(hints) - (self._hints.maxlen or 0))
        self._hints.extend(hints)
        self._first_number += dropped
        self._changed.set()
        self._changed = asyncio.Event()

    def after(self, number: int) -> HintBatch:
        """Return the hints from ``number`` on; a reset when they are not all there."""
        if not self._first_number <= number <= self.next:
            return HintBatch(self.next, list(self._hints), is_reset=True)
        return HintBatch(self.next, list(self._hints)[number - self._first_number :])

    async def wait(self, number: int, timeout_s: float) -> HintBatch:
        """Return ``after(number)`` as soon as there is something, or empty after ``timeout_s``."""
        batch = self.after(number)
        if batch.hints or batch.is_reset:
            return batch
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            pass
        return self.after(number)


crosses(Hint, HintBatch)


class EventHub:
    """Passes hints from run actors to subscribers (one in each process that has readers)."""

    def __init__(self) -> None:
        """Begin empty; does no I/O."""
        self._home = asyncio.get_running_loop()
        self._ring = HintRing(time.time_ns() // 1000)

    async def publish(self, hints: list[Hint]) -> None:
        """Pass ``hints`` on. May be called twice; nothing is durable, a crash loses them."""
        self._ring.add(hints)

    @ray.method(concurrency_group="waits")
    async def poll(self, after: int) -> HintBatch:
        """Return the hints from number ``after`` on, waiting up to ten seconds for the first.

        May be called twice. ``is_reset``: hints may be missing; begin with any number, such as 0.
        """
        return await on_loop(self._home, self._ring.wait(after, POLL_S))

    async def version(self) -> str:
        """Return the version of the code that runs here."""
        return code_version()


def make_event_hub(num_cpus: float) -> ray.actor.ActorHandle:
    """Create the hub, or return it if it exists."""
    actor_class = ray.remote(concurrency_groups={"waits": WAITS})(EventHub)
    return actor_class.options(**options(EVENT_HUB, restarts=True, num_cpus=num_cpus)).remote()
