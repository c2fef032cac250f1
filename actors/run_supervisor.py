"""Keeps the run actors: a warm pool, who may use them, what happens when one dies.

It owns no run. Everything it knows it finds out again after a restart: the actors from Ray, their runs from the
journal, their state by a ping. Leases that it forgot are corrected by the run actors' own exclusivity.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import ray

from actors.background import Background, insist
from actors.calls import SUPERVISOR, WAITS, ask, on_loop, options
from actors.code_version import code_version
from actors.errors import ActorAwayError
from actors.housekeeping import Housekeeping
from actors.messages import Lease, LeaseRequest, Release, RunOrder, RunOutcome
from actors.pool import Pool, count_by_state, limit_of, spare_mark
from actors.recovery import Recovery
from actors.run_crew import RunCrew
from actors.run_metrics import PoolMetrics
from actors.settings import Settings
from actors.start_run import TimedHints, run_on, start_run, stored_outcome
from actors.upkeep import Upkeep
from actors.wiring import Ports

RECALL_S = 5.0
IN_ADVANCE_WAIT_S = 30.0
"""How long a request for a lease in advance waits before its holder has to show again that it lives."""
CHECK_S = 5.0
"""Between two looks for runs whose actor is gone."""


class OwnLeases:
    """The leases that the supervisor lends itself, to start and recover runs. Belongs to its home loop."""

    def __init__(
        self,
        take: Callable[[LeaseRequest], Awaitable[Lease | None]],
        give_back: Callable[[str], Awaitable[None]],
        give_up: Callable[[str], Awaitable[None]],
    ) -> None:
        self._take = take
        self._give_back = give_back
        self._give_up = give_up

    @asynccontextmanager
    async def lease(self, *, continues: bool = False) -> AsyncIterator[Lease]:
        """Lend a lease until the block is left.

        Raises:
            QueueFullError: too many starts wait already.
        """
        lease = await self._take(LeaseRequest(SUPERVISOR, continues=continues))
        assert lease is not None
        is_idle = False
        try:
            yield lease
            is_idle = True
        finally:
            await (self._give_back if is_idle else self._give_up)(lease.lease_id)


class RunSupervisor:
    """Leases run actors, keeps their number, and gives the runs of dead ones to others."""

    def __init__(self, plain_settings: str) -> None:
        """Prepare; does no I/O. The work begins in a task of its own, also after a restart.

        Args:
            plain_settings: ``Settings.plain``.
        """
        self._settings = settings = Settings.from_plain(plain_settings)
        self._home = asyncio.get_running_loop()
        self._ports = Ports(settings)
        self._pool = Pool(
            settings.pool_size,
            settings.queue_limit,
            settings.runs_per_actor,
            settings.lease_ttl_s,
            lambda: str(uuid.uuid4()),
        )
        self._granted: dict[int, asyncio.Future[Lease]] = {}
        self._is_draining = False
        self._crew = RunCrew(settings, self._pool, self._serve_waiting, self._on_death)
        self._own_leases = OwnLeases(self._wait_for_lease, self.give_back, self.give_up)
        self._metrics = PoolMetrics()
        ports = self._ports
        self._recovery = Recovery(
            ports.journal,
            self._own_leases,
            self._crew.is_known,
            settings.max_recoveries,
            ports.plans,
            settings.hitl_actors,
            self._metrics.count_recovery,
            ports.spans,
        )
        upkeep = Upkeep.of(ports.database, settings)
        self._housekeeping = Housekeeping(upkeep, ports.installation, settings)
        self._background = Background()
        self._background.start(self._live())

    @ray.method(concurrency_group="waits")
    async def lease(self, request: LeaseRequest) -> Lease | None:
        """Return a lease, waiting in the queue for it; None when a lease in advance is not to be had now.

        May be called twice: a lease that its asker never got runs out. Nothing is durable; a crash forgets the queue
        and all leases, and their holders ask again.

        Raises:
            QueueFullError: too many starts wait already.
        """
        return await on_loop(self._home, self._wait_for_lease(request))

    async def renew(self, lease_ids: list[str]) -> list[str]:
        """Prolong leases and return those that are still their holder's. May be called twice."""
        return self._pool.renew(lease_ids, time.monotonic())

    async def give_back(self, lease_id: str) -> None:
        """Take a lease back whose actor is idle; told by its holder. If it is lost, the lease runs out."""
        self._pool.give_back(lease_id)
        self._serve_waiting()

    async def give_up(self, lease_id: str) -> None:
        """Take a lease back of whose actor the holder knows nothing. If it is lost, the lease runs out."""
        lease = self._pool.give_up(lease_id)
        if lease is not None:
            self._background.start(self._recall(lease))

    async def release(self, release: Release) -> None:
        """Note the end of a run; told by a run actor. A lost release is made good by the next ping."""
        if self._pool.release(release.actor_name, release.lease_id, release.runs_served):
            self._crew.replace(release.actor_name)
        elif release.runs_served >= spare_mark(limit_of(release.actor_name, self._settings.runs_per_actor)):
            self._crew.prepare_spare()
        self._serve_waiting()

    @ray.method(concurrency_group="runs")
    async def run(self, order: RunOrder) -> RunOutcome:
        """Execute a new run until it finishes or pauses, queueing for an actor.

        May be called twice: the same run id is the same run. On return the outcome is durable. A crash of the
        supervisor loses the call, never the run: Ray repeats the call.

        Raises:
            QueueFullError: too many starts wait; nothing was started.
        """
        work = start_run(order, partial(run_on, self._own_leases), self._ports.journal, TimedHints())
        return await on_loop(self._home, work)

    @ray.method(concurrency_group="waits")
    async def outcome(self, run_id: str) -> RunOutcome:
        """Return how a run stands once it does not execute any more; changes nothing.

        Raises:
            RunNotFoundError: there is no such run.
        """
        return await on_loop(self._home, stored_outcome(run_id, self._ports.journal, TimedHints()))

    @ray.method(concurrency_group="waits")
    async def drain(self) -> None:
        """Lend no lease any more; return when no run executes, or after ``GREENROOM_DRAIN_S`` for those that do.

        For the end of everything: each run ends, pauses or is left between two nodes, and is recovered at the next
        start. May be called twice; what is durable, and what a crash leaves, as ``RunActor.drain``.
        """
        await on_loop(self._home, self._drained())

    async def version(self) -> str:
        """Return the version of the code that runs here."""
        return code_version()

    async def _drained(self) -> None:
        self._is_draining = True
        await self._crew.drain()

    async def _wait_for_lease(self, request: LeaseRequest) -> Lease | None:
        ticket = self._pool.ask(request)
        granted: asyncio.Future[Lease] = self._home.create_future()
        self._granted[ticket] = granted
        self._serve_waiting()
        try:
            return await asyncio.wait_for(granted, IN_ADVANCE_WAIT_S if request.in_advance else None)
        except TimeoutError:
            return None
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._pool.give_back(granted.result().lease_id)
                self._serve_waiting()
            raise
        finally:
            self._pool.cancel(ticket)
            self._granted.pop(ticket, None)

    def _serve_waiting(self) -> None:
        if self._is_draining:
            return
        for grant in self._pool.grants(time.monotonic()):
            granted = self._granted.get(grant.ticket)
            if granted is None or granted.done():
                self._pool.give_back(grant.lease.lease_id)
            else:
                granted.set_result(grant.lease)
        for lease in self._pool.recalls():
            self._background.start(self._recall(lease))

    async def _recall(self, lease: Lease) -> None:
        """Have an actor honour a lease no more; if it executes under it, its release follows."""
        try:
            is_idle = await asyncio.wait_for(ask(lease.actor_name, "recall", lease.lease_id, patience_s=0.0), RECALL_S)
        except (TimeoutError, ActorAwayError):
            # Pings and the watch tell what has become of it.
            is_idle = False
        self._pool.recalled(lease.lease_id, is_idle, time.monotonic())
        self._serve_waiting()

    def _on_death(self, actor_name: str, is_blamed: bool) -> None:
        self._background.start(self._recovery.recover_actor(actor_name, is_blamed))

    async def _live(self) -> None:
        """Adopt what is there, fill the pool, then look after it for good."""
        await insist("adopt", self._crew.adopt)
        self._background.start(insist("ping", self._crew.look_after))
        self._background.start(insist("housekeeping", self._housekeeping.live))
        await insist("check", self._check)

    async def _check(self) -> None:
        """Look for runs whose actor is gone, again and again; returns only by an error."""
        while True:
            self._metrics.show_pool(count_by_state(self._pool), self._pool.waiting_count)
            self._metrics.show_running(await self._recovery.recover_orphans())
            await asyncio.sleep(CHECK_S)


def make_run_supervisor(settings: Settings) -> ray.actor.ActorHandle:
    """Create the supervisor, or return it if it exists."""
    actor_class = ray.remote(concurrency_groups={"waits": WAITS, "runs": WAITS})(RunSupervisor)
    actor_options = options(SUPERVISOR, restarts=True, num_cpus=settings.actor_cpus)
    return actor_class.options(**actor_options, max_task_retries=-1).remote(settings.plain)
