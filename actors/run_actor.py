"""The actor that executes runs, one at a time, each exclusively; a run that waits for people needs none."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import ray
import structlog

from actors.background import Background
from actors.calls import SUPERVISOR, WAITS, on_loop, options, tell
from actors.code_version import code_version
from actors.errors import BusyError
from actors.hitl_parts import hitl_actor_of
from actors.messages import ActorState, Cursor, Release, RunOrder, RunOutcome, TailBatch
from actors.pool import limit_of, spare_mark
from actors.run_segment import RunSegment
from actors.settings import Settings
from actors.span_export import SpanExport
from actors.turns import TURN_S
from actors.wiring import Ports
from store.hint_record import Hint
from store.postgres_lane import RUN_ACTOR_SHARE

_log = structlog.get_logger()

KEPT_RECALLS = 1000
STUCK_EXIT_CODE = 70
"""Exit code of a process that leaves a run because the store was away too long."""


class RunActor:
    """Executes one run at a time in a task of its own, so that no caller's end changes anything for the run.

    It holds nothing that is not in the journal, except the text of nodes in flight. Not restarted when it dies: the
    supervisor gives its run to another one.
    """

    def __init__(self, plain_settings: str, name: str) -> None:
        """Prepare; does no I/O.

        Args:
            plain_settings: ``Settings.plain``.
            name: the actor's name.
        """
        self._settings = Settings.from_plain(plain_settings)
        self._name = name
        self._home = asyncio.get_running_loop()
        self._background = Background()
        self._ports: Ports | None = None
        self._segment: RunSegment | None = None
        self._last: RunSegment | None = None
        self._task: asyncio.Task[RunOutcome] | None = None
        self._runs_served = 0
        self._limit = limit_of(name, self._settings.runs_per_actor)
        self._served_marks = {spare_mark(self._limit), self._limit}
        self._recalled: dict[str, None] = {}
        self._is_draining = False

    async def run(self, order: RunOrder, lease_id: str) -> RunOutcome:
        """Execute a new run to its end or first pause.

        May be called twice: the same run id joins the run under way, or returns how the run stands. On return the
        outcome is durable. A crash in between leaves the run to the supervisor, or nothing if it had not begun.

        Raises:
            BusyError: another run executes here, or the lease was recalled.
            RunElsewhereError: this run executes in another actor.
            FencedError: another actor took the run over.
            UnavailableError: the store is away.
        """
        return await asyncio.shield(self._start(order, lease_id))

    async def run_in_turn(self, orders: list[RunOrder], lease_id: str) -> list[RunOutcome]:
        """Execute new runs one after the other like ``run``, up to one that is not done within ``TURN_S``.

        May be called twice, as ``run``. What is returned is durable. A crash in between leaves the run that executes to
        the supervisor, and nothing of those after it.

        Returns:
            The outcomes of the first runs of ``orders``. Of the others the first executes here, or ended by an error
            or could not begin, which ``run`` tells; those after it have not begun.
        """
        outcomes: list[RunOutcome] = []
        try:
            for order in orders:
                task = self._start(order, lease_id)
                await asyncio.wait((task,), timeout=TURN_S)
                if not task.done() or task.exception() is not None:
                    break
                outcomes.append(task.result())
        except BusyError:
            # The caller learns what it is by asking for the run alone.
            pass
        return outcomes

    @ray.method(concurrency_group="waits", num_returns="streaming")
    async def run_and_tail(self, order: RunOrder, lease_id: str) -> AsyncIterator[TailBatch]:
        """Execute a new run like ``run`` and yield what it tells from its first fact on.

        May be called twice, as ``run``. Closing the stream changes nothing for the run.

        Raises:
            GreenroomError: as ``run``, before anything was told.
        """
        segment, task = await on_loop(self._home, self._start_here(order, lease_id))
        async for batch in self._batches(segment, Cursor()):
            if batch.is_end and not batch.facts:
                # Ended without a fact: the run was not executed here, or broke off. The caller learns why.
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_result(task), self._home))
            yield batch

    async def resume(self, run_id: str, lease_id: str) -> RunOutcome:
        """Execute a paused run on with what its inbox holds, to its end or next pause; see ``run``.

        May be called twice: an inbox item is taken up once. Without an item the run stays paused.
        """
        return await asyncio.shield(self._begin(run_id, lease_id, lambda segment: segment.go_on()))

    async def recover(self, run_id: str, lease_id: str, dead_actor: str) -> RunOutcome:
        """Execute a run on that ``dead_actor`` executed when it died, from its last durable fact; see ``run``.

        May be called twice: a run that another actor took over is left alone (RunElsewhereError).
        """
        return await asyncio.shield(self._begin(run_id, lease_id, lambda segment: segment.go_on(dead_actor)))

    @ray.method(concurrency_group="waits", num_returns="streaming")
    async def tail(self, run_id: str, cursor: Cursor) -> AsyncIterator[TailBatch]:
        """Yield what the segment under way told after ``cursor``, then what it tells, until it ends.

        Facts before the segment are in the journal: a gap in the numbers says so. A run that does not execute here
        gives the end alone. Changes nothing, may be called at any time.
        """
        segment = await on_loop(self._home, self._segment_of(run_id))
        if segment is None:
            yield TailBatch(is_end=True)
            return
        async for batch in self._batches(segment, cursor):
            yield batch

    async def wake(self, run_id: str) -> None:
        """Look into the inbox of ``run_id`` if it executes here. May be called at any time; nothing is durable."""
        if self._segment is not None and self._segment.run_id == run_id:
            self._segment.wake()

    async def recall(self, lease_id: str) -> bool:
        """Honour a lease no more; False if a run executes under it: its end will be told to the supervisor.

        May be called twice.
        """
        self._recalled[lease_id] = None
        if len(self._recalled) > KEPT_RECALLS:
            del self._recalled[next(iter(self._recalled))]
        return self._segment is None

    @ray.method(concurrency_group="waits")
    async def drain(self) -> None:
        """Begin no run any more; return once none executes here: it ended, paused, or was left between two nodes.

        May be called twice. What the run did is durable on return. A run that was left stays ``running`` as one of
        this actor, and so does one whose actor dies meanwhile: the supervisor gives either to another actor.
        """
        await on_loop(self._home, self._drained())

    async def ping(self) -> ActorState:
        """Return what executes here; a process that does not answer in time is taken for dead."""
        run_id = self._segment.run_id if self._segment else ""
        return ActorState(run_id, self._runs_served, code_version())

    @ray.method(concurrency_group="waits")
    async def watch(self) -> None:
        """Never return: a call that stays pending tells its caller of this process's death at once."""
        await asyncio.Event().wait()

    async def _drained(self) -> None:
        self._is_draining = True
        while self._segment is not None and self._task is not None:
            self._segment.leave()
            await asyncio.wait((self._task,))
        spans = self._ports.surroundings.spans if self._ports is not None else None
        if spans is not None:
            await asyncio.to_thread(spans.flush)

    def _start(self, order: RunOrder, lease_id: str) -> "asyncio.Task[RunOutcome]":
        return self._begin(order.run_id, lease_id, lambda segment: segment.start(order))

    async def _start_here(self, order: RunOrder, lease_id: str) -> tuple[RunSegment, "asyncio.Task[RunOutcome]"]:
        task = self._start(order, lease_id)
        assert self._segment is not None
        return self._segment, task

    def _begin(self, run_id: str, lease_id: str, work: Any) -> "asyncio.Task[RunOutcome]":
        """Return the task that executes ``run_id``: the one under way, or a new one. No await: it is atomic."""
        if self._segment is not None and self._task is not None:
            if self._segment.run_id != run_id:
                raise BusyError(self._segment.run_id)
            return self._task
        if self._is_draining or lease_id in self._recalled or self._runs_served >= self._limit:
            raise BusyError("")
        if self._ports is None:
            self._ports = Ports(self._settings, RUN_ACTOR_SHARE)
        surroundings = self._ports.surroundings
        segment = RunSegment(run_id, lease_id, self._name, surroundings, self._hint)
        self._segment, self._last = segment, None
        self._task = self._background.start(self._execute(segment, work(segment)), run_id)
        return self._task

    async def _execute(self, segment: RunSegment, work: Coroutine[Any, Any, RunOutcome]) -> RunOutcome:
        structlog.contextvars.bind_contextvars(run_id=segment.run_id)
        try:
            outcome = await work
            if segment.may_have_forms and outcome.status in ("failed", "stopped"):
                tell(hitl_actor_of(segment.run_id, self._settings.hitl_actors), "run_ended", segment.run_id)
            return outcome
        finally:
            if segment.is_stuck:
                _log.error("the store is away: leaving the run to another process", run_id=segment.run_id)
                os._exit(STUCK_EXIT_CODE)
            self._runs_served += 1
            self._segment, self._task, self._last = None, None, segment
            segment.tail.close()
            spans = self._ports.surroundings.spans if self._ports is not None else None
            if spans is not None and self._runs_served >= self._limit:
                self._background.start(self._send_spans_and_leave(spans, segment.lease_id))
            else:
                self._say_release(segment.lease_id)

    async def _send_spans_and_leave(self, spans: SpanExport, lease_id: str) -> None:
        """Say that the last run of this process has left, once its spans are sent: the process is ended then."""
        await asyncio.to_thread(spans.flush)
        self._say_release(lease_id)

    def _say_release(self, lease_id: str) -> None:
        """Tell the supervisor of the end of a run, if it waits for that or this actor has (nearly) served."""
        is_recalled = lease_id in self._recalled
        if is_recalled or self._runs_served in self._served_marks:
            free_lease_id = lease_id if is_recalled else ""
            tell(SUPERVISOR, "release", Release(self._name, free_lease_id, self._runs_served))

    async def _segment_of(self, run_id: str) -> RunSegment | None:
        for segment in (self._segment, self._last):
            if segment is not None and segment.run_id == run_id:
                return segment
        return None

    async def _batches(self, segment: RunSegment, cursor: Cursor) -> AsyncIterator[TailBatch]:
        place = await on_loop(self._home, _attach(segment, cursor))
        is_end = False
        while not is_end:
            batch = await on_loop(self._home, segment.tail.next(place))
            is_end = batch.is_end
            yield batch

    def _hint(self, hint: Hint) -> None:
        assert self._ports is not None
        self._ports.hint_carrier.publish(hint)


async def _attach(segment: RunSegment, cursor: Cursor) -> Any:
    return segment.tail.attach(cursor)


async def _result(task: "asyncio.Task[RunOutcome]") -> RunOutcome:
    return await asyncio.shield(task)


def make_run_actor(plain_settings: str, name: str, num_cpus: float) -> ray.actor.ActorHandle:
    """Create the run actor ``name`` (or return it if it exists); returns before its process is up."""
    actor_class = ray.remote(concurrency_groups={"waits": WAITS})(RunActor)
    return actor_class.options(**options(name, restarts=False, num_cpus=num_cpus)).remote(plain_settings, name)
