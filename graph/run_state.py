"""The state of a run, and ``apply``: the one function that changes it, fact by fact.

``apply(state, fact)`` is deterministic and does no I/O, so replaying a journal gives the state of the run that wrote
it. The engine applies each fact as it makes it; recovery applies the stored ones.
"""

from dataclasses import dataclass
from typing import Any, Literal, assert_never

from graph.container_run import ContainerRun
from graph.events import (
    ContainerStarted,
    Fact,
    FormOpened,
    FormSubmitted,
    FormTimedOut,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    PassFinished,
    PassStarted,
    RunFinished,
    RunPaused,
    RunRecovered,
    RunResumed,
    RunStarted,
    TextEmitted,
    TextWithdrawn,
    VariableUpdated,
)
from graph.plan import Plan, PlanNode, pass_path
from graph.response_stream import Emission
from graph.routing import ScopeState
from graph.variable_pool import VariablePool

RunStatus = Literal["new", "running", "paused", "succeeded", "failed", "stopped", "partial-succeeded"]


@dataclass(slots=True)
class Execution:
    """One execution of a node that has begun and not ended. ``retries``: attempts of it that failed."""

    execution_id: str
    scope: str
    node: int
    index: int
    started_at: float
    retries: int = 0


@dataclass(slots=True)
class OpenForm:
    """A form that waits for its answer. ``is_shown``: the pause before this segment showed it to readers."""

    opened: FormOpened
    is_shown: bool = False


class RunState:
    """Everything a run is at one fact of its journal. Only ``apply`` changes it."""

    __slots__ = (
        "attempt", "containers", "elapsed_s", "exceptions_count", "executions", "forms", "last_at", "plan", "pool",
        "ready", "scopes", "segment_started_at", "started_at", "status", "top", "total_steps", "total_tokens",
    )  # fmt: skip

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.status: RunStatus = "new"
        self.pool = VariablePool()
        self.top = ScopeState(plan.top, "", self.pool)
        self.scopes: dict[str, ScopeState] = {"": self.top}
        """The top level and every pass in flight, by scope path, outer ones before their inner ones."""
        self.containers: dict[str, ContainerRun] = {}
        """Every container in flight, by execution id."""
        self.ready: dict[tuple[str, int], None] = {}
        """Nodes to start, first in first out, as keys (scope path, node index)."""
        self.executions: dict[str, Execution] = {}
        self.forms: dict[str, OpenForm] = {}
        self.exceptions_count = 0
        self.total_steps = 0
        self.total_tokens = 0
        self.started_at = 0.0
        self.last_at = 0.0
        """When the last node began or ended."""
        self.segment_started_at = 0.0
        self.elapsed_s = 0.0
        self.attempt = 1

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs of the run so far."""
        return self.top.outputs

    def node(self, execution: Execution) -> PlanNode:
        """Return the planned node of an execution."""
        return self.scopes[execution.scope].plan.nodes[execution.node]

    def waiting_executions(self) -> set[str]:
        """Return the ids of the executions that wait for the answer to a form."""
        return {form.opened.execution_id for form in self.forms.values()}

    def is_audible(self, path: str) -> bool:
        """Whether text of the scope ``path`` reaches the reader now: no earlier pass of a container is in flight."""
        scope = self.scopes[path]
        while scope.path:
            run = self.containers[scope.owner]
            if scope.index != run.speaking:
                return False
            scope = self.scopes[run.scope]
        return True

    def open_scope(self, run: ContainerRun, index: int) -> ScopeState:
        """Return the new scope of pass ``index`` of a container."""
        around = self.scopes[run.scope]
        node = around.plan.nodes[run.node]
        assert node.container is not None
        path = pass_path(run.scope, node.id, index)
        pool = VariablePool(around.pool, writes_through=node.container.is_loop)
        scope = self.scopes[path] = ScopeState(self.plan.scopes[node.id], path, pool, run.execution_id, index)
        return scope

    def put_environment(self) -> None:
        """Put the workflow's environment variables into the pool."""
        self.pool.put("env", self.plan.workflow.environment_values)

    def elapsed_at(self, now: float) -> float:
        """Return the seconds the run has executed by ``now``, without its waiting for people."""
        if self.status == "paused":
            return self.elapsed_s
        return self.elapsed_s + max(0.0, now - self.segment_started_at)


