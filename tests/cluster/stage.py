"""A whole Greenroom without HTTP: a database of its own, scripted models, the actors; ended with its actors only."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ray
import uuid_utils
from ray import serve
from ray.util import list_named_actors
from ray.util.state import list_actors

import factories as f
from actors.calls import NAMESPACE, RUN_ACTOR_PREFIX
from actors.messages import RunOrder, SubmitOrder, order_run
from actors.settings import Settings
from actors.start_actors import start_actors
from actors.wiring import Ports, catalog_of
from backing import backing
from graph.events import Fact
from models.applications import model_applications
from models.model_client import SCRIPTED_DEPLOYMENT, application_name
from models.scripted_model import Script
from store.migrate import migrate
from store.run_record import NewRun

WAIT_S = 120.0

PLAIN = ([f.start("topic"), f.template("t", "{{ x }}!", x=["start", "topic"]), f.end(out=["t", "output"])],
         [f.edge("start", "t"), f.edge("t", "end")])  # fmt: skip
ASKING = (
    [f.start("topic"), f.template("t", "{{ x }}!", x=["start", "topic"]), f.human(),
     f.end(out=["human", "comment"])],
    [f.edge("start", "t"), f.edge("t", "human"), f.edge("human", "end", "approve"), f.edge("human", "end", "reject")],
)  # fmt: skip
MODEL = (
    [f.start("topic"), f.template("t", "{{ x }}!", x=["start", "topic"]), f.llm("llm", "{{#t.output#}}"),
     f.end(out=["llm", "text"])],
    [f.edge("start", "t"), f.edge("t", "llm"), f.edge("llm", "end")],
)  # fmt: skip


class Stage:
    """What tests do with it. ``apps``: name of a graph above -> app id."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ports = Ports(settings)
        self.apps: dict[str, str] = {}

    async def open(self) -> None:
        """Import the graphs and bring the actors up."""
        workspace = await self.ports.accounts.ensure_workspace(self.settings.workspace_name)
        for name, graph in (("plain", PLAIN), ("asking", ASKING), ("model", MODEL)):
            workflow = f.workflow(*graph)
            self.apps[name], _ = await self.ports.apps.import_app(workspace.workspace_id, workflow, None)
        await start_actors(self.settings)

    async def order(self, app: str, topic: str = "tea") -> RunOrder:
        """Return the order of a new run."""
        record = await self.ports.apps.app(self.apps[app])
        assert record is not None and record.published_version_id is not None
        run = NewRun(
            str(uuid_utils.uuid7()), record.workspace_id, record.app_id, record.published_version_id, record.mode,
            "service-api", "end_user", str(uuid_utils.uuid7()), "somebody", {"topic": topic}, time.time(),
        )  # fmt: skip
        return order_run(run)

    async def facts(self, run_id: str) -> list[Fact]:
        """Return every fact of a run."""
        return [fact for _, fact in await self.ports.journal.read(run_id)]

    async def until(self, is_true: Callable[[], Any], what: str) -> Any:
        """Return the first true result of ``is_true``, asked again and again; a coroutine function is awaited."""
        give_up_at = time.monotonic() + WAIT_S
        while time.monotonic() < give_up_at:
            result = is_true()
            result = await result if asyncio.iscoroutine(result) else result
            if result:
                return result
            await asyncio.sleep(0.05)
        raise AssertionError(f"waited in vain for: {what}")

    async def until_status(self, run_id: str, *statuses: str) -> Any:
        """Return the record of a run once it has one of ``statuses``."""

        async def found() -> Any:
            record = await self.ports.journal.get(run_id)
            return record if record is not None and record.status in statuses else None

        return await self.until(found, f"run is {statuses}")

    async def answer(self, run_id: str, comment: str = "fine", action: str = "approve") -> None:
        """Answer the waiting form of a run as its web app recipient."""
        form = (await self.ports.forms.by_run(run_id))[-1]
        recipients = (await self.ports.forms.recipients([form.form_id]))[form.form_id]
        recipient = next(each for each in recipients if each.type == "standalone_web_app")
        order = SubmitOrder(
            form.form_id, recipient.recipient_id, recipient.generation, action, {"comment": comment}, "service_api"
        )
        await self.ports.forms_client.submit(order)

    async def until_full(self) -> dict[str, int]:
        """Return name -> process id of the run actors once the pool has its size."""

        async def full() -> Any:
            found = await asyncio.to_thread(pids)
            return found if len(found) == len(run_actors()) == self.settings.pool_size else None

        return await self.until(full, "a full pool")

    def script(self) -> Any:
        """Return the handle of the scripted model."""
        return serve.get_deployment_handle(SCRIPTED_DEPLOYMENT, application_name("scripted"))

    async def set_script(self, script: Script) -> Any:
        """Have the model answer by ``script`` from now on; return its handle."""
        handle = self.script()
        await handle.replace_script.remote(script)
        return handle


def named_actors(prefix: str = "") -> list[str]:
    """Return the names of Greenroom's actors."""
    names = [row["name"] for row in list_named_actors(all_namespaces=True) if row["namespace"] == NAMESPACE]
    return [name for name in names if name.startswith(prefix)]


def run_actors() -> list[str]:
    """Return the names of the run actors."""
    return named_actors(RUN_ACTOR_PREFIX)


def pid_of(actor: str) -> int:
    """Return the process id of a living named actor."""
    filters = [("name", "=", actor), ("state", "=", "ALIVE")]
    (found,) = list_actors(address=ray_address(), filters=filters)
    return found.pid


def ray_address() -> str:
    """Return the address of this test run's Ray; the state API does not find it among several."""
    return ray.get_runtime_context().gcs_address


def pids() -> dict[str, int]:
    """Return name -> process id of the run actors that live."""
    living = list_actors(address=ray_address(), filters=[("state", "=", "ALIVE")], limit=1000)
    return {actor.name: actor.pid for actor in living if actor.name.startswith(RUN_ACTOR_PREFIX)}


def kill_process(actor: str) -> None:
    """End the process of an actor as a crash would."""
    os.kill(pid_of(actor), signal.SIGKILL)


async def end_actors() -> None:
    """End every actor of Greenroom; the supervisor first, or it would replace them."""
    for name in sorted(named_actors(), key=lambda name: name.startswith(RUN_ACTOR_PREFIX)):
        ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=True)
    while named_actors():
        await asyncio.sleep(0.05)


@asynccontextmanager
async def open_stage(data_dir: Path, **changes: Any) -> AsyncIterator[Stage]:
    """Open a stage on a new database, in ``data_dir`` unless ``backing`` says otherwise; ``changes``: settings."""
    settings = Settings(data_dir=data_dir, models={"default": "scripted"}, **{**backing(), **changes})
    migrate(settings.database_url_to_open())
    for name, application in model_applications(catalog_of(settings)).items():
        if name not in serve.status().applications:
            await asyncio.to_thread(serve.run, application, name=name, route_prefix=None)
    stage = Stage(settings)
    try:
        await stage.open()
        yield stage
    finally:
        await end_actors()
        await stage.ports.close()
