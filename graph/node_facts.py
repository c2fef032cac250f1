"""The facts that a node's end makes: succeeded, failed, form opened, form answered."""

from typing import Any

from graph.errors import NodeError
from graph.events import FormOpened, FormSubmitted, FormTimedOut, NodeFinished
from graph.nodes.human_input import submitted_result, timed_out_result
from graph.nodes.kind import FormAsked, NodeResult
from graph.plan import PlanNode
from graph.ports import InboxItem
from graph.run_state import Execution, OpenForm


def succeeded(now: float, node: PlanNode, execution: Execution, result: NodeResult) -> NodeFinished:
    """Return the fact of a node that did its work."""
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
    )


def failed(now: float, node: PlanNode, execution: Execution, error: Exception) -> NodeFinished:
    """Return the fact of a node that failed: status ``exception`` where its error strategy lets the run go on.

    Source: spec/graph.md 4.5.
    """
    reason = str(error) or type(error).__name__
    error_type = error.error_type if isinstance(error, NodeError) else type(error).__name__
    strategy = node.data.error_strategy if node.data else None
    outputs: dict[str, Any] = {}
    if strategy is not None:
        outputs = {"error_message": reason, "error_type": error_type}
        if strategy == "default-value" and node.data:
            outputs = {**node.data.default_outputs(), **outputs}
    return NodeFinished(
        now,
        node.id,
        execution.execution_id,
        execution.index,
        "failed" if strategy is None else "exception",
        execution.started_at,
        {},
        outputs,
        "fail-branch" if strategy == "fail-branch" else "source",
        error=reason,
        error_type=error_type,
        metadata={"error_strategy": strategy} if strategy else None,
        scope=execution.scope,
    )


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
