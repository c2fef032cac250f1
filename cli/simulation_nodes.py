"""Replaces the steps of a simulated run's nodes: what the script says of them, and kinds that do not run by themselves.

Scripted people answer at a pause (``cli.simulation``); here their forms are only delayed, or fail.
"""

import asyncio
from typing import Any

from pydantic import ValidationError

from cli.simulation_made_up import fed_by_made_up_values, forgiving
from cli.simulation_ports import MOCKED_KNOWLEDGE, MOCKED_TEXT, words_of
from cli.simulation_script import Behaviour, Script, exit_named
from graph.errors import NodeError
from graph.node_facts import unsupported
from graph.nodes.kind import EffectContext, EffectStep, FormAsked, NodeData, NodeResult, PureStep
from graph.nodes.table import RECOGNISED
from graph.plan import ROOT_KINDS, Plan, PlanNode
from graph.variable_pool import VariablePool

_SPEAKING_KINDS = frozenset({"llm", "agent"})
"""Kinds whose text comes word by word, also where the script gives it as a whole."""


class ScriptedNodes:
    """The nodes of one plan under one script, and how often each was called."""

    def __init__(self, plan: Plan, script: Script) -> None:
        """Replace the steps in ``plan``, which no other run may use."""
        self._script = script
        self._calls: dict[str, int] = {}
        self.notes: list[str] = []
        """What happened that whoever tests should know of."""
        self._made_up = fed_by_made_up_values(plan, script)
        for scope in plan.scopes.values():
            for node in scope.nodes:
                self._replace(node, plan)

    def next_call(self, node_id: str) -> Behaviour:
        """Return the behaviour of the next call of a node; the empty one where the script does not name it."""
        scripted = self._script.nodes.get(node_id)
        if scripted is None:
            return Behaviour()
        number = self._calls.get(node_id, 0)
        self._calls[node_id] = number + 1
        return scripted.call(number)

    def _replace(self, node: PlanNode, plan: Plan) -> None:
        if node.type in RECOGNISED:
            _complete(node, plan)
            node.effect = _auto_step(node)
        is_strict = node.data is None or node.data.error_strategy is not None or node.retry_limit
        if node.type == "code" and node.effect is not None and node.id in self._made_up and not is_strict:
            node.effect = forgiving(node, node.effect, self.notes.append)
        if node.id in self._script.nodes:
            if not node.opens_form:
                node.pure, node.effect = None, self._scripted(node, node.pure, node.effect)
        elif self._script.default == "fail" and node.effect is not None and node.pure is None:
            node.effect = _silent(node)

    def _scripted(self, node: PlanNode, own_pure: PureStep | None, own_effect: EffectStep | None) -> EffectStep:
        async def step(pool: VariablePool, context: EffectContext) -> NodeResult | FormAsked:
            call = self.next_call(node.id)
            await delay(call)
            await _speak(_chunks(node, call), context, is_whole=call.error is None)
            fail(call)
            if call.outputs is not None or call.chunks is not None:
                outputs = {} if call.chunks is None else {"text": "".join(call.chunks)}
                return _given(node, {**outputs, **(call.outputs or {})})
            result = own_pure(pool) if own_pure is not None else None
            if result is not None:
                return result
            if own_effect is None:
                raise unsupported(node.type)
            return await own_effect(pool, context)

        return step


async def delay(call: Behaviour) -> None:
    """Wait as long as the script says."""
    if call.delay_s:
        await asyncio.sleep(call.delay_s)


def fail(call: Behaviour) -> None:
    """Fail if the script says so.

    Raises:
        NodeError: the scripted one.
    """
    if call.error is not None:
        raise NodeError(call.error, call.error_type)


def _chunks(node: PlanNode, call: Behaviour) -> list[str]:
    if call.chunks is not None:
        return call.chunks
    text = (call.outputs or {}).get("text")
    return words_of(text) if isinstance(text, str) and node.type in _SPEAKING_KINDS else []


async def _speak(chunks: list[str], context: EffectContext, *, is_whole: bool = True) -> None:
    for chunk in chunks:
        context.emit("text", chunk)
        await asyncio.sleep(0)
    if chunks and is_whole:
        context.emit("text", "", is_final=True)


def _given(node: PlanNode, outputs: dict[str, Any]) -> NodeResult:
    """Return the result of a node with scripted ``outputs``: of a branch they name the exit, else it is the first."""
    handles = node.kind.handles if node.kind is not None else None
    if handles is None:
        return NodeResult(outputs)
    return NodeResult(outputs, handle=exit_named(node, outputs) or next(iter(handles(node.data)), ""))


def _silent(node: PlanNode) -> EffectStep:
    """Return the step of a node that the script does not name where nothing is made up."""

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        raise NodeError(f"the script says nothing about {node.id!r}, and its default is fail", "NotScripted")

    return step


def _complete(node: PlanNode, plan: Plan) -> None:
    """Let the error strategy and the retries count of a node whose kind does not run by itself."""
    source = next(each for each in plan.workflow.nodes if each.id == node.id)
    try:
        node.data = NodeData.model_validate({**source.data, "node_id": node.id})
    except ValidationError:
        return  # its own data do not matter, as nothing runs by them
    node.is_branch = node.data.error_strategy == "fail-branch"
    if node.data.retry_config.retry_enabled:
        node.retry_limit = node.data.retry_config.max_retries
        node.retry_interval_s = node.data.retry_config.retry_interval / 1000


def _auto_step(node: PlanNode) -> EffectStep:
    """Return what a kind does in a simulation that does not run by itself."""

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        if node.type in ROOT_KINDS:
            # What starts the run hands on what it was given.
            system = {f"sys.{name}": value for name, value in pool.names("sys").items()}
            return NodeResult({**pool.names(node.id), **system})
        if node.type == "agent":
            await _speak(words_of(MOCKED_TEXT), context)
            return NodeResult({"text": MOCKED_TEXT, "files": [], "json": [{"data": []}]})
        if node.type.startswith("knowledge-retrieval"):
            return NodeResult({"result": [_passage()]})
        return NodeResult({})

    return step


def _passage() -> dict[str, Any]:
    """Return one passage that a knowledge base would find."""
    metadata = {"_source": "knowledge", "dataset_id": "mocked", "dataset_name": "mocked", "document_id": "mocked",
                "document_name": "mocked", "segment_id": "mocked", "retriever_from": "workflow", "score": 1.0,
                "position": 1}  # fmt: skip
    return {"title": "mocked", "content": MOCKED_KNOWLEDGE, "files": [], "summary": None, "metadata": metadata}
