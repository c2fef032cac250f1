"""The deadlines of waiting forms: in memory only those of the next minute, the others stay in the store."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable

import structlog

from graph.errors import UnavailableError
from graph.ports import Clock

_log = structlog.get_logger()

HORIZON_S = 60.0
"""How far ahead deadlines are kept in memory."""
REFILL_S = 30.0
"""Between two looks into the store; less than the horizon, so that nothing is late."""
TICK_S = 0.5
"""Longest sleep: the clock may jump, and a deadline is to be kept within a second."""


class Deadlines:
    """Calls ``fire`` for every form whose deadline passes, also for those that passed while nobody looked.

    ``fire`` may be called twice for a form; it decides by the store whether anything is due.
    """

    def __init__(
        self,
        due: Callable[[float], Awaitable[list[tuple[str, float]]]],
        fire: Callable[[str], Awaitable[None]],
        clock: Clock,
    ) -> None:
        """Prepare; nothing happens yet.

        Args:
            due: gives (form id, deadline) of waiting forms due until a time, soonest first, perhaps not all at once.
            fire: ends the form if it is due.
            clock: Unix seconds.
        """
        self._due = due
        self._fire = fire
        self._clock = clock
        self._heap: list[tuple[float, str]] = []
        self._known: set[str] = set()

    @property
    def kept_count(self) -> int:
        """How many deadlines are in memory."""
        return len(self._heap)

    def add(self, form_id: str, due_at: float) -> None:
        """Note the deadline of a new form; far ones are left to the store."""
        if due_at <= self._clock.now() + HORIZON_S and form_id not in self._known:
            self._known.add(form_id)
            heapq.heappush(self._heap, (due_at, form_id))

    async def refill(self) -> None:
        """Take the deadlines of the next minute from the store.

        Raises:
            GreenroomError: the store cannot be read.
        """
        for form_id, due_at in await self._due(self._clock.now() + HORIZON_S):
            self.add(form_id, due_at)

    async def fire_due(self) -> int:
        """Fire what has passed by now; return how many.

        A form that the store cannot end now stays due. One that cannot be ended at all keeps no other from its end, and
        is tried again when the store names it again.
        """
        count = 0
        while self._heap and self._heap[0][0] <= self._clock.now():
            due_at, form_id = heapq.heappop(self._heap)
            try:
                await self._fire(form_id)
            except UnavailableError as error:
                _log.warning("a form cannot be ended yet", form_id=form_id, reason=str(error))
                heapq.heappush(self._heap, (due_at, form_id))
                return count
            except Exception:  # boundary: one form of many  # noqa: BLE001
                _log.exception("a form could not be ended", form_id=form_id)
                self._known.discard(form_id)
                continue
            self._known.discard(form_id)
            count += 1
        return count

    async def run(self) -> None:
        """Keep the deadlines for good; returns only by an error."""
        loop = asyncio.get_running_loop()
        refill_at = loop.time()
        while True:
            if loop.time() >= refill_at:
                await self.refill()
                refill_at = loop.time() + REFILL_S
            if await self.fire_due():
                # The store gives a limited number at once; there may be more that have passed.
                refill_at = loop.time()
            ahead_s = self._heap[0][0] - self._clock.now() if self._heap else TICK_S
            await asyncio.sleep(min(TICK_S, max(0.01, ahead_s)))
