"""Greenroom in one process over SQLite, without Ray: run segments, the HITL actor and the courier's deliveries.

Nothing happens in it by itself: what the actors do in the background is called by name (``tick``, ``reconcile``,
``recover``, ``deliver``), so that a script meets the same commits in the same order each time. A process can be made to
die at one of its commits; whoever opens the next one over the same folder finds what a crash leaves.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actors import hitl_actor, run_waker
from actors.delivery import Deliveries, Sent
from actors.hitl_actor import HitlActor
from actors.messages import Lease, RunOrder, RunOutcome
from actors.run_segment import RunSegment, Surroundings
from actors.run_waker import LeasedWaker
from actors.senders import MailSender
from actors.settings import Settings
from actors.wiring import Ports
from effects.mail import OutgoingMail
from fakes import ScriptedChat
from graph.engine import Limits
from hitl.form import Form
from hitl.form_token import TokenKey
from hitl.recipient import Recipient
from store.outbox_record import OutboxEntry
from surface_world import SetClock

PATIENCE_S = 60.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """The clock of every HITL actor that is made; run actors are found in this process, and nobody tells a courier."""
    return set_clock(monkeypatch)


def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Return the clock of every HITL actor that is made until ``monkeypatch`` is undone; see ``clock``."""
    clock = SetClock()
    monkeypatch.setattr(run_waker, "ask", _ask)
    monkeypatch.setattr(run_waker, "tell", _tell)
    monkeypatch.setattr(hitl_actor, "WallClock", lambda: clock)
    monkeypatch.setattr(hitl_actor, "insist", _leave)
    monkeypatch.setattr(hitl_actor, "hint_courier", lambda: None)
    return clock


class World:
    """What is outside of any process and outlives it: mail server, webhook receiver, model, and who counts."""

    def __init__(self) -> None:
        self.mails: Counter[str] = Counter()
        """Message id -> how often it came in."""
        self.events: Counter[str] = Counter()
        """Entry id of a webhook -> how often it came in."""
        self.chat = ScriptedChat()
        self.domain = "example.org"

    async def send(self, mail: OutgoingMail) -> None:
        """Take a mail, as the mail server does."""
        self.mails[mail.message_id] += 1


