"""What chatflows tell besides: the end of a message, its metadata, and the replies of blocking mode.

Source: spec/http.md 3.10, 4.5 and 4.7; spec/hitl.md 4.7.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from graph.events import FormOpened, NodeFinished, RunFinished, RunPaused
from graph.nodes.model_call import usage_of
from graph.ports import ChatUsage
from hitl.disposition import Disposition
from surfaces import event_shapes as shapes
from surfaces.error_table import error_event
from surfaces.errors import MessageFailedError
from surfaces.event_shapes import JsonObject, RunLabel

MODE: Final = "advanced-chat"
_SUMS: Final = ("prompt_tokens", "completion_tokens", "total_tokens", "latency", "time_to_generate")
_PRICES: Final = ("prompt_price", "completion_price", "total_price")
_NAMES: Final = ("prompt_unit_price", "prompt_price_unit", "completion_unit_price", "completion_price_unit", "currency")
_REDUCED: Final = ("segment_id", "position", "document_name", "score", "content")
"""What the simple level tells of a passage."""


@dataclass(slots=True)
class Metadata:
    """What the model calls of a run have used and were given, summed up from the ends of its nodes."""

    usage: JsonObject = field(default_factory=lambda: usage_of(ChatUsage()))
    resources: list[JsonObject] = field(default_factory=list)
    _has_usage: bool = False

    def add(self, fact: NodeFinished) -> None:
        """Take up the end of a node."""
        self.resources += (fact.metadata or {}).get("retriever_resources") or []
        used = (fact.process_data or {}).get("usage")
        if not isinstance(used, Mapping):
            return
        if not self._has_usage:
            self._has_usage = True
            self.usage |= {name: used[name] for name in (*_NAMES, "time_to_first_token") if name in used}
        for name in _SUMS:
            if used.get(name) is not None:
                self.usage[name] = (self.usage[name] or 0) + used[name]
        for name in _PRICES:
            self.usage[name] = _sum(self.usage[name], used.get(name))

    def shown(self, is_full: bool) -> JsonObject:
        """Return the metadata as clients get it, at the full level of detail or the simple one."""
        if not is_full:
            reduced = [{name: each.get(name) for name in _REDUCED} for each in self.resources]
            return {"retriever_resources": reduced}
        return {"annotation_reply": None, "retriever_resources": self.resources, "usage": dict(self.usage)}


def _sum(price: str, more: Any) -> str:
    try:
        return str(Decimal(price) + Decimal(str(more or "0")))
    except InvalidOperation:
        return price


def message_end(label: RunLabel, fact: RunFinished, metadata: Metadata) -> JsonObject:
    """Return the whole event message_end."""
    head = {**shapes.envelope(label, "message_end"), "id": label.run_id}
    return {**head, "metadata": metadata.shown(label.is_full), "files": shapes.files_in(fact.outputs)}


def end_events(label: RunLabel, fact: RunFinished, finished: JsonObject, metadata: Metadata) -> list[JsonObject]:
    """Return the events by which a message ends, around ``finished``, the event workflow_finished.

    A failure is told by an event ``error``. Readers leave at workflow_finished, so only that comes behind it.
    """
    if fact.status != "failed":
        return [message_end(label, fact, metadata), finished]
    return [finished, error_event(MessageFailedError(fact.error or ""), label.run_id, shapes.message_of(label))]


def blocking_message(label: RunLabel, answer: str, metadata: Metadata) -> JsonObject:
    """Return the reply of blocking mode for a message that is complete."""
    return {"event": "message", "task_id": label.run_id, "id": label.run_id, **_message(label, answer, metadata)}


def blocking_pause(
    label: RunLabel,
    fact: RunPaused,
    forms: Sequence[FormOpened],
    dispositions: Mapping[str, Disposition],
    answer: str,
    metadata: Metadata,
) -> JsonObject:
    """Return the reply of blocking mode for a message that waits for people.

    Args:
        label: the run.
        fact: its pause.
        forms: the open forms, in reason order.
        dispositions: theirs on this surface.
        answer: the answer so far.
        metadata: that of the answer so far.
    """
    body = _message(label, answer, metadata)
    told = shapes.workflow_paused(label, fact, forms, dispositions, label.created_at or 0.0)
    names = ("paused_nodes", "reasons", "status", "elapsed_time", "total_tokens", "total_steps")
    data = {
        "id": label.run_id,
        "mode": MODE,
        "conversation_id": label.conversation_id,
        "message_id": label.run_id,
        "workflow_run_id": label.run_id,
        **{name: body[name] for name in ("answer", "metadata", "created_at")},
        **{name: told[name] for name in names},
    }
    head = {"event": "workflow_paused", "task_id": label.run_id, "id": label.run_id}
    return {**head, **body, "workflow_run_id": label.run_id, "data": data}


def _message(label: RunLabel, answer: str, metadata: Metadata) -> JsonObject:
    return {
        "message_id": label.run_id,
        "conversation_id": label.conversation_id,
        "mode": MODE,
        "answer": answer,
        "metadata": metadata.shown(label.is_full),
        "created_at": int(label.created_at or 0.0),
    }
