"""Runs a workflow in this process, with scripted nodes and people: no Ray, no database, no server.

It is the engine itself that runs; only what reaches outside is replaced: nodes with effects answer from the script,
forms are answered by scripted people at each pause.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from uuid_utils import uuid7

from cli.simulation_script import Behaviour, Script
from effects.code_sandbox.sandbox import WasmCodeSandbox
from graph.engine import Engine, Outcome
from graph.errors import NodeError
from graph.events import Fact, FormOpened, RunPaused, TextPart
from graph.nodes.kind import EffectContext, NodeResult
from graph.plan import Plan, PlanNode, compile_plan
from graph.ports import ChatDelta, ChatRequest, ChatUsage, Effects, FormRequest, InboxItem, OpenedForm
from graph.run_state import RunState
from graph.start_form import check_inputs
from graph.variable_pool import VariablePool
from graph.workflow import Workflow

MOCKED_TEXT = "This is a mocked LLM response"
"""What a model says that the script does not name (spec/graph.md 7.1)."""


class SimulatedRun:
    """One simulated run. ``facts`` grows as it goes; ``on_fact`` and ``on_part`` hear what a reader would."""

    def __init__(
        self,
        workflow: Workflow,
        script: Script,
        on_fact: Callable[[int, Fact], None] = lambda _number, _fact: None,
        on_part: Callable[[TextPart], None] = lambda _part: None,
    ) -> None:
        """Compile ``workflow``.

        Raises:
            InvalidWorkflowError: it has faults that keep it from running.
        """
        self.plan: Plan = compile_plan(workflow)
        self.run_id = str(uuid7())
        self.facts: list[Fact] = []
        self._script = script
        self._on_fact = on_fact
        self._on_part = on_part
        self._code = WasmCodeSandbox()
        self._calls: dict[str, int] = {}
        self._behaviours: dict[str, Behaviour] = {}
        for scope in self.plan.scopes.values():
            for node in scope.nodes:
                self._replace_effect(node)

    async def run(self, inputs: dict[str, Any], query: str, conversation: dict[str, Any]) -> Outcome:
        """Run to the end, or to a pause that no scripted person ends.

        Raises:
            InvalidInputError: ``inputs`` do not fit the start form.
        """
        checked = check_inputs(self.plan.start_form, inputs)
        state = RunState(self.plan)
        system: dict[str, Any] = {"files": [], "user_id": "simulated", "app_id": "simulated"}
        system |= {"workflow_id": self.plan.workflow.content_hash, "workflow_run_id": self.run_id}
        if self.plan.workflow.mode == "advanced-chat":
            system |= {"query": query, "dialogue_count": 1, "conversation_id": "simulated"}
        else:
            system["timestamp"] = int(self.now())
        try:
            outcome = await self._engine(state).start(checked, system, conversation)
            while isinstance(outcome, RunPaused):
                items = [item for form_id in outcome.form_ids if (item := self._answer(state, form_id))]
                if not items:
                    return outcome
                outcome = await self._engine(state).resume(items)
            return outcome
        finally:
            await self._code.close()

    def _engine(self, state: RunState) -> Engine:
        return Engine(self.plan, state, self.run_id, Effects(chat=self, forms=self, code=self._code), self, self)

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

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Say the mocked text word by word (the engine's chat model)."""
        if self._script.default == "fail":
            raise NodeError(f"the script says nothing about model {request.name!r} and its default is fail")
        words = MOCKED_TEXT.split(" ")
        for number, word in enumerate(words):
            yield ChatDelta(text=word if number == 0 else f" {word}")
        yield ChatDelta(finish_reason="stop", usage=ChatUsage(completion_tokens=len(words)))

    async def open_form(self, request: FormRequest) -> OpenedForm:
        """Open a form that a scripted person answers (the engine's forms)."""
        behaviour = self._next(request.node_id)
        if behaviour is None and self._script.default == "fail":
            raise NodeError(f"the script says nothing about form {request.node_id!r} and its default is fail")
        form_id = str(uuid7())
        self._behaviours[form_id] = behaviour or Behaviour()
        if behaviour is not None:
            await self._begin(behaviour)
        return OpenedForm(form_id, self.now() + request.timeout_s, True)

    def _answer(self, state: RunState, form_id: str) -> InboxItem | None:
        behaviour = self._behaviours[form_id]
        if behaviour.pause:
            return None
        if behaviour.timeout:
            return InboxItem(str(uuid7()), "timeout", form_id)
        form = state.forms[form_id].opened
        action = behaviour.action or (form.definition["actions"][0]["id"] if form.definition["actions"] else "")
        values = default_answer(form)
        if values is None and behaviour.inputs is None:
            return None
        return InboxItem(str(uuid7()), "submitted", form_id, action, {**(values or {}), **(behaviour.inputs or {})})

    def _next(self, node_id: str) -> Behaviour | None:
        scripted = self._script.nodes.get(node_id)
        if scripted is None:
            return None
        number = self._calls.get(node_id, 0)
        self._calls[node_id] = number + 1
        return scripted.call(number)

    async def _begin(self, behaviour: Behaviour) -> None:
        if behaviour.delay_s:
            await asyncio.sleep(behaviour.delay_s)
        if behaviour.error is not None:
            raise NodeError(behaviour.error, behaviour.error_type)

    def _replace_effect(self, node: PlanNode) -> None:
        """Let a node that the script names answer from it; forms keep their own step, people answer them."""
        if node.id not in self._script.nodes or node.opens_form:
            return
        own_pure, own_effect = node.pure, node.effect

        async def scripted(pool: VariablePool, context: EffectContext) -> Any:
            behaviour = self._next(node.id) or Behaviour()
            await self._begin(behaviour)
            if behaviour.chunks is not None:
                for chunk in behaviour.chunks:
                    context.emit("text", chunk)
                    await asyncio.sleep(0)
                context.emit("text", "", True)
            outputs = {"text": "".join(behaviour.chunks)} if behaviour.chunks is not None else {}
            if behaviour.outputs is not None or behaviour.chunks is not None:
                return NodeResult({**outputs, **(behaviour.outputs or {})})
            result = own_pure(pool) if own_pure is not None else None
            if result is None and own_effect is not None:
                return await own_effect(pool, context)
            return result or NodeResult({})

        node.pure, node.effect = None, scripted


def default_answer(form: FormOpened) -> dict[str, Any] | None:
    """Return what a scripted person fills in without a script: defaults, else "" and the first option.

    Returns:
        Input name -> value; None when the form wants a file, which only a script can give.
    """
    values: dict[str, Any] = {}
    resolved = form.definition["resolved_default_values"]
    for field in form.definition["inputs"]:
        name, kind = field["output_variable_name"], field["type"]
        if kind in ("file", "file-list"):
            return None
        if kind == "select":
            options = field["option_source"]["value"]
            values[name] = options[0] if options else ""
        else:
            default = field.get("default") or {}
            values[name] = resolved.get(name, default.get("value", "") if default.get("type") == "constant" else "")
    return values
