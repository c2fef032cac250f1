"""A run in one process over the memory journal: started, paused, resumed, recovered, fenced, broken."""

import asyncio
from dataclasses import replace

import orjson
import pytest

import factories as f
from actors.errors import RunElsewhereError
from actors.messages import FormOrder, RunOrder, order_run
from actors.plans import Plans
from actors.recorder import Ownership, RunRecorder
from actors.run_segment import RunSegment, Surroundings
from actors.tail import SegmentTail
from fakes import ScriptedChat, TickClock
from graph.engine import Limits
from graph.errors import SnapshotVersionError
from graph.events import NodeFinished, RunFinished, RunRecovered, RunResumed
from graph.ports import InboxItem, OpenedForm
from graph.snapshot import SNAPSHOT_VERSION
from store.apps import WorkflowVersion
from store.errors import FencedError, StoreUnavailableError
from store.hint_record import Hint
from store.memory_journal import MemoryJournal
from store.memory_store import MemoryStore
from store.run_record import NewRun

NODES = [
    f.start("topic"), f.llm("llm", "{{#start.topic#}}"), f.human(), f.end(out=["llm", "text"], c=["human", "comment"])
]  # fmt: skip
EDGES = [f.edge("start", "llm"), f.edge("llm", "human"), f.edge("human", "end", "approve")]


class OneVersion:
    """A store with one workflow version."""

    def __init__(self, nodes: list, edges: list) -> None:
        self._document = f.document(nodes, edges)

    async def version(self, version_id: str) -> WorkflowVersion:
        """Return it."""
        return WorkflowVersion(version_id, "app", "hash", self._document, 0.0)


class OneForm:
    """Opens the same form again and again."""

    def __init__(self) -> None:
        self.orders: list[FormOrder] = []

    async def open_form(self, order: FormOrder) -> OpenedForm:
        """Open it."""
        self.orders.append(order)
        return OpenedForm("form", 1e12, True)


class World:
    """A journal, and actors that use it."""

    def __init__(self, nodes: list = NODES, edges: list = EDGES) -> None:
        self.store = MemoryStore()
        self.journal = MemoryJournal(self.store)
        self.forms = OneForm()
        self.chat = ScriptedChat({"llm": ["a", "b"]})
        self.hints: list[Hint] = []
        plans = Plans(OneVersion(nodes, edges))
        self.surroundings = Surroundings(self.journal, plans, self.chat, self.forms, Limits(), TickClock())

    def segment(self, actor: str = "a0") -> RunSegment:
        """A segment of the run in an actor."""
        return RunSegment("run", f"lease-{actor}", actor, self.surroundings, self.hints.append)

    def answer(self, item_id: str = "i1") -> None:
        """Put an answer into the inbox."""
        self.store.add_item("run", InboxItem(item_id, "submitted", "form", "approve", {"comment": "ok"}), 1.0)

    async def kinds(self) -> list[str]:
        """The kinds of facts so far."""
        return [type(fact).__name__ for _, fact in await self.journal.read("run")]


def order() -> RunOrder:
    """The order of the run."""
    return order_run(
        NewRun("run", "ws", "app", "v", "workflow", "service-api", "account", "acc", "u", {"topic": "t"}, 5.0)
    )


async def test_run_pauses_with_its_form_and_says_who_asked():
    """The outcome of a pause carries the open form; the form's order says whose run it is."""
    world = World()
    outcome = await world.segment().start(order())
    assert (outcome.status, [form.form_id for form in outcome.forms]) == ("paused", ["form"])
    assert outcome.created_at == 5.0
    assert (world.forms.orders[0].account_id, world.forms.orders[0].invoke_source) == ("acc", "service-api")
    record = await world.journal.get("run")
    assert (record.status, record.actor, record.epoch) == ("paused", "a0", 1)


