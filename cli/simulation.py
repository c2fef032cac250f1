"""Runs a workflow in this process, with scripted nodes and people: no Ray, no database, no server.

It is the engine itself that runs; only what reaches outside is replaced: nodes answer from the script, or over made-up
models, tools and servers; forms are answered by scripted people at each pause. Code really runs, in the sandbox.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from uuid_utils import uuid7

from cli.simulation_inputs import SIMULATED, check_conversation, checked_inputs
from cli.simulation_nodes import ScriptedNodes, delay, fail
from cli.simulation_ports import AnyFile, MockedChat, MockedFiles, MockedHttp, MockedTools
from cli.simulation_script import Behaviour, InvalidScriptError, Script
from cli.simulation_votes import decided_by
from effects.code_sandbox.sandbox import WasmCodeSandbox
from graph.engine import Engine, Outcome
from graph.events import Fact, RunPaused, TextPart
from graph.plan import Plan, PlanNode, compile_plan
from graph.ports import Effects, FormRequest, InboxItem, OpenedForm
from graph.run_state import RunState
from graph.workflow import Workflow
from hitl.errors import InvalidSubmissionError
from hitl.form import FormDefinition
from hitl.schedule import schedule
from hitl.submission import Submission, resolved_for_get, validate_submission


class SimulatedRun:
    """One simulated run. ``facts`` grows as it goes; ``on_fact`` and ``on_part`` hear what a reader would.

    ``on_moment`` hears each reminder and escalation.
    """

    def __init__(
        self,
        workflow: Workflow,
        script: Script,
        on_fact: Callable[[int, Fact], None] = lambda _number, _fact: None,
        on_part: Callable[[TextPart], None] = lambda _part: None,
        on_moment: Callable[[dict[str, Any]], None] = lambda _moment: None,
    ) -> None:
        """Compile ``workflow``.

        Raises:
            InvalidWorkflowError: it has faults that keep it from running.
            InvalidScriptError: the script does not fit it.
        """
        self.plan: Plan = compile_plan(workflow)
        self.run_id = str(uuid7())
        self.facts: list[Fact] = []
        script.check(self.plan)
        self._nodes = ScriptedNodes(self.plan, script)
        self._state = RunState(self.plan)
        self._on_fact = on_fact
        self._on_part = on_part
        self._on_moment = on_moment
        self._code = WasmCodeSandbox()
        chat, tools, http, files = MockedChat(self._node_of), MockedTools(), MockedHttp(), MockedFiles()
        self._effects = Effects(chat, forms=self, code=self._code, http=http, files=files, tools=tools)
        self._asked: dict[str, tuple[Behaviour, FormRequest]] = {}
        """Form id -> what its person does, and what was asked."""

    async def run(self, inputs: dict[str, Any], query: str = "", conversation: dict[str, Any] | None = None) -> Outcome:
        """Run to the end, or to a pause that no scripted person ends.

        Args:
            inputs: of the start form; what another kind of entry hands on.
            query: what the user says (chatflows).
            conversation: values of conversation variables other than in the file.

        Raises:
            InvalidInputError: ``inputs`` do not fit the start form, or ``conversation`` the declared variables.
            InvalidScriptError: a scripted answer does not fit its form.
        """
        workflow = self.plan.workflow
        given = conversation or {}
        check_conversation(workflow, given)
        checked = checked_inputs(self.plan, inputs)
        system: dict[str, Any] = {"files": [], "user_id": SIMULATED, "app_id": SIMULATED}
        system |= {"workflow_id": workflow.content_hash, "workflow_run_id": self.run_id}
        if workflow.mode == "advanced-chat":
            system |= {"query": query, "dialogue_count": 1, "conversation_id": SIMULATED}
        else:
            system["timestamp"] = int(self.now())
        try:
            outcome = await self._engine().start(checked, system, given)
            while isinstance(outcome, RunPaused):
                items = [item for form_id in outcome.form_ids if (item := self._answer(form_id))]
                if not items:
                    return outcome
                outcome = await self._engine().resume(items)
            return outcome
        finally:
            await self._code.close()

    @property
    def notes(self) -> list[str]:
        """What happened in the run that whoever tests should know of."""
        return self._nodes.notes

    def _engine(self) -> Engine:
        return Engine(self.plan, self._state, self.run_id, self._effects, self, self)

    def _node_of(self, execution_id: str) -> PlanNode:
        return self._state.node(self._state.executions[execution_id])

    def now(self) -> float:
        """Return the time (the engine's clock)."""
        return time.time()

    async def append(self, facts: Sequence[Fact], taken: Sequence[str] = ()) -> None:
        """Hear ``facts`` (the engine's recorder)."""
        for fact in facts:
            self.facts.append(fact)
            self._on_fact(len(self.facts), fact)

    def tell(self, part: TextPart) -> None:
        """Hear text in flight (the engine's recorder)."""
        self._on_part(part)

    async def pause(self, facts: Sequence[Fact], taken: Sequence[str], snapshot: bytes) -> Sequence[InboxItem]:
        """Hear a pause (the engine's recorder)."""
        await self.append(facts, taken)
        return ()

    async def open_form(self, request: FormRequest) -> OpenedForm:
        """Open a form that a scripted person answers (the engine's forms)."""
        call = self._nodes.next_call(request.node_id)
        await delay(call)
        fail(call)
        form_id = str(uuid7())
        self._asked[form_id] = (call, request)
        return OpenedForm(form_id, self.now() + request.timeout_s, True)

    def _answer(self, form_id: str) -> InboxItem | None:
        """Return what a person does with an open form, or None if nobody answers it."""
        (call, request), form = self._asked[form_id], self._state.forms[form_id].opened
        if call.pause:
            return None
        is_late = call.timeout or (call.after is not None and call.after >= request.timeout_s)
        self._wait(request, request.timeout_s if is_late else call.after or 0.0)
        if is_late:
            return InboxItem(str(uuid7()), "timeout", form_id)
        definition = FormDefinition(**form.definition, node_id=form.node_id)
        if call.votes is not None and request.rules.approval is not None:
            app, defaults = self.plan.workflow.rules, default_answer(definition)
            answer = decided_by(call.votes, definition, request.rules.approval, app, defaults, form.node_id)
            return _item(form_id, answer) if answer else None
        values = default_answer(definition) | (call.inputs or {})
        action = call.action or next((each["id"] for each in definition.actions), None)
        is_complete = all(field["output_variable_name"] in values for field in definition.inputs)
        if not call.is_answer and (action is None or not is_complete):
            return None
        try:
            answer = validate_submission(definition, action or "", values, AnyFile())
        except InvalidSubmissionError as error:
            raise InvalidScriptError(f"nodes.{form.node_id}: {error}") from error
        return _item(form_id, answer)

    def _wait(self, request: FormRequest, waited_s: float) -> None:
        """Tell the reminders and the escalation that come while a form waits so long."""
        for moment in schedule(0.0, request.timeout_s, request.rules, self.plan.workflow.rules.groups):
            if moment.at <= waited_s:
                told = {"event": moment.kind, "node_id": request.node_id, "after_s": moment.at}
                self._on_moment(told | ({"to": list(moment.to)} if moment.to else {}))


def _item(form_id: str, answer: Submission) -> InboxItem:
    return InboxItem(str(uuid7()), "submitted", form_id, answer.action_id, answer.values)


def default_answer(definition: FormDefinition) -> dict[str, Any]:
    """Return what a person submits who changes nothing: defaults, else "", and the first option.

    Fields that have none are left out: files, and a select without options.
    """
    values: dict[str, Any] = {}
    resolved = resolved_for_get(definition)
    for field in definition.inputs:
        name = field["output_variable_name"]
        if field["type"] == "select":
            options = field["option_source"]["value"]
            if options:
                values[name] = options[0]
        elif field["type"] == "paragraph":
            default = field.get("default") or {}
            constant = default.get("value") if default.get("type") == "constant" else None
            values[name] = resolved.get(name, constant or "")
    return values
