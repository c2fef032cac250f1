"""The loop that runs a run: ready -> execute -> apply -> tell.

One asyncio task drives a run. Pure nodes run inline; effectful ones are tasks. Facts gather until something outside
must rely on them: before an effect starts, at a pause, at the end, or when the loop has worked for 50 ms. Then they
are appended in one transaction and only then told, so nothing is told that a crash could take back. Text of a node
in flight is the exception: it is told at once as ``TextPart``.

When a run restarts after a pause or a crash, nodes that ended never run again; nodes in flight run again with the
same execution id.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from graph.containers import Containers
from graph.effect_tasks import EffectTasks
from graph.errors import RunLeftError
from graph.events import (
    JsonObject,
    NodeStarted,
    RunEnd,
    RunFinished,
    RunPaused,
    RunRecovered,
    RunResumed,
    RunStarted,
    TextWithdrawn,
    VariableUpdated,
)
from graph.ids import derive_execution_id
from graph.inbox import Inbox
from graph.inflight import InFlight
from graph.ledger import Ledger
from graph.node_facts import failed, form_opened, retried, stopped, succeeded, unsupported
from graph.nodes.kind import FormAsked, NodeResult, VariableUpdate
from graph.plan import Plan, PlanNode
from graph.ports import Clock, Effects, InboxItem, Recorder
from graph.run_state import Execution, RunState, apply
from graph.segment import Ended, Segment
from graph.snapshot import dump_state

YIELD_AFTER_S = 0.05
HOLD_BACK_S = 0.05
"""How long facts wait for a form to open, to be appended together with the pause."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one segment of a run (up to a pause) may use. ``max_time_s``: seconds, also cuts a long node."""

    max_steps: int = 500
    max_time_s: float = 1200.0


Outcome = RunFinished | RunPaused


