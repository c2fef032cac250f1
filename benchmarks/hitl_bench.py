"""What it costs to ask a person: pause, persist, submit, resume, finish; and what waiting costs.

Keys, each a median unless it says otherwise:

    one_process.cycles_per_s       whole cycles one after the other, no Ray, SQLite with synchronous FULL (hitl_cycle)
    one_process.cycles_per_s_16    the same with 16 in flight
    one_process.vs_langgraph       how often ours goes into LangGraph's cycle: SQLite FULL too, in turns, one at a time
    ray.cycles_per_s               on Greenroom's actors, one after the other (hitl_ray)
    ray.vs_relay                   speed as a share of what actors reach that make the same calls and commits only
    ray.pause_p50_ms               from the start of a run to its caller's knowing that it waits
    ray.resume_p50_ms              from submit to its caller's knowing that the run has finished
    ray.resume_vs_bare_call        from submit to the fact that the run has resumed, in calls of an idle actor
    ray.bare_call_p50_ms           such a call
    paused_100k.disk_bytes_each    what a waiting run takes on disk (hitl_paused)
    paused_100k.rss_bytes_each     memory of the HITL actor after a restart: with so many less that with 100, for each
    paused_100k.resume_p99_vs_100  p99 of resuming one of so many over p99 of resuming one of 100
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from rich.console import Console

from benchmarks.hitl_cycle import IN_FLIGHT, cycles, data_folder
from benchmarks.hitl_paused import FEW, fill, resume_p99_vs_few
from benchmarks.hitl_ray import hitl_rss_bytes, measure_ray
from benchmarks.options import PAUSED_COUNT, Options
from benchmarks.peers import ROOT, Peer, prepare_peers
from benchmarks.ray_cluster import local_ray
from benchmarks.workflows import ANSWER

LANGGRAPH = "langgraph"

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. ``budget_s``: seconds for one thing in one round; ``resumed``: runs that are resumed."""

    rounds: int = 7
    budget_s: float = 1.0
    resumed: int = 500
    restarts: int = 3


def measure(options: Options) -> Figures:
    """Return the figures by key, with LangGraph's ratio if asked for and possible."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def tell(line: str) -> None:
        console.print(line, markup=False)

    peers = prepare_peers(console, [LANGGRAPH]) if options.with_peers else []
    effort = Effort()
    with data_folder(ROOT) as here, data_folder(ROOT) as on_ray, data_folder(ROOT) as many, data_folder(ROOT) as few:
        figures = asyncio.run(measure_one_process(here, peers, effort, tell))
        paused = asyncio.run(measure_paused(many, few, options.paused_count, effort, tell))
        with local_ray():
            figures |= asyncio.run(measure_ray(on_ray, effort.rounds, effort.budget_s, tell))
            rss = asyncio.run(measure_rss(many, few, options.paused_count, effort, tell))
    name = "paused_100k" if options.paused_count == PAUSED_COUNT else f"paused_{options.paused_count}"
    return figures | {f"{name}.{quantity}": value for quantity, value in {**paused, **rss}.items()}


async def measure_one_process(
    data: Path, peers: Sequence[Peer], effort: Effort, tell: Callable[[str], None]
) -> Figures:
    """Return the figures of one process: our cycles and those of ``peers``, in turns."""
    alone: list[float] = []
    crowded: list[float] = []
    ratios: dict[str, list[float]] = {peer.name: [] for peer in peers}
    async with AsyncExitStack() as stack:
        for peer in peers:
            await stack.enter_async_context(peer)
        running = await stack.enter_async_context(cycles(data))
        asked = {
            "graph": {},
            "inputs": {"q": "hello", "answer": ANSWER["comment"], "folder": str(data)},
            "outputs": {"out": ANSWER["comment"]},
            "shape": "person",
        }
        await running.a_second(effort.budget_s, 1)
        for number in range(effort.rounds):
            tell(f"in one process, round {number + 1} of {effort.rounds} …")
            alone.append(await running.a_second(effort.budget_s, 1))
            for peer in peers:
                if seconds := await peer.seconds("person", asked, effort.budget_s, 3):
                    ratios[peer.name].append(fmean(seconds) * alone[-1])
            crowded.append(await running.a_second(effort.budget_s, IN_FLIGHT))
    for peer in peers:
        for note in peer.notes:
            tell(note)
    figures = {"one_process.cycles_per_s": median(alone), f"one_process.cycles_per_s_{IN_FLIGHT}": median(crowded)}
    return figures | {f"one_process.vs_{name}": median(values) for name, values in ratios.items() if values}


async def measure_paused(many: Path, few: Path, count: int, effort: Effort, tell: Callable[[str], None]) -> Figures:
    """Pause ``count`` runs in ``many`` and few in ``few``; return what they take on disk and to be resumed."""
    resumed = min(effort.resumed, count)
    of_many, disk_bytes_each = await fill(many, count, resumed, tell)
    tell(f"all {count:,} were paused by real runs, none was put into the database otherwise")
    # What is resumed is topped up first, so that the few stay few.
    of_few, _ = await fill(few, FEW + resumed, resumed, tell)
    ratio = await resume_p99_vs_few(many, few, of_many, of_few)
    return {"disk_bytes_each": disk_bytes_each, f"resume_p99_vs_{FEW}": ratio}


async def measure_rss(many: Path, few: Path, count: int, effort: Effort, tell: Callable[[str], None]) -> Figures:
    """Return what a waiting run takes in the HITL actor's memory; Ray must be running."""
    tell("memory of the HITL actor …")
    large = await hitl_rss_bytes(many, effort.restarts)
    return {"rss_bytes_each": (large - await hitl_rss_bytes(few, effort.restarts)) / count}
