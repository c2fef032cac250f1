"""The second node of a campaign's Ray, which is lost now and then and replaced by another one."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import psutil

from cli.up_command import serve_environment
from free_ports import free_ports
from ray_nodes import RayNode
from served import Served

AWAY_S = (0.0, 5.0)
"""How long a lost node stays away."""
TITLES = ("RunActor", "HitlActor", "RunSupervisor", "EventHub", "Courier", "ServeReplica")


class SecondNode:
    """One node at a time, beside that of ``server``; Ray places actors on both as it likes.

    ``lost``: which actors, and how many, were on it at its ends.
    """

    def __init__(self, server: Served, choice: random.Random) -> None:
        """Prepare; nothing starts yet.

        Args:
            server: whose Ray it joins; serves already.
            choice: decides how long it stays away.
        """
        self.lost: Counter[str] = Counter()
        self._server = server
        self._choice = choice
        self._count = 0
        self._node: RayNode | None = None

    def start(self) -> None:
        """Start one and return when it has joined."""
        self._count += 1
        address = f"127.0.2.{self._count % 250 + 1}"
        # Its proxy needs a port of its own here: else that of the other node, wherever it comes first.
        own = {
            **serve_environment(),
            "RAY_SERVE_WORKER_PROXY_HTTP_PORT": str(free_ports(1)[0]),
            "RAY_AUTH_MODE": "token",
        }
        environment = {**self._server.environment, **own}
        head = self._server.raylet_argument("--gcs-address")
        log = self._server.folder / "second-node.log"
        self._node = node = RayNode(address, log, environment, "--num-cpus=1", f"--address={head}")
        node.wait()

    def stop(self) -> None:
        """End it with all its processes."""
        if self._node is not None:
            self._node.lose()
            self._node = None

    def processes(self, title: str) -> list[psutil.Process]:
        """Return its processes whose title begins with ``title``."""
        return self._node.processes(title) if self._node is not None else []

    def blows(self) -> dict[str, Callable[[], Awaitable[bool]]]:
        """Return what a campaign does to it: to its raylet, which the others follow, or to all at one moment."""
        return {"kill a raylet": self._kill_raylet, "lose a node": self._lose}

    async def _kill_raylet(self) -> bool:
        await asyncio.to_thread(self._count_lost)
        if self._node is not None:
            await asyncio.to_thread(self._node.kill_raylet)
        return await self._replace()

    async def _lose(self) -> bool:
        await asyncio.to_thread(self._count_lost)
        return await self._replace()

    async def _replace(self) -> bool:
        await asyncio.to_thread(self.stop)
        await asyncio.sleep(self._choice.uniform(*AWAY_S))
        await asyncio.to_thread(self.start)
        return True

    def _count_lost(self) -> None:
        self.lost.update({title: len(self.processes(f"ray::{title}")) for title in TITLES})
