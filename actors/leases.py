"""Holds one lease in advance, so that starting or resuming a run is one call to a run actor."""

import asyncio
import uuid

import structlog

from actors.calls import SUPERVISOR, ask
from actors.errors import ActorAwayError
from actors.messages import Lease, LeaseRequest
from graph.errors import GreenroomError

_log = structlog.get_logger()


class LeaseHolder:
    """At most one unused lease of this process, renewed while it is held. Belongs to one event loop."""

    def __init__(self, label: str, lease_ttl_s: float, *, continues: bool = False) -> None:
        """Prepare; nothing is asked before the first ``take`` or ``hold``.

        Args:
            label: who holds it, for the supervisor; made unique here.
            lease_ttl_s: how long a lease lasts without renewal.
            continues: the leases are for runs that exist already.
        """
        self._holder = f"{label}-{uuid.uuid4()}"
        self._lease_ttl_s = lease_ttl_s
        self._continues = continues
        self._held: Lease | None = None
        self._used = ""
        self._taken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def hold(self) -> None:
        """Begin to hold a lease in advance, in the background. May be called often."""
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def take(self, refused: str = "") -> Lease:
        """Return a lease to be used at once: the one held, else one from the supervisor, in its queue.

        Args:
            refused: id of the lease whose actor was busy or gone, "" at the first attempt.

        Raises:
            QueueFullError: too many starts wait already.
            ActorAwayError: the supervisor is away.
        """
        lease, self._held = self._held, None
        self.hold()
        if lease is not None:
            self._used = lease.lease_id
            self._taken.set()
            return lease
        request = LeaseRequest(self._holder, refused=refused, continues=self._continues)
        # The supervisor remembers nothing of its queue when it restarts; asking again takes a new place.
        return await ask(SUPERVISOR, "lease", request)

    async def close(self) -> None:
        """Stop holding; the lease that is held runs out by itself."""
        if self._keeper is not None:
            self._keeper.cancel()

    async def _keep(self) -> None:
        while True:
            try:
                if self._held is None:
                    used, self._used = self._used, ""
                    self._taken.clear()
                    request = LeaseRequest(self._holder, in_advance=True, used=used)
                    self._held = await ask(SUPERVISOR, "lease", request)
                else:
                    await self._renew(self._held)
            except ActorAwayError:
                await asyncio.sleep(1.0)
            except GreenroomError:
                _log.exception("no lease in advance")
                await asyncio.sleep(1.0)

    async def _renew(self, lease: Lease) -> None:
        """Wait until the lease is used or due, then keep or drop it."""
        try:
            await asyncio.wait_for(self._taken.wait(), self._lease_ttl_s / 3)
        except TimeoutError:
            is_ours = await ask(SUPERVISOR, "renew", lease.lease_id)
            if not is_ours and self._held is lease:
                self._held = None