async def test_resumed_run_takes_its_answer_up_in_another_actor():
    """The snapshot restores the run; the epoch rises, the model is not asked again."""
    world = World()
    await world.segment("a0").start(order())
    world.answer()
    outcome = await world.segment("a1").go_on()
    assert (outcome.status, outcome.outputs) == ("succeeded", {"out": "ab", "c": "ok"})
    record = await world.journal.get("run")
    assert (record.actor, record.epoch) == ("a1", 2)
    assert len(world.chat.requests) == 1
    # Only who waited for the run to go on must be told, where, and then that it has left.
    assert [hint.actor for hint in world.hints] == ["a1", ""]
    assert world.hints[-1].number == record.head


async def test_resume_without_an_answer_changes_nothing():
    """A resume that was called twice finds nothing to take up and gives the pause again."""
    world = World()
    first = await world.segment().start(order())
    head = (await world.journal.get("run")).head
    assert await world.segment("a1").go_on() == first
    assert (await world.journal.get("run")).head == head


async def test_started_run_is_not_started_again():
    """A second start gives how the run stands, and whose it is while it executes."""
    world = World()
    first = await world.segment().start(order())
    assert await world.segment("a1").start(order()) == first
    world.answer()
    finished = await world.segment().go_on()
    assert replace(await world.segment("a1").start(order()), forms=()) == finished
    assert len(world.chat.requests) == 1


async def crash_in_model_call(world: World) -> None:
    """Start the run and drop it while the model is being asked."""
    segment = world.segment("a0")
    task = asyncio.create_task(segment.start(order()))
    while not world.chat.requests:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_recovered_run_repeats_only_what_was_in_flight():
    """A successor replays the journal: finished nodes stay finished, the model is asked again with the same key."""
    world = World()
    await crash_in_model_call(world)
    assert (await world.segment("a1").go_on("a0")).status == "paused"
    facts = [fact for _, fact in await world.journal.read("run")]
    assert [fact.attempt for fact in facts if isinstance(fact, RunRecovered)] == [2]
    assert [fact.node_id for fact in facts if isinstance(fact, NodeFinished)] == ["start", "llm"]
    assert len({request.idempotency_key for request in world.chat.requests}) == 1
    assert not any(isinstance(fact, RunResumed) for fact in facts)


async def test_executing_run_is_left_to_its_living_actor():
    """Neither a resume nor the recovery from another dead actor takes a run away."""
    world = World()
    await crash_in_model_call(world)
    for dead in ("", "somebody-else"):
        with pytest.raises(RunElsewhereError) as caught:
            await world.segment("a1").go_on(dead)
        assert caught.value.actor == "a0"
    with pytest.raises(RunElsewhereError):
        await world.segment("a1").start(order())


async def test_run_that_leaves_its_actor_goes_on_in_another():
    """A node in flight ends first; the next actor runs only what had not begun, and whoever waits is sent there."""
    world = World([*NODES[:2], f.end(out=["llm", "text"])], [f.edge("start", "llm"), f.edge("llm", "end")])
    segment = world.segment("a0")
    task = asyncio.create_task(segment.start(order()))
    while not world.chat.requests:
        await asyncio.sleep(0)
    segment.leave()
    with pytest.raises(RunElsewhereError) as caught:
        await task
    assert (caught.value.actor, segment.is_stuck) == ("a0", False)
    assert (await world.journal.get("run")).status == "running"
    assert (await world.segment("a1").go_on("a0")).outputs == {"out": "ab"}
    facts = [fact for _, fact in await world.journal.read("run")]
    assert [fact.node_id for fact in facts if isinstance(fact, NodeFinished)] == ["start", "llm", "end"]
    assert len(world.chat.requests) == 1


async def test_run_that_is_to_leave_before_it_is_restored_does_so():
    """The wish comes while the journal is being read: nothing begins."""
    world = World()
    await crash_in_model_call(world)
    segment = world.segment("a1")
    segment.leave()
    with pytest.raises(RunElsewhereError):
        await segment.go_on("a0")
    assert (await world.journal.get("run")).actor == "a1"
    assert (await world.segment("a2").go_on("a1")).status == "paused"


