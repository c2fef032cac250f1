"""What goes wrong during a campaign: a seeded choice of deaths and stops, one at a time, with room to recover."""

import asyncio
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing

import psutil

from served import PAUSE, Served

PAUSE_S = (1.5, 5.0)
"""Between two blows."""
FROZEN_S = 9.0
"""How long a stopped process stays so: longer than the three pings after which it is given up."""


class Monkey:
    """Ends processes of a server. ``done``: how often it did what."""

    def __init__(
        self,
        server: Served,
        seed: int,
        say: Callable[[str], None],
        extra: dict[str, Callable[[], Awaitable[bool]]],
        elsewhere: Callable[[str], list[psutil.Process]] = lambda title: [],
    ) -> None:
        """Prepare.

        Args:
            server: whose processes.
            seed: decides what and when.
            say: is told of each blow.
            extra: further blows by name, such as a restart of the database.
            elsewhere: finds the processes with a title on other nodes of the server's Ray.
        """
        self.done: Counter[str] = Counter()
        self._server = server
        self._say = say
        self._elsewhere = elsewhere
        self._random = random.Random(f"monkey/{seed}")
        self._frozen: set[psutil.Process] = set()
        self._blows: dict[str, tuple[int, Callable[[], Awaitable[bool]]]] = {
            "kill a run actor": (8, self._kill("ray::RunActor")),
            "freeze a run actor": (2, self._freeze("ray::RunActor")),
            "kill the HITL actor": (3, self._kill("ray::HitlActor")),
            "freeze the HITL actor": (1, self._freeze("ray::HitlActor")),
            "kill the supervisor": (3, self._kill("ray::RunSupervisor")),
            "kill the hub": (2, self._kill("ray::EventHub")),
            "kill an HTTP replica": (3, self._kill("ray::ServeReplica:greenroom")),
            "kill the proxy": (1, self._kill("haproxy", by_name=True)),
            "kill the Serve controller": (1, self._kill("ray::ServeController")),
            **{name: (3, blow) for name, blow in extra.items()},
        }
        if (server.folder / "data" / "greenroom.db").exists():
            self._blows["lock the database"] = (3, self._lock_database)
            self._blows["kill the HITL actor, lock the database"] = (1, self._kill_and_lock)

    async def work(self, until: float) -> None:
        """Strike until ``until`` (monotonic), then let everything live that was stopped."""
        names = sorted(self._blows)
        weights = [self._blows[name][0] for name in names]
        try:
            while time.monotonic() < until:
                await asyncio.sleep(self._random.uniform(*PAUSE_S))
                (name,) = self._random.choices(names, weights)
                if await self._blows[name][1]():
                    self.done[name] += 1
                    self._say(name)
        finally:
            for process in self._frozen:
                _signal(process, signal.SIGCONT)

    def _kill(self, title: str, by_name: bool = False) -> Callable[[], Awaitable[bool]]:
        async def blow() -> bool:
            found = await asyncio.to_thread(self._find, title, by_name)
            if found:
                _signal(self._random.choice(found), signal.SIGKILL)
            return bool(found)

        return blow

    def _freeze(self, title: str) -> Callable[[], Awaitable[bool]]:
        async def blow() -> bool:
            found = await asyncio.to_thread(self._find, title, False)
            if not found:
                return False
            process = self._random.choice(found)
            self._frozen.add(process)
            _signal(process, signal.SIGSTOP)
            await asyncio.sleep(FROZEN_S)
            _signal(process, signal.SIGCONT)
            self._frozen.discard(process)
            return True

        return blow

    async def _lock_database(self) -> bool:
        """Keep every writer out for up to two seconds."""
        await asyncio.to_thread(self._hold_lock, self._random.uniform(0.0, 2.0))
        return True

    async def _kill_and_lock(self) -> bool:
        lock = asyncio.create_task(self._lock_database())
        is_struck = await self._kill("ray::HitlActor")()
        await lock
        return is_struck

    def _hold_lock(self, duration_s: float) -> None:
        path = self._server.folder / "data" / "greenroom.db"
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            PAUSE.wait(duration_s)
            database.execute("ROLLBACK")

    def _find(self, title: str, by_name: bool) -> list[psutil.Process]:
        found = self._named(title) if by_name else [*self._server.processes(title), *self._elsewhere(title)]
        return sorted(found, key=lambda process: process.pid)

    def _named(self, name: str) -> list[psutil.Process]:
        processes = []
        for process in self._server.tree():
            try:
                if process.name() == name:
                    processes.append(process)
            except psutil.NoSuchProcess:
                continue
        return processes


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass
