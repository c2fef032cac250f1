"""What paused runs cost: bytes on disk, memory of the HITL actor, and whether their number slows a resumption.

Every paused run is a real one: its segment, its form and its pause went the way of the product, many at a time so that
they share commits. A small database with ``FEW`` of them stands beside the large one.
"""

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

from rich.console import Console

from actors.messages import RunOutcome
from benchmarks.hitl_cycle import Cycles, cycles

FEW = 100
WIDTH = 64
"""Runs that are being paused at a time; the SQLite writer takes as many into one commit."""
TELL_S = 10.0


async def fill(data: Path, count: int, kept: int, tell: Callable[[str], None]) -> tuple[list[RunOutcome], float]:
    """Pause ``count`` runs in the database of ``data``.

    Returns:
        ``kept`` of them, from all over the database, and the bytes on disk that each takes.
    """
    chosen = set(random.Random(count).sample(range(count), min(kept, count)))
    outcomes: list[RunOutcome] = []
    numbers = iter(range(count))
    told_at = began = time.perf_counter()
    async with cycles(data) as running:
        empty = disk_bytes(data)

        async def line() -> None:
            nonlocal told_at
            for number in numbers:
                outcome = await running.pause()
                if number in chosen:
                    outcomes.append(outcome)
                if time.perf_counter() - told_at > TELL_S:
                    told_at = time.perf_counter()
                    tell(f"{number:,} of {count:,} runs are paused, {number / (told_at - began):,.0f} a second")

        await asyncio.gather(*(line() for _ in range(WIDTH)))
    return outcomes, (disk_bytes(data) - empty) / count


def disk_bytes(data: Path) -> int:
    """Return the size of the database in ``data`` with everything that was committed in its main file."""
    path = data / "greenroom.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.stat().st_size


async def resume_p99_vs_few(many: Path, few: Path, of_many: list[RunOutcome], of_few: list[RunOutcome]) -> float:
    """Return p99 of resuming ``of_many`` over that of ``of_few``: pairs of one each, one after the other."""
    async with cycles(many) as large, cycles(few) as small:
        pairs = list(zip(of_many, of_few, strict=True))
        slow, quick = [], []
        for number, (first, second) in enumerate(pairs):
            turns: list[tuple[Cycles, RunOutcome, list[float]]] = [(large, first, slow), (small, second, quick)]
            for running, paused, seconds in turns if number % 2 else reversed(turns):
                seconds.append(await running.resume(paused))
    return percentile_99(slow) / percentile_99(quick)


def percentile_99(values: list[float]) -> float:
    """Return the 99th percentile."""
    return quantiles(values, n=100, method="inclusive")[98]


def teller(console: Console) -> Callable[[str], None]:
    """Return what prints a line of progress."""
    return lambda line: console.print(line, markup=False)
