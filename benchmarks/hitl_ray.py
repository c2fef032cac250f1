"""The same runs on a Ray of their own: cycles, the latency of pausing and resuming, and what a relay takes for them.

The relay is the least that could do the same: actors that pass a run's id on in the same calls and commit one row
wherever Greenroom commits. It stands for what Ray and the disk cost on this machine. Turns are taken in short rounds.
"""

import asyncio
import sqlite3
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import ray
from ray.actor import ActorHandle

from actors.background import Background
from actors.calls import EVENT_HUB, HITL_ACTOR, tell
from actors.hints import HintSubscription, HubHints
from actors.messages import RunOrder
from actors.settings import Settings
from actors.wiring import Ports
from benchmarks.hitl_cycle import answer_to, check, import_app, renewed
from benchmarks.ray_cluster import greenroom, process_id
from benchmarks.workflows import asking
from graph.events import RunResumed
from store.hint_record import Hint

CALLS = 50
"""Bare actor calls in a round."""


@dataclass(slots=True)
class Latencies:
    """Seconds, one value a cycle. ``resumed``: from the call of submit to the fact that the run has resumed."""

    cycles: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    resumes: list[float] = field(default_factory=list)
    resumed: list[float] = field(default_factory=list)


class Committing:
    """Commits one row at a time to a SQLite file of its own, synchronous FULL."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS relay (run_id TEXT NOT NULL)")
        self._background = Background()

    def commit(self, run_id: str) -> None:
        """Commit a row."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO relay VALUES (?)", (run_id,))
        self._connection.execute("COMMIT")


class RelayHitl(Committing):
    """What the relay has for the HITL actor."""

    def __init__(self, path: str, run_actor: ActorHandle) -> None:
        super().__init__(path)
        self._run_actor = run_actor

    async def open(self, run_id: str) -> None:
        """Commit."""
        self.commit(run_id)

    async def submit(self, run_id: str) -> None:
        """Commit and pass the run on, not waiting for it."""
        self.commit(run_id)
        self._background.start(self._resume(run_id))

    async def _resume(self, run_id: str) -> None:
        await self._run_actor.resume.remote(run_id)


class RelayRun(Committing):
    """What the relay has for a run actor."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._hitl: ActorHandle | None = None

    async def use(self, hitl: ActorHandle) -> None:
        """Say to whom forms go."""
        self._hitl = hitl

    async def noop(self) -> None:
        """Do nothing."""

    async def run(self, run_id: str) -> None:
        """Have a form opened, then commit."""
        assert self._hitl is not None
        await self._hitl.open.remote(run_id)
        self.commit(run_id)

    async def resume(self, run_id: str) -> None:
        """Commit, then tell that the run has moved, twice as a run does."""
        self.commit(run_id)
        for _ in range(2):
            tell(EVENT_HUB, "publish", [Hint(run_id, 1)])


class Relay:
    """Passes runs through actors; the pause of a run is known by its call, its end by the hub."""

    def __init__(self, data: Path) -> None:
        path = str(data / "relay.db")
        first, second = (ray.remote(RelayRun).options(num_cpus=0).remote(path) for _ in range(2))
        self._run, hitl = first, ray.remote(RelayHitl).options(num_cpus=0).remote(path, second)
        ray.get([first.use.remote(hitl), second.use.remote(hitl)])
        self._hitl = hitl
        self._hints = HintSubscription(HubHints(), reread_s=60.0)
        self._count = 0

    async def once(self) -> float:
        """Pass one run through; return the seconds."""
        self._count += 1
        run_id = f"relay-{self._count:030d}"
        began = time.perf_counter()
        await self._run.run.remote(run_id)
        moved = asyncio.ensure_future(self._hints.wait(run_id, 0))
        await asyncio.sleep(0)
        await self._hitl.submit.remote(run_id)
        await moved
        return time.perf_counter() - began

    async def call(self) -> float:
        """Call an actor that does nothing; return the seconds."""
        began = time.perf_counter()
        await self._run.noop.remote()
        return time.perf_counter() - began

    async def close(self) -> None:
        """End the subscription; the actors end with this process's Ray."""
        await self._hints.close()


