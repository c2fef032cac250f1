"""Brings the named actors up; whoever needs them calls this first, and one of the callers wins."""

import asyncio
import time
from collections.abc import Callable

import ray
from ray.actor import ActorHandle

from actors.calls import COURIER, EVENT_HUB, HITL_ACTOR, SUPERVISOR, ask, find
from actors.code_version import code_version
from actors.courier import make_courier
from actors.errors import ActorAwayError, CodeVersionError
from actors.event_hub import make_event_hub
from actors.hitl_actor import make_hitl_actor
from actors.run_supervisor import make_run_supervisor
from actors.settings import Settings

START_PATIENCE_S = 60.0


async def start_actors(settings: Settings, *, is_deployer: bool = False) -> None:
    """Return when supervisor, HITL actor, courier and hub answer; made if they do not exist. May be repeated.

    Where Redis is configured there is no hub.

    Args:
        settings: what new actors get.
        is_deployer: replace actors that run other code. Only the deployment does so, or two versions would replace
            each other; everybody else works with actors of the version before or after.

    Raises:
        ActorAwayError: one of them does not come up within a minute.
        CodeVersionError: other code runs, also after a replacement.
    """
    makers: dict[str, Callable[[], ActorHandle]] = {
        HITL_ACTOR: lambda: make_hitl_actor(settings),
        COURIER: lambda: make_courier(settings),
        SUPERVISOR: lambda: make_run_supervisor(settings),
    }
    if not settings.redis_url:
        makers[EVENT_HUB] = lambda: make_event_hub(settings.actor_cpus)
    await asyncio.gather(*(_start(name, make, is_deployer) for name, make in makers.items()))


async def _start(name: str, make: Callable[[], ActorHandle], is_deployer: bool) -> None:
    make()
    found = await ask(name, "version", patience_s=START_PATIENCE_S)
    if found == code_version() or not is_deployer:
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


async def _until_gone(name: str) -> None:
    give_up_at = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < give_up_at:
        try:
            find(name)
        except ActorAwayError:
            return
        await asyncio.sleep(0.05)
