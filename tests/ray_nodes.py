"""Nodes of a Ray cluster on this machine, each with an address of its own (127.0.0.x), which tests may lose.

A node is started as the deploy files do it, with ``ray start``. It is lost with all its processes at one moment, as
when a machine loses its power, or it is stopped, as when the network to it is cut.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from child_processes import command_line
from free_ports import free_ports

RAY = Path(sys.executable).parent / "ray"
START_S = 180.0
STARTED = "Ray runtime started."
"""What ``ray start`` says once its node has joined."""
OBJECT_STORE_BYTES = 80_000_000
ACCOUNT_LINES = 40
"""Lines of each log that an account shows."""
TITLE_CHARS = 160
ANY_WORKER_PORT = ("--min-worker-port=0", "--max-worker-port=0")
"""Workers listen on all addresses: nodes that took their ports from the same range would take each other's."""
PAUSE = threading.Event()
"""Never set: to look at another process again a little later."""


class RayNode:
    """One node. ``address``: its IP address."""

    def __init__(self, address: str, log: Path, environment: Mapping[str, str], *arguments: str) -> None:
        """Start it; returns before it has joined its cluster.

        Args:
            address: its IP address, one of this machine.
            log: where its output goes.
            environment: of its processes.
            *arguments: further ones of ``ray start``.
        """
        self.address = address
        self._log = log
        self._environment = dict(environment)
        self._command = [
            str(RAY), "start", "--block", "--disable-usage-stats", "--include-log-monitor=false",
            "--dashboard-agent-listen-port=0", f"--object-store-memory={OBJECT_STORE_BYTES}",
            f"--node-ip-address={address}", *ANY_WORKER_PORT, *arguments,
        ]  # fmt: skip
        self._start()

    def wait(self) -> None:
        """Return when it has joined its cluster; fails if it takes too long.

        A node that is not up after half a minute ends, as it may on a busy machine. Then it is started again, as the
        service manager of a machine does it.
        """
        deadline = time.monotonic() + START_S
        while STARTED not in self._said():
            assert time.monotonic() < deadline, self._said()
            if self._process.poll() is not None:
                self._start()
            PAUSE.wait(0.1)

    def _start(self) -> None:
        with self._log.open("ab") as output:
            self._said_before = output.tell()
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=output, stderr=output)

    def _said(self) -> str:
        return self._log.read_bytes()[self._said_before :].decode(errors="replace")

    def processes(self, title: str) -> list[psutil.Process]:
        """Return its processes whose title begins with ``title``, such as ``ray::RunActor``, or whose program does."""
        found = []
        for process in self._tree():
            line = command_line(process)
            if " ".join(line).startswith(title) or (line and Path(line[0]).name == title):
                found.append(process)
        return found

    def lose(self) -> None:
        """End all its processes at one moment, so that none of them can say a word about the others."""
        # A process whose parent has just died is no longer found below it: all that were stopped must end.
        stopped = self.freeze()
        for process in stopped:
            _signal(process, signal.SIGKILL)
        _, alive = psutil.wait_procs(stopped, timeout=START_S)
        assert not alive, f"left of a lost node: {alive}"
        self._process.wait(START_S)

    def kill_raylet(self) -> None:
        """Kill its raylet alone, and return when all its other processes have followed by themselves."""
        tree = self._tree()
        for raylet in self.processes("raylet"):
            _signal(raylet, signal.SIGKILL)
        _, alive = psutil.wait_procs(tree, timeout=START_S)
        assert not alive, f"left of a node whose raylet was killed: {alive}"

    def freeze(self) -> set[psutil.Process]:
        """Stop all its processes, and return them: to the others it looks as if the network to it were cut."""
        stopped: set[psutil.Process] = set()
        while news := set(self._tree()) - stopped:
            for process in news:
                _signal(process, signal.SIGSTOP)
            stopped |= news
        return stopped

    def thaw(self) -> None:
        """Let it go on."""
        for process in self._tree():
            _signal(process, signal.SIGCONT)

    def account(self) -> str:
        """Return whether it lives, its processes, and the end of what ``ray start`` said."""
        titles = sorted(" ".join(command_line(process))[:TITLE_CHARS] for process in self._tree())
        state = "lives" if self._process.poll() is None else f"ended with {self._process.returncode}"
        return "\n".join([f"== node {self.address} {state}", *titles, "-- said", *_end(self._said())])

    def _tree(self) -> list[psutil.Process]:
        try:
            top = psutil.Process(self._process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass


class RayNodes:
    """A cluster whose head keeps its state on disk and can be started again. ``head_address``: for ``ray.init``."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Prepare; nothing starts yet.

        Args:
            folder: of its logs, sockets and state; a short path, for Ray's sockets.
            environment: of all its processes, besides what Ray needs.
        """
        self._folder = folder
        self._port, self._client_port = free_ports(2)
        self._count = 0
        self._nodes: list[RayNode] = []
        self.head_address = f"127.0.1.1:{self._port}"
        own = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "GREENROOM_"))}
        self.environment = {
            **own,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            "RAY_gcs_storage": "rocksdb",
            "RAY_gcs_storage_path": str(folder / "gcs"),
            **environment,
        }

    def start_head(self, cpus: int = 0) -> RayNode:
        """Start the head, the first time or again with what it had, and return when it is up."""
        # The other nodes are on this machine: with this file Ray would take them for a head that runs.
        (self._folder / "ray_current_cluster").unlink(missing_ok=True)
        node = self._start(
            "127.0.1.1", cpus, "--head", f"--port={self._port}", f"--ray-client-server-port={self._client_port}",
            "--include-dashboard=false", f"--dashboard-port={free_ports(1)[0]}", f"--temp-dir={self._folder}",
        )  # fmt: skip
        node.wait()
        return node

    def start_worker(self, cpus: int = 0, **environment: str) -> RayNode:
        """Start another node and return when it has joined.

        Args:
            cpus: how many it has to give; actors that ask for some go nowhere else.
            **environment: of this node alone.
        """
        self._count += 1
        node = self._start(f"127.0.1.{self._count + 1}", cpus, f"--address={self.head_address}", **environment)
        node.wait()
        return node

    def account(self) -> str:
        """Return what helps to understand a failed test: each node, and the last words of each actor's process."""
        parts = [node.account() for node in self._nodes]
        for log in sorted(self._folder.glob("session_*/logs/worker-*")):
            if lines := _end(log.read_text(errors="replace")):
                parts += [f"== {log.name}", *lines]
        return "\n".join(parts)

    def stop(self) -> None:
        """End every node that was started."""
        for node in self._nodes:
            node.lose()

    def _start(self, address: str, cpus: int, *arguments: str, **environment: str) -> RayNode:
        log = self._folder / f"{address}.log"
        node = RayNode(address, log, {**self.environment, **environment}, f"--num-cpus={cpus}", *arguments)
        self._nodes.append(node)
        return node


def _end(text: str) -> list[str]:
    return text.splitlines()[-ACCOUNT_LINES:]


@contextmanager
def ray_nodes(environment: Mapping[str, str]) -> Iterator[RayNodes]:
    """Prepare a cluster without nodes, and end whatever was started in it."""
    folder = Path(tempfile.mkdtemp(prefix="gr-", dir="/tmp"))
    nodes = RayNodes(folder, environment)
    try:
        yield nodes
    finally:
        nodes.stop()
        shutil.rmtree(folder, ignore_errors=True)
