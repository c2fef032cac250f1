"""One subscription to the event hub for all readers of a process."""

import asyncio

from actors.background import Background
from actors.calls import EVENT_HUB, ask
from actors.errors import ActorAwayError
from actors.messages import HintBatch
from actors.start_run import REREAD_S


class HintSubscription:
    """Wakes readers when the hub says that their run has moved, and at the latest after a second.

    The second also covers lost hints, so no failure of the hub is told to anybody.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._next = 0
        self._background = Background()
        self._poller: asyncio.Task[None] | None = None

    async def wait(self, run_id: str, number: int) -> None:
        """Return when run ``run_id`` may have facts after ``number``, at the latest after a second."""
        if self._poller is None or self._poller.done():
            self._poller = self._background.start(self._poll(), "poll the event hub")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run_id, set()).add(waiter)
        try:
            await asyncio.wait_for(waiter, REREAD_S)
        except TimeoutError:
            pass
        finally:
            waiters = self._waiting.get(run_id, set())
            waiters.discard(waiter)
            if not waiters:
                self._waiting.pop(run_id, None)

    async def close(self) -> None:
        """End the subscription."""
        await self._background.close()

    async def _poll(self) -> None:
        while True:
            try:
                batch: HintBatch = await ask(EVENT_HUB, "poll", self._next)
            except ActorAwayError:
                await asyncio.sleep(REREAD_S)
                continue
            self._next = batch.next
            # After a reset anything may have happened.
            for run_id in list(self._waiting) if batch.is_reset else [hint.run_id for hint in batch.hints]:
                self._wake(run_id)

    def _wake(self, run_id: str) -> None:
        for waiter in self._waiting.get(run_id, ()):
            if not waiter.done():
                waiter.set_result(None)
