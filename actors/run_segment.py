"""One run, executed in this process from a start, a resume or a recovery to its next pause or its end."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol, cast

import structlog

from actors.announcer import Announcer
from actors.errors import RunElsewhereError
from actors.messages import FormOrder, RunOrder, RunOutcome
from actors.outside import Outside
from actors.plans import Plans
from actors.recorder import Ownership, RunRecorder
from actors.run_metrics import SegmentMetrics
from actors.run_trace import RunTrace
from actors.span_export import SpanExport
from actors.tail import SegmentTail
from actors.tool_box import ToolBox
from graph.engine import Engine, Limits, Outcome
from graph.errors import RunLeftError, UnavailableError
from graph.events import FormOpened, RunFinished, RunPaused
from graph.human_rules import AppRules
from graph.ports import ChatModel, Clock, CodeSandbox, Effects, FormRequest, InboxItem, NotAvailable, OpenedForm
from graph.run_state import RunState, apply
from graph.snapshot import load_state
from store.errors import FencedError, RunExistsError
from store.hint_record import Hint
from store.journal import Journal
from store.run_record import NewRun, RunRecord, StoredRun

_log = structlog.get_logger()
_NO_CODE = cast(CodeSandbox, NotAvailable("the code sandbox"))


class FormOpener(Protocol):
    """Opens forms for runs."""

    async def open_form(self, order: FormOrder) -> OpenedForm:
        """Open the form of a node execution; the same execution gives the same form again."""
        ...


class WallClock:
    """The time of this machine; implements graph.ports.Clock."""

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return time.time()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What segments of one process share."""

    journal: Journal
    plans: Plans
    chat: ChatModel
    forms: FormOpener
    limits: Limits
    clock: Clock
    code: CodeSandbox = _NO_CODE
    outside: Outside | None = None
    tools: ToolBox | None = None
    hint_courier: Callable[[], None] = lambda: None
    """Has the courier look into the outbox."""
    spans: SpanExport | None = None
    """Where spans go; None: none are made."""
    metrics: SegmentMetrics | None = None


class FormsOfRun:
    """Implements graph.ports.Forms for one run: adds what the HITL actor must know about it."""

    def __init__(self, opener: FormOpener, run: NewRun, app_rules: AppRules) -> None:
        self._opener = opener
        self._run = run
        self._app_rules = app_rules

    async def open_form(self, request: FormRequest) -> OpenedForm:
        """Open the form of one node execution."""
        return await self._opener.open_form(FormOrder.of(request, self._run, self._app_rules))


