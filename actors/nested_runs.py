"""Runs apps inside of a tool node's call: in the process and under the durable step of the run that calls.

Such a run has no journal of its own. If the actor dies, its tool node runs again and with it the whole call, under
the same execution ids. It takes no run actor: runs that wait for each other's actors could wait for ever.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from effects.tools.errors import ToolFailedError, WorkflowToolHumanInputError
from effects.tools.workflow_tool import AppCall, AppResult
from graph.engine import Engine, Limits, Outcome
from graph.errors import GreenroomError, NodeError, UnavailableError
from graph.events import Fact, RunFinished, TextPart
from graph.plan import Plan
from graph.ports import Clock, Effects, InboxItem
from graph.run_state import RunState
from graph.start_form import check_inputs
from store.app_record import AppRecord


class FoundApps(Protocol):
    """Finds apps of this installation."""

    async def find_app(self, name_or_id: str) -> AppRecord:
        """Return the app with this id or name."""
        ...


class CompiledVersions(Protocol):
    """Gives the plan of a workflow version."""

    async def plan(self, version_id: str) -> Plan:
        """Return the plan of a version."""
        ...


class Unrecorded:
    """Implements graph.ports.Recorder for a run that nobody follows: what it tells is dropped."""

    async def append(self, facts: Sequence[Fact], taken: Sequence[str] = ()) -> None:
        """Drop ``facts``."""

    async def pause(self, facts: Sequence[Fact], taken: Sequence[str], snapshot: bytes) -> Sequence[InboxItem]:
        """Drop ``facts``; there is nothing to take up."""
        return ()

    def tell(self, part: TextPart) -> None:
        """Drop ``part``."""


class NestedRuns:
    """Implements effects.tools.workflow_tool.AppRunner."""

    def __init__(
        self,
        apps: FoundApps,
        plans: CompiledVersions,
        effects_at: Callable[[int], Effects],
        limits: Limits,
        clock: Clock,
    ) -> None:
        """Prepare.

        Args:
            apps: where apps are found.
            plans: compiled versions.
            effects_at: how many workflows are around a run -> the ports of its nodes.
            limits: of each such run.
            clock: the time.
        """
        self._apps = apps
        self._plans = plans
        self._effects_at = effects_at
        self._limits = limits
        self._clock = clock

    async def run_app(self, call: AppCall) -> AppResult:
        """Run the published version of an app to its end.

        Raises:
            WorkflowToolHumanInputError: it asks people.
            ToolFailedError: there is no such app, or its inputs do not fit.
        """
        try:
            app = await self._apps.find_app(call.app)
            if app.published_version_id is None:
                raise ToolFailedError(call.app, "the app has no published version")
            plan = await self._plans.plan(app.published_version_id)
            if plan.workflow.mode != "workflow":
                raise ToolFailedError(call.app, f"an app of mode {plan.workflow.mode} cannot be a tool")
            if any(node.opens_form for scope in plan.scopes.values() for node in scope.nodes):
                raise WorkflowToolHumanInputError(app.name)
            inputs = check_inputs(plan.start_form, call.inputs)
        except (NodeError, UnavailableError):
            raise
        except GreenroomError as error:
            raise ToolFailedError(call.app, str(error)) from None
        engine = Engine(
            plan,
            RunState(plan),
            call.idempotency_key,
            self._effects_at(call.depth),
            Unrecorded(),
            self._clock,
            self._limits,
        )
        return _result(await engine.start(inputs, self._system(app, call)))

    def _system(self, app: AppRecord, call: AppCall) -> dict[str, Any]:
        return {
            "files": [],
            "app_id": app.app_id,
            "workflow_id": app.published_version_id,
            "workflow_run_id": call.idempotency_key,
            "timestamp": int(self._clock.now()),
        }


def _result(outcome: Outcome) -> AppResult:
    if not isinstance(outcome, RunFinished):
        return AppResult(error="the run waits for a person")
    if outcome.status in ("failed", "stopped"):
        return AppResult(outcome.outputs, outcome.error or f"the run ended as {outcome.status}")
    return AppResult(outcome.outputs)
