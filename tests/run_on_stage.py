"""A run on a stage: each segment gets a fresh engine over stored bytes, as if its process had been replaced."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from factories import document
from fakes import ListForms, ListRecorder, ScriptedChat, TickClock, effects
from graph.engine import Engine, Limits, Outcome
from graph.events import (
    ContainerStarted,
    Fact,
    FormSubmitted,
    FormTimedOut,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    PassFinished,
    PassStarted,
    RunFinished,
    RunPaused,
    TextEmitted,
    TextPart,
    TextWithdrawn,
    VariableUpdated,
    decode_facts,
    encode_facts,
)
from graph.parse_workflow import parse_document
from graph.plan import Plan, compile_plan
from graph.ports import InboxItem
from graph.run_state import RunState, apply
from graph.snapshot import dump_state, load_state


class WatchedRecorder(ListRecorder):
    """Keeps what is told, and wakes who waits for it."""

    def __init__(self, facts: Sequence[Fact] = ()) -> None:
        super().__init__(list(facts))
        self.changed = asyncio.Event()

    async def append(self, facts: Sequence[Fact], taken: Sequence[str] = ()) -> None:
        """Keep ``facts`` as told."""
        await super().append(facts, taken)
        self.changed.set()

    def tell(self, part: TextPart) -> None:
        """Keep ``part`` as told."""
        super().tell(part)
        self.changed.set()


class RunOnStage:
    """One run of ``plan``. ``facts``: all of its journal so far."""

    def __init__(
        self,
        plan: Plan,
        chat: ScriptedChat | None = None,
        forms: ListForms | None = None,
        facts: Sequence[Fact] = (),
        **limits: Any,
    ) -> None:
        self.plan = plan
        self.chat = chat or ScriptedChat()
        self.forms = forms or ListForms()
        self.recorder = WatchedRecorder(facts)
        self.clock = TickClock()
        self.limits = Limits(**limits)
        self.state = RunState(plan)

    @property
    def facts(self) -> list[Fact]:
        """Every fact appended so far."""
        return self.recorder.facts

    def engine(self, state: RunState | None = None) -> Engine:
        """Return a fresh engine over ``state``, or over the run's own."""
        self.state = state or self.state
        around = effects(self.chat, self.forms)
        return Engine(self.plan, self.state, "run-1", around, self.recorder, self.clock, self.limits)

    async def start(self, system: dict[str, Any] | None = None, **conversation: Any) -> Outcome:
        """Run to the end or the first pause; ``system``: sys.* values, which are also the start inputs."""
        return await self.engine().start(dict(system or {}), dict(system or {}), conversation)

    async def resume(self, *items: InboxItem) -> Outcome:
        """Resume from the stored snapshot."""
        assert self.recorder.snapshot is not None
        return await self.engine(load_state(self.plan, self.recorder.snapshot)).resume(items)

    def replayed(self, facts: list[Fact] | None = None) -> RunState:
        """Return the state that the journal, or ``facts``, lead to."""
        return replayed(self.plan, self.facts if facts is None else facts)

    def crash_points(self) -> list[int]:
        """Return every number of facts that a crash may leave: an append never ends with a fact that needs its next."""
        bound = (VariableUpdated, TextEmitted, TextWithdrawn, FormSubmitted, FormTimedOut)
        return [count for count, fact in enumerate(self.facts[:-1], 1) if not isinstance(fact, bound)]

    def check_replay(self) -> None:
        """Assert that replay, live state and a restored snapshot are the same."""
        check_replay(self.state, self.facts)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until ``condition`` holds; it is asked each time something is told."""
        while not condition():
            self.recorder.changed.clear()
            await self.recorder.changed.wait()

    def text(self) -> str:
        """Return all durable text in order."""
        return "".join(text for fact in self.facts if isinstance(fact, TextEmitted) for text in fact.texts)

    def told_text(self) -> str:
        """Return all text told live in order."""
        return "".join(part.text for part in self.recorder.parts)


def replayed(plan: Plan, facts: list[Fact]) -> RunState:
    """Return the state that stored ``facts`` lead to."""
    state = RunState(plan)
    for fact in decode_facts(encode_facts(facts)):
        apply(state, fact)
    return state


def check_replay(state: RunState, facts: list[Fact]) -> None:
    """Assert that ``state``, the replay of ``facts`` and a restored snapshot are the same."""
    dumped = dump_state(state)
    assert dump_state(replayed(state.plan, facts)) == dumped
    assert dump_state(load_state(state.plan, dumped)) == dumped


def graph(
    nodes: list[Any],
    edges: list[dict[str, Any]],
    mode: str = "workflow",
    conversation: dict[str, tuple[str, Any]] | None = None,
) -> Plan:
    """Return the plan of a graph; lists among ``nodes`` are containers. ``conversation``: name -> (type, value)."""
    flat = [each for node in nodes for each in (node if isinstance(node, list) else [node])]
    file = document(flat, edges, mode)
    file["workflow"]["conversation_variables"] = [
        {"id": name, "name": name, "value_type": kind, "value": value}
        for name, (kind, value) in (conversation or {}).items()
    ]
    parsed = parse_document(file)
    assert parsed.workflow is not None, parsed.faults
    return compile_plan(parsed.workflow)


async def play(nodes: list[Any], edges: list[dict[str, Any]], items: Any = None, **options: Any) -> RunOnStage:
    """Run a graph whose ``sys.items`` is ``items`` to its end, check its replay and return it."""
    mode, conversation = options.pop("mode", "workflow"), options.pop("conversation", None)
    run = RunOnStage(graph(nodes, edges, mode, conversation), **options)
    await run.start({"items": items, "files": []})
    run.check_replay()
    return run


def long_story(facts: list[Fact]) -> list[str]:
    """Return the facts in short, with their place ("it:0|node") and what containers and variables did."""
    return [line for fact in facts for line in _short(fact)]


def _short(fact: Fact) -> list[str]:
    match fact:
        case NodeStarted():
            return [f"S {_place(fact.scope)}{fact.node_id}"]
        case NodeFinished():
            status = "OK" if fact.status == "succeeded" else fact.status
            return [f"{status} {_place(fact.scope)}{fact.node_id}"]
        case NodeRetried():
            return [f"retry {fact.retry_index} {_place(fact.scope)}{fact.node_id}"]
        case ContainerStarted():
            return [f"+ {_place(fact.scope)}{fact.node_id}"]
        case PassStarted():
            return [f"pass {_place(fact.scope)}{fact.node_id} {fact.index}"]
        case PassFinished():
            return [f"{fact.status} {_place(fact.scope)}{fact.node_id} {fact.index}"]
        case VariableUpdated():
            return [f"{'.'.join(fact.selector)}={fact.value}"]
        case TextEmitted():
            return [f'C"{text}"' for text in fact.texts]
        case RunPaused():
            return ["paused"]
        case RunFinished():
            return [f"={fact.status}"]
        case _:
            return []


def _place(scope: str) -> str:
    return f"{scope}|" if scope else ""


def finished(run: RunOnStage) -> RunFinished:
    """Return the run's last fact."""
    last = run.facts[-1]
    assert isinstance(last, RunFinished)
    return last


def metadata_of(run: RunOnStage, node_id: str) -> dict[str, Any]:
    """Return the metadata of a node, as it ended the last time."""
    return end_of(run, node_id).metadata or {}


def end_of(run: RunOnStage, node_id: str) -> NodeFinished:
    """Return how a node ended, the last time it did."""
    return next(f for f in reversed(run.facts) if isinstance(f, NodeFinished) and f.node_id == node_id)
