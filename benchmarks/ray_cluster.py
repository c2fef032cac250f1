"""A Ray of our own to measure on, and a Greenroom on it that goes again."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import ray
from ray.util import list_named_actors

from actors.calls import NAMESPACE, RUN_ACTOR_PREFIX, SUPERVISOR, find
from actors.settings import Settings
from actors.start_actors import start_actors
from actors.wiring import Ports
from benchmarks.peers import ROOT
from store.migrate import migrate

LOOKS = 600
"""How often it is looked whether ended actors are gone, twenty times a second."""


@asynccontextmanager
async def greenroom(settings: Settings) -> AsyncIterator[Ports]:
    """Give the ports of a Greenroom with these ``settings`` on the running Ray; in the end its actors are ended."""
    await asyncio.to_thread(migrate, settings.database_url_to_open())
    ports = Ports(settings)
    try:
        await start_actors(settings)
        ports.runs.warm_up()
        yield ports
    finally:
        await ports.close()
        await end_actors()


async def process_id(actor: str) -> int:
    """Return the process id of a named actor."""
    return await find(actor).__ray_call__.remote(lambda actor: os.getpid())


@contextmanager
def local_ray() -> Iterator[None]:
    """Run a Ray of our own for as long as the block lasts."""
    saved = dict(os.environ)
    # Actors import our packages by name.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(
        address="local",
        namespace=NAMESPACE,
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    try:
        yield
    finally:
        ray.shutdown()
        os.environ.clear()
        os.environ.update(saved)


async def end_actors() -> None:
    """End every actor of Greenroom: first who waits for leases, and last whom the supervisor would replace."""
    first = [name for name in named_actors() if name != SUPERVISOR and not name.startswith(RUN_ACTOR_PREFIX)]
    await _end(first)
    await _end([SUPERVISOR])
    await _end(named_actors())


async def _end(names: Sequence[str]) -> None:
    for name in set(names) & set(named_actors()):
        ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=True)
    for _ in range(LOOKS):
        if not set(names) & set(named_actors()):
            return
        await asyncio.sleep(0.05)


def named_actors(prefix: str = "") -> list[str]:
    """Return the names of those of Greenroom's actors that begin with ``prefix``."""
    names = (row["name"] for row in list_named_actors(all_namespaces=True) if row["namespace"] == NAMESPACE)
    return [name for name in names if name.startswith(prefix)]
