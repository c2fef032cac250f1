"""What the engine itself costs per node: workflows of pure nodes, in process, facts dropped."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from graph.engine import Engine
from graph.events import Fact, RunFinished, TextPart
from graph.parse_workflow import parse_document
from graph.plan import Plan, compile_plan
from graph.ports import ChatDelta, ChatRequest, Effects, FormRequest, InboxItem, OpenedForm
from graph.run_state import RunState

REPEATS = 200
WARM_UP = 20

Figures = dict[str, float]


class DroppingRecorder:
    """Takes facts and forgets them."""

    async def append(self, facts: Sequence[Fact], taken: Sequence[str] = ()) -> None:
        """Drop ``facts``."""

    async def pause(self, facts: Sequence[Fact], taken: Sequence[str], snapshot: bytes) -> Sequence[InboxItem]:
        """Drop ``facts``; nothing is ever left to take up."""
        return []

    def tell(self, part: TextPart) -> None:
        """Drop ``part``."""


class NoEffects:
    """Stands for the ports that pure nodes never call."""

    def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Refuse."""
        raise NotImplementedError(request.name)

    async def open_form(self, request: FormRequest) -> OpenedForm:
        """Refuse."""
        raise NotImplementedError(request.node_id)


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()


def measure(with_peers: bool) -> Figures:
    """Return the medians by name, in microseconds per node; the peers' too if asked for and possible."""
    figures: Figures = {}
    for name, graph in graphs().items():
        document = {"kind": "app", "version": "0.6.0", "app": {"name": name, "mode": "workflow"}}
        plan, compile_s = compiled({**document, "workflow": {"graph": graph, "features": {}}})
        runs_s = asyncio.run(timed_runs(plan))
        figures[f"greenroom.{name}.us_per_node"] = statistics.median(runs_s) / len(plan.workflow.nodes) * 1e6
        figures[f"greenroom.{name}.compile_ms"] = compile_s * 1e3
    if with_peers:
        for name in graphs():
            peer = figures.get(f"graphon.{name}.us_per_node")
            if peer is not None:
                figures[f"ratio.{name}"] = peer / figures[f"greenroom.{name}.us_per_node"]
    return figures


def compiled(document: dict[str, Any]) -> tuple[Plan, float]:
    """Return the plan of an app file and the seconds that reading and compiling it took."""
    began = time.perf_counter()
    parsed = parse_document(document)
    if parsed.workflow is None:
        raise ValueError([str(fault) for fault in parsed.faults])
    plan = compile_plan(parsed.workflow)
    return plan, time.perf_counter() - began


async def timed_runs(plan: Plan) -> list[float]:
    """Run the plan many times and return the seconds of each run, from its state to its last fact."""
    seconds = []
    for repeat in range(WARM_UP + REPEATS):
        run_id = f"00000000-0000-7000-8000-{repeat:012d}"
        began = time.perf_counter()
        engine = Engine(
            plan, RunState(plan), run_id, Effects(NoEffects(), NoEffects()), DroppingRecorder(), SystemClock()
        )
        outcome = await engine.start({"q": "hello"}, {"user_id": "bench"})
        seconds.append(time.perf_counter() - began)
        if not (isinstance(outcome, RunFinished) and outcome.outputs == {"out": "hello"}):
            raise ValueError(outcome)
    return seconds[WARM_UP:]
