"""The product as a user starts it: its own Ray, models, actors and HTTP in a process tree that can be killed."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg
import yaml

from backing import backing
from child_processes import command_line
from cli.up_command import serve_environment
from free_ports import free_ports

ROOT = Path(__file__).resolve().parent.parent
READY_S = 300.0
STOP_S = 60.0
READ_S = 90.0
PAUSE = threading.Event()
"""Never set: to look at another process again a little later."""


PIECES = [f"{word} " for word in "one two three four five six seven eight".split()]
SCRIPTED_MODELS: dict[str, Any] = {
    "default": "scripted",
    "targets": {
        "scripted": {
            "kind": "scripted",
            "script": {
                "rules": [
                    {"model": "slow", "replies": [{"chunks": PIECES, "pause_s": 0.5}]},
                    {"model": "quick", "replies": [{"chunks": PIECES}]},
                ]
            },
        }
    },
}
"""What the models of scripted workflows say: ``slow`` takes four seconds, ``quick`` none."""

_LIST_ACTORS = """
import json, logging, sys
import ray
from ray.util.state import list_actors
ray.init(address=sys.argv[1], namespace="greenroom", logging_level=logging.ERROR, log_to_driver=False)
print(json.dumps({a.name: a.pid for a in list_actors(filters=[("state", "=", "ALIVE")], limit=1000) if a.name}))
"""


class Served:
    """One Greenroom in a data folder; may be stopped and started again."""

    def __init__(self, folder: Path, models: dict[str, Any], *, is_haproxy: bool = True, **settings: Any) -> None:
        """Prepare; nothing starts yet.

        Args:
            is_haproxy: behind HAProxy, as the product starts it, or behind Serve's own proxy.
            folder: where data and logs go.
            models: what model names mean, as in a models file.
            settings: environment variables of the server, GREENROOM_ ones without the prefix in lower case; database
                and Redis are those of ``backing`` unless they name others.
        """
        self.folder = folder
        settings = {**backing(), **settings}
        self._database_url = settings.get("database_url")
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        own = {f"GREENROOM_{name.upper()}": str(value) for name, value in settings.items() if name.islower()}
        given = {name: str(value) for name, value in settings.items() if not name.islower()}
        self.environment = {
            **os.environ,
            "GREENROOM_DATA_DIR": str(folder / "data"),
            "GREENROOM_HTTP_PORT": str(self.port),
            "GREENROOM_PUBLIC_URL": self.url,
            "GREENROOM_MODELS": json.dumps(models),
            **own,
            **given,
        }
        self._command = [sys.executable, "-P", "-m", "cli.main", "up"]
        if not is_haproxy:
            self._command = [sys.executable, "-P", "-m", "cli.serving"]
            self.environment |= {**serve_environment(), "RAY_SERVE_ENABLE_HA_PROXY": "0"}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start everything and return when it is ready."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self.environment, cwd=ROOT, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_S
        while not self._is_ready():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            PAUSE.wait(0.2)

    def stop(self, with_signal: int = signal.SIGINT) -> None:
        """End everything that this server started, and make sure of it."""
        if self._process is None or self._process.poll() is not None:
            return
        tree = self.tree()
        self._process.send_signal(with_signal)
        self._process.wait(STOP_S)
        _, alive = psutil.wait_procs(tree, timeout=STOP_S)
        assert not alive, f"left running: {alive}"
        self._process = None

    def tree(self) -> list[psutil.Process]:
        """Return every process that the server has started, directly or not."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    def processes(self, title: str) -> list[psutil.Process]:
        """Return the processes whose title begins with ``title``, such as ``ray::RunActor``."""
        return [process for process in self.tree() if " ".join(command_line(process)).startswith(title)]

    def kill(self, title: str) -> None:
        """Kill -9 the one process with ``title``."""
        (process,) = wait_for(lambda: len(found := self.processes(title)) == 1 and found)
        process.kill()
        process.wait(STOP_S)

    def kill_actor_of(self, run_id: str) -> None:
        """Kill -9 the run actor that executes ``run_id``."""
        ((name,),) = self.rows("SELECT actor FROM runs WHERE run_id = ?", run_id)
        process = psutil.Process(self.actor_pids()[name])
        process.kill()
        process.wait(STOP_S)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what ``query`` finds in the server's database."""
        if self._database_url is not None:
            with psycopg.connect(self._database_url) as connection:
                return connection.execute(query.replace("?", "%s").encode(), values).fetchall()
        with closing(sqlite3.connect(self.folder / "data" / "greenroom.db", timeout=30)) as database:
            return database.execute(query, values).fetchall()

    def actor_pids(self) -> dict[str, int]:
        """Return name -> process id of the living actors, by Ray's state API."""
        return json.loads(self.ask_ray(_LIST_ACTORS).strip().splitlines()[-1])

    def ask_ray(self, script: str) -> str:
        """Return what a Python script prints; its argument is the address of this server's Ray."""
        address = self.raylet_argument("--gcs-address")
        command = [sys.executable, "-c", script, address]
        # The state API looks for the address in the environment; on its own it takes any Ray of the machine.
        environment = {**self.environment, "RAY_AUTH_MODE": "token", "RAY_ADDRESS": address}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def raylet_argument(self, name: str) -> str:
        """Return an argument that Ray's node process was started with."""
        lines = [command_line(process) for process in self.tree()]
        raylet = next(line for line in lines if line and "raylet/raylet" in line[0])
        return next(part.partition("=")[2] for part in raylet if part.startswith(f"{name}="))

    def import_app(self, document: dict[str, Any]) -> str:
        """Import a workflow document; return an API key of the app."""
        path = self.folder / f"{document['app']['name']}.yml"
        path.write_text(yaml.safe_dump(document))
        command = [sys.executable, "-P", "-m", "cli.main", "import", str(path)]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.split("API key, shown only now:")[1].split()[0]

    def client(self, key: str) -> httpx2.Client:
        """Return an HTTP client of the service API."""
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=90.0)

    def exchanged(self, request: bytes) -> bytes:
        """Send bytes on a connection of their own; return all that comes back until it is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=READ_S) as connection:
            answer = bytearray()
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65_536):
                    answer += part
            except TimeoutError:
                raise
            except OSError:
                pass  # a peer that has read enough closes before everything is sent
            return bytes(answer)

    def log(self) -> str:
        """Return what the server has printed."""
        return (self.folder / "server.log").read_text(errors="replace")

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/health/ready", timeout=5.0).status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False


@contextmanager
def served(folder: Path, models: dict[str, Any], *, is_haproxy: bool = True, **settings: Any) -> Iterator[Served]:
    """Start a Greenroom and end it."""
    server = Served(folder, models, is_haproxy=is_haproxy, **settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def events(response: httpx2.Response) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream as they come, without pings."""
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def start_run(client: httpx2.Client, mode: str = "streaming", **inputs: Any) -> Any:
    """Return the stream context of a started run, or the reply of a blocking one."""
    body = {"inputs": inputs, "response_mode": mode, "user": "u-1"}
    if mode == "streaming":
        return client.stream("POST", "/v1/workflows/run", json=body)
    return client.post("/v1/workflows/run", json=body).raise_for_status().json()


def wait_for(check: Any, timeout_s: float = 120.0) -> Any:
    """Return the first true value of ``check``, asked again and again; fail after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not (value := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        PAUSE.wait(0.1)
    return value
