"""Keeps the leases of one process: one in advance, so that starting or resuming a run is one call to a run actor.

A lease is used for run after run without asking the supervisor, as long as this process has runs to start and the
supervisor does not want it back. Processes that need more actors ask for one at a time, and so take turns.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog

from actors.background import Background
from actors.calls import SUPERVISOR, ask, tell
from actors.errors import ActorAwayError, BusyError, QueueFullError
from actors.messages import Lease, LeaseRequest
from graph.errors import GreenroomError

_log = structlog.get_logger()

RETRY_S = 1.0


class LeaseHolder:
    """The leases of this process and the runs here that wait for one. Belongs to one event loop."""

    def __init__(
        self,
        label: str,
        lease_ttl_s: float,
        queue_limit: int,
        *,
        continues: bool = False,
        ask: Callable[..., Awaitable[Any]] = ask,
        tell: Callable[..., None] = tell,
    ) -> None:
        """Prepare; nothing is asked before the first ``lease`` or ``hold``.

        Args:
            label: who holds them, for the supervisor; made unique here.
            lease_ttl_s: how long a lease lasts without renewal.
            queue_limit: how many runs may wait here.
            continues: the leases are for runs that exist already, which never wait in vain.
            ask: calls a method of the supervisor.
            tell: the same one way.
        """
        self._ask_actor = ask
        self._tell_actor = tell
        self._holder = f"{label}-{uuid.uuid4()}"
        self._lease_ttl_s = lease_ttl_s
        self._queue_limit = queue_limit
        self._continues = continues
        self._idle: list[Lease] = []
        self._used: dict[str, Lease] = {}
        self._waiting: deque[asyncio.Future[Lease]] = deque()
        self._background = Background()
        self._asking: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    def hold(self) -> None:
        """Begin to hold a lease in advance, in the background. May be called often."""
        if self._keeping is None or self._keeping.done():
            self._keeping = self._background.start(self._keep(), "keep a lease")

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """Lend a lease for one run: the one held, or the next that this process gets. The block is one of ``using``.

        Raises:
            QueueFullError: too many runs wait already.
            ActorAwayError: the supervisor is away.
        """
        place = self.place()
        try:
            lease = await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._done(place.result())
            raise
        with self.using(lease):
            yield lease

    def place(self, *, is_first: bool = False) -> asyncio.Future[Lease]:
        """Return a place in the queue for leases, which ends with a lease to be used or why there is none.

        Who cancels it has left the queue. ``is_first``: before all others, for what has waited already.

        Raises:
            QueueFullError: too many runs wait already.
        """
        self.hold()
        place: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        if self._idle:
            lease = self._idle.pop()
            self._used[lease.lease_id] = lease
            place.set_result(lease)
            return place
        if len(self._waiting) >= self._queue_limit and not (self._continues or is_first):
            self._waiting = deque(place for place in self._waiting if not place.done())
            if len(self._waiting) >= self._queue_limit:
                raise QueueFullError(len(self._waiting))
        (self._waiting.appendleft if is_first else self._waiting.append)(place)
        if self._asking is None or self._asking.done():
            self._asking = self._background.start(self._ask(), "ask for leases")
        return place

    @contextmanager
    def using(self, lease: Lease) -> Iterator[None]:
        """Use a lease that a place ended with.

        The block is left normally, or by an error of the run, when the actor is idle again. A BusyError or
        ActorAwayError, or a block that is abandoned, drops the lease.
        """
        is_idle = False
        try:
            yield
            is_idle = True
        except GreenroomError as error:
            is_idle = not isinstance(error, (BusyError, ActorAwayError))
            raise
        finally:
            if is_idle:
                self._done(lease)
            else:
                self._drop(lease)

    @property
    def used_count(self) -> int:
        """How many leases are in use."""
        return len(self._used)

    async def close(self) -> None:
        """Stop holding; the leases run out by themselves."""
        await self._background.close()

    async def _ask(self) -> None:
        """Ask for leases, one after the other, as long as runs wait here."""
        while self._has_waiting():
            try:
                lease = await self._ask_actor(
                    SUPERVISOR, "lease", LeaseRequest(self._holder, continues=self._continues)
                )
            except GreenroomError as error:
                if self._has_waiting():
                    self._waiting.popleft().set_exception(error)
            else:
                self._hand_over(lease)

    def _has_waiting(self) -> bool:
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        return bool(self._waiting)

    def _hand_over(self, lease: Lease) -> None:
        """Give a lease whose actor is idle to the run that waits longest; else keep one, and give back any other."""
        if self._has_waiting():
            self._used[lease.lease_id] = lease
            self._waiting.popleft().set_result(lease)
        elif not self._idle:
            self._idle.append(lease)
        else:
            self._tell_actor(SUPERVISOR, "give_back", lease.lease_id)

    def _done(self, lease: Lease) -> None:
        # A lease that was not renewed meanwhile is somebody else's.
        if self._used.pop(lease.lease_id, None) is not None:
            self._hand_over(lease)

    def _drop(self, lease: Lease) -> None:
        """Let a lease go of which it is not known what its actor does; the supervisor finds out."""
        if self._used.pop(lease.lease_id, None) is not None:
            self._tell_actor(SUPERVISOR, "give_up", lease.lease_id)

    async def _keep(self) -> None:
        """Hold a lease in advance, and renew what is held."""
        while True:
            try:
                if self._idle or self._used:
                    await asyncio.sleep(self._lease_ttl_s / 3)
                    await self._renew()
                else:
                    lease = await self._ask_actor(SUPERVISOR, "lease", LeaseRequest(self._holder, in_advance=True))
                    if lease is not None:
                        self._hand_over(lease)
            except ActorAwayError:
                await asyncio.sleep(RETRY_S)
            except GreenroomError:
                _log.exception("no lease in advance")
                await asyncio.sleep(RETRY_S)

    async def _renew(self) -> None:
        held = [*(lease.lease_id for lease in self._idle), *self._used]
        renewed = set(await self._ask_actor(SUPERVISOR, "renew", held))
        gone = set(held) - renewed
        self._idle = [lease for lease in self._idle if lease.lease_id not in gone]
        for lease_id in gone:
            self._used.pop(lease_id, None)
