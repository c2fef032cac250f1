"""How hints reach the readers of a process: over the event hub or Redis, and one subscription for all of them."""

import asyncio

from actors.background import Background
from actors.calls import EVENT_HUB, ask, tell
from actors.contracts import crosses
from actors.start_run import REREAD_S
from graph.errors import UnavailableError
from store.hint_record import Hint, HintBatch, HintCarrier

FIRST_DELAY_S = 0.05
"""A carrier that is away is polled again after so long, then after twice as long, up to ``REREAD_S``."""


crosses(Hint)


class HubHints:
    """A ``HintCarrier`` over the event hub, which needs nothing but Ray."""

    def publish(self, hint: Hint) -> None:
        """Pass a hint on, one way."""
        tell(EVENT_HUB, "publish", [hint])

    async def poll(self, after: int) -> HintBatch:
        """Return the hints from number ``after`` on, waiting some seconds for the first.

        Raises:
            ActorAwayError: the hub does not come back.
        """
        return await ask(EVENT_HUB, "poll", after)

    async def close(self) -> None:
        """Do nothing: Ray holds the connections."""


class HintSubscription:
    """Wakes readers when a hint says that their run has moved, and at the latest after a second.

    The second also covers lost hints, so no failure of the carrier is told to anybody.
    """

    def __init__(self, carrier: HintCarrier, reread_s: float = REREAD_S) -> None:
        self._carrier = carrier
        self._reread_s = reread_s
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._next = 0
        self._background = Background()
        self._poller: asyncio.Task[None] | None = None

    async def wait(self, run_id: str, number: int) -> None:
        """Return when run ``run_id`` may have facts after ``number``, at the latest after a second."""
        if self._poller is None or self._poller.done():
            self._poller = self._background.start(self._poll(), "poll for hints")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run_id, set()).add(waiter)
        try:
            await asyncio.wait_for(waiter, self._reread_s)
        except TimeoutError:
            pass
        finally:
            waiters = self._waiting.get(run_id, set())
            waiters.discard(waiter)
            if not waiters:
                self._waiting.pop(run_id, None)

    async def close(self) -> None:
        """End the subscription; the carrier stays open."""
        await self._background.close()

    async def _poll(self) -> None:
        delay_s = FIRST_DELAY_S
        has_missed = False
        while True:
            try:
                batch = await self._carrier.poll(self._next)
            except UnavailableError:
                # What was published meanwhile may never have come to the carrier.
                has_missed = True
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, REREAD_S)
                continue
            self._next = batch.next
            # After a reset anything may have happened.
            for run_id in (
                list(self._waiting) if batch.is_reset or has_missed else [hint.run_id for hint in batch.hints]
            ):
                self._wake(run_id)
            delay_s, has_missed = FIRST_DELAY_S, False

    def _wake(self, run_id: str) -> None:
        for waiter in self._waiting.get(run_id, ()):
            if not waiter.done():
                waiter.set_result(None)
