"""The loop that runs a run: ready -> execute -> apply -> tell.

One asyncio task drives a run. Pure nodes run inline; effectful ones are tasks. Facts gather until something outside
must rely on them: before an effect starts, at a pause, at the end, or when the loop has worked for 50 ms. Then they
are appended in one transaction and only then told, so nothing is told that a crash could take back. Text of a node
in flight is the exception: it is told at once as ``TextPart``.

When a run restarts after a pause or a crash, nodes that ended never run again; nodes in flight run again with the
same execution id.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from graph.errors import NodeError
from graph.events import (
    Fact,
    JsonObject,
    NodeFinished,
    NodeStarted,
    RunFinished,
    RunPaused,
    RunRecovered,
    RunResumed,
    RunStarted,
    TextEmitted,
)
from graph.ids import derive_execution_id
from graph.inflight import InFlight, stream_id
from graph.node_facts import answered, failed, form_opened, stopped, succeeded
from graph.nodes.kind import EffectContext, FormAsked, NodeResult
from graph.plan import Plan, PlanNode
from graph.ports import Clock, Effects, InboxItem, Recorder
from graph.response_stream import Emission
from graph.run_state import Execution, OpenForm, RunState, apply
from graph.segment import Ended, Segment
from graph.snapshot import dump_state

YIELD_AFTER_S = 0.05
HOLD_BACK_S = 0.05
"""How long facts wait for a form to open, to be appended together with the pause."""
STOPPED_BY_USER = "Stopped by user."


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
        self._effects = effects
        self._recorder = recorder
        self._clock = clock
        self._limits = limits or Limits()
        self._segment = Segment()
        self._inflight = InFlight(state, recorder)

    async def start(self, inputs: JsonObject, system: JsonObject, conversation: JsonObject | None = None) -> Outcome:
        """Begin a new run with checked ``inputs`` and run it to its end or first pause.

        Raises:
            GreenroomError: the recorder's; the run's tasks are cancelled, nothing more is told.
        """
        self._record(RunStarted(self._clock.now(), inputs, system, conversation or {}))
        return await self._run_segment()

    async def resume(self, items: Sequence[InboxItem]) -> Outcome:
        """Go on after a pause with the inbox ``items``; same end and errors as ``start``."""
        self.deliver(items)
        stop = next((item for item in items if item.kind in ("stop", "expired")), None)
        if stop is None:
            self._record(RunResumed(self._clock.now()))
            self._take_up(is_resume=True)
        return await self._run_segment()

    async def recover(self, attempt: int, items: Sequence[InboxItem]) -> Outcome:
        """Go on after the actor that ran the run died; nodes in flight run again; same end and errors as ``start``.

        Args:
            attempt: rises with each recovery; parts of a node's text told under a lower one are void.
            items: un-taken inbox items.
        """
        elapsed_s = self.state.elapsed_at(self.state.last_at)
        self._record(RunRecovered(self._clock.now(), attempt, elapsed_s))
        waiting = {form.opened.execution_id for form in self.state.forms.values()}
        for execution in self.state.executions.values():
            if execution.execution_id not in waiting:
                self._begin_effect(execution)
        self.deliver(items)
        return await self._run_segment()

    def deliver(self, items: Sequence[InboxItem]) -> None:
        """Hand in inbox items while the run executes; an item that was handed in before is ignored."""
        segment = self._segment
        for item in items:
            if item.item_id not in segment.seen:
                segment.seen.add(item.item_id)
                segment.inbox.append(item)
        segment.wake.set()

    async def _run_segment(self) -> Outcome:
        timer = asyncio.get_running_loop().call_later(self._limits.max_time_s, self._abort_for_time)
        try:
            while True:
                outcome = await self._step()
                if outcome is not None:
                    return outcome
        finally:
            timer.cancel()
            for task in self._segment.tasks.values():
                task.cancel()
            if self._segment.tasks:
                await asyncio.gather(*self._segment.tasks.values(), return_exceptions=True)
            self._segment.tasks.clear()

    async def _step(self) -> Outcome | None:
        """Do all that can be done now, then make it durable; the outcome when the segment is over."""
        segment = self._segment
        segment.wake.clear()
        while segment.ended and not segment.is_over:
            self._settle_effect(segment.ended.popleft())
        self._take_up(is_resume=False)
        self._run_ready()
        if segment.is_over or (self._is_idle() and not self.state.forms):
            return await self._finish()
        if self._is_idle():
            return await self._pause()
        if await self._is_about_to_pause():
            return None
        await self._flush()
        self._start_effects()
        if self.state.ready or segment.ended:
            await asyncio.sleep(0)
        elif not self._is_idle():
            await segment.wake.wait()
        return None

    def _is_idle(self) -> bool:
        """Whether nothing in the run can move without something from outside."""
        segment = self._segment
        return not (self.state.ready or segment.tasks or segment.effects or segment.ended or segment.inbox)

    async def _is_about_to_pause(self) -> bool:
        """Give forms that are being opened a moment, if all else waits: the pause then is the only append."""
        segment = self._segment
        if segment.effects or self.state.ready or not segment.facts:
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
        state, segment = self.state, self._segment
        give_up_at = perf_counter() + YIELD_AFTER_S
        while state.ready and not self._segment.is_over:
            path, index = next(iter(state.ready))
            node = state.scopes[path].plan.nodes[index]
            segment.steps += 1
            if segment.steps > self._limits.max_steps:
                segment.stop(f"Aborted: Maximum execution steps exceeded: {segment.steps} > {self._limits.max_steps}")
                return
            execution_id = derive_execution_id(self.run_id, path, node.id)
            now = self._clock.now()
            self._record(NodeStarted(now, node.id, execution_id, state.total_steps + 1, path))
            execution = state.executions[execution_id]
            if node.pure is not None:
                self._run_pure(node, execution)
            elif node.effect is not None:
                self._begin_effect(execution)
            else:
                self._fail(execution, NodeError(f"nodes of kind {node.type!r} are not supported", "UnsupportedNode"))
            if perf_counter() > give_up_at:
                return

    def _run_pure(self, node: PlanNode, execution: Execution) -> None:
        assert node.pure is not None
        try:
            result = node.pure(self.state.scopes[execution.scope].pool)
        except Exception as error:  # boundary: whatever a node raises fails that node, not the engine  # noqa: BLE001
            self._fail(execution, error)
        else:
            self._succeed(execution, result)

    def _begin_effect(self, execution: Execution) -> None:
        """Start the task of an effectful node, or note it for after the next append.

        Opening a form needs no durable fact before it: the form is keyed by the derived execution id.
        """
        if self.state.node(execution).opens_form:
            self._start_task(execution)
        else:
            self._segment.effects.append(execution)

    def _start_effects(self) -> None:
        effects, self._segment.effects = self._segment.effects, []
        for execution in effects:
            self._start_task(execution)

    def _start_task(self, execution: Execution) -> None:
        node = self.state.node(execution)
        emit = self._inflight.begin(execution, node, self._can_tell)
        context = EffectContext(self.run_id, node.id, execution.execution_id, self._effects, emit)
        task = asyncio.get_running_loop().create_task(self._perform(execution, node, context), name=node.id)
        self._segment.tasks[execution.execution_id] = task

    async def _perform(self, execution: Execution, node: PlanNode, context: EffectContext) -> None:
        assert node.effect is not None
        result, failure = None, None
        try:
            result = await node.effect(self.state.scopes[execution.scope].pool, context)
        except Exception as error:  # boundary: whatever a node raises fails that node, not the engine  # noqa: BLE001
            failure = error
        self._segment.ended.append(Ended(execution, result, failure))
        self._segment.wake.set()

    def _settle_effect(self, ended: Ended) -> None:
        del self._segment.tasks[ended.execution.execution_id]
        if ended.error is not None:
            self._fail(ended.execution, ended.error)
        elif isinstance(ended.result, FormAsked):
            self._inflight.end(ended.execution)
            self._record(form_opened(self._clock.now(), ended.execution, ended.result))
        elif ended.result is not None:
            self._succeed(ended.execution, ended.result)

    def _succeed(self, execution: Execution, result: NodeResult) -> None:
        self._record(succeeded(self._clock.now(), self.state.node(execution), execution, result))

    def _fail(self, execution: Execution, error: Exception) -> None:
        """End a node that failed: by its error strategy, else end the run with the node's name and reason."""
        node = self.state.node(execution)
        fact = failed(self._clock.now(), node, execution, error)
        if fact.status == "failed" and self._segment.failure is None:
            self._segment.failure = f"{node.title or node.id} ({node.id}): {fact.error}"
        self._record(fact)

    def _record(self, fact: Fact) -> None:
        """Apply ``fact`` to the state and put it among the facts to append, together with the text it sets free.

        That text comes before the end of a node, but after the start of the run (spec/graph.md 4.12).
        """
        facts = self._segment.facts
        if type(fact) is NodeFinished:
            stored = self._inflight.end_node(fact)
            facts.extend(self._text_fact(fact.at, emission, fact.scope) for emission in apply(self.state, fact))
            fact.streamed = stored
            facts.append(fact)
        else:
            facts.append(fact)
            facts.extend(self._text_fact(fact.at, emission, "") for emission in apply(self.state, fact))

    def _text_fact(self, at: float, emission: Emission, scope: str) -> TextEmitted:
        node_id = self.state.scopes[scope].plan.nodes[emission.node].id
        execution_id = derive_execution_id(self.run_id, scope, node_id)
        return TextEmitted(
            at,
            node_id,
            execution_id,
            list(emission.selector),
            emission.texts,
            emission.is_final,
            stream_id(execution_id, emission.selector[1]) if emission.is_streamed else "",
            scope,
        )

    def _take_up(self, *, is_resume: bool) -> None:
        """Take up inbox items; an answer to a form that is still being opened waits for it."""
        segment = self._segment
        for item in segment.inbox:
            if item.kind in ("stop", "expired"):
                segment.taken.append(item.item_id)
                segment.stop(item.reason or STOPPED_BY_USER)
                segment.inbox.clear()
                return
        waiting: deque[InboxItem] = deque()
        while segment.inbox:
            item = segment.inbox.popleft()
            form = self.state.forms.get(item.form_id or "")
            if form is not None:
                segment.taken.append(item.item_id)
                self._answer(form, item, is_resume=is_resume)
            elif self._is_any_form_opening():
                waiting.append(item)
            else:
                segment.taken.append(item.item_id)
        segment.inbox = waiting

    def _answer(self, form: OpenForm, item: InboxItem, *, is_resume: bool) -> None:
        execution = self.state.executions[form.opened.execution_id]
        now = self._clock.now()
        if is_resume:
            node_id = form.opened.node_id
            self._record(NodeStarted(now, node_id, execution.execution_id, execution.index, execution.scope))
        fact, result = answered(now, form, item, is_shown=is_resume and form.is_shown)
        self._record(fact)
        self._succeed(execution, result)

    def _is_any_form_opening(self) -> bool:
        waiting = {form.opened.execution_id for form in self.state.forms.values()}
        return any(
            self.state.node(execution).opens_form and execution.execution_id not in waiting
            for execution in self.state.executions.values()
        )

    def _abort_for_time(self) -> None:
        limit = self._limits.max_time_s
        self._segment.stop(f"Aborted: Maximum execution time exceeded: {limit:g}s > {limit:g}s")

    def _can_tell(self) -> bool:
        """Whether parts may be told now: all facts that precede them have been."""
        return not self._segment.facts

    async def _flush(self) -> None:
        """Append and tell what has gathered, then the text that had to wait for it."""
        segment = self._segment
        if segment.facts or segment.taken:
            await self._recorder.append(segment.facts, segment.taken)
            segment.facts, segment.taken = [], []
        self._inflight.tell()

    async def _pause(self) -> Outcome | None:
        state, segment = self.state, self._segment
        now = self._clock.now()
        shown = {form_id for form_id, form in state.forms.items() if form.is_shown}
        paused = RunPaused(
            now, list(state.forms), dict(state.outputs), state.elapsed_at(now), state.total_tokens, state.total_steps
        )
        before = state.elapsed_s
        apply(state, paused)
        items = await self._recorder.pause([*segment.facts, paused], segment.taken, dump_state(state))
        if not items:
            segment.facts, segment.taken = [], []
            return paused
        state.status, state.elapsed_s = "running", before
        for form_id, form in state.forms.items():
            form.is_shown = form_id in shown
        self.deliver(items)
        return None

    async def _finish(self) -> Outcome:
        self._stop_executions()
        state, segment = self.state, self._segment
        if segment.abort is not None:
            status, error = "stopped", segment.abort
        elif segment.failure is not None:
            status, error = "failed", segment.failure
        else:
            status, error = ("partial-succeeded" if state.exceptions_count else "succeeded"), None
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
        self._record(finished)
        await self._flush()
        return finished

    def _stop_executions(self) -> None:
        """End what still executes; its text that readers have already becomes durable with it."""
        for task in self._segment.tasks.values():
            task.cancel()
        waiting = {form.opened.execution_id for form in self.state.forms.values()}
        for execution in list(self.state.executions.values()):
            if execution.execution_id not in waiting:
                self._record(stopped(self._clock.now(), self.state.node(execution), execution))