_NO_EMISSIONS: list[Emission] = []


def apply(state: RunState, fact: Fact) -> list[Emission]:
    """Change ``state`` by ``fact``; return the text that the reader gets because of it.

    On a replay the emissions are dropped: the TextEmitted facts beside carry them.
    """
    match fact:
        case NodeFinished():
            return _finish_node(state, fact)
        case NodeStarted():
            _start_node(state, fact)
        case PassStarted():
            return _start_pass(state, fact)
        case PassFinished():
            return _finish_pass(state, fact)
        case VariableUpdated():
            _update_variable(state, fact)
        case TextEmitted() | TextWithdrawn():
            pass
        case ContainerStarted():
            _start_container(state, fact)
        case NodeRetried():
            state.exceptions_count += 1
            state.executions[fact.execution_id].retries = fact.retry_index
        case FormOpened():
            state.forms[fact.form_id] = OpenForm(fact)
        case FormSubmitted() | FormTimedOut():
            state.forms.pop(fact.form_id, None)
        case RunStarted():
            return _start_run(state, fact)
        case RunPaused() | RunResumed() | RunRecovered() | RunFinished():
            _change_status(state, fact)
        case _:
            assert_never(fact)
    return _NO_EMISSIONS


def _change_status(state: RunState, fact: RunPaused | RunResumed | RunRecovered | RunFinished) -> None:
    match fact:
        case RunPaused():
            state.status = "paused"
            state.elapsed_s = fact.elapsed_s
            for form_id in fact.form_ids:
                state.forms[form_id].is_shown = True
        case RunResumed():
            state.status = "running"
            state.segment_started_at = fact.at
        case RunRecovered():
            state.attempt = fact.attempt
            state.elapsed_s = fact.elapsed_s
            state.segment_started_at = fact.at
        case RunFinished():
            state.status = fact.status
            state.elapsed_s = fact.elapsed_s
            state.executions.clear()
            state.forms.clear()
            state.ready.clear()
            state.containers.clear()
            state.scopes = {"": state.top}


def _start_run(state: RunState, fact: RunStarted) -> list[Emission]:
    state.status = "running"
    state.started_at = state.segment_started_at = state.last_at = fact.at
    top = state.top
    state.pool.put(top.plan.nodes[top.plan.root].id, fact.inputs)
    state.pool.put("sys", fact.system)
    state.put_environment()
    workflow = state.plan.workflow
    if workflow.mode == "advanced-chat":
        defaults = {variable.name: variable.value for variable in workflow.conversation}
        state.pool.put("conversation", {**defaults, **fact.conversation})
    _make_ready(state, top, top.begin())
    return top.stream.start(state.pool, top.settled)


def _make_ready(state: RunState, scope: ScopeState, nodes: list[int]) -> None:
    for index in nodes:
        state.ready[(scope.path, index)] = None
    scope.active_count += len(nodes)


def _start_node(state: RunState, fact: NodeStarted) -> None:
    scope = state.scopes[fact.scope]
    node = scope.plan.node_index[fact.node_id]
    state.ready.pop((fact.scope, node), None)
    if fact.execution_id not in state.executions:
        state.total_steps += 1
        state.last_at = fact.at
        state.executions[fact.execution_id] = Execution(fact.execution_id, fact.scope, node, fact.index, fact.at)


def _finish_node(state: RunState, fact: NodeFinished) -> list[Emission]:
    execution = state.executions.pop(fact.execution_id)
    scope = state.scopes[fact.scope]
    node = scope.plan.nodes[execution.node]
    state.total_tokens += fact.total_tokens
    state.last_at = fact.at
    scope.active_count -= 1
    if fact.scope and (fact.metadata or fact.total_tokens):
        state.containers[scope.owner].add_usage(fact)
    if node.container is not None:
        _forget_container(state, fact)
    if fact.status in ("failed", "exception"):
        state.exceptions_count += 1
    if fact.status in ("failed", "stopped"):
        return _fail_node(state, scope, execution, fact)
    scope.pool.put(node.id, fact.outputs)
    if node.is_response:
        scope.merge_outputs(fact.outputs)
    if node.breaks_loop:
        _break_loop(state, scope)
    taken, ready = scope.end_node(execution.node, fact.handle, node.is_branch)
    _make_ready(state, scope, ready)
    return _release(state, scope, scope.stream.settle(execution.node, fact.streamed, taken, scope.pool, scope.settled))


