"""When the passes of iterations and loops begin and end, and what a container then gives.

Every decision follows from the state alone, so a run that was restored at any fact decides the same. What a pass or a
container in flight is lies in ``graph.container_run``; how facts change it, in ``graph.run_state``.

Source: spec/graph.md 4.9 and 4.10.
"""

from collections.abc import Callable
from typing import Any

from graph.container_run import ContainerRun
from graph.errors import NodeError
from graph.events import ContainerStarted, PassFinished, PassStarted
from graph.ledger import Ledger
from graph.node_facts import failed, reason_of, stopped, succeeded
from graph.nodes.kind import Container, NodeResult
from graph.plan import PlanNode
from graph.ports import Clock
from graph.routing import ScopeState
from graph.run_state import Execution, RunState

_STOPPED_BESIDE = "stopped, because another pass failed"


class Containers:
    """Drives the containers of one run. ``cut``: takes an execution's task away, if it has one."""

    def __init__(self, state: RunState, ledger: Ledger, clock: Clock, cut: Callable[[Execution], None]) -> None:
        self._state = state
        self._ledger = ledger
        self._clock = clock
        self._cut = cut

    def begin(self, node: PlanNode, execution: Execution) -> None:
        """Begin the passes of a container that has started; it may end at once.

        Raises:
            Exception: what it goes through cannot be had; nothing was recorded.
        """
        assert node.container is not None
        scope = execution.scope
        begun = node.container.begin(self._state.scopes[scope].pool)
        id_ = execution.execution_id
        now = self._clock.now()
        self._ledger.record(ContainerStarted(now, node.id, id_, begun.inputs, begun.length, begun.is_over, scope))
        if self._advance(self._state.containers[id_]):
            self.settle(scope)

    def settle(self, path: str) -> None:
        """Go on after a node ended in the scope ``path``: end its pass if that is over, and so on outwards."""
        state = self._state
        while path:
            scope = state.scopes[path]
            if scope.active_count and scope.failure is None:
                return
            run = state.containers[scope.owner]
            self._end_pass(run, scope)
            if not self._advance(run):
                return
            path = run.scope

    def go_on(self) -> None:
        """Go on where a restored run stopped in the middle of a decision."""
        for path in list(reversed(self._state.scopes)):
            if path in self._state.scopes:
                self.settle(path)
        for run in list(reversed(self._state.containers.values())):
            if run.execution_id in self._state.containers and self._advance(run):
                self.settle(run.scope)

    def give_up_waiting(self) -> bool:
        """End the passes that only people could bring on, of containers that fail anyway; whether there were any."""
        run = next((run for run in self._state.containers.values() if run.error is not None), None)
        if run is None:
            return False
        scopes = [scope for scope in self._state.scopes.values() if scope.owner == run.execution_id]
        for scope in scopes:
            self._fail_pass(run, scope, _STOPPED_BESIDE)
        if self._advance(run):
            self.settle(run.scope)
        return True

    def _container(self, run: ContainerRun) -> tuple[PlanNode, Container]:
        node = self._state.scopes[run.scope].plan.nodes[run.node]
        assert node.container is not None
        return node, node.container

    def _advance(self, run: ContainerRun) -> bool:
        """Begin as many passes as may be in flight, or end the container after its last one; whether it ended."""
        node, container = self._container(run)
        while run.may_begin(container.parallel_nums):
            index = run.begun_count
            so_far = container.outputs(run.results) if container.is_loop and index else None
            now = self._clock.now()
            self._ledger.record(PassStarted(now, node.id, run.execution_id, index, so_far, run.scope))
            scope = next(reversed(self._state.scopes.values()))
            if not scope.active_count:
                self._end_pass(run, scope)
        if run.in_flight:
            return False
        self._end(run, node, container)
        return True

    def _end_pass(self, run: ContainerRun, scope: ScopeState) -> None:
        if scope.failure is not None:
            self._fail_pass(run, scope, scope.failure)
            return
        node, container = self._container(run)
        try:
            is_break = not run.is_over and container.should_break(scope.pool)
        except Exception as error:  # boundary: as for pure nodes  # noqa: BLE001
            self._fail_pass(run, scope, reason_of(error)[0])
            return
        now = self._clock.now()
        fact = PassFinished(now, node.id, run.execution_id, scope.index, "succeeded", None, is_break, run.scope)
        self._ledger.record(fact)

    def _fail_pass(self, run: ContainerRun, scope: ScopeState, error: str) -> None:
        """End a pass that failed, and before that what still executes inside of it, the inner ones first."""
        state, inside = self._state, f"{scope.path}/"
        for execution in reversed(list(state.executions.values()) if scope.active_count else []):
            if execution.scope == scope.path or execution.scope.startswith(inside):
                self._cut(execution)
                self._ledger.record(stopped(self._clock.now(), state.node(execution), execution))
        node, _ = self._container(run)
        now = self._clock.now()
        fact = PassFinished(now, node.id, run.execution_id, scope.index, "failed", error, False, run.scope)
        self._ledger.record(fact)

    def _end(self, run: ContainerRun, node: PlanNode, container: Container) -> None:
        execution = self._state.executions[run.execution_id]
        rounds = run.begun_count
        steps = 0 if container.is_loop and not rounds else run.length
        result = NodeResult(container.outputs(run.results), run.inputs, metadata=_metadata(run, container))
        now = self._clock.now()
        if run.error is None:
            self._ledger.record(succeeded(now, node, execution, result, steps))
            return
        outputs = {} if container.is_loop else result.outputs
        error_type = "LoopNodeError" if container.is_loop else "IterationNodeError"
        self._ledger.record(failed(now, node, execution, NodeError(run.error, error_type, outputs), result, steps))


def _metadata(run: ContainerRun, container: Container) -> dict[str, Any]:
    usage = {"total_tokens": run.total_tokens, "total_price": run.total_price, "currency": "USD"}
    if not container.is_loop:
        return {**usage, "iteration_duration_map": run.durations_s}
    is_broken = run.is_over and run.error is None
    return {
        **usage,
        "loop_duration_map": run.durations_s,
        "loop_variable_map": {str(index): values for index, values in run.results.items()},
        "completed_reason": "error" if run.error is not None else "loop_break" if is_broken else "loop_completed",
    }
