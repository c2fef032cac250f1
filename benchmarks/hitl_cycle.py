"""Runs that ask a person, in this process: the run segments, the HITL actor and the store of the product, no Ray.

One cycle: a run starts and pauses for its form, the answer is submitted, the run resumes and finishes. The form, the
pause, the answer and the rest of the run are a commit each on SQLite (synchronous FULL).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uuid_utils

from actors.background import Background
from actors.hitl_actor import HitlActor
from actors.messages import RunOrder, RunOutcome, SubmitOrder, order_run
from actors.run_segment import RunSegment, Surroundings, WallClock
from actors.settings import Settings
from actors.wiring import Ports
from benchmarks.engine_runs import LIMITS, SilentModel
from benchmarks.workflows import ANSWER, JsonObject, app_file, asking
from graph.parse_workflow import parse_document
from store.forms import Resumable
from store.migrate import migrate
from store.run_record import NewRun

IN_FLIGHT = 16


async def import_app(ports: Ports, graph: JsonObject) -> RunOrder:
    """Import a workflow whose input is ``q`` and return an order of a run of it, for ``renewed``."""
    parsed = parse_document(app_file(graph))
    assert parsed.workflow is not None, parsed.faults
    workspace = await ports.accounts.ensure_workspace(ports.settings.workspace_name)
    app_id, _ = await ports.apps.import_app(workspace.workspace_id, parsed.workflow, None)
    record = await ports.apps.app(app_id)
    assert record is not None and record.published_version_id is not None
    owner = (record.workspace_id, app_id, record.published_version_id, record.mode, "service-api", "end_user")
    return order_run(NewRun("", *owner, str(uuid_utils.uuid7()), "benchmark", {"q": "hello"}, 0.0))


def renewed(order: RunOrder) -> RunOrder:
    """Return ``order`` for a run of its own, beginning now."""
    run = order.run
    owner = (run.workspace_id, run.app_id, run.version_id, run.mode, run.invoke_source)
    person = (run.created_by_role, run.created_by_id, run.user)
    return order_run(NewRun(str(uuid_utils.uuid7()), *owner, *person, dict(run.inputs), time.time()))


def answer_to(outcome: RunOutcome) -> SubmitOrder:
    """Return the answer to the form of a paused run.

    Raises:
        ValueError: the run is not paused for one form.
    """
    if outcome.status != "paused" or len(outcome.forms) != 1:
        raise ValueError(outcome)
    return SubmitOrder(outcome.forms[0].form_id, None, 0, "approve", dict(ANSWER), "python")


def check(outcome: RunOutcome) -> None:
    """Refuse an outcome other than the end with the answer in it.

    Raises:
        ValueError: it is another.
    """
    if outcome.status != "succeeded" or outcome.outputs != {"out": ANSWER["comment"]}:
        raise ValueError(outcome)


class Cycles:
    """Runs cycles; implements RunWaker by resuming in this process."""

    def __init__(self, ports: Ports, order: RunOrder) -> None:
        self._order = order
        self._background = Background()
        self._ends: dict[str, asyncio.Future[RunOutcome]] = {}
        self._hitl = HitlActor(ports.settings.plain, ports=ports, waker=self)
        model = SilentModel()
        self._around = Surroundings(ports.journal, ports.plans, model, self._hitl, LIMITS, WallClock())

    def warm_up(self) -> None:
        """Do nothing: there is nothing to lease."""

    def wake(self, run: Resumable) -> None:
        """Resume a paused run."""
        end = self._ends.pop(run.run_id, None) if run.run_status == "paused" else None
        if end is not None:
            self._background.start(self._resume(run.run_id, end))

    async def pause(self) -> RunOutcome:
        """Start a run and return when it has paused."""
        order = renewed(self._order)
        return await self._segment(order.run_id).start(order)

    async def resume(self, paused: RunOutcome) -> float:
        """Answer the form of a paused run; return the seconds until the run has finished.

        Raises:
            ValueError: it did not go as it should.
        """
        answer = answer_to(paused)
        end = self._ends[paused.run_id] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        await self._hitl.submit(answer)
        outcome = await end
        seconds = time.perf_counter() - began
        check(outcome)
        return seconds

    async def a_second(self, budget_s: float, width: int) -> float:
        """Run whole cycles, ``width`` at a time, for ``budget_s`` seconds; return how many were done a second."""
        count, began = 0, time.perf_counter()

        async def line() -> None:
            nonlocal count
            while True:
                await self.resume(await self.pause())
                count += 1
                if time.perf_counter() - began > budget_s:
                    return

        await asyncio.gather(*(line() for _ in range(width)))
        return count / (time.perf_counter() - began)

    async def close(self) -> None:
        """End what goes on in the background."""
        await self._background.close()
        await self._hitl.close()

    async def _resume(self, run_id: str, end: "asyncio.Future[RunOutcome]") -> None:
        try:
            end.set_result(await self._segment(run_id).go_on())
        except Exception as error:  # noqa: BLE001  # boundary: it belongs to whoever waits for the cycle
            end.set_exception(error)

    def _segment(self, run_id: str) -> RunSegment:
        return RunSegment(run_id, "lease", "run-actor", self._around)


@asynccontextmanager
async def cycles(data: Path) -> AsyncIterator[Cycles]:
    """Give cycles on the database in the folder ``data``, which is made if it is not there."""
    settings = Settings(data_dir=data)
    await asyncio.to_thread(migrate, settings.database_url_to_open())
    ports = Ports(settings)
    running = Cycles(ports, await import_app(ports, asking()))
    try:
        yield running
    finally:
        await running.close()
        await ports.close()


@contextmanager
def data_folder(folder: Path) -> Iterator[Path]:
    """Give a folder for a database, on the disk of ``folder``, for as long as the block lasts."""
    with TemporaryDirectory(dir=folder, prefix=".bench-data-") as data:
        yield Path(data)