class RunSegment:
    """Executes one run once. Its ``tail`` lives on after it, until its owner drops it."""

    def __init__(
        self,
        run_id: str,
        lease_id: str,
        actor_name: str,
        surroundings: Surroundings,
        on_border: Callable[[Hint], None] = lambda hint: None,
    ) -> None:
        """Prepare; nothing happens yet.

        Args:
            run_id: the run.
            lease_id: the lease under which it executes here.
            actor_name: the actor of this process.
            surroundings: ports.
            on_border: called when a run that waited or lost its actor goes on here, and when it leaves.
        """
        self.run_id = run_id
        self.lease_id = lease_id
        self.tail = SegmentTail(run_id)
        self._actor_name = actor_name
        self._surroundings = surroundings
        self._on_border = on_border
        self._engine: Engine | None = None
        self._wakes: asyncio.Task[None] | None = None
        self._is_woken = self._is_leaving = False
        self.is_stuck = False
        """Whether it broke off because the store is away: the run may be ours, so this process must go."""
        self.may_have_forms = False
        """Whether the workflow can open forms."""

    async def start(self, order: RunOrder) -> RunOutcome:
        """Execute a new run. If it exists already, return how it stands, without executing anything.

        Raises:
            RunElsewhereError: it is being executed by another actor, or was left to one by ``leave``.
            FencedError: another actor took it over.
            UnavailableError: the store is away; the run may exist.
        """
        run = order.run
        plan = await self._surroundings.plans.plan(run.version_id)
        owner = Ownership(
            self.run_id,
            self._actor_name,
            self.lease_id,
            new_run=run,
            is_message=run.is_message,
            message=order.message,
        )
        engine, recorder = self._make_engine(RunState(plan), run, owner)
        try:
            return await self._drive(engine, recorder, run, engine.start(run.inputs, order.system, order.conversation))
        except RunExistsError:
            return await self._existing()

    async def go_on(self, dead_actor: str = "") -> RunOutcome:
        """Resume a paused run with what its inbox holds, or recover it from ``dead_actor``; return how it stands.

        A paused run without anything in its inbox stays paused, an ended one ended.

        Raises:
            RunElsewhereError: the run is executed by another actor than ``dead_actor``, or was left to one.
            RunNotFoundError: there is no such run.
            FencedError: another actor was faster.
            UnavailableError: the store is away.
        """
        stored = await self._surroundings.journal.load(self.run_id)
        record = stored.record
        is_recovery = record.status == "running"
        if is_recovery and (not dead_actor or record.actor != dead_actor):
            raise RunElsewhereError(self.run_id, record.actor)
        if record.is_terminal:
            return outcome_of(record, [])
        state = await self._restore(stored)
        if not is_recovery and not stored.inbox:
            return outcome_of(record, _open_forms(state))
        owner = Ownership(
            self.run_id,
            self._actor_name,
            self.lease_id,
            record.epoch + 1,
            record.epoch,
            record.head,
            is_message=record.is_message,
        )
        engine, recorder = self._make_engine(state, record, owner)
        attempt = owner.epoch
        work = engine.recover(attempt, stored.inbox) if is_recovery else engine.resume(stored.inbox)
        outcome = await self._drive(engine, recorder, record, work)
        # A run that executes in one go sends no hints: nobody can wait for it elsewhere than at its tail.
        self._on_border(Hint(self.run_id, recorder.head))
        return outcome

    def wake(self) -> None:
        """Look into the inbox; whatever is new in it is taken up while the run executes. May be called often."""
        self._is_woken = True
        if self._engine is not None and self._wakes is None:
            self._wakes = asyncio.get_running_loop().create_task(self._read_inbox(), context=Context())

    def leave(self) -> None:
        """Have the run go on in another actor, see ``Engine.request_leave``. May be called often."""
        self._is_leaving = True
        if self._engine is not None:
            self._engine.request_leave()

    async def _read_inbox(self) -> None:
        try:
            while self._is_woken and self._engine is not None:
                self._is_woken = False
                items: list[InboxItem] = await self._surroundings.journal.inbox(self.run_id)
                if self._engine is not None:
                    self._engine.deliver(items)
        except UnavailableError:
            # The pause looks into the inbox too, and the HITL actor wakes again while an item is not taken.
            _log.warning("inbox not readable", run_id=self.run_id)
        finally:
            self._wakes = None

    def _make_engine(self, state: RunState, run: NewRun, owner: Ownership) -> tuple[Engine, RunRecorder]:
        around = self._surroundings
        trace = None if around.spans is None else RunTrace(around.spans, state, run, around.clock)
        nodes = (node for scope in state.plan.scopes.values() for node in scope.nodes)
        owner.form_nodes = frozenset(node.id for node in nodes if node.opens_form)
        self.may_have_forms = bool(owner.form_nodes)
        rules = state.plan.workflow.rules
        recorder = RunRecorder(
            around.journal,
            self.tail,
            owner,
            self._on_taken_over,
            announcer=Announcer(run, rules.webhooks, around.hint_courier) if rules.webhooks else None,
            on_durable=None if trace is None else trace.see,
            note_seconds=None if around.metrics is None else around.metrics.note_append,
        )
        effects = Effects(around.chat, FormsOfRun(around.forms, run, rules), code=around.code)
        if around.outside is not None:
            effects = around.outside.added_to(effects, run)
        if around.tools is not None:
            effects = around.tools.added_to(effects)
        if trace is not None:
            effects = trace.added_to(effects)
        return Engine(state.plan, state, self.run_id, effects, recorder, around.clock, around.limits), recorder

    async def _restore(self, stored: StoredRun) -> RunState:
        plan = await self._surroundings.plans.plan(stored.record.version_id)
        state = RunState(plan) if stored.snapshot is None else load_state(plan, stored.snapshot)
        for _, fact in stored.facts:
            apply(state, fact)
        return state

    def _on_taken_over(self, head: int) -> None:
        self._on_border(Hint(self.run_id, head, self._actor_name))

    async def _drive(
        self, engine: Engine, recorder: RunRecorder, run: NewRun, work: Coroutine[Any, Any, Outcome]
    ) -> RunOutcome:
        self._engine = engine
        if self._is_woken:
            self.wake()
        if self._is_leaving:
            engine.request_leave()
        try:
            fact = await work
        except RunLeftError:
            # Until another actor has taken it over, this one is where it stands in the journal.
            raise RunElsewhereError(self.run_id, self._actor_name) from None
        except (FencedError, RunExistsError):
            raise
        except UnavailableError:
            self.is_stuck = True
            raise
        except Exception as error:  # boundary: run loop  # noqa: BLE001
            _log.exception("the engine failed", run_id=self.run_id)
            fact = await self._fail(engine, recorder, error)
        finally:
            self._engine = None
        outcome = _outcome(run, fact, _open_forms(engine.state))
        if self._surroundings.metrics is not None:
            self._surroundings.metrics.count_segment(outcome.status, outcome.elapsed_s)
        return outcome

    async def _fail(self, engine: Engine, recorder: RunRecorder, error: Exception) -> RunFinished:
        """End a run that the engine could not run on: a fault of ours, told as the run's error."""
        state, now = engine.state, self._surroundings.clock.now()
        text, secrets = f"internal error: {type(error).__name__}: {error}", engine.plan.secrets
        fact = RunFinished(
            now,
            "failed",
            dict(state.outputs),
            text if secrets is None else secrets.text(text),
            state.elapsed_at(now),
            state.total_tokens,
            state.total_steps,
            state.exceptions_count,
        )
        await recorder.append([fact])
        return fact

    async def _existing(self) -> RunOutcome:
        stored = await self._surroundings.journal.load(self.run_id)
        if stored.record.status == "running":
            raise RunElsewhereError(self.run_id, stored.record.actor)
        forms = [] if stored.record.is_terminal else _open_forms(await self._restore(stored))
        return outcome_of(stored.record, forms)


def _open_forms(state: RunState) -> list[FormOpened]:
    return [form.opened for form in state.forms.values()]


def _outcome(run: NewRun, fact: RunFinished | RunPaused, forms: list[FormOpened]) -> RunOutcome:
    """Return the outcome that the last fact of a segment makes."""
    is_end = isinstance(fact, RunFinished)
    return RunOutcome(
        run.run_id,
        fact.status if is_end else "paused",
        fact.outputs,
        fact.error if is_end else None,
        fact.elapsed_s,
        fact.total_tokens,
        fact.total_steps,
        fact.exceptions_count if is_end else 0,
        run.created_at,
        fact.at if is_end else None,
        () if is_end else tuple(forms),
    )


def outcome_of(record: RunRecord, forms: list[FormOpened]) -> RunOutcome:
    """Return how a stored run stands.

    Args:
        record: a run that is not executing.
        forms: its open forms, oldest first.
    """
    return RunOutcome(
        record.run_id,
        record.status,
        record.outputs,
        record.error,
        record.elapsed_s,
        record.total_tokens,
        record.total_steps,
        record.exceptions_count,
        record.created_at,
        record.finished_at,
        tuple(forms),
    )
