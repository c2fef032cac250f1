"""Many runs that execute at a time: how many there were, and what each takes in memory."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from actors.background import Background
from actors.calls import RUN_ACTOR_PREFIX, ask
from actors.messages import ActorState, RunOrder
from actors.wiring import Ports
from benchmarks.hitl_cycle import renewed
from benchmarks.ray_bare import bare_actor
from benchmarks.ray_cluster import named_actors, process_id

LOOK_S = 0.1
LOOKS = 3000
"""How often it is looked whether the pool is full: five minutes."""


def memory_mb(pid: int) -> tuple[float, float]:
    """Return what a process takes in MiB: all of it, and with what it shares with others divided among them."""
    found: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0])
    return found["Rss"] / 1024, found["Pss"] / 1024


async def measure_live(
    ports: Ports, order: RunOrder, model: Any, count: int, tell_people: Callable[[str], None]
) -> dict[str, float]:
    """Have ``count`` runs stand at their model at a time, then let them end; return what they take.

    Args:
        ports: of a Greenroom whose pool holds so many.
        order: an order of a run that asks the model.
        model: handle of a scripted model whose answer waits to be released.
        count: how many runs.
        tell_people: told what is waited for.

    Raises:
        ValueError: not every run has succeeded.
    """
    tell_people(f"waiting for {count} run actors …")
    for _ in range(LOOKS):
        if len(named_actors(RUN_ACTOR_PREFIX)) >= count:
            break
        await asyncio.sleep(LOOK_S)
    idle = [memory_mb(await process_id(name)) for name in named_actors(RUN_ACTOR_PREFIX)]
    bare = bare_actor()
    bare_mb = memory_mb(await bare.process_id.remote())
    background = Background()
    runs = [background.start(ports.runs.start(renewed(order))) for _ in range(count)]
    tell_people(f"waiting for {count} runs at their model …")
    await model.wait_held.remote(count)
    names = named_actors(RUN_ACTOR_PREFIX)
    states: list[ActorState] = [await ask(name, "ping") for name in names]
    live = [memory_mb(await process_id(name)) for name, state in zip(names, states, strict=True) if state.run_id]
    await model.release.remote()
    outcomes = await asyncio.gather(*runs)
    if any(outcome.status != "succeeded" for outcome in outcomes):
        raise ValueError(outcomes)
    return {
        "concurrent_runs_max": len({state.run_id for state in states if state.run_id}),
        "rss_mb_per_live_run": median(rss for rss, _ in live),
        "pss_mb_per_live_run": median(pss for _, pss in live),
        "rss_mb_idle_run_actor": median(rss for rss, _ in idle),
        "pss_mb_idle_run_actor": median(pss for _, pss in idle),
        "rss_mb_bare_actor": bare_mb[0],
        "pss_mb_bare_actor": bare_mb[1],
    }