class Engine:
    """Runs one run, segment by segment, over the state it owns."""

    def __init__(
        self,
        plan: Plan,
        state: RunState,
        run_id: str,
        effects: Effects,
        recorder: Recorder,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        self.plan = plan
        self.state = state
        self.run_id = run_id
        self._clock = clock
        self._limits = limits or Limits()
        self._segment = Segment()
        self._inflight = InFlight(state, recorder)
        self._ledger = Ledger(run_id, state, recorder, self._inflight)
        self._tasks = EffectTasks(run_id, state, self._segment, effects, self._inflight, self._can_tell)
        self._containers = Containers(state, self._ledger, clock, self._tasks.cut)
        self._inbox = Inbox(state, self._segment, self._ledger, clock, self._succeed)

    async def start(self, inputs: JsonObject, system: JsonObject, conversation: JsonObject | None = None) -> Outcome:
        """Begin a new run with checked ``inputs`` and run it to its end or first pause.

        Raises:
            RunLeftError: as ``request_leave`` asked.
            GreenroomError: the recorder's; the run's tasks are cancelled, nothing more is told.
        """
        self._ledger.record(RunStarted(self._clock.now(), inputs, system, conversation or {}))
        return await self._run_segment()

    async def resume(self, items: Sequence[InboxItem]) -> Outcome:
        """Go on after a pause with the inbox ``items``; same end and errors as ``start``."""
        self._inbox.deliver(items)
        stop = next((item for item in items if item.kind in ("stop", "expired")), None)
        if stop is None:
            self._ledger.record(RunResumed(self._clock.now()))
            self._inbox.take_up(is_resume=True)
        return await self._run_segment()

    async def recover(self, attempt: int, items: Sequence[InboxItem]) -> Outcome:
        """Go on after the actor that ran the run died; nodes in flight run again; same end and errors as ``start``.

        Args:
            attempt: rises with each recovery; parts of a node's text told under a lower one are void.
            items: un-taken inbox items.
        """
        state = self.state
        self._ledger.record(RunRecovered(self._clock.now(), attempt, state.elapsed_at(state.last_at)))
        waiting = state.waiting_executions()
        for execution in list(state.executions.values()):
            is_held = execution.execution_id in waiting or execution.execution_id in state.containers
            if not is_held and execution.execution_id in state.executions:
                self._execute(state.node(execution), execution)
        self._containers.go_on()
        self._inbox.deliver(items)
        return await self._run_segment()

    def deliver(self, items: Sequence[InboxItem]) -> None:
        """Hand in inbox items while the run executes; an item that was handed in before is ignored."""
        self._inbox.deliver(items)

    def request_pause(self, reason: str) -> None:
        """Let the run pause with ``reason``: nodes that execute finish, what follows them starts after the resumption.

        A run that has nothing left to start finishes instead.
        """
        self._segment.pause = reason
        self._segment.wake.set()

    def request_leave(self) -> None:
        """Let the run go on elsewhere: nodes that execute finish and nothing new starts, then RunLeftError ends this.

        A run that has nothing left to start pauses or finishes instead. The facts of what it did are durable then;
        ``recover`` in another process begins with what comes next.
        """
        self._segment.is_leaving = True
        self._segment.wake.set()

    def update_variables(self, updates: Sequence[VariableUpdate]) -> None:
        """Give variables new values, also ones that did not exist; whatever starts from now on sees them."""
        self._segment.updates.extend(updates)
        self._segment.wake.set()

    async def _run_segment(self) -> Outcome:
        timer = asyncio.get_running_loop().call_later(self._limits.max_time_s, self._abort_for_time)
        try:
            while True:
                outcome = await self._step()
                if outcome is not None:
                    return outcome
        finally:
            timer.cancel()
            await self._tasks.close()

    async def _step(self) -> Outcome | None:
        """Do all that can be done now, then make it durable; the outcome when the segment is over."""
        segment = self._segment
        segment.wake.clear()
        while segment.updates:
            self._update(segment.updates.popleft())
        while segment.ended and not self._is_over():
            self._settle_effect(segment.ended.popleft())
        self._inbox.take_up(is_resume=False)
        if segment.may_begin:
            self._run_ready()
        is_idle = self._is_idle()
        if self._is_over() or (is_idle and not self.state.forms and not self.state.ready):
            return await self._finish()
        if is_idle and self.state.ready and segment.is_leaving:
            await self._ledger.flush()
            raise RunLeftError(self.run_id)
        if is_idle:
            return None if self._containers.give_up_waiting() else await self._pause()
        if await self._is_about_to_pause():
            return None
        await self._ledger.flush()
        self._tasks.start_noted()
        if segment.ended or (self.state.ready and segment.may_begin):
            await asyncio.sleep(0)
        elif not self._is_idle():
            await segment.wake.wait()
        return None

    def _is_over(self) -> bool:
        """Whether the run is to end now."""
        return self._segment.abort is not None or self.state.top.failure is not None

    def _is_idle(self) -> bool:
        """Whether nothing in the run can move without something from outside."""
        segment = self._segment
        is_ready = bool(self.state.ready) and segment.may_begin
        return not (is_ready or segment.tasks or segment.effects or segment.ended or segment.inbox or segment.updates)

    async def _is_about_to_pause(self) -> bool:
        """Give forms that are being opened a moment, if all else waits: the pause then is the only append."""
        segment = self._segment
        if segment.effects or self._ledger.is_empty or (self.state.ready and segment.may_begin):
            return False
        if not all(self.state.node(self.state.executions[id_]).opens_form for id_ in segment.tasks):
            return False
        try:
            async with asyncio.timeout(HOLD_BACK_S):
                await segment.wake.wait()
        except TimeoutError:
            return False
        return True

    def _run_ready(self) -> None:
        state = self.state
        give_up_at = perf_counter() + YIELD_AFTER_S
        while state.ready:
            # A copy: finding the first key of a dict that loses its first keys costs more each time.
            for key in list(state.ready):
                if self._is_over():
                    return
                if key in state.ready:
                    self._run_node(*key)
                if perf_counter() > give_up_at:
                    return

    def _run_node(self, path: str, index: int) -> None:
        state, segment, limit = self.state, self._segment, self._limits.max_steps
        node = state.scopes[path].plan.nodes[index]
        segment.steps += 1
        if segment.steps > limit:
            segment.stop(f"Aborted: Maximum execution steps exceeded: {segment.steps} > {limit}")
            return
        execution_id = derive_execution_id(self.run_id, path, node.id)
        self._ledger.record(NodeStarted(self._clock.now(), node.id, execution_id, state.total_steps + 1, path))
        self._execute(node, state.executions[execution_id])

    def _execute(self, node: PlanNode, execution: Execution) -> None:
        """Run a pure node, begin an effectful one or the passes of a container; a kind without a step fails."""
        if node.pure is not None:
            self._run_pure(node, execution)
        elif node.effect is not None:
            self._tasks.begin(execution)
        elif node.container is not None:
            try:
                self._containers.begin(node, execution)
            except Exception as error:  # boundary: as for pure nodes  # noqa: BLE001
                self._fail(execution, error)
        else:
            self._fail(execution, unsupported(node.type))

    def _run_pure(self, node: PlanNode, execution: Execution) -> None:
        assert node.pure is not None
        try:
            result = node.pure(self.state.scopes[execution.scope].pool)
        except Exception as error:  # boundary: whatever a node raises fails that node, not the engine  # noqa: BLE001
            self._fail(execution, error)
            return
        if result is None:
            self._tasks.begin(execution)
        else:
            self._succeed(execution, result)

    def _settle_effect(self, ended: Ended) -> None:
        self._segment.tasks.pop(ended.execution.execution_id, None)
        if ended.execution.execution_id not in self.state.executions:
            return  # its pass was cut after it had ended
        if ended.error is not None:
            self._fail(ended.execution, ended.error)
        elif isinstance(ended.result, FormAsked):
            self._inflight.end(ended.execution)
            self._ledger.record(form_opened(self._clock.now(), ended.execution, ended.result))
        elif ended.result is not None:
            self._succeed(ended.execution, ended.result)

    def _succeed(self, execution: Execution, result: NodeResult) -> None:
        node = self.state.node(execution)
        for update in result.updates:
            self._update(update, node.id, execution)
        self._ledger.record(succeeded(self._clock.now(), node, execution, result))
        if execution.scope:
            self._containers.settle(execution.scope)

    def _fail(self, execution: Execution, error: Exception) -> None:
        """End a node that failed, or let it run again: by its retries, then its error strategy, else for good.

        What it streamed to readers is withdrawn if the run goes on without it.
        """
        node, now = self.state.node(execution), self._clock.now()
        if execution.retries < node.retry_limit:
            self._withdraw(node, execution)
            self._ledger.record(retried(now, node, execution, error))
            self._tasks.begin(execution, node.retry_interval_s)
            return
        fact = failed(now, node, execution, error)
        if fact.status == "exception":
            self._withdraw(node, execution)
        self._ledger.record(fact)
        if execution.scope:
            self._containers.settle(execution.scope)

    def _withdraw(self, node: PlanNode, execution: Execution) -> None:
        streams = self._inflight.withdraw(execution)
        if streams:
            now = self._clock.now()
            self._ledger.record(TextWithdrawn(now, node.id, execution.execution_id, streams, execution.scope))

    def _update(self, update: VariableUpdate, node_id: str = "", execution: Execution | None = None) -> None:
        execution_id, scope = (execution.execution_id, execution.scope) if execution else ("", "")
        now, selector = self._clock.now(), list(update.selector)
        self._ledger.record(
            VariableUpdated(now, node_id, execution_id, selector, update.value_type, update.value, scope)
        )

    def _abort_for_time(self) -> None:
        limit = self._limits.max_time_s
        self._segment.stop(f"Aborted: Maximum execution time exceeded: {limit:g}s > {limit:g}s")

    def _can_tell(self) -> bool:
        """Whether parts may be told now: all facts that precede them have been."""
        return self._ledger.is_empty

    async def _pause(self) -> Outcome | None:
        state, segment = self.state, self._segment
        if segment.early and state.ready:
            # What waits outside ends the pause that was asked for, and may be for a form that comes next.
            segment.pause = None
            return None
        self._inbox.drop_early()
        now = self._clock.now()
        shown = {form_id for form_id, form in state.forms.items() if form.is_shown}
        paused = RunPaused(
            now,
            list(state.forms),
            dict(state.outputs),
            state.elapsed_at(now),
            state.total_tokens,
            state.total_steps,
            segment.pause,
        )
        before = state.elapsed_s
        apply(state, paused)
        items = await self._ledger.pause(paused, dump_state(state))
        if not items:
            return paused
        state.status, state.elapsed_s = "running", before
        for form_id, form in state.forms.items():
            form.is_shown = form_id in shown
        self._inbox.deliver(items)
        return None

    async def _finish(self) -> Outcome:
        self._inbox.drop_early()
        self._stop_executions()
        state, segment = self.state, self._segment
        status: RunEnd = "partial-succeeded" if state.exceptions_count else "succeeded"
        error = None
        if segment.abort is not None:
            status, error = "stopped", segment.abort
        elif state.top.failure is not None:
            status, error = "failed", state.top.failure
        now = self._clock.now()
        finished = RunFinished(
            now,
            status,
            dict(state.outputs),
            error,
            state.elapsed_at(now),
            state.total_tokens,
            state.total_steps,
            state.exceptions_count,
        )
        self._ledger.record(finished)
        await self._ledger.flush()
        return finished

    def _stop_executions(self) -> None:
        """End what still executes, inner nodes first; its text that readers have already becomes durable with it."""
        state = self.state
        waiting = state.waiting_executions()
        for execution in reversed(list(state.executions.values())):
            if execution.execution_id not in waiting:
                self._tasks.cut(execution)
                self._ledger.record(stopped(self._clock.now(), state.node(execution), execution))
