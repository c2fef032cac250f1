"""Brings the named actors up; whoever needs them calls this first, and one of the callers wins."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

import ray
from ray.actor import ActorHandle
from ray.util import list_named_actors

from actors.calls import COURIER, EVENT_HUB, HITL_ACTOR, NAMESPACE, SUPERVISOR, ask, find
from actors.code_version import code_version
from actors.courier import make_courier
from actors.errors import ActorAwayError, CodeVersionError
from actors.event_hub import make_event_hub
from actors.hitl_actor import make_hitl_actor
from actors.hitl_parts import HitlPart, hitl_parts
from actors.node_check import check_nodes
from actors.run_supervisor import make_run_supervisor
from actors.settings import Settings

START_PATIENCE_S = 60.0


def missing_actors(settings: Settings) -> set[str]:
    """Return the names of the actors of ``start_actors`` that Ray does not know, not even as restarting.

    Ray forgets one that cannot restart, such as one whose code is missing on the node where it tried to.
    """
    names = {COURIER, SUPERVISOR, *(part.actor for part in hitl_parts(settings.hitl_actors))}
    if not settings.redis_url:
        names.add(EVENT_HUB)
    known = {row["name"] for row in list_named_actors(all_namespaces=True) if row["namespace"] == NAMESPACE}
    return names - known


async def start_actors(settings: Settings, *, is_deployer: bool = False) -> None:
    """Return when supervisor, HITL actors, courier and hub answer; made if they do not exist. May be repeated.

    Where Redis is configured there is no hub.

    Args:
        settings: what new actors get.
        is_deployer: replace actors that run other code, and HITL actors that share the forms with more or fewer
            others than the settings say. Only the deployment does so, or two versions would replace each other;
            everybody else works with actors of the version before or after.

    Raises:
        ActorAwayError: one of them does not come up within a minute.
        CodeVersionError: other code runs, also after a replacement.
        SingleNodeDatabaseError: the database is a SQLite file and the cluster has several nodes; nothing was made.
    """
    await check_nodes(settings)
    makers: dict[str, Callable[[], ActorHandle]] = {
        COURIER: lambda: make_courier(settings),
        SUPERVISOR: lambda: make_run_supervisor(settings),
    }
    if not settings.redis_url:
        makers[EVENT_HUB] = lambda: make_event_hub(settings.actor_cpus)
    parts = hitl_parts(settings.hitl_actors)
    await asyncio.gather(
        *(_start(name, make, is_deployer) for name, make in makers.items()),
        *(_start(part.actor, partial(make_hitl_actor, settings, part), is_deployer, part) for part in parts),
    )
    if is_deployer:
        await _end_others({part.actor for part in parts})


async def _start(name: str, make: Callable[[], ActorHandle], is_deployer: bool, part: HitlPart | None = None) -> None:
    make()
    found = await ask(name, "version", patience_s=START_PATIENCE_S)
    if not is_deployer:
        return
    if found == code_version() and (part is None or part == await ask(name, "part", patience_s=START_PATIENCE_S)):
        return
    if name == COURIER:
        # A mail that is interrupted between its acceptance and its record would be sent twice.
        await ask(name, "retire", patience_s=START_PATIENCE_S)
    # All they know is in the database; their callers repeat what the change interrupts.
    ray.kill(find(name), no_restart=True)
    await _until_gone(name)
    make()
    found = await ask(name, "version", patience_s=START_PATIENCE_S)
    if found != code_version():
        raise CodeVersionError(name, found, code_version())


async def _end_others(kept: set[str]) -> None:
    """End the HITL actors of another division; those of ``kept`` are up already."""
    names = [row["name"] for row in list_named_actors(all_namespaces=True) if row["namespace"] == NAMESPACE]
    for name in names:
        if name.startswith(HITL_ACTOR) and name not in kept:
            ray.kill(find(name), no_restart=True)
            await _until_gone(name)


async def _until_gone(name: str) -> None:
    give_up_at = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < give_up_at:
        try:
            find(name)
        except ActorAwayError:
            return
        await asyncio.sleep(0.05)
