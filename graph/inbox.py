"""Taking up what comes from outside: answers to forms, passed deadlines, stops."""

from collections.abc import Callable, Sequence

from graph.events import NodeStarted
from graph.ledger import Ledger
from graph.node_facts import answered
from graph.nodes.kind import NodeResult
from graph.ports import Clock, InboxItem
from graph.run_state import Execution, OpenForm, RunState
from graph.segment import Segment

STOPPED_BY_USER = "Stopped by user."


class Inbox:
    """The inbox of one segment of a run. ``succeed``: ends an execution with what it gives back."""

    def __init__(
        self,
        state: RunState,
        segment: Segment,
        ledger: Ledger,
        clock: Clock,
        succeed: Callable[[Execution, NodeResult], None],
    ) -> None:
        self._state = state
        self._segment = segment
        self._ledger = ledger
        self._clock = clock
        self._succeed = succeed

    def deliver(self, items: Sequence[InboxItem]) -> None:
        """Put ``items`` in; one that was put in before is ignored."""
        segment = self._segment
        for item in items:
            if item.item_id not in segment.seen:
                segment.seen.add(item.item_id)
                segment.inbox.append(item)
        segment.wake.set()

    def take_up(self, *, is_resume: bool) -> None:
        """Take up what lies here; an answer to a form that the state does not know waits for it.

        Such a form may be opening now. Or a writer before this one opened it, and was replaced before that was
        durable: then the same execution will open it again.

        Args:
            is_resume: whether the run has just left a pause, so that readers hear of the form's node again.
        """
        segment = self._segment
        for item in segment.inbox:
            if item.kind in ("stop", "expired"):
                self._ledger.taken.append(item.item_id)
                segment.stop(item.reason or STOPPED_BY_USER)
                segment.inbox.clear()
                return
        items = [*segment.early, *segment.inbox]
        segment.early.clear()
        segment.inbox.clear()
        for item in items:
            form = self._state.forms.get(item.form_id or "")
            if form is not None:
                self._ledger.taken.append(item.item_id)
                self._answer(form, item, is_resume=is_resume)
            else:
                segment.early.append(item)

    def drop_early(self) -> None:
        """Take up what no form waits for when the run pauses or ends: its execution was stopped or left out."""
        early = self._segment.early
        self._ledger.taken.extend(item.item_id for item in early)
        early.clear()

    def _answer(self, form: OpenForm, item: InboxItem, *, is_resume: bool) -> None:
        execution = self._state.executions[form.opened.execution_id]
        now = self._clock.now()
        if is_resume:
            node_id = form.opened.node_id
            self._ledger.record(NodeStarted(now, node_id, execution.execution_id, execution.index, execution.scope))
        fact, result = answered(now, form, item, is_shown=is_resume and form.is_shown)
        self._ledger.record(fact)
        self._succeed(execution, result)