async def test_newer_snapshot_is_refused_and_the_run_stays():
    """A process of an older version says what it cannot read and changes nothing; one that can goes on."""
    world = World()
    await world.segment("a0").start(order())
    world.answer()
    head, readable = world.store.snapshots["run"]
    newer = orjson.dumps({**orjson.loads(readable), "version": SNAPSHOT_VERSION + 1})
    world.store.snapshots["run"] = (head, newer)
    before = await world.journal.get("run")
    with pytest.raises(SnapshotVersionError) as caught:
        await world.segment("a1").go_on()
    assert str(caught.value) == "the stored run state has version 2; this Greenroom reads up to 1"
    assert await world.journal.get("run") == before
    assert [item.item_id for item in await world.journal.inbox("run")] == ["i1"]
    world.store.snapshots["run"] = (head, readable)
    assert (await world.segment("a1").go_on()).outputs == {"out": "ab", "c": "ok"}


async def test_zombie_is_fenced_and_tells_nothing():
    """An actor that was taken for dead stores and tells nothing once a successor has written."""
    world = World()
    zombie = world.segment("a0")
    task = asyncio.create_task(zombie.start(order()))
    while not world.chat.requests:
        await asyncio.sleep(0)
    record = await world.journal.get("run")
    recorder = RunRecorder(
        world.journal, SegmentTail("run"), Ownership("run", "a1", "l", record.epoch + 1, record.epoch, record.head)
    )
    await recorder.append([RunFinished(1.0, "stopped", {}, None, 0.0, 0, 0, 0)])
    with pytest.raises(FencedError):
        await task
    assert not zombie.is_stuck
    assert (await world.kinds())[-1] == "RunFinished"


async def test_woken_run_takes_up_what_came_while_it_executes():
    """A wake-up before or during the run makes it look into its inbox; a stop ends it at once."""
    world = World()
    segment = world.segment()
    world.store.add_item("run", InboxItem("stop", "stop", reason="enough"), 1.0)
    segment.wake()
    outcome = await segment.start(order())
    assert (outcome.status, outcome.error) == ("stopped", "enough")


async def test_run_fails_with_the_reason_when_the_engine_breaks():
    """A fault of ours ends the run as failed, told like any other end."""
    world = World([f.start("topic"), f.human(), f.end(out=["start", "topic"])],
                  [f.edge("start", "human"), f.edge("human", "end", "approve")])  # fmt: skip
    await world.segment().start(order())
    world.answer()
    broken = InboxItem("i0", "submitted", "form", "approve", None)  # type: ignore[arg-type]
    world.store.add_item("run", broken, 0.5)
    outcome = await world.segment("a1").go_on()
    assert outcome.status == "failed"
    assert outcome.error.startswith("internal error: ")


class AwayJournal(MemoryJournal):
    """A journal that is away for the first ``failures`` appends; with ``stores`` they are stored all the same."""

    failures = 0
    stores = False

    async def append(self, write):
        """Append, or be away."""
        if self.failures:
            self.failures -= 1
            if self.stores:
                await super().append(write)
            raise StoreUnavailableError("gone")
        return await super().append(write)


@pytest.mark.parametrize("stores", [False, True])
async def test_write_is_repeated_when_the_store_is_away(stores: bool):
    """A write without an answer is given again, and stored once, whether or not it had come through."""
    journal = AwayJournal(MemoryStore())
    journal.failures, journal.stores = 2, stores
    tail = SegmentTail("run")
    recorder = RunRecorder(journal, tail, Ownership("run", "a0", "lease", new_run=order().run))
    await recorder.append([RunFinished(1.0, "stopped", {}, None, 0.0, 0, 0, 0)])
    assert recorder.head == 1
    assert recorder.has_written
    assert len(await journal.read("run")) == 1


async def test_run_leaves_the_process_when_the_store_stays_away():
    """After its patience the recorder gives up, nothing was told, and the run is marked as stuck here."""
    journal = AwayJournal(MemoryStore())
    journal.failures = 1000
    recorder = RunRecorder(journal, SegmentTail("run"), Ownership("run", "a0", "lease", new_run=order().run),
                           patience_s=0.1)  # fmt: skip
    with pytest.raises(StoreUnavailableError):
        await recorder.append([RunFinished(1.0, "stopped", {}, None, 0.0, 0, 0, 0)])
    assert not recorder.has_written