def _fail_node(state: RunState, scope: ScopeState, execution: Execution, fact: NodeFinished) -> list[Emission]:
    node = scope.plan.nodes[execution.node]
    if fact.status == "failed" and scope.failure is None:
        scope.failure = f"{node.title or node.id} ({node.id}): {fact.error}"
    if node.opens_form:
        for form_id in [key for key, form in state.forms.items() if form.opened.execution_id == fact.execution_id]:
            del state.forms[form_id]
    return _release(state, scope, scope.stream.settle(execution.node, fact.streamed, (), scope.pool, scope.settled))


def _release(state: RunState, scope: ScopeState, emissions: list[Emission]) -> list[Emission]:
    """Return what of ``emissions`` the reader gets now; a pass that is not the first in flight is held back."""
    while emissions and scope.path:
        run = state.containers[scope.owner]
        if scope.index != run.speaking:
            run.held_back.setdefault(scope.index, []).extend(emissions)
            return _NO_EMISSIONS
        scope = state.scopes[run.scope]
    return emissions


def _break_loop(state: RunState, scope: ScopeState) -> None:
    """Let the nearest loop around ``scope`` end with its present round."""
    while scope.path:
        run = state.containers[scope.owner]
        scope = state.scopes[run.scope]
        container = scope.plan.nodes[run.node].container
        if container is not None and container.is_loop:
            run.is_over = True
            return


def _start_container(state: RunState, fact: ContainerStarted) -> None:
    execution = state.executions[fact.execution_id]
    run = state.containers[fact.execution_id] = ContainerRun.of(fact, execution.node)
    scope = state.scopes[run.scope]
    container = scope.plan.nodes[run.node].container
    if container is not None and container.is_loop:
        scope.pool.put(fact.node_id, fact.inputs)


def _start_pass(state: RunState, fact: PassStarted) -> list[Emission]:
    run = state.containers[fact.execution_id]
    run.begin_pass(fact)
    container = state.scopes[run.scope].plan.nodes[run.node].container
    assert container is not None
    scope = state.open_scope(run, fact.index)
    values = container.pass_values(run.inputs, fact.index)
    if values:
        scope.pool.put(fact.node_id, values)
    ready = scope.begin()
    emissions = scope.stream.start(scope.pool, scope.settled)
    if scope.plan.is_root_hidden:
        taken, ready = scope.end_node(scope.plan.root, "source", False)
        emissions += scope.stream.settle(scope.plan.root, None, taken, scope.pool, scope.settled)
    _make_ready(state, scope, ready)
    return _release(state, scope, emissions)


def _finish_pass(state: RunState, fact: PassFinished) -> list[Emission]:
    run = state.containers[fact.execution_id]
    around = state.scopes[run.scope]
    container = around.plan.nodes[run.node].container
    assert container is not None
    path = pass_path(run.scope, fact.node_id, fact.index)
    ended = state.scopes.pop(path)
    _forget_ready(state, ended)
    return _release(state, around, run.end_pass(fact, ended, around, container))


def _forget_container(state: RunState, fact: NodeFinished) -> None:
    """Drop a container that ended, and the passes that were cut with it; containers inside of them ended before."""
    run = state.containers.pop(fact.execution_id, None)
    for index in run.in_flight if run else ():
        _forget_ready(state, state.scopes.pop(pass_path(fact.scope, fact.node_id, index)))


def _forget_ready(state: RunState, ended: ScopeState) -> None:
    """Let the nodes never start that were to start in a pass that ended."""
    if ended.active_count:
        for key in [key for key in state.ready if key[0] == ended.path]:
            del state.ready[key]


def _update_variable(state: RunState, fact: VariableUpdated) -> None:
    if fact.execution_id:
        state.scopes[fact.scope].pool.update(fact.selector, fact.value)
        return
    for scope in state.scopes.values():
        if not scope.path or scope.pool.holds(fact.selector):
            scope.pool.put(fact.selector[0], {fact.selector[1]: fact.value})
