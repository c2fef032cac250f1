"""The ``data`` of the events of iterations and loops, and how an event says in which pass it happened.

Source: spec/http.md 4.3; spec/hitl.md 4.5.
"""

from typing import Final

from graph.events import ContainerStarted, NodeFinished, PassStarted
from surfaces.event_shapes import JsonObject, RunLabel, pass_of

_LENGTH_KEYS: Final = {"iteration": "iteration_length", "loop": "loop_length"}


def container_started(label: RunLabel, fact: ContainerStarted) -> tuple[str, JsonObject]:
    """Return name and data of iteration_started or loop_started."""
    kind = label.node(fact.node_id).type
    return f"{kind}_started", {
        **_head(label, fact.node_id),
        "created_at": int(fact.at),
        "extras": {},
        "metadata": {_LENGTH_KEYS.get(kind, "length"): fact.length},
        "inputs": fact.inputs,
        "inputs_truncated": False,
        **pass_of(label, fact.scope),
    }


def pass_started(label: RunLabel, fact: PassStarted) -> tuple[str, JsonObject] | None:
    """Return name and data of iteration_next or loop_next; a loop's first round has no such event."""
    kind = label.node(fact.node_id).type
    if kind == "loop" and not fact.index:
        return None
    return f"{kind}_next", {
        **_head(label, fact.node_id),
        "index": fact.index,
        "created_at": int(fact.at),
        **({"pre_loop_output": fact.so_far or {}} if kind == "loop" else {}),
        "extras": {},
        **pass_of(label, fact.scope),
    }


def container_finished(label: RunLabel, fact: NodeFinished) -> tuple[str, JsonObject]:
    """Return name and data of iteration_completed or loop_completed, which tell a failure too."""
    metadata = fact.metadata or {}
    return f"{label.node(fact.node_id).type}_completed", {
        **_head(label, fact.node_id),
        "outputs": fact.outputs,
        "outputs_truncated": False,
        "created_at": int(fact.started_at),
        "extras": {},
        "inputs": fact.inputs,
        "inputs_truncated": False,
        "status": "succeeded" if fact.status == "succeeded" else "failed",
        "error": None,
        "elapsed_time": round(max(0.0, fact.at - fact.started_at), 6),
        "total_tokens": metadata.get("total_tokens", 0),
        "execution_metadata": metadata,
        "finished_at": int(fact.at),
        "steps": fact.steps or 0,
        **pass_of(label, fact.scope),
    }


def _head(label: RunLabel, node_id: str) -> JsonObject:
    node = label.node(node_id)
    return {"id": node_id, "node_id": node_id, "node_type": node.type, "title": node.title}
