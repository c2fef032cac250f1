"""Runs of our engine in this process: in memory with facts dropped, durable on SQLite, and many in flight at once."""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from actors.recorder import Ownership, RunRecorder
from actors.tail import SegmentTail
from benchmarks.workflows import Case, JsonObject, app_file, asking_model
from graph.engine import Engine, Limits, Outcome
from graph.events import Fact, RunFinished, TextPart
from graph.parse_workflow import parse_document
from graph.plan import Plan, compile_plan
from graph.ports import ChatDelta, ChatRequest, Effects, FormRequest, InboxItem, OpenedForm, Recorder
from graph.run_state import RunState
from store.blobs import MemoryBlobs
from store.database import open_database
from store.journal import SqlJournal
from store.migrate import migrate
from store.run_record import NewRun

LIMITS = Limits(max_steps=1_000_000)
SYSTEM: JsonObject = {"user_id": "benchmark"}
IN_FLIGHT = 1000

Run = Callable[[], Awaitable[float]]
"""Runs a workflow once and returns the seconds it took."""


class DroppingRecorder:
    """Takes facts and forgets them."""

    async def append(self, facts: Sequence[Fact], taken: Sequence[str] = ()) -> None:
        """Drop ``facts``."""

    async def pause(self, facts: Sequence[Fact], taken: Sequence[str], snapshot: bytes) -> Sequence[InboxItem]:
        """Drop ``facts``; nothing is ever left to take up."""
        return []

    def tell(self, part: TextPart) -> None:
        """Drop ``part``."""


class SilentModel:
    """A model, and the forms, that never answer. ``calls``: how many wait."""

    def __init__(self) -> None:
        self.calls = 0
        self.is_full = asyncio.Event()

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Wait for ever."""
        self.calls += 1
        if self.calls == IN_FLIGHT:
            self.is_full.set()
        await asyncio.get_running_loop().create_future()
        yield ChatDelta()

    async def open_form(self, request: FormRequest) -> OpenedForm:
        """Refuse: no measured workflow asks people."""
        raise NotImplementedError(request.node_id)


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Return Unix seconds."""
        return time.time()


def compiled(graph: JsonObject) -> Plan:
    """Return the plan of ``graph``."""
    parsed = parse_document(app_file(graph))
    if parsed.workflow is None:
        raise ValueError([str(fault) for fault in parsed.faults])
    return compile_plan(parsed.workflow)


def run_ids() -> Iterator[str]:
    """Yield run ids without end, in order of time as those of real runs."""
    number = time.time_ns()
    while True:
        number += 1
        digits = f"{number:032x}"
        yield f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def engine_of(plan: Plan, run_id: str, recorder: Recorder, model: SilentModel) -> Engine:
    """Return the engine of a new run."""
    return Engine(plan, RunState(plan), run_id, Effects(model, model), recorder, SystemClock(), LIMITS)


def in_memory(case: Case, plan: Plan) -> Run:
    """Return the run of a case with nothing stored: from its state to its last fact."""
    ids, model, recorder = run_ids(), SilentModel(), DroppingRecorder()

    async def run() -> float:
        began = time.perf_counter()
        outcome = await engine_of(plan, next(ids), recorder, model).start(case.inputs, SYSTEM)
        seconds = time.perf_counter() - began
        check(outcome, case)
        return seconds

    return run


@asynccontextmanager
async def durable(case: Case, plan: Plan, folder: Path) -> AsyncIterator[Run]:
    """Give the run of a case whose facts are durable in a SQLite journal in ``folder`` before they are told."""
    with TemporaryDirectory(dir=folder, prefix=".bench-data-") as data:
        url = f"sqlite:///{data}/benchmark.db"
        await asyncio.to_thread(migrate, url)
        database = open_database(url)
        journal, ids, model = SqlJournal(database, MemoryBlobs()), run_ids(), SilentModel()

        async def run() -> float:
            run_id = next(ids)
            owner = ("workspace", "app", "version", "workflow", "service_api", "end_user", "end-user", "benchmark")
            began = time.perf_counter()
            new_run = NewRun(run_id, *owner, case.inputs, time.time())
            ownership = Ownership(run_id, "run-actor", "lease", new_run=new_run)
            recorder = RunRecorder(journal, SegmentTail(run_id), ownership)
            outcome = await engine_of(plan, run_id, recorder, model).start(case.inputs, SYSTEM)
            seconds = time.perf_counter() - began
            check(outcome, case)
            return seconds

        try:
            yield run
        finally:
            await database.close()


def check(outcome: Outcome, case: Case) -> None:
    """Refuse an outcome that is not the expected one.

    Raises:
        ValueError: it is another.
    """
    if not (isinstance(outcome, RunFinished) and outcome.outputs == case.outputs):
        raise ValueError(outcome)


async def repeated(run: Run, budget_s: float, least: int) -> list[float]:
    """Return the seconds of each run: as many as ``budget_s`` allows, ``least`` or more."""
    gc.collect()
    seconds: list[float] = []
    give_up_at = time.perf_counter() + budget_s
    while len(seconds) < least or time.perf_counter() < give_up_at:
        seconds.append(await run())
    return seconds


async def bytes_in_flight() -> float:
    """Return the bytes that one run holds while its model has not answered: engine, state, tasks; not the plan."""
    plan, ids, recorder = compiled(asking_model("silent")), run_ids(), DroppingRecorder()
    model = SilentModel()
    inputs: JsonObject = {"q": "hello"}

    def begin() -> asyncio.Task[Any]:
        return asyncio.create_task(engine_of(plan, next(ids), recorder, model).start(dict(inputs), dict(SYSTEM)))

    tasks: list[asyncio.Task[Any]] = []
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tasks += [begin() for _ in range(IN_FLIGHT)]
        await model.is_full.wait()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return (after - before) / IN_FLIGHT
