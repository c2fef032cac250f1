"""Greenroom's actors as an older deployment would have left them: the same classes, which name other code."""

import ray

from actors import courier, event_hub, hitl_actor, run_actor, run_crew, run_supervisor
from actors.calls import COURIER, EVENT_HUB, HITL_ACTOR, SUPERVISOR, WAITS, options
from actors.courier import Courier
from actors.event_hub import EventHub
from actors.hitl_actor import HitlActor
from actors.run_actor import RunActor
from actors.run_supervisor import RunSupervisor
from actors.settings import Settings

OLDER = "0lder"
_WITH_VERSION = (courier, event_hub, hitl_actor, run_actor, run_crew, run_supervisor)


def _grow_old() -> None:
    """Have this process say that it runs other code, and make run actors that do."""
    for module in _WITH_VERSION:
        module.code_version = lambda: OLDER  # pyrefly: ignore[bad-assignment]
    run_crew.make_run_actor = make_older_run_actor


class OlderSupervisor(RunSupervisor):
    """The supervisor of an older deployment."""

    def __init__(self, plain_settings: str) -> None:
        _grow_old()
        super().__init__(plain_settings)


class OlderRunActor(RunActor):
    """A run actor of an older deployment."""

    def __init__(self, plain_settings: str, name: str) -> None:
        _grow_old()
        super().__init__(plain_settings, name)

    async def is_draining(self) -> bool:
        """Return whether it was asked to drain."""
        return self._is_draining


class OlderHitlActor(HitlActor):
    """The HITL actor of an older deployment."""

    def __init__(self, plain_settings: str) -> None:
        _grow_old()
        super().__init__(plain_settings)


class OlderCourier(Courier):
    """The courier of an older deployment."""

    def __init__(self, plain_settings: str) -> None:
        _grow_old()
        super().__init__(plain_settings)


class OlderHub(EventHub):
    """The event hub of an older deployment."""

    def __init__(self) -> None:
        _grow_old()
        super().__init__()


def make_older_run_actor(plain_settings: str, name: str, num_cpus: float) -> ray.actor.ActorHandle:
    """Create a run actor of an older deployment."""
    actor_class = ray.remote(concurrency_groups={"waits": WAITS})(OlderRunActor)
    return actor_class.options(**options(name, restarts=False, num_cpus=num_cpus)).remote(plain_settings, name)


def make_older_actors(settings: Settings) -> None:
    """Create the named actors of an older deployment; they come up by themselves."""
    groups = {"waits": WAITS, "runs": WAITS}
    supervisor = ray.remote(concurrency_groups=groups)(OlderSupervisor)
    supervisor.options(**options(SUPERVISOR, restarts=True), max_task_retries=-1).remote(settings.plain)
    for name, actor_class in ((HITL_ACTOR, OlderHitlActor), (COURIER, OlderCourier)):
        ray.remote(actor_class).options(**options(name, restarts=True)).remote(settings.plain)
    if settings.redis_url:
        return
    hub = ray.remote(concurrency_groups={"waits": WAITS})(OlderHub)
    hub.options(**options(EVENT_HUB, restarts=True)).remote()