class RayCycles:
    """Runs cycles on Greenroom's actors, as a process that serves requests does."""

    def __init__(self, ports: Ports, order: RunOrder) -> None:
        self._ports = ports
        self._order = order
        self.seen = Latencies()

    async def once(self) -> float:
        """Run one cycle and note its latencies; return the seconds.

        Raises:
            ValueError: it did not go as it should.
        """
        order, runs, now = renewed(self._order), self._ports.runs, time.perf_counter
        began = now()
        answer = answer_to(await runs.start(order))
        # Who waits for a run has asked for hints before anybody answers.
        moved = asyncio.ensure_future(self._ports.hints.wait(order.run_id, 0))
        await asyncio.sleep(0)
        paused, paused_at = now(), time.time()
        await self._ports.forms_client.submit(answer)
        await moved
        outcome = await runs.outcome(order.run_id)
        ended = now()
        check(outcome)
        facts = [fact for _, fact in await self._ports.journal.read(order.run_id)]
        resumed_at = next(fact.at for fact in facts if isinstance(fact, RunResumed))
        seen = self.seen
        seen.cycles.append(ended - began)
        seen.pauses.append(paused - began)
        seen.resumes.append(ended - paused)
        seen.resumed.append(resumed_at - paused_at)
        return ended - began


async def repeated(once: Callable[[], Awaitable[float]], budget_s: float, least: int = 1) -> list[float]:
    """Return the seconds of each: as many as ``budget_s`` allows, ``least`` or more."""
    seconds: list[float] = []
    give_up_at = time.perf_counter() + budget_s
    while len(seconds) < least or time.perf_counter() < give_up_at:
        seconds.append(await once())
    return seconds


async def measure_ray(data: Path, rounds: int, budget_s: float, tell_people: Callable[[str], None]) -> dict[str, float]:
    """Return the figures of Greenroom on Ray, beside the relay; Ray must be running."""
    calls: list[float] = []
    ratios: list[float] = []
    async with greenroom(Settings(data_dir=data)) as ports:
        ours, relay = RayCycles(ports, await import_app(ports, asking())), Relay(data)
        try:
            await repeated(ours.once, budget_s)
            await repeated(relay.once, budget_s)
            ours.seen = Latencies()
            for number in range(rounds):
                tell_people(f"on Ray, round {number + 1} of {rounds} …")
                calls += await repeated(relay.call, 0.0, CALLS)
                mine = await repeated(ours.once, budget_s, 3)
                least = await repeated(relay.once, budget_s, 3)
                ratios.append(median(least) / median(mine))
        finally:
            await relay.close()
    seen, call = ours.seen, median(calls)
    return {
        "ray.cycles_per_s": 1 / median(seen.cycles),
        "ray.vs_relay": median(ratios),
        "ray.pause_p50_ms": median(seen.pauses) * 1e3,
        "ray.resume_p50_ms": median(seen.resumes) * 1e3,
        "ray.resume_vs_bare_call": median(seen.resumed) / call,
        "ray.bare_call_p50_ms": call * 1e3,
    }


async def hitl_rss_bytes(data: Path, restarts: int) -> float:
    """Return the memory of the HITL actor on the database in ``data``: the median of ``restarts`` fresh processes."""
    found = []
    for _ in range(restarts):
        async with greenroom(Settings(data_dir=data)) as ports:
            order = renewed(await import_app(ports, asking()))
            # One whole cycle, so that connections are open and the first look at everything is over.
            await ports.forms_client.submit(answer_to(await ports.runs.start(order)))
            check(await ports.runs.outcome(order.run_id))
            pid = await process_id(HITL_ACTOR)
            shown = await asyncio.to_thread(subprocess.check_output, ["ps", "-o", "rss=", "-p", str(pid)])
            found.append(int(shown) * 1024)
    return median(found)
