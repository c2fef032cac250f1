"""The facts that a node's end makes: succeeded, failed, to be tried again, form opened, form answered."""

from typing import Any

from graph.errors import NodeError
from graph.events import FormOpened, FormSubmitted, FormTimedOut, NodeFinished, NodeRetried
from graph.nodes.human_input import submitted_result, timed_out_result
from graph.nodes.kind import FormAsked, NodeResult
from graph.plan import PlanNode
from graph.ports import InboxItem
from graph.run_state import Execution, OpenForm


def succeeded(
    now: float, node: PlanNode, execution: Execution, result: NodeResult, steps: int | None = None
) -> NodeFinished:
    """Return the fact of a node that did its work; ``steps``: the passes that a container reports."""
    return NodeFinished(
        now,
        node.id,
        execution.execution_id,
        execution.index,
        "succeeded",
        execution.started_at,
        result.inputs,
        result.outputs,
        result.handle,
        result.process_data,
        None,
        None,
        result.metadata,
        result.total_tokens,
        None,
        execution.scope,
        steps,
    )


def failed(
    now: float,
    node: PlanNode,
    execution: Execution,
    error: Exception,
    shown: NodeResult | None = None,
    steps: int | None = None,
) -> NodeFinished:
    """Return the fact of a node that failed: status ``exception`` where its error strategy lets the run go on.

    Args:
        now: when.
        node: the node.
        execution: its execution.
        error: why; of a NodeError the outputs are shown.
        shown: the inputs and metadata that the node shows all the same.
        steps: the passes that a container reports.

    Source: spec/graph.md 4.5.
    """
    reason, error_type = reason_of(error)
    strategy = node.data.error_strategy if node.data else None
    outputs: dict[str, Any] = (error.outputs if isinstance(error, NodeError) else None) or {}
    if strategy is not None:
        outputs = {"error_message": reason, "error_type": error_type}
        if strategy == "default-value" and node.data:
            outputs = {**node.data.default_outputs(), **outputs}
    metadata = {**((shown.metadata if shown else None) or {}), **({"error_strategy": strategy} if strategy else {})}
    return NodeFinished(
        now,
        node.id,
        execution.execution_id,
        execution.index,
        "failed" if strategy is None else "exception",
        execution.started_at,
        shown.inputs if shown else {},
        outputs,
        "fail-branch" if strategy == "fail-branch" else "source",
        error.process_data if isinstance(error, NodeError) else None,
        error=reason,
        error_type=error_type,
        metadata=metadata or None,
        scope=execution.scope,
        steps=steps,
    )


def reason_of(error: Exception) -> tuple[str, str]:
    """Return text and type of ``error`` as a workflow sees them."""
    return str(error) or type(error).__name__, error.error_type if isinstance(error, NodeError) else type(
        error
    ).__name__


def retried(now: float, node: PlanNode, execution: Execution, error: Exception) -> NodeRetried:
    """Return the fact that an attempt of a node failed and the next one follows."""
    return NodeRetried(
        now,
        node.id,
        execution.execution_id,
        execution.index,
        execution.retries + 1,
        execution.started_at,
        *reason_of(error),
        execution.scope,
    )


_WAITS_FOR = {
    "agent": "agents are not part of this version; call the model and the tools from llm and tool nodes",
    "knowledge-retrieval": "there is no knowledge base in this version; fetch texts with http-request or tool nodes",
    "knowledge-retrieval-v2": "there is no knowledge base in this version",
    "knowledge-index": "there is no knowledge base in this version",
    "trigger-webhook": "this version starts runs from a start node only, over the API",
    "trigger-schedule": "this version starts runs from a start node only, over the API",
    "trigger-plugin": "this version starts runs from a start node only, over the API",
    "datasource": "this version starts runs from a start node only, over the API",
}


def unsupported(kind: str) -> NodeError:
    """Return why a node of a kind without a step fails the run that reaches it."""
    reason = _WAITS_FOR.get(kind)
    tail = f": {reason}" if reason else ""
    return NodeError(f"nodes of kind {kind!r} are not supported{tail}", "UnsupportedNode")


def stopped(now: float, node: PlanNode, execution: Execution) -> NodeFinished:
    """Return the fact of a node that was cut off because its run ended."""
    return NodeFinished(
        now,
        node.id,
        execution.execution_id,
        execution.index,
        "stopped",
        execution.started_at,
        {},
        {},
        scope=execution.scope,
    )


def form_opened(now: float, execution: Execution, asked: FormAsked) -> FormOpened:
    """Return the fact that a human-input node asked its question."""
    request, opened = asked.request, asked.opened
    definition = {
        "form_content": request.form_content,
        "inputs": request.inputs,
        "actions": request.actions,
        "resolved_default_values": request.resolved_default_values,
        "node_title": request.node_title,
        "display_in_ui": opened.display_in_ui,
    }
    return FormOpened(
        now, request.node_id, execution.execution_id, opened.form_id, definition, opened.expires_at, execution.scope
    )


def answered(now: float, form: OpenForm, item: InboxItem, *, is_shown: bool) -> tuple[Any, NodeResult]:
    """Return the fact that ``form`` was answered or timed out, and what its node gives back.

    ``is_shown``: whether readers of this segment were shown the form already.
    """
    opened = form.opened
    place = (now, opened.node_id, opened.execution_id, opened.form_id)
    if item.kind == "timeout":
        timed_out = FormTimedOut(*place, opened.expires_at, is_shown, opened.scope)
        return timed_out, timed_out_result(opened.definition)
    result = submitted_result(opened.definition, item.action_id, item.values)
    fact = FormSubmitted(
        *place,
        item.action_id,
        result.outputs["__action_value"],
        item.values,
        result.outputs["__rendered_content"],
        is_shown,
        opened.scope,
    )
    return fact, result
