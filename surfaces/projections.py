"""Facts of a run -> the events that a reader is told. The only place where that happens.

Live streams, reconnect streams, snapshots, blocking replies and run detail all come out of here, so they cannot
disagree. The projection holds no form token: a caller hands in the dispositions of its own surface, fetched for the
forms that ``forms_shown_by`` names.

What text a reader has, and the ids of events, are the matter of ``surfaces.told_text``.

Source: spec/http.md 4, spec/hitl.md 4.5-4.7 and 5.4.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

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
    TextPart,
    TextWithdrawn,
    VariableUpdated,
)
from hitl.disposition import Disposition
from surfaces import chat_shapes, container_shapes
from surfaces import event_shapes as shapes
from surfaces.errors import JournalGapError
from surfaces.event_shapes import JsonObject, RunLabel
from surfaces.told_text import Told, ToldText

Dispositions = Mapping[str, Disposition]


def forms_shown_by(fact: Fact) -> Sequence[str]:
    """Return the ids of the forms that ``fact`` shows as open; their dispositions are needed to project it."""
    return fact.form_ids if isinstance(fact, RunPaused) else ()


class RunProjection:
    """The events of one run for one reader.

    Feed it every fact from the first on: ``observe`` those that the reader has had or shall not get, ``project`` the
    others. It keeps only what later events need: open forms, the text told so far, and what its models have used.
    """

    def __init__(self, label: RunLabel) -> None:
        """Begin before the first fact of the run that ``label`` describes."""
        self.label = label
        self._started: RunStarted | None = None
        self._head = 0
        self._forms: dict[str, FormOpened] = {}
        self._unshown: set[str] = set()
        """Open forms that an earlier pause showed, but not to this reader."""
        self._begun: set[str] = set()
        """Node executions told as started in this segment: a node begins once in each, also after a crash."""
        self._containers: set[str] = set()
        """Executions of containers that have begun their passes; the others end without a word."""
        self.text = ToldText(label)
        self.metadata = chat_shapes.Metadata()

    @property
    def has_started(self) -> bool:
        """Whether the run's first fact was taken up."""
        return self._started is not None

    def observe(self, number: int, fact: Fact) -> None:
        """Take up ``fact`` without telling it."""
        self._head = number
        match fact:
            case RunStarted():
                self._started = fact
            case RunResumed():
                self._begun.clear()
            case TextEmitted() | RunRecovered():
                self.text.observe(fact)
            case NodeStarted():
                self._begun.add(fact.execution_id)
            case FormOpened():
                self._forms[fact.form_id] = fact
            case FormSubmitted() | FormTimedOut():
                self._forms.pop(fact.form_id, None)
                self._unshown.discard(fact.form_id)
            case ContainerStarted():
                self._containers.add(fact.execution_id)
            case RunPaused():
                self._unshown.clear()
            case NodeFinished():
                self._containers.discard(fact.execution_id)
                self.metadata.add(fact)
            case NodeRetried() | PassStarted() | PassFinished() | VariableUpdated() | TextWithdrawn() | RunFinished():
                pass
            case _:
                assert_never(fact)

    def project(self, number: int, fact: Fact, dispositions: Dispositions | None = None, told: int = 0) -> list[Told]:
        """Return the events that ``fact`` gives, in order, and take it up.

        Args:
            number: the fact's number in the journal.
            fact: the fact.
            dispositions: form id -> disposition on this surface, for the forms of ``forms_shown_by(fact)``.
            told: of a TextEmitted: how many characters of it this reader was given as parts, as far as the caller
                knows.
        """
        match fact:
            case TextEmitted():
                events = self.text.emitted(number, fact, told)
            case RunRecovered():
                events = self.text.recovered(fact)
            case TextWithdrawn():
                events = self.text.withdrawn(fact.streams)
            case _:
                named = self._events(fact, dispositions or {})
                whole = [shapes.outer(self.label, name, data) for name, data in named]
                if isinstance(fact, RunFinished) and self.label.conversation_id:
                    whole = chat_shapes.end_events(self.label, fact, whole[0], self.metadata)
                events = [Told(event, f"{number}.{part}") for part, event in enumerate(whole, 1)]
        if isinstance(fact, FormSubmitted | FormTimedOut) and fact.is_shown and fact.form_id in self._unshown:
            # No position: other readers were shown the form at the pause, for them this event does not exist.
            events.insert(0, Told(self._required(self._forms[fact.form_id], None)))
        self.observe(number, fact)
        return events

    def project_part(self, part: TextPart) -> list[Told]:
        """Return the events for text of a node in flight, without what the reader has already."""
        return self.text.part(part, self._head)

    def begin_at(self, attempt: int, offset: int) -> None:
        """Say how much text in flight the reader had when it left, from the id that it came back with."""
        self.text.begin_at(attempt, offset)

    def _events(self, fact: Fact, dispositions: Dispositions) -> list[tuple[str, JsonObject]]:
        label = self.label
        match fact:
            case RunStarted():
                return [("workflow_started", shapes.workflow_started(label, fact, self._created_at(fact), "initial"))]
            case RunResumed():
                return [("workflow_started", shapes.workflow_started(label, self._start, fact.at, "resumption"))]
            case NodeStarted() if fact.execution_id not in self._begun and self._is_told(fact.node_id):
                return [("node_started", shapes.node_started(label, fact))]
            case NodeFinished():
                return self._ended(fact)
            case NodeRetried():
                return [("node_retry", shapes.node_retry(label, fact))]
            case ContainerStarted():
                return [container_shapes.container_started(label, fact)]
            case PassStarted():
                event = container_shapes.pass_started(label, fact)
                return [event] if event else []
            case FormSubmitted() | FormTimedOut():
                return self._form_ended(fact)
            case RunPaused():
                return _pause_events(label, fact, self._forms, dispositions, self._created_at(self._start))
            case RunFinished():
                return [("workflow_finished", shapes.workflow_finished(label, fact, self._created_at(self._start)))]
            case _:
                return []

    @property
    def _start(self) -> RunStarted:
        if self._started is None:
            raise JournalGapError(self.label.run_id)
        return self._started

    def _created_at(self, start: RunStarted) -> float:
        return start.at if self.label.created_at is None else self.label.created_at

    def _is_told(self, node_id: str) -> bool:
        return self.label.node(node_id).type not in shapes.CONTAINER_KINDS | shapes.HIDDEN_KINDS

    def _ended(self, fact: NodeFinished) -> list[tuple[str, JsonObject]]:
        if fact.execution_id in self._containers:
            return [container_shapes.container_finished(self.label, fact)]
        return [("node_finished", shapes.node_finished(self.label, fact))] if self._is_told(fact.node_id) else []

    def _form_ended(self, fact: FormSubmitted | FormTimedOut) -> list[tuple[str, JsonObject]]:
        form = self._forms.get(fact.form_id)
        if form is None:
            return []
        events: list[tuple[str, JsonObject]] = []
        if not fact.is_shown:
            # Its decision has fallen: a token shown now would be one that nobody can use any more.
            events.append(("human_input_required", shapes.human_input_required(self.label, form, None)))
        if isinstance(fact, FormSubmitted):
            events.append(("human_input_form_filled", shapes.form_filled(self.label, form, fact)))
        else:
            events.append(("human_input_form_timeout", shapes.form_timed_out(self.label, form, fact)))
        return events

    def _required(self, form: FormOpened, disposition: Disposition | None) -> JsonObject:
        data = shapes.human_input_required(self.label, form, disposition)
        return shapes.outer(self.label, "human_input_required", data)

    def snapshot(self, facts: Iterable[tuple[int, Fact]], dispositions: Dispositions) -> list[Told]:
        """Return the events that show the run as it stands after ``facts``, and take them all up.

        One workflow_started, each node execution once, and the pause only if the run is paused now. Only the last
        event has a position: whoever breaks off before it gets the snapshot anew.

        Args:
            facts: every fact of the run so far, by number.
            dispositions: for the forms of the newest pause, if the run is paused now.
        """
        shown: list[NodeStarted | ContainerStarted | PassStarted | NodeFinished] = []
        begun: set[str] = set()
        ended: dict[str, NodeFinished] = {}
        pause: RunPaused | None = None
        for number, fact in facts:
            match fact:
                case NodeStarted() if fact.execution_id not in begun and self._is_told(fact.node_id):
                    begun.add(fact.execution_id)
                    shown.append(fact)
                case ContainerStarted() | PassStarted():
                    shown.append(fact)
                case NodeFinished() if fact.execution_id in self._containers:
                    shown.append(fact)
                case NodeFinished():
                    ended[fact.execution_id] = fact
                case RunPaused():
                    pause = fact
                case RunResumed() | RunFinished():
                    pause = None
            self.observe(number, fact)
        start = self._start
        named = [("workflow_started", shapes.workflow_started(self.label, start, self._created_at(start), "initial"))]
        for each in shown:
            named.extend(self._shown(each, ended, pause))
        if pause:
            named.extend(_pause_events(self.label, pause, self._forms, dispositions, self._created_at(start)))
        else:
            self._unshown = set(self._forms)
        events = [Told(shapes.outer(self.label, name, data)) for name, data in named]
        if self.label.conversation_id:
            events.insert(1, Told(shapes.replace_event(self.label, self.text.durable)))
        events[-1] = Told(events[-1].event, f"{self._head + 1}.0")
        return events

    def _shown(
        self,
        fact: NodeStarted | ContainerStarted | PassStarted | NodeFinished,
        ended: Mapping[str, NodeFinished],
        pause: RunPaused | None,
    ) -> list[tuple[str, JsonObject]]:
        """Return what a snapshot shows of a node at its start, of a container and its passes when they came."""
        match fact:
            case NodeStarted():
                began = ("node_started", shapes.node_started(self.label, fact))
                return [began, *self._node_end(fact, ended.get(fact.execution_id), pause)]
            case NodeFinished():
                return [container_shapes.container_finished(self.label, fact)]
            case _:
                return self._events(fact, {})

    def _node_end(
        self, started: NodeStarted, finished: NodeFinished | None, pause: RunPaused | None
    ) -> list[tuple[str, JsonObject]]:
        if finished:
            return [("node_finished", shapes.node_finished(self.label, finished))]
        waits = pause and any(form.execution_id == started.execution_id for form in self._forms.values())
        if pause and waits:
            return [("node_finished", shapes.node_paused(self.label, started, pause.at))]
        return []


