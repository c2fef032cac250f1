"""What the engine costs per node, beside its peers: workflows of pure nodes, in process.

Ours and the peers' take turns, round by round, so that a machine that gets slower or faster hits all of them. The
figure of a round is the mean of its runs: what else the machine does then slows short runs as much as long ones, where
the median run of a millisecond would be one that nothing disturbed. A figure is the median of its rounds;
``vs_<peer>`` is the median of the rounds' ratios, peer to ours: 20 means that a run of the peer takes 20 times as long.
Every time is divided by the same count of nodes (``Case.node_count``).

Keys: ``<case>.us_per_node``, ``<case>.vs_<peer>``, ``durable_chain_100.us_per_node`` (journal on SQLite, synchronous
FULL), ``compile_10000.ms`` (workflow file to plan), ``run_in_flight.bytes`` (a run that waits for its model).
"""

import asyncio
import gc
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

from rich.console import Console

from benchmarks.engine_runs import bytes_in_flight, compiled, durable, in_memory, repeated
from benchmarks.options import Options
from benchmarks.peers import ROOT, Peer, prepare_peers
from benchmarks.workflows import Case, chain, engine_cases

DURABLE = "durable_chain_100"

Figures = dict[str, float]
Samples = dict[str, list[float]]
"""Case, or case and peer as in ``chain_100/graphon`` -> seconds per run, one value a round."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. ``budget_s``: seconds for one case in one round; ``long_rounds``: for the long cases."""

    rounds: int = 7
    long_rounds: int = 3
    budget_s: float = 0.3
    least: int = 3


def measure(options: Options) -> Figures:
    """Return the figures by key, with the peers' ratios if asked for and possible."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    peers = prepare_peers(console) if options.with_peers else []
    return asyncio.run(measure_cases(engine_cases(), chain(10_000), peers, Effort(), ROOT, console))


async def measure_cases(
    cases: Mapping[str, Case],
    long_file: Case,
    peers: Sequence[Peer],
    effort: Effort,
    folder: Path,
    console: Console,
) -> Figures:
    """Return the figures of ``cases`` and of compiling ``long_file``.

    The database of the durable case lies in ``folder``, on whose disk it depends; what is left out goes to ``console``.
    """
    figures = {
        "compile_10000.ms": median(compile_seconds(long_file) for _ in range(3)) * 1e3,
        "run_in_flight.bytes": await bytes_in_flight(),
    }
    async with AsyncExitStack() as stack:
        for peer in peers:
            await stack.enter_async_context(peer)
        samples = await rounds_of(cases, peers, effort, folder, console)
    for peer in peers:
        for note in peer.notes:
            console.print(note, markup=False)
    return figures_of(cases, [peer.name for peer in peers], samples) | figures


def compile_seconds(case: Case) -> float:
    """Return the seconds from the mapping of a workflow file to its plan."""
    gc.collect()
    began = time.perf_counter()
    compiled(case.graph)
    return time.perf_counter() - began


async def rounds_of(
    cases: Mapping[str, Case], peers: Sequence[Peer], effort: Effort, folder: Path, console: Console
) -> Samples:
    """Run all rounds and return what each gave."""
    samples: Samples = {}
    runs = {name: in_memory(case, compiled(case.graph)) for name, case in cases.items()}
    chain_100 = chain(100)
    async with durable(chain_100, compiled(chain_100.graph), folder) as durable_run:
        for round_number in range(effort.rounds):
            console.print(f"round {round_number + 1} of {effort.rounds} …")
            for name, case in cases.items():
                if case.is_long and round_number >= effort.long_rounds:
                    continue
                least = 1 if case.is_long else effort.least
                samples.setdefault(name, []).append(fmean(await repeated(runs[name], effort.budget_s, effort.least)))
                for peer in peers:
                    seconds = await peer.seconds(name, described(case), effort.budget_s, least)
                    if seconds:
                        samples.setdefault(f"{name}/{peer.name}", []).append(fmean(seconds))
            samples.setdefault(DURABLE, []).append(fmean(await repeated(durable_run, effort.budget_s, effort.least)))
    return samples


def described(case: Case) -> dict[str, object]:
    """Return what a peer's driver must know of a case."""
    return {key: value for key, value in asdict(case).items() if key in ("graph", "inputs", "outputs", "shape")}


def figures_of(cases: Mapping[str, Case], peers: Sequence[str], samples: Samples) -> Figures:
    """Return the figures that ``samples`` give."""
    figures: Figures = {}
    for name, case in cases.items():
        ours = samples[name]
        figures[f"{name}.us_per_node"] = median(ours) / case.node_count * 1e6
        for peer in peers:
            theirs = samples.get(f"{name}/{peer}")
            if theirs:
                figures[f"{name}.vs_{peer}"] = median(t / o for t, o in zip(theirs, ours, strict=False))
    figures[f"{DURABLE}.us_per_node"] = median(samples[DURABLE]) / 100 * 1e6
    return figures
