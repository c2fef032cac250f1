"""The processes of the pool: creates, adopts, pings, watches, replaces and ends run actors."""

import asyncio
import time
import uuid
from collections.abc import Callable

import ray
import structlog
from ray.exceptions import ActorUnavailableError
from ray.util import list_named_actors

from actors.background import Background
from actors.calls import ACTOR_GONE, NAMESPACE, RUN_ACTOR_PREFIX, ask, find
from actors.code_version import code_version
from actors.errors import ActorAwayError
from actors.messages import ActorState
from actors.pool import Pool
from actors.run_actor import make_run_actor
from actors.settings import Settings

_log = structlog.get_logger()

MISSES = 3
"""Pings in a row without an answer, or that did not reach it, which end an actor."""
LAST_WORDS_S = 0.5
"""How long an actor that has served its runs lives on."""
START_TIMEOUT_S = 180.0
"""How long a new process may take to answer its first ping; on a busy machine its imports alone take half a minute."""


class RunCrew:
    """Keeps the run actors of a pool alive and at their number. Belongs to the loop of the supervisor."""

    def __init__(
        self, settings: Settings, pool: Pool, on_change: Callable[[], None], on_death: Callable[[str, bool], None]
    ) -> None:
        """Prepare; nothing happens yet.

        Args:
            settings: pool size and intervals.
            pool: told who is there.
            on_change: called when an actor may have become free.
            on_death: called once with the name of each actor that died or was ended, and whether its run may be
                to blame.
        """
        self._settings = settings
        self._pool = pool
        self._on_change = on_change
        self._on_death = on_death
        self._starting: set[str] = set()
        self._retiring: set[str] = set()
        """Actors that are not leased any more, until they are ended."""
        self._spare = ""
        """An actor that is up and waits to replace the next one that has served its runs; "" for none."""
        self._misses: dict[str, int] = {}
        self._background = Background()

    def is_known(self, actor_name: str) -> bool:
        """Whether an actor is alive as far as is known; its runs are its own business."""
        return actor_name in self._pool or actor_name in {self._spare, *self._starting, *self._retiring}

    async def adopt(self) -> None:
        """Take in the run actors that are there already, replace old ones, end silent ones; then fill the pool."""
        named = [row["name"] for row in list_named_actors(all_namespaces=True) if row["namespace"] == NAMESPACE]
        names = [name for name in named if name.startswith(RUN_ACTOR_PREFIX) and not self.is_known(name)]
        await asyncio.gather(*(self._adopt(name) for name in names))
        self._fill()

    async def look_after(self) -> None:
        """Ping every actor, again and again; returns only by an error."""
        while True:
            await asyncio.sleep(self._settings.ping_interval_s)
            names = [name for name in (*self._pool.actor_names, *self._retiring, self._spare) if name]
            await asyncio.gather(*(self._ping(name) for name in names))
            self._fill()
            self._on_change()

    def replace(self, actor_name: str) -> None:
        """End an actor that has served its runs and put another in its place: the spare, else a new process."""
        self._pool.remove(actor_name)
        self._retiring.add(actor_name)
        self._background.start(self._retire(actor_name))
        spare, self._spare = self._spare, ""
        if spare:
            self._pool.add(spare, time.monotonic())
            self._on_change()
        self._fill()

    async def _retire(self, actor_name: str) -> None:
        # Its last outcome is still on its way to whoever waits for it.
        await asyncio.sleep(LAST_WORDS_S)
        self._retiring.discard(actor_name)
        self._end(actor_name)

    async def drain(self) -> None:
        """Return when no actor executes a run any more, or the time for that is over; none begins one afterwards."""
        names = {*self._pool.actor_names, *self._retiring, self._spare} - {""}
        await asyncio.gather(*(self._drain(name) for name in names))

    async def _replace_older(self, name: str) -> None:
        """End an actor of other code once its run has left it, or has had its time; another goes on with the run."""
        await self._drain(name)
        await asyncio.sleep(LAST_WORDS_S)
        self._bury(name, is_blamed=False)

    async def _drain(self, name: str) -> None:
        try:
            await asyncio.wait_for(ask(name, "drain", patience_s=0.0), self._settings.drain_s)
        except TimeoutError:
            _log.warning("a run has not left its actor in time", actor=name)
        except ActorAwayError:
            # The watch tells what has become of it.
            pass

    def prepare_spare(self) -> None:
        """Start a process for the next replacement, unless there is one; a no-op while the pool is not full."""
        if not (self._spare or self._starting or self._pool.missing_count):
            self._begin_start()

    async def _adopt(self, name: str) -> None:
        try:
            patience_s = self._ping_timeout_s * MISSES
            state: ActorState = await asyncio.wait_for(ask(name, "ping", patience_s=patience_s), patience_s)
        except (TimeoutError, ActorAwayError) as error:
            _log.warning("a run actor does not answer and is ended", actor=name, reason=type(error).__name__)
            self._end(name)
            return
        if state.code_version != code_version():
            self._retiring.add(name)
            self._watch(name)
            self._background.start(self._replace_older(name))
        elif len(self._pool.actor_names) >= self._settings.pool_size and not state.run_id:
            self._end(name)
        else:
            self._pool.add(name, time.monotonic(), state.runs_served, state.run_id)
            self._watch(name)

    def _fill(self) -> None:
        for _ in range(self._pool.missing_count - len(self._starting)):
            self._begin_start()

    def _begin_start(self) -> None:
        name = f"{RUN_ACTOR_PREFIX}{uuid.uuid4()}"
        # Counted before the task runs, or two calls in a row would start one too many.
        self._starting.add(name)
        self._background.start(self._start(name))

    async def _start(self, name: str) -> None:
        try:
            actor = make_run_actor(self._settings.plain, name, self._settings.actor_cpus)
            state = await asyncio.wait_for(_first_ping(actor), START_TIMEOUT_S)
        except (TimeoutError, *ACTOR_GONE) as error:
            _log.warning("a run actor did not start", actor=name, reason=type(error).__name__)
            self._end(name)
            return
        finally:
            self._starting.discard(name)
        self._watch(name)
        if self._pool.missing_count:
            self._pool.add(name, time.monotonic(), state.runs_served, state.run_id)
            self._on_change()
        else:
            self._spare = name

    def _watch(self, name: str) -> None:
        self._misses[name] = 0
        self._background.start(self._notice_death(name))

    async def _notice_death(self, name: str) -> None:
        while self.is_known(name):
            try:
                await find(name).watch.remote()
            except ActorUnavailableError:
                await asyncio.sleep(0.1)
            except (*ACTOR_GONE, ActorAwayError):
                self._bury(name)

    async def _ping(self, name: str) -> None:
        try:
            state: ActorState = await asyncio.wait_for(ask(name, "ping", patience_s=0.0), self._ping_timeout_s)
        except (TimeoutError, ActorAwayError):
            # Where its node is lost, Ray says for as long as it has not noticed that the actor is only unavailable.
            self._misses[name] = self._misses.get(name, 0) + 1
            if self._misses[name] >= MISSES:
                _log.warning("a run actor does not answer and is ended", actor=name)
                self._bury(name)
            return
        self._misses[name] = 0
        self._pool.note_ping(name, state.run_id, state.runs_served, time.monotonic())

    @property
    def _ping_timeout_s(self) -> float:
        return self._settings.ping_interval_s

    def _bury(self, name: str, *, is_blamed: bool = True) -> None:
        """Take an actor as dead, make sure that it is, and have its runs looked after, which may be to blame."""
        if not self.is_known(name):
            return
        self._pool.remove(name)
        self._retiring.discard(name)
        self._spare = "" if name == self._spare else self._spare
        self._end(name)
        self._fill()
        self._on_death(name, is_blamed)

    def _end(self, name: str) -> None:
        self._misses.pop(name, None)
        try:
            ray.kill(find(name), no_restart=True)
        except ActorAwayError:
            pass


async def _first_ping(actor: ray.actor.ActorHandle) -> ActorState:
    """Return the state of a new actor once it is up.

    Raises:
        RayError: it could not start, and never will: run actors are not restarted.
    """
    while True:
        try:
            return await actor.ping.remote()
        except ActorUnavailableError:
            await asyncio.sleep(0.1)
