"""Nodes that reach outside, as tasks: started when what precedes them is durable, cut when their run or pass ends."""

import asyncio
from collections.abc import Callable

from graph.inflight import InFlight
from graph.nodes.kind import EffectContext, EffectStep, FormAsked, NodeResult
from graph.ports import Effects
from graph.run_state import Execution, RunState
from graph.segment import Ended, Segment


class EffectTasks:
    """The effect tasks of one segment of a run."""

    def __init__(
        self,
        run_id: str,
        state: RunState,
        segment: Segment,
        effects: Effects,
        inflight: InFlight,
        can_tell: Callable[[], bool],
    ) -> None:
        self._run_id = run_id
        self._state = state
        self._segment = segment
        self._effects = effects
        self._inflight = inflight
        self._can_tell = can_tell

    def begin(self, execution: Execution, delay_s: float = 0.0) -> None:
        """Start the task of an effectful node, or note it for after the next append.

        Opening a form needs no durable fact before it: the form is keyed by the derived execution id.
        """
        if self._state.node(execution).opens_form:
            self._start(execution, delay_s)
        else:
            self._segment.effects.append((execution, delay_s))

    def start_noted(self) -> None:
        """Start what was noted; all facts before are durable now."""
        effects, self._segment.effects = self._segment.effects, []
        for execution, delay_s in effects:
            self._start(execution, delay_s)

    def cut(self, execution: Execution) -> None:
        """Take the task of an execution away, whether it was noted, runs, or has ended without being heard."""
        segment = self._segment
        segment.effects = [noted for noted in segment.effects if noted[0] is not execution]
        task = segment.tasks.pop(execution.execution_id, None)
        if task is not None:
            task.cancel()
            segment.cut.append(task)

    async def close(self) -> None:
        """Cancel every task and wait until each is gone."""
        segment = self._segment
        tasks = [*segment.tasks.values(), *segment.cut]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
        segment.tasks.clear()
        segment.cut.clear()

    def _start(self, execution: Execution, delay_s: float) -> None:
        node = self._state.node(execution)
        assert node.effect is not None
        emit = self._inflight.begin(execution, node, self._can_tell)
        context = EffectContext(self._run_id, node.id, execution.execution_id, self._effects, emit)
        work = self._perform(execution, node.effect, context, delay_s)
        self._segment.tasks[execution.execution_id] = asyncio.get_running_loop().create_task(work, name=node.id)

    async def _perform(self, execution: Execution, step: EffectStep, context: EffectContext, delay_s: float) -> None:
        result: NodeResult | FormAsked | None = None
        failure = None
        if delay_s:
            await asyncio.sleep(delay_s)
        try:
            result = await step(self._state.scopes[execution.scope].pool, context)
        except Exception as error:  # boundary: whatever a node raises fails that node, not the engine  # noqa: BLE001
            failure = error
        self._segment.ended.append(Ended(execution, result, failure))
        self._segment.wake.set()
