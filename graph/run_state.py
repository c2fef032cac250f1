"""The state of a run, and ``apply``: the one function that changes it, fact by fact.

``apply(state, fact)`` is deterministic and does no I/O, so replaying a journal gives the state of the run that wrote
it. The engine applies each fact as it makes it; recovery applies the stored ones.
"""

from dataclasses import dataclass
from typing import Any, Literal, assert_never

from graph.events import (
    Fact,
    FormOpened,
    FormSubmitted,
    FormTimedOut,
    NodeFinished,
    NodeStarted,
    RunFinished,
    RunPaused,
    RunRecovered,
    RunResumed,
    RunStarted,
    TextEmitted,
)
from graph.plan import Plan, PlanNode
from graph.response_stream import Emission, ResponseStream
from graph.routing import ScopeState
from graph.variable_pool import VariablePool

RunStatus = Literal["new", "running", "paused", "succeeded", "failed", "stopped", "partial-succeeded"]


@dataclass(slots=True)
class Execution:
    """One execution of a node that has begun and not ended."""

    execution_id: str
    scope: str
    node: int
    index: int
    started_at: float


@dataclass(slots=True)
class OpenForm:
    """A form that waits for its answer. ``is_shown``: the pause before this segment showed it to readers."""

    opened: FormOpened
    is_shown: bool = False


class RunState:
    """Everything a run is at one fact of its journal. Only ``apply`` changes it."""

    __slots__ = (
        "attempt", "elapsed_s", "exceptions_count", "executions", "forms", "last_at", "outputs", "plan", "pool",
        "ready", "scopes", "segment_started_at", "started_at", "status", "streams", "total_steps", "total_tokens",
    )  # fmt: skip

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.status: RunStatus = "new"
        self.pool = VariablePool()
        top = ScopeState(plan.top, "", self.pool)
        self.scopes: dict[str, ScopeState] = {"": top}
        self.streams: dict[str, ResponseStream] = {"": ResponseStream(plan.top)}
        self.ready: dict[tuple[str, int], None] = {}
        """Nodes to start, first in first out, as keys (scope path, node index)."""
        self.executions: dict[str, Execution] = {}
        self.forms: dict[str, OpenForm] = {}
        self.outputs: dict[str, Any] = {}
        self.exceptions_count = 0
        self.total_steps = 0
        self.total_tokens = 0
        self.started_at = 0.0
        self.last_at = 0.0
        """When the last node began or ended."""
        self.segment_started_at = 0.0
        self.elapsed_s = 0.0
        self.attempt = 1

    def node(self, execution: Execution) -> PlanNode:
        """Return the planned node of an execution."""
        return self.scopes[execution.scope].plan.nodes[execution.node]

    def put_environment(self) -> None:
        """Put the workflow's environment variables into the pool."""
        self.pool.put("env", {variable.name: variable.value for variable in self.plan.workflow.environment})

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
            return _start_node(state, fact)
        case TextEmitted():
            return _NO_EMISSIONS
        case RunStarted():
            return _start_run(state, fact)
        case FormOpened():
            state.forms[fact.form_id] = OpenForm(fact)
        case FormSubmitted() | FormTimedOut():
            state.forms.pop(fact.form_id, None)
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
        case _:
            assert_never(fact)
    return _NO_EMISSIONS


def _start_run(state: RunState, fact: RunStarted) -> list[Emission]:
    state.status = "running"
    state.started_at = state.segment_started_at = state.last_at = fact.at
    root = state.plan.top.nodes[state.plan.top.root]
    state.pool.put(root.id, fact.inputs)
    state.pool.put("sys", fact.system)
    state.put_environment()
    workflow = state.plan.workflow
    if workflow.mode == "advanced-chat":
        defaults = {variable.name: variable.value for variable in workflow.conversation}
        state.pool.put("conversation", {**defaults, **fact.conversation})
    top = state.scopes[""]
    for node in top.begin():
        state.ready[("", node)] = None
    return state.streams[""].start(state.pool, top.settled)


def _start_node(state: RunState, fact: NodeStarted) -> list[Emission]:
    scope = state.scopes[fact.scope]
    node = scope.plan.node_index[fact.node_id]
    state.ready.pop((fact.scope, node), None)
    if fact.execution_id not in state.executions:
        state.total_steps += 1
        state.last_at = fact.at
        state.executions[fact.execution_id] = Execution(fact.execution_id, fact.scope, node, fact.index, fact.at)
    return _NO_EMISSIONS


def _finish_node(state: RunState, fact: NodeFinished) -> list[Emission]:
    execution = state.executions.pop(fact.execution_id)
    scope = state.scopes[fact.scope]
    node = scope.plan.nodes[execution.node]
    state.total_tokens += fact.total_tokens
    state.last_at = fact.at
    if fact.status in ("failed", "exception"):
        state.exceptions_count += 1
    if fact.status in ("failed", "stopped"):
        return state.streams[fact.scope].settle(execution.node, fact.streamed, (), scope.pool, scope.settled)
    scope.pool.put(node.id, fact.outputs)
    if node.is_response:
        _merge_outputs(state.outputs, fact.outputs)
    taken, ready = scope.end_node(execution.node, fact.handle, node.is_branch)
    for index in ready:
        state.ready[(fact.scope, index)] = None
    return state.streams[fact.scope].settle(execution.node, fact.streamed, taken, scope.pool, scope.settled)


def _merge_outputs(outputs: dict[str, Any], added: dict[str, Any]) -> None:
    """Merge a response node's outputs: ``answer`` is appended, every other key overwrites (spec/graph.md 4.3)."""
    for name, value in added.items():
        if name == "answer" and isinstance(outputs.get("answer"), str):
            outputs["answer"] += value
        else:
            outputs[name] = value
