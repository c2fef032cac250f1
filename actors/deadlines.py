"""The deadlines, reminders and escalation of waiting forms: in memory only those of the next minute.

The others stay in the store. The wall clock decides, and may jump: forward, and what is due is fired within a second;
back, and it is fired when its time comes again, once.
"""

import asyncio
import heapq
import math
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
    """Calls ``fire`` for every form for which something is due, also for what was due while nobody looked.

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
            due: gives (form id, when something is due for it) until a time, soonest first, perhaps not all at once.
            fire: does what is due for the form.
            clock: Unix seconds.
        """
        self._due = due
        self._fire = fire
        self._clock = clock
        self._heap: list[tuple[float, str]] = []
        self._next: dict[str, float] = {}
        self._looked_until = 0.0

    @property
    def kept_count(self) -> int:
        """How many forms are in memory."""
        return len(self._next)

    def add(self, form_id: str, due_at: float) -> None:
        """Note when something is due for a form, if nothing is sooner; what is far away is left to the store."""
        if due_at <= self._clock.now() + HORIZON_S and due_at < self._next.get(form_id, math.inf):
            self._next[form_id] = due_at
            heapq.heappush(self._heap, (due_at, form_id))

    async def refill(self) -> None:
        """Take what is due in the next minute from the store.

        Raises:
            GreenroomError: the store cannot be read.
        """
        until = self._clock.now() + HORIZON_S
        for form_id, due_at in await self._due(until):
            self.add(form_id, due_at)
        self._looked_until = until

    async def fire_due(self) -> int:
        """Fire what is due by now; return for how many forms.

        A form that the store cannot change now stays due. One that fails otherwise is left to a later refill, so that
        it keeps no other form waiting.
        """
        count = 0
        while self._heap and self._heap[0][0] <= self._clock.now():
            due_at, form_id = heapq.heappop(self._heap)
            if self._next.get(form_id) != due_at:
                # Something sooner was added later, and has been fired.
                continue
            del self._next[form_id]
            try:
                await self._fire(form_id)
            except UnavailableError as error:
                _log.warning("nothing can be done for a form yet", form_id=form_id, reason=str(error))
                self.add(form_id, due_at)
                return count
            except Exception:  # boundary: HITL loop  # noqa: BLE001
                _log.exception("a form could not be dealt with", form_id=form_id)
            else:
                count += 1
        return count

    async def run(self) -> None:
        """Keep the deadlines for good; returns only by an error."""
        loop = asyncio.get_running_loop()
        refill_at = loop.time()
        while True:
            if loop.time() >= refill_at or self._has_jumped():
                await self.refill()
                refill_at = loop.time() + REFILL_S
            if await self.fire_due():
                # The store gives a limited number at once; there may be more, and the same form may have more to do.
                refill_at = loop.time()
            ahead_s = self._heap[0][0] - self._clock.now() if self._heap else TICK_S
            await asyncio.sleep(min(TICK_S, max(0.01, ahead_s)))

    def _has_jumped(self) -> bool:
        """Whether the clock has gone forward so far that the store may hold something that is due before a refill."""
        return self._clock.now() > self._looked_until - (HORIZON_S - REFILL_S)
