"""A Greenroom on several Ray nodes of this machine, with PostgreSQL and a server that counts what runs ask of it.

Which actors are where follows from what they reserve: the head gives no CPU, and each actor takes a quarter of one. So
the four named actors fill the first node, and the run actors go to the next one.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import factories as f
from actors.errors import ActorAwayError
from actors.settings import Settings
from actors.wiring import Ports
from campaign.workflows import effect
from graph.events import Fact, FormSubmitted, NodeFinished, RunFinished, RunRecovered
from hitl.form import Form
from hitl.surface import Surface
from local_postgres import LocalPostgres
from local_server import Asked, LocalServer, head, local_server
from ray_nodes import RayNode, RayNodes, ray_nodes
from store.run_record import RunRecord

TESTS = Path(__file__).resolve().parent.parent
NAMED = ("ray::RunSupervisor", "ray::HitlActor", "ray::EventHub", "ray::Courier")
RUN_ACTOR = "ray::RunActor"
POOL_SIZE = 2
ACTOR_CPUS = 0.25
WAIT_S = 150.0


class Driver:
    """A client in a process of its own (``driver.py``)."""

    def __init__(self, nodes: RayNodes, node: RayNode) -> None:
        """Connect as a process of ``node``; returns when the actors are up."""
        paths = {"PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
        self._process = subprocess.Popen(
            [sys.executable, str(TESTS / "nodes" / "driver.py"), nodes.head_address, node.address],
            env={**nodes.environment, **paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def call(self, what: str, **arguments: Any) -> Any:
        """Return what a call gives; repeats it while it is told that an actor is away.

        Raises:
            AssertionError: it was refused, or the actor did not come back.
        """
        assert self._process.stdin is not None
        give_up_at = time.monotonic() + WAIT_S
        while True:
            self._process.stdin.write(json.dumps([what, arguments]) + "\n")
            self._process.stdin.flush()
            reply = self._read()
            if reply.get("code") != ActorAwayError.code or time.monotonic() > give_up_at:
                assert "error" not in reply, reply
                return reply["is"]

    def close(self) -> None:
        """End it, in whatever state it is."""
        with self._process:
            self._process.kill()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the driver has died"
        return json.loads(line)


class Effects:
    """The server that runs ask. ``keys``: path -> how often each ``Idempotency-Key`` came."""

    def __init__(self, server: LocalServer) -> None:
        self.url = server.url
        self.keys: dict[str, Counter[str]] = {}
        self._may_answer = asyncio.Event()
        self._came = asyncio.Condition()
        server.answers.update({"/before": self._answer, "/held": self._answer_held, "/after": self._answer})

    def release(self) -> None:
        """Answer what is held, and from now on at once."""
        self._may_answer.set()

    async def wait(self, path: str, count: int) -> None:
        """Return when ``path`` was asked ``count`` times."""
        async with asyncio.timeout(WAIT_S), self._came:
            await self._came.wait_for(lambda: self.keys.get(path, Counter()).total() >= count)

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        async with self._came:
            self.keys.setdefault(asked.target, Counter())[asked.headers["idempotency-key"]] += 1
            self._came.notify_all()
        writer.write(head(200, {"content-length": "2"}) + b"{}")

    async def _answer_held(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        async with self._came:
            self.keys.setdefault(asked.target, Counter())[asked.headers["idempotency-key"]] += 1
            self._came.notify_all()
        await self._may_answer.wait()
        writer.write(head(200, {"content-length": "2"}) + b"{}")


class World:
    """What a test has. ``nodes``: the cluster; ``ports``: its database, read from here."""

    def __init__(self, nodes: RayNodes, ports: Ports, effects: Effects) -> None:
        self.nodes, self.ports, self.effects = nodes, ports, effects
        self.driver: Driver | None = None
        self._apps: dict[str, str] = {}

    async def connect(self, node: RayNode) -> None:
        """Have a client in ``node``, in the place of an earlier one; brings the actors up where they are not."""
        self.close()
        self.driver = await asyncio.to_thread(Driver, self.nodes, node)

    def close(self) -> None:
        """End the client."""
        if self.driver is not None:
            self.driver.close()

    async def call(self, what: str, **arguments: Any) -> Any:
        """Call the client; see ``Driver.call``."""
        assert self.driver is not None
        return await asyncio.to_thread(self.driver.call, what, **arguments)

    async def start_three(self) -> tuple[RayNode, RayNode, RayNode]:
        """Start the head, the node of the named actors and that of the run actors, with a client in the head."""
        cluster = self.nodes
        first, named = await asyncio.to_thread(lambda: (cluster.start_head(), cluster.start_worker(cpus=1)))
        await self.connect(first)
        runners = await asyncio.to_thread(cluster.start_worker, cpus=1)
        await until_on(runners, RUN_ACTOR, POOL_SIZE)
        assert all(named.processes(title) for title in NAMED)
        return first, named, runners

    async def import_apps(self) -> None:
        """Import ``held`` (effect, a held effect, effect) and ``asking`` (effect, two people at once, effect)."""
        workspace = await self.ports.accounts.ensure_workspace(self.ports.settings.workspace_name)
        url = self.effects.url
        held = (
            [f.start(), effect("before", url), effect("held", url), effect("after", url), f.end()],
            [f.edge("start", "before"), f.edge("before", "held"), f.edge("held", "after"), f.edge("after", "end")],
        )
        asking = (
            [f.start(), effect("before", url), _person("left"), _person("right"),
             f.template("joined", "{{ a }}+{{ b }}", a=["left", "comment"], b=["right", "comment"]),
             effect("after", url), f.end(out=["joined", "output"])],
            [f.edge("start", "before"), f.edge("before", "left"), f.edge("before", "right"),
             f.edge("left", "joined", "approve"), f.edge("right", "joined", "approve"), f.edge("joined", "after"),
             f.edge("after", "end")],
        )  # fmt: skip
        for name, graph in (("held", held), ("asking", asking)):
            file = f.document(*graph)
            file["app"]["name"] = name
            workflow = f.workflow_of(file)
            self._apps[name], _ = await self.ports.apps.import_app(workspace.workspace_id, workflow, None)

    async def start(self, app: str) -> str:
        """Start a run and return its id."""
        return await self.call("start", app=self._apps[app])

    async def paused(self, run_id: str) -> list[Form]:
        """Return the forms of a run once it waits for both of its people."""
        await self.until_status(run_id, "paused")
        forms = await self.ports.forms.by_run(run_id)
        assert len(forms) == 2
        return forms

    async def answer(self, form: Form) -> None:
        """Answer a form."""
        inputs = {"comment": form.node_id}
        await self.call("submit", form_id=form.form_id, action="approve", inputs=inputs)

    async def token(self, form: Form) -> str:
        """Return the token of a form on the Service API, as the HITL actor derives it."""
        return await self.call("token", form_id=form.form_id, surface=str(Surface.SERVICE_API))

    async def facts(self, run_id: str) -> list[Fact]:
        """Return every fact of a run; their numbers have no gap."""
        numbered = await self.ports.journal.read(run_id)
        assert [number for number, _ in numbered] == list(range(1, len(numbered) + 1))
        return [fact for _, fact in numbered]

    async def until_status(self, run_id: str, *statuses: str) -> RunRecord:
        """Return the row of a run once it has one of ``statuses``."""

        async def reached() -> RunRecord | None:
            record = await self.ports.journal.get(run_id)
            return record if record and record.status in statuses else None

        return await until(reached, f"{run_id} {statuses}")

    async def until_recovered(self, run_id: str) -> float:
        """Return when a successor took the run over, Unix seconds."""

        async def found() -> float | None:
            return next((fact.at for fact in await self.facts(run_id) if isinstance(fact, RunRecovered)), None)

        return await until(found, f"the recovery of {run_id}")

    async def check_whole(self, run_id: str, nodes: int) -> None:
        """Assert that a run has succeeded and nothing in it happened twice.

        Args:
            run_id: the run.
            nodes: how many node executions it has.
        """
        record = await self.until_status(run_id, "succeeded", "failed", "stopped")
        facts = await self.facts(run_id)
        assert (record.status, record.error) == ("succeeded", None)
        assert sum(isinstance(fact, RunFinished) for fact in facts) == 1 and isinstance(facts[-1], RunFinished)
        ends = Counter(fact.execution_id for fact in facts if isinstance(fact, NodeFinished))
        assert len(ends) == nodes and set(ends.values()) == {1}
        answers = Counter(fact.form_id for fact in facts if isinstance(fact, FormSubmitted))
        assert set(answers.values()) <= {1}
        assert not await self.ports.journal.untaken()

    async def finished(self, run_id: str, node_id: str) -> NodeFinished:
        """Return how a node of a run ended."""
        (found,) = [
            fact for fact in await self.facts(run_id) if isinstance(fact, NodeFinished) and fact.node_id == node_id
        ]
        return found


def _person(node_id: str) -> dict[str, Any]:
    return f.human(node_id)


async def until(check: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Return the first true value of ``check``, asked again and again."""
    deadline = time.monotonic() + WAIT_S
    while not (value := await check()):
        assert time.monotonic() < deadline, f"no {what}"
        await asyncio.sleep(0.05)
    return value


