"""The ``data`` of every event of a run: which keys it has, in which order, at which level of detail.

What happened, and which events a fact gives, is decided in ``surfaces.projections``.

Source: spec/http.md 4.2-4.4, 4.7 and 15; spec/hitl.md 4.5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graph.events import (
    FormOpened,
    FormSubmitted,
    FormTimedOut,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    RunFinished,
    RunPaused,
    RunStarted,
    TextEmitted,
)
from graph.nodes.prompt_memory import HISTORY
from graph.variable_pool import is_file
from graph.workflow import Workflow
from hitl.disposition import Disposition, enrich_reason
from hitl.surface import Surface

JsonObject = dict[str, Any]

CONTAINER_KINDS: Final = frozenset({"iteration", "loop"})
"""Node types that are told by events of their own instead of node_started and node_finished."""
HIDDEN_KINDS: Final = frozenset({"iteration-start", "loop-start"})
"""Node types that readers never hear of."""
_SYSTEM_ORDER: Final = ("query", "files", "user_id", "app_id", "timestamp", "workflow_id", "workflow_run_id")
"""The order in which readers are shown the system values; others come after."""
_UNTOLD: Final = frozenset({"conversation_id", HISTORY})
"""System values that readers are not shown."""
_FULL_DETAIL: Final = frozenset({Surface.SERVICE_API, Surface.CONSOLE})


@dataclass(frozen=True, slots=True)
class NodeLabel:
    """What a reader is told of a node besides its id."""

    type: str
    title: str


@dataclass(frozen=True, slots=True)
class RunLabel:
    """What the facts of a run do not say: whose it is, what its nodes are called, where it is shown.

    ``created_by``: ``{id, user}`` of an end user, ``{id, name, email}`` of an account. ``created_at``: when the run
    was asked for, Unix seconds; None: when it started. ``app_id``: whose files its values may name.
    ``conversation_id``: that of a run that is a message, "" of others; the message has the id of the run.
    ``is_reduced``: node events without bodies, also where the surface would give them.
    """

    run_id: str
    workflow_id: str
    created_by: JsonObject
    nodes: Mapping[str, NodeLabel]
    surface: Surface
    created_at: float | None = None
    app_id: str = ""
    conversation_id: str = ""
    is_reduced: bool = False

    @property
    def is_full(self) -> bool:
        """Whether node events carry bodies here (full level) or not (simple level)."""
        return self.surface in _FULL_DETAIL and not self.is_reduced

    def node(self, node_id: str) -> NodeLabel:
        """Return the label of ``node_id``; an unknown node is called by its id."""
        return self.nodes.get(node_id) or NodeLabel("", node_id)


def node_labels(workflow: Workflow) -> dict[str, NodeLabel]:
    """Return node id -> label for every node of ``workflow``, those inside containers too."""
    return {node.id: NodeLabel(node.type, node.title) for node in workflow.nodes}


def message_of(label: RunLabel) -> JsonObject:
    """Return which message an event belongs to; nothing for a run that is none."""
    if not label.conversation_id:
        return {}
    at = int(label.created_at or 0.0)
    return {"conversation_id": label.conversation_id, "message_id": label.run_id, "created_at": at}


def envelope(label: RunLabel, name: str) -> JsonObject:
    """Return the outer fields of an event ``name`` that does not speak of the run as such."""
    return {"event": name, **message_of(label), "task_id": label.run_id}


def outer(label: RunLabel, name: str, data: JsonObject) -> JsonObject:
    """Return the whole event ``name`` around ``data``."""
    if label.conversation_id:
        return {**envelope(label, name), "workflow_run_id": label.run_id, "data": data}
    return {"event": name, "workflow_run_id": label.run_id, "task_id": label.run_id, "data": data}


def run_inputs(started: RunStarted) -> JsonObject:
    """Return the start inputs and, behind them, the sys values under ``sys.<name>``."""
    system = {name: started.system[name] for name in _SYSTEM_ORDER if name in started.system} | started.system
    shown = {f"sys.{name}": value for name, value in system.items() if name not in _UNTOLD}
    return {**started.inputs, **shown}


def workflow_started(label: RunLabel, started: RunStarted, at: float, reason: str) -> JsonObject:
    """Return the data of workflow_started; ``reason``: initial or resumption."""
    return {
        "id": label.run_id,
        "workflow_id": label.workflow_id,
        "inputs": run_inputs(started),
        "created_at": int(at),
        "reason": reason,
    }


def node_started(label: RunLabel, fact: NodeStarted) -> JsonObject:
    """Return the data of node_started."""
    node = label.node(fact.node_id)
    full = label.is_full
    return {
        "id": fact.execution_id,
        "node_id": fact.node_id,
        "node_type": node.type,
        "title": node.title,
        "index": fact.index,
        "predecessor_node_id": None,
        "inputs": None,
        **({"inputs_truncated": False} if full else {}),
        "created_at": int(fact.at),
        "extras": {},
        **_containers(label, fact.scope),
        **({"agent_strategy": None} if full else {}),
    }


def node_finished(label: RunLabel, fact: NodeFinished) -> JsonObject:
    """Return the data of node_finished."""
    # A node that a stop cut off is told as failed: clients know no fourth status here.
    status = "failed" if fact.status == "stopped" else fact.status
    return _finished_body(label, fact, status, fact.started_at)


def node_paused(label: RunLabel, started: NodeStarted, at: float) -> JsonObject:
    """Return the data of the node_finished by which a snapshot tells that a node waits for a person."""
    waiting = NodeFinished(
        at, started.node_id, started.execution_id, started.index, "succeeded", started.at, {}, {}, scope=started.scope
    )
    return _finished_body(label, waiting, "paused", started.at)


def node_retry(label: RunLabel, fact: NodeRetried) -> JsonObject:
    """Return the data of node_retry."""
    attempt = NodeFinished(
        fact.at,
        fact.node_id,
        fact.execution_id,
        fact.index,
        "failed",
        fact.started_at,
        {},
        {},
        error=fact.error,
        error_type=fact.error_type,
        scope=fact.scope,
    )
    return {**_whole_body(label, attempt, "retry", fact.started_at), "retry_index": fact.retry_index}


def _finished_body(label: RunLabel, fact: NodeFinished, status: str, started_at: float) -> JsonObject:
    body = _whole_body(label, fact, status, started_at)
    if label.is_full:
        return body
    hidden = {"inputs": None, "process_data": None, "outputs": None, "error": None, "execution_metadata": None}
    return {name: hidden.get(name, value) for name, value in body.items() if not name.endswith("_truncated")} | {
        "files": []
    }


def _whole_body(label: RunLabel, fact: NodeFinished, status: str, started_at: float) -> JsonObject:
    node = label.node(fact.node_id)
    return {
        "id": fact.execution_id,
        "node_id": fact.node_id,
        "node_type": node.type,
        "title": node.title,
        "index": fact.index,
        "predecessor_node_id": None,
        "inputs": fact.inputs,
        "inputs_truncated": False,
        "process_data": fact.process_data,
        "process_data_truncated": False,
        "outputs": fact.outputs,
        "outputs_truncated": False,
        "status": status,
        "error": fact.error,
        "elapsed_time": round(max(0.0, fact.at - started_at), 6),
        "execution_metadata": {**(fact.metadata or {}), **pass_of(label, fact.scope)} if fact.scope else fact.metadata,
        "created_at": int(started_at),
        "finished_at": int(fact.at),
        "files": files_in(fact.outputs),
        **_containers(label, fact.scope),
    }


def text_event(label: RunLabel, text: str, selector: Sequence[str]) -> JsonObject:
    """Return the whole event that tells more text: text_chunk, or message in a conversation."""
    source = list(selector) or None
    if label.conversation_id:
        told = {"id": label.run_id, "answer": text, "from_variable_selector": source}
        return {**envelope(label, "message"), **told}
    return outer(label, "text_chunk", {"text": text, "from_variable_selector": source})


def replace_event(label: RunLabel, text: str) -> JsonObject:
    """Return the whole event by which ``text`` takes the place of all before: text_replace, or message_replace."""
    if label.conversation_id:
        return {**envelope(label, "message_replace"), "answer": text, "reason": ""}
    return outer(label, "text_replace", {"text": text})


def text_of(fact: TextEmitted) -> str:
    """Return the whole text of ``fact``."""
    return "".join(fact.texts)


def human_input_required(label: RunLabel, form: FormOpened, disposition: Disposition | None) -> JsonObject:
    """Return the data of human_input_required; without a disposition nobody can use the form from here."""
    shown = disposition or Disposition()
    asked = form.definition
    return {
        "form_id": form.form_id,
        "node_id": form.node_id,
        "node_title": _title(label, form),
        "form_content": asked.get("form_content", ""),
        "inputs": asked.get("inputs", []),
        "actions": asked.get("actions", []),
        "display_in_ui": bool(asked.get("display_in_ui", False)),
        "form_token": shown.form_token,
        "approval_channels": list(shown.approval_channels),
        "resolved_default_values": asked.get("resolved_default_values", {}),
        "expiration_time": int(form.expires_at),
        **pass_of(label, form.scope),
    }


def form_filled(label: RunLabel, form: FormOpened, fact: FormSubmitted) -> JsonObject:
    """Return the data of human_input_form_filled."""
    return {
        "node_id": fact.node_id,
        "node_title": _title(label, form),
        "rendered_content": fact.rendered_content,
        "action_id": fact.action_id,
        "action_text": fact.action_text,
        "submitted_data": fact.values,
        **pass_of(label, fact.scope),
    }


def form_timed_out(label: RunLabel, form: FormOpened, fact: FormTimedOut) -> JsonObject:
    """Return the data of human_input_form_timeout."""
    return {
        "node_id": fact.node_id,
        "node_title": _title(label, form),
        "expiration_time": int(fact.expires_at),
        **pass_of(label, fact.scope),
    }


def pause_reasons(
    label: RunLabel, forms: Sequence[FormOpened], dispositions: Mapping[str, Disposition]
) -> list[JsonObject]:
    """Return one human_input_required reason for each form, in order."""
    expires = {form.form_id: form.expires_at for form in forms}
    return [enrich_reason(_reason(label, form), dispositions, expires) for form in forms]


def _scheduled(message: str | None) -> list[JsonObject]:
    """Return the reason of a run that was told to pause, if it was."""
    return [] if message is None else [{"TYPE": "scheduled_pause", "message": message}]


def workflow_paused(
    label: RunLabel,
    fact: RunPaused,
    forms: Sequence[FormOpened],
    dispositions: Mapping[str, Disposition],
    created_at: float,
) -> JsonObject:
    """Return the data of workflow_paused; callers of ``/v1`` are not shown the outputs so far."""
    return {
        "workflow_run_id": label.run_id,
        "paused_nodes": list(dict.fromkeys(form.node_id for form in forms)),
        "outputs": {} if label.surface is Surface.SERVICE_API else fact.outputs,
        "reasons": [*pause_reasons(label, forms, dispositions), *_scheduled(fact.message)],
        "status": "paused",
        "created_at": int(created_at),
        "elapsed_time": fact.elapsed_s,
        "total_tokens": fact.total_tokens,
        "total_steps": fact.total_steps,
    }


def workflow_finished(label: RunLabel, fact: RunFinished, created_at: float) -> JsonObject:
    """Return the data of workflow_finished."""
    return {
        "id": label.run_id,
        "workflow_id": label.workflow_id,
        "status": fact.status,
        "outputs": fact.outputs,
        "error": fact.error,
        "elapsed_time": fact.elapsed_s,
        "total_tokens": fact.total_tokens,
        "total_steps": fact.total_steps,
        "created_by": label.created_by,
        "created_at": int(created_at),
        "finished_at": int(fact.at),
        "exceptions_count": fact.exceptions_count,
        "files": files_in(fact.outputs),
    }


def files_in(outputs: Mapping[str, Any]) -> list[JsonObject]:
    """Return the files among ``outputs``: values that are a file, and files in values that are a list."""
    values = (each for value in outputs.values() for each in (value if isinstance(value, list) else (value,)))
    return [value for value in values if is_file(value)]


def pass_of(label: RunLabel, scope: str) -> JsonObject:
    """Return container id and pass of each step of a scope path; nothing at the top level.

    Front ends key the state of a form by its node id, which repeats from pass to pass.
    """
    found: JsonObject = {}
    for step in filter(None, scope.split("/")):
        container, _, number = step.rpartition(":")
        if (kind := label.node(container).type) in CONTAINER_KINDS:
            found[f"{kind}_id"] = container
            found[f"{kind}_index"] = int(number)
    return found


def _reason(label: RunLabel, form: FormOpened) -> JsonObject:
    asked = form.definition
    return {
        "TYPE": "human_input_required",
        "form_id": form.form_id,
        "form_content": asked.get("form_content", ""),
        "inputs": asked.get("inputs", []),
        "actions": asked.get("actions", []),
        "node_id": form.node_id,
        "node_title": _title(label, form),
        "resolved_default_values": asked.get("resolved_default_values", {}),
        **pass_of(label, form.scope),
    }


def _title(label: RunLabel, form: FormOpened) -> str:
    return form.definition.get("node_title") or label.node(form.node_id).title


def _containers(label: RunLabel, scope: str) -> JsonObject:
    """Return iteration_id and loop_id of a scope path: the innermost container of each type, else null."""
    found: JsonObject = {"iteration_id": None, "loop_id": None}
    for step in filter(None, scope.split("/")):
        container = step.rpartition(":")[0]
        if (kind := label.node(container).type) in CONTAINER_KINDS:
            found[f"{kind}_id"] = container
    return found