def _pause_events(
    label: RunLabel,
    fact: RunPaused,
    opened: Mapping[str, FormOpened],
    dispositions: Dispositions,
    created_at: float,
) -> list[tuple[str, JsonObject]]:
    """Return human_input_required for each open form, then workflow_paused."""
    forms = [opened[form_id] for form_id in fact.form_ids if form_id in opened]
    events = [
        ("human_input_required", shapes.human_input_required(label, form, dispositions.get(form.form_id)))
        for form in forms
    ]
    return [*events, ("workflow_paused", shapes.workflow_paused(label, fact, forms, dispositions, created_at))]


def blocking_reply(
    label: RunLabel,
    fact: RunFinished | RunPaused,
    forms: Sequence[FormOpened],
    dispositions: Dispositions,
    created_at: float,
) -> JsonObject:
    """Return the body of a blocking reply: what the last event of the stream would have said.

    Args:
        label: the run.
        fact: how its segment ended.
        forms: the open forms of a pause, in reason order.
        dispositions: theirs on this surface.
        created_at: when the run was asked for, Unix seconds.
    """
    if isinstance(fact, RunFinished):
        told = shapes.workflow_finished(label, fact, created_at)
        tail: JsonObject = {"finished_at": told["finished_at"]}
    else:
        told = {"id": label.run_id, "workflow_id": label.workflow_id, "error": None}
        told |= shapes.workflow_paused(label, fact, forms, dispositions, created_at)
        tail = {"finished_at": None, "paused_nodes": told["paused_nodes"], "reasons": told["reasons"]}
    names = (
        "id", "workflow_id", "status", "outputs", "error", "elapsed_time", "total_tokens", "total_steps", "created_at",
    )  # fmt: skip
    data: dict[str, Any] = {name: told[name] for name in names} | tail
    return {"task_id": label.run_id, "workflow_run_id": label.run_id, "data": data}