async def until_on(node: RayNode, title: str, count: int) -> None:
    """Return when ``node`` has ``count`` processes with ``title``."""

    async def are_there() -> bool:
        return len(node.processes(title)) >= count

    await until(are_there, f"{count} x {title} on {node.address}")


@asynccontextmanager
async def world(folder: Path, database: LocalPostgres, **settings: Any) -> AsyncIterator[World]:
    """Open a world without nodes; whatever is started in it ends with it.

    Args:
        folder: of data; every node has it.
        database: a migrated PostgreSQL.
        **settings: of Greenroom, besides what these tests need.
    """
    given = {
        "data_dir": folder, "database_url": database.url, "http_allowed_networks": "127.0.0.0/8",
        "pool_size": POOL_SIZE, "actor_cpus": ACTOR_CPUS, "models": json.dumps({"default": "scripted"}), **settings,
    }  # fmt: skip
    environment = {f"GREENROOM_{name.upper()}": str(value) for name, value in given.items()}
    paths = f"{TESTS.parent}:{TESTS}"
    with ray_nodes({**environment, "PYTHONPATH": paths}) as nodes:
        ports = Ports(Settings.model_validate({**given, "models": json.loads(given["models"])}))
        async with local_server() as server:
            opened = World(nodes, ports, Effects(server))
            try:
                await opened.import_apps()
                yield opened
            finally:
                opened.close()
                await ports.close()
