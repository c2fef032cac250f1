"""Gives the runs of dead actors to others, and gives up a run that kills whoever executes it."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol

import structlog
from ray.exceptions import RayTaskError

from actors.announcer import Announcer
from actors.background import Background, insist
from actors.calls import ask, hint_courier, tell
from actors.death_cause import death_cause
from actors.errors import ActorAwayError, BusyError, RunElsewhereError, RunGivenUpError
from actors.hitl_parts import hitl_actor_of
from actors.messages import Lease
from actors.plans import Plans
from actors.run_trace import run_span
from actors.span_export import SpanExport
from actors.trace_context import context_of_run
from graph.errors import GreenroomError, RefusedError, UnavailableError
from graph.events import RunFinished, RunRecovered
from graph.human_rules import Webhook
from store.errors import FencedError
from store.journal import Journal
from store.run_record import JournalWrite, RunRecord

_log = structlog.get_logger()

RETRY_S = 1.0
RETRY_AFTER_DEATH_S = 0.02


class RecoveryLeases(Protocol):
    """Lends leases for runs that exist already."""

    def lease(self, *, continues: bool = False) -> AbstractAsyncContextManager[Lease]:
        """Lend a lease until the block is left."""
        ...


class Recovery:
    """Takes runs over. All of it can be repeated: the journal lets one successor through."""

    def __init__(
        self,
        journal: Journal,
        leases: RecoveryLeases,
        is_alive: Callable[[str], bool],
        max_recoveries: int,
        plans: Plans,
        hitl_actor_count: int,
        on_recovery: Callable[[], None] = lambda: None,
        spans: SpanExport | None = None,
    ) -> None:
        """Prepare; nothing happens yet.

        Args:
            journal: where runs and their actors stand.
            leases: for the actors that go on.
            is_alive: whether the run actor of a name is alive as far as is known.
            max_recoveries: how often a run is taken over between two pauses before it is given up.
            plans: whose webhooks are told of a run that is given up.
            hitl_actor_count: how many HITL actors there are.
            on_recovery: called whenever a run goes to another actor.
            spans: where the span of a run that is given up goes; None: none is made.
        """
        self._journal = journal
        self._leases = leases
        self._is_alive = is_alive
        self._max_recoveries = max_recoveries
        self._plans = plans
        self._hitl_actor_count = hitl_actor_count
        self._on_recovery = on_recovery
        self._spans = spans
        self._background = Background()
        self._under_way: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._causes: dict[str, str] = {}

    async def recover_actor(self, dead_actor: str, is_blamed: bool = True) -> None:
        """Begin to recover every run of a dead actor; repeats while the store is away.

        Args:
            dead_actor: its name.
            is_blamed: whether the run may have killed it; else it does not count towards giving the run up.
        """
        runs = partial(self._journal.runs_of_actor, dead_actor)
        for run_id in await insist(f"runs of {dead_actor}", runs, UnavailableError):
            self._counts[run_id] -= not is_blamed
            self._begin(run_id)

    async def recover_orphans(self) -> int:
        """Begin to recover every executing run whose actor is not known to live; return how many execute.

        Raises:
            GreenroomError: the store is away, or needs a migration.
        """
        running = await self._journal.running_runs()
        for run_id, actor in running:
            if not self._is_alive(actor):
                self._begin(run_id)
        return len(running)

    def _begin(self, run_id: str) -> None:
        if run_id not in self._under_way:
            self._under_way.add(run_id)
            self._background.start(self._recover(run_id), run_id)

    async def _recover(self, run_id: str) -> None:
        structlog.contextvars.bind_contextvars(run_id=run_id)
        try:
            while True:
                wait_s = await self._try(run_id)
                # No await between this and the end: a death noticed later begins anew.
                if wait_s is None:
                    return
                await asyncio.sleep(wait_s)
        finally:
            self._under_way.discard(run_id)

    async def _try(self, run_id: str) -> float | None:
        """Try once; return None when there is nothing left to do here, else when to look again in seconds."""
        try:
            record = await self._journal.get(run_id)
            if record is None or record.status != "running" or self._is_alive(record.actor):
                return None
            if max(self._counts[run_id], await self._stored_count(run_id)) >= self._max_recoveries:
                await self._give_up(record)
                return None
            await self._execute(record)
            return None
        except (RunElsewhereError, FencedError):
            # Somebody was faster, perhaps to die at once.
            return RETRY_AFTER_DEATH_S
        except ActorAwayError as error:
            self._causes[run_id] = death_cause(error)
            return RETRY_AFTER_DEATH_S
        except UnavailableError as error:
            _log.warning("a run cannot be recovered yet", run_id=run_id, reason=str(error))
            return RETRY_S
        except RayTaskError:
            _log.exception("a run could not be restored", run_id=run_id)
            return RETRY_S
        except GreenroomError as error:
            # Not a death, and not to be mended by repetition: the run waits for whoever mends it.
            _log.error("a run cannot be recovered", run_id=run_id, reason=str(error))
            self._forget(run_id)
            return None

    def _forget(self, run_id: str) -> None:
        self._counts.pop(run_id, None)
        self._causes.pop(run_id, None)

    async def _stored_count(self, run_id: str) -> int:
        """Return how often the run was taken over since its last pause, also by supervisors that died meanwhile.

        A run may take its whole node with it. What died before its first fact counts only in ``_counts``.
        """
        facts = (await self._journal.load(run_id)).facts
        return sum(isinstance(fact, RunRecovered) for _, fact in facts)

    async def _execute(self, record: RunRecord) -> None:
        """Have the run executed by another actor; returns when its segment is over."""
        run_id, dead = record.run_id, record.actor
        while True:
            try:
                async with self._leases.lease(continues=True) as lease:
                    self._counts[run_id] += 1
                    self._on_recovery()
                    await ask(
                        lease.actor_name, "recover", run_id, lease.lease_id, dead, call_name=run_id, patience_s=0.0
                    )
            except BusyError:
                self._counts[run_id] -= 1
                continue
            self._forget(run_id)
            return

    async def _give_up(self, record: RunRecord) -> None:
        """End the run as failed, as its next writer."""
        error = RunGivenUpError(self._max_recoveries, self._causes.get(record.run_id, ""))
        _log.error("a run is given up", run_id=record.run_id)
        fact = RunFinished(
            time.time(),
            "failed",
            record.outputs,
            str(error),
            record.elapsed_s,
            record.total_tokens,
            record.total_steps,
            record.exceptions_count,
        )
        epoch = record.epoch
        write = JournalWrite(record.run_id, epoch + 1, epoch, record.head, [fact], is_message=record.is_message)
        announcer = Announcer(record, await self._webhooks(record.version_id), hint_courier)
        await self._journal.append(announcer.added_to(write))
        announcer.hint()
        if self._spans is not None:
            self._spans.prepare()
            self._spans.emit(context_of_run(record.run_id, record.traceparent), run_span(record, fact))
        self._forget(record.run_id)
        tell(hitl_actor_of(record.run_id, self._hitl_actor_count), "run_ended", record.run_id)

    async def _webhooks(self, version_id: str) -> Sequence[Webhook]:
        try:
            return (await self._plans.plan(version_id)).workflow.rules.webhooks
        except RefusedError:
            # A workflow that cannot be read any more has its run ended all the same.
            return ()