class DyingLane:
    """Passes writes on until the one that the process does not survive: no write after it, and no answer to it.

    ``dies_at``: number of that write, from 1; 0: none. ``commits``: whether it still is committed.
    """

    def __init__(self, lane: Any, dies_at: int, commits: bool) -> None:
        self._lane, self._dies_at, self._commits = lane, dies_at, commits
        self.count = 0
        self.died = asyncio.Event()

    async def run(self, work: Callable[[Any], Any]) -> Any:
        """Run ``work`` on the real lane, or never return."""
        self.count += 1
        number = self.count
        if not self.died.is_set() and (number != self._dies_at or self._commits):
            result = await self._lane.run(work)
            if number != self._dies_at and not self.died.is_set():
                return result
        self.died.set()
        return await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Close the real lane."""
        await self._lane.close()


async def _leave(what: str, work: Any) -> None:
    """Leave what an actor does in the background to whoever calls it by name."""


_run_actors: "dict[str, OneProcess]" = {}


async def _ask(actor: str, method: str, run_id: str, lease_id: str, **options: Any) -> RunOutcome:
    """Do what a run actor does when it is asked."""
    assert method == "resume" and lease_id == "lease"
    return await _run_actors[actor].resume(run_id)


def _tell(actor: str, method: str, run_id: str) -> None:
    """Do what a run actor does when it is told; one that died does nothing."""
    assert method == "wake"
    if actor in _run_actors:
        _run_actors[actor].wake(run_id)


class OneProcess:
    """One life of the process; ``name``: of its run actor, which executes any number of runs."""

    def __init__(
        self,
        data: Path,
        world: World,
        clock: SetClock,
        *,
        name: str = "first",
        dies_at: int = 0,
        commits: bool = False,
        **settings: Any,
    ) -> None:
        self.world, self.clock, self._name = world, clock, name
        self.ports = ports = Ports(Settings(data_dir=data, **settings))
        self.lane = DyingLane(ports.database._writer, dies_at, commits)
        ports.database._writer = self.lane
        self._waker = LeasedWaker(self)
        self.hitl = HitlActor(ports.settings.plain, ports=ports, waker=self._waker)
        self.around = Surroundings(ports.journal, ports.plans, world.chat, self.hitl, Limits(), clock)
        self._executing: set[RunSegment] = set()
        mails = MailSender(ports.forms, world, self._token_key, "https://greenroom.example", clock)  # pyrefly: ignore
        self._senders = {"mail": mails.send, "webhook": self._post}

    async def live(self, life: Coroutine[Any, Any, None]) -> bool:
        """Live ``life`` to its end and return True; False if the process died in it, and nothing of it goes on."""
        others = asyncio.all_tasks()
        _run_actors[self._name] = self
        living, dying = asyncio.create_task(life), asyncio.create_task(self.lane.died.wait())
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait((living, dying), return_when=asyncio.FIRST_COMPLETED)
        has_died = self.lane.died.is_set()
        if not has_died:
            await living
        while rest := asyncio.all_tasks() - others - {asyncio.current_task()}:
            for task in rest:
                task.cancel()
            await asyncio.wait(rest)
        del _run_actors[self._name]
        await self.hitl.close()
        await self.ports.close()
        return not has_died

    async def start(self, order: RunOrder) -> RunOutcome:
        """Execute a new run to its pause or end; an existing one stays as it is."""
        segment = self._segment(order.run_id)
        return await self._executed(segment, segment.start(order))

    def hold(self) -> None:
        """Do nothing: a lease is always there; implements ResumeLeases with ``lease``."""

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """Lend the run actor of this process."""
        yield Lease("lease", self._name)

    async def resume(self, run_id: str) -> RunOutcome:
        """Go on with a paused run."""
        segment = self._segment(run_id)
        return await self._executed(segment, segment.go_on())

    def wake(self, run_id: str) -> None:
        """Have a run that executes here look into its inbox."""
        for segment in self._executing:
            if segment.run_id == run_id:
                segment.wake()

    async def settle(self) -> None:
        """Return when no run is being resumed any more."""
        while tasks := self._waker._background._tasks:
            await asyncio.wait(tasks)

    async def recover(self) -> None:
        """Take over every run that a process which died has executed, as the supervisor does."""
        for run_id, actor in await self.ports.journal.running_runs():
            segment = self._segment(run_id)
            await self._executed(segment, segment.go_on(actor))

    async def reconcile(self) -> None:
        """Have the HITL actor look once for items that nobody has taken up."""
        looked = asyncio.Event()
        task = asyncio.create_task(self.hitl._reconcile())
        self.hitl._metrics.show_not_resumed = lambda count: looked.set()  # pyrefly: ignore[bad-assignment]
        await looked.wait()
        task.cancel()
        await asyncio.wait((task,))
        await self.settle()

    async def tick(self) -> None:
        """Have the HITL actor do what is due for the forms."""
        while True:
            await self.hitl._deadlines.refill()
            if not await self.hitl._deadlines.fire_due():
                break
        await self.settle()

    async def deliver(self) -> None:
        """Send what is due by now, as the courier does."""
        deliveries = Deliveries(self.ports.outbox, self._senders, self.clock)
        while (at := await self.ports.outbox.next_at()) is not None and at <= self.clock.now():
            await deliveries._begin_due()
            while deliveries._under_way:
                deliveries._ended.clear()
                await deliveries._ended.wait()

    async def form(self, run_id: str, node_id: str) -> Form:
        """Return the form of a node."""
        return next(form for form in await self.ports.forms.by_run(run_id) if form.node_id == node_id)

    async def recipient(self, form: Form, email: str) -> Recipient:
        """Return the first recipient of a form with that address."""
        found = (await self.ports.forms.recipients([form.form_id]))[form.form_id]
        return next(each for each in found if each.payload.get("email") == email)

    async def _token_key(self) -> TokenKey:
        return self.ports.secrets.token_key

    async def _post(self, entry: OutboxEntry) -> Sent:
        self.world.events[entry.entry_id] += 1
        return Sent()

    async def _executed(self, segment: RunSegment, work: Coroutine[Any, Any, RunOutcome]) -> RunOutcome:
        self._executing.add(segment)
        try:
            return await work
        finally:
            self._executing.discard(segment)

    def _segment(self, run_id: str) -> RunSegment:
        return RunSegment(run_id, "lease", self._name, self.around)


def copied(template: Path, folder: Path) -> Path:
    """Return a copy of a data folder whose processes have all ended."""
    return shutil.copytree(template, folder)
