"""How actors are named, found and called from anywhere; what an unanswered call means.

Every method that is asked here may be called twice, because a call that failed may have been carried out.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from functools import lru_cache
from typing import Any, Final

import ray
from ray.exceptions import ActorUnavailableError, NodeDiedError, OutOfMemoryError, RayActorError, RayTaskError

from actors.errors import ActorAwayError
from graph.errors import GreenroomError

NAMESPACE: Final = "greenroom"
SUPERVISOR: Final = "run-supervisor"
HITL_ACTOR: Final = "hitl-actor"
"""The only HITL actor, or the beginning of the names of several (``hitl_parts``)."""
COURIER: Final = "courier"
EVENT_HUB: Final = "event-hub"
RUN_ACTOR_PREFIX: Final = "run-actor-"

CALLS: Final = 1000
"""How many short calls of an actor may be under way."""
WAITS: Final = 10_000
"""How many waits (long polls, streams, death notices) of an actor may be; a group of their own keeps calls short."""
ACTOR_GONE: Final = (RayActorError, OutOfMemoryError, NodeDiedError)
"""What a call raises whose actor is away. An actor that Ray ended because the memory of its node ran short, and that
does not restart, raises an error of its own that is no RayActorError (Ray 2.60)."""
KEPT_HANDLES: Final = 1024
"""Handles of run actors that a process keeps."""


def options(name: str, *, restarts: bool, num_cpus: float = 0.0) -> dict[str, Any]:
    """Return the Ray options of a detached actor: found by name, or made by whoever comes first."""
    return {
        "name": name,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "max_restarts": -1 if restarts else 0,
        "max_concurrency": CALLS,
        "num_cpus": num_cpus,
    }


def find(actor: str) -> ray.actor.ActorHandle:
    """Return the handle of a named actor.

    Raises:
        ActorAwayError: there is none of this name.
    """
    try:
        return _run_actor(actor) if actor.startswith(RUN_ACTOR_PREFIX) else ray.get_actor(actor, namespace=NAMESPACE)
    except ValueError:
        raise ActorAwayError(actor) from None


@lru_cache(maxsize=KEPT_HANDLES)
def _run_actor(actor: str) -> ray.actor.ActorHandle:
    """Return the handle of a run actor, kept: its name never means another one, and making it costs half a call."""
    return ray.get_actor(actor, namespace=NAMESPACE)


async def ask(actor: str, method: str, *args: Any, call_name: str = "", patience_s: float = 15.0) -> Any:
    """Call a method of a named actor and return its result.

    Args:
        actor: its name.
        method: its method, which may run twice.
        *args: arguments of the method.
        call_name: what the call is named in Ray's state API and dashboard.
        patience_s: how long to go on trying while the actor restarts; 0 for actors that never do.

    Raises:
        ActorAwayError: it did not come back in that time. The method may have run.
        GreenroomError: the one the method raised.
    """
    give_up_at = asyncio.get_running_loop().time() + patience_s
    delay_s = 0.02
    while True:
        try:
            bound = _method(actor, method)
            return await (bound.options(name=call_name) if call_name else bound).remote(*args)
        except RayTaskError as error:
            raise own_error(error) from None
        except (*ACTOR_GONE, ActorAwayError) as error:
            if asyncio.get_running_loop().time() + delay_s > give_up_at:
                raise ActorAwayError(actor) from error
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, 0.5)


def _method(actor: str, method: str) -> Any:
    """Return the method of an actor.

    Raises:
        ActorAwayError: there is no such actor, or it runs the version before, which does not know the method and is
            about to be replaced.
    """
    try:
        return getattr(find(actor), method)
    except AttributeError:
        raise ActorAwayError(actor) from None


def tell(actor: str, method: str, *args: Any) -> None:
    """Call a method of a named actor one way: no result, no error, possibly never carried out."""
    try:
        _method(actor, method).remote(*args)
    except (ActorAwayError, ActorUnavailableError):
        # Whatever is told is also found out in another way; see the receivers.
        pass


def hint_courier() -> None:
    """Have the courier look into the outbox, if it is there; it looks by itself too."""
    tell(COURIER, "wake")


async def stream(actor: str, method: str, *args: Any, call_name: str = "") -> AsyncGenerator[Any]:
    """Yield the items of a streaming method; closing this iterator cancels the call, not what it watches.

    Raises:
        ActorAwayError: the actor is gone, at once or in between.
        GreenroomError: the one the method raised.
    """
    bound = _method(actor, method)
    items = (bound.options(name=call_name) if call_name else bound).remote(*args)
    is_over = False
    try:
        async for item in items:
            yield await item
        is_over = True
    except RayTaskError as error:
        is_over = True
        raise own_error(error) from None
    except ACTOR_GONE as error:
        is_over = True
        raise ActorAwayError(actor) from error
    finally:
        if not is_over:
            ray.cancel(items, force=False, recursive=False)


def own_error(error: RayTaskError) -> Exception:
    """Return our error that a remote method raised, or Ray's wrapper if it was none of ours."""
    return error.cause if isinstance(error.cause, GreenroomError) else error


async def on_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    """Await ``work`` on another event loop of this process.

    Ray gives each concurrency group of an actor an event loop in a thread of its own (Ray 2.60). The state of our
    actors belongs to the loop of the default group, so a waiting method only hands its wait over to that loop.
    """
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
