"""The rules of the journal, on every kind of store."""

import pytest

from graph.events import Fact, RunRecovered, RunResumed
from graph.ports import InboxItem
from store.errors import FencedError, RunExistsError, RunNotFoundError
from store_world import (
    ANSWER,
    NOW,
    PERSON,
    StoreWorld,
    acts_on,
    finished,
    first_write,
    given,
    make_id,
    new_run,
    node_finished,
    pause_with_form,
    paused,
    start,
    started,
    write,
)

RUN_ID = make_id("run")


async def test_append_numbers_facts_from_one(world: StoreWorld) -> None:
    """Facts bear the numbers 1, 2, 3 … and are read back equal, from any number on."""
    await start(world)
    facts: list[Fact] = [node_finished(1, text="a"), node_finished(2, text="ü\x00😀")]
    assert await world.journal.append(write(facts, 1)) == 3
    assert await world.journal.read(RUN_ID) == [(1, started()), (2, facts[0]), (3, facts[1])]
    assert await world.journal.read(RUN_ID, after=2) == [(3, facts[1])]
    assert await world.journal.read(RUN_ID, after=3) == []
    assert await world.journal.read("nobody's\x00run") == []


async def test_append_begins_a_run_with_its_writer(world: StoreWorld) -> None:
    """The first write makes the row, with epoch, actor and lease; what a person wrote comes back."""
    run = await start(world, new_run(user="a\x00b", inputs={"topic": "tea\x00", "list": [1, None]}))
    record = await world.journal.get(run.run_id)
    assert record is not None
    assert (record.status, record.epoch, record.head, record.actor) == ("running", 1, 1, "actor-1")
    assert (record.inputs, record.mode, record.created_at) == (run.inputs, "workflow", NOW)
    assert record.user in ("a\x00b", "a\ufffdb")
    assert await world.journal.get(make_id("other")) is None


async def test_run_begins_once(world: StoreWorld) -> None:
    """A second start of the same run is refused; the same write again (its answer was lost) is not."""
    await start(world)
    with pytest.raises(RunExistsError):
        await world.journal.append(first_write(actor="actor-2"))
    assert await world.journal.append(first_write()) == 1
    with pytest.raises(RunExistsError):
        await world.journal.pause(first_write(None, paused(), actor="actor-2"), b"state")
    assert [number for number, _ in await world.journal.read(RUN_ID)] == [1]


async def test_append_is_refused_when_another_writer_is_ahead(world: StoreWorld) -> None:
    """Of two writers with the same epoch and head one succeeds."""
    await start(world)
    await world.journal.append(write([node_finished(1)], 1))
    with pytest.raises(FencedError):
        await world.journal.append(write([node_finished(2)], 1))
    with pytest.raises(FencedError):
        await world.journal.append(write([node_finished(3)], 3))
    with pytest.raises(FencedError):
        await world.journal.append(write([node_finished(1)], 0, run=new_run("never begun")))


async def test_successor_claims_the_run(world: StoreWorld) -> None:
    """A successor raises the epoch with its first write; from then on the zombie is refused at any head."""
    await start(world)
    claim = write([RunRecovered(NOW, 1, 0.5)], 1, epoch=2, found_epoch=1, actor="actor-2", lease_id="lease-2")
    assert await world.journal.append(claim) == 2
    record = await world.journal.get(RUN_ID)
    assert record is not None and (record.epoch, record.actor, record.lease_id) == (2, "actor-2", "lease-2")
    for head in (1, 2):
        with pytest.raises(FencedError):
            await world.journal.append(write([node_finished(1)], head))
        with pytest.raises(FencedError):
            await world.journal.pause(write([paused()], head), b"state")
    rival = write([RunRecovered(NOW, 1, 0.5)], 1, epoch=2, found_epoch=1, actor="actor-3")
    with pytest.raises(FencedError):
        await world.journal.append(rival)
    assert await world.journal.append(write([node_finished(1)], 2, epoch=2)) == 3


async def test_write_may_be_repeated(world: StoreWorld) -> None:
    """A write whose answer was lost succeeds again without storing anything twice; so does a pause."""
    await start(world)
    append, pause = write([node_finished(1)], 1), write([paused()], 2)
    assert [await world.journal.append(append) for _ in range(3)] == [2, 2, 2]
    assert [await world.journal.pause(pause, b"state") for _ in range(2)] == [[], []]
    await world.journal.request_stop(RUN_ID, "later", NOW)
    assert await world.journal.pause(pause, b"state") == []
    assert len(await world.journal.read(RUN_ID)) == 3


async def test_status_follows_the_facts(world: StoreWorld) -> None:
    """Pause, resumption and end of a run change its record, and only they."""
    run = await start(world)
    await world.journal.append(write([node_finished(1)], 1))
    await world.journal.pause(write([paused()], 2), b"state")
    record = await world.journal.get(run.run_id)
    assert record is not None
    assert (record.status, record.paused_at, record.elapsed_s) == ("paused", NOW + 5, 1.5)
    assert (record.total_tokens, record.total_steps) == (7, 2)
    await world.journal.append(write([RunResumed(NOW + 8)], 3, epoch=2, found_epoch=1, actor="actor-2"))
    record = await world.journal.get(run.run_id)
    assert record is not None and (record.status, record.paused_at) == ("running", None)
    await world.journal.append(write([finished("partial-succeeded", answer=["x"])], 4, epoch=2))
    record = await world.journal.get(run.run_id)
    assert record is not None and record.is_terminal
    assert (record.status, record.outputs, record.error) == ("partial-succeeded", {"answer": ["x"]}, None)
    assert (record.finished_at, record.elapsed_s, record.exceptions_count, record.head) == (NOW + 9, 2.5, 1, 5)


async def test_load_gives_snapshot_and_facts_after_it(world: StoreWorld) -> None:
    """A successor gets the state of the last pause, every fact since, and the items it has to take up."""
    run, form, recipient = await pause_with_form(world)
    await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    await world.journal.append(write([RunResumed(NOW), node_finished(1)], 3, epoch=2, found_epoch=1))
    stored = await world.journal.load(run.run_id)
    assert (stored.snapshot, stored.snapshot_head) == (b"state", 3)
    assert stored.facts == [(4, RunResumed(NOW)), (5, node_finished(1))]
    assert (stored.record.epoch, stored.record.head) == (2, 5)
    assert [item.form_id for item in stored.inbox] == [form.form_id]
    await world.journal.append(write([node_finished(2)], 5, epoch=2, taken=[form.form_id]))
    await world.journal.pause(write([paused()], 6, epoch=2), b"later state")
    stored = await world.journal.load(run.run_id)
    assert (stored.snapshot, stored.snapshot_head, stored.facts, stored.inbox) == (b"later state", 7, [], [])


async def test_load_of_a_run_without_snapshot_gives_all_facts(world: StoreWorld) -> None:
    """A run that never paused is restored from its facts alone; an unknown one is refused."""
    await start(world)
    stored = await world.journal.load(RUN_ID)
    assert (stored.snapshot, stored.snapshot_head, stored.facts) == (None, 0, [(1, started())])
    with pytest.raises(RunNotFoundError):
        await world.journal.load(make_id("other"))


async def test_item_is_taken_once(world: StoreWorld) -> None:
    """An inbox item is taken up by one fact: a second taking is refused and stores nothing."""
    _, form, recipient = await pause_with_form(world)
    await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    assert await world.journal.inbox(RUN_ID) == [
        InboxItem(form.form_id, "submitted", form.form_id, "approve", {"comment": "fine"})
    ]
    await world.journal.append(write([RunResumed(NOW)], 3, epoch=2, found_epoch=1, taken=[form.form_id]))
    assert await world.journal.inbox(RUN_ID) == []
    for item_id in (form.form_id, "unknown"):
        with pytest.raises(FencedError):
            await world.journal.append(write([node_finished(1)], 4, epoch=2, taken=[item_id]))
    record = await world.journal.get(RUN_ID)
    assert record is not None and record.head == 4


async def test_pause_is_refused_while_an_item_is_left(world: StoreWorld) -> None:
    """A pause stores nothing while an item is un-taken, and gives it back; items it takes up itself do not count."""
    await start(world)
    await world.journal.request_stop(RUN_ID, "enough", NOW)
    left = await world.journal.pause(write([paused()], 1), b"state")
    assert left == [InboxItem(f"stop-{RUN_ID}", "stop", reason="enough")]
    stored = await world.journal.load(RUN_ID)
    assert (stored.record.status, stored.record.head, stored.snapshot) == ("running", 1, None)
    assert await world.journal.pause(write([paused()], 1, taken=[left[0].item_id]), b"state") == []


async def test_run_can_pause_with_its_first_write(world: StoreWorld) -> None:
    """A run may begin and pause in one commit, with its snapshot."""
    assert await world.journal.pause(first_write(None, paused()), b"state") == []
    stored = await world.journal.load(RUN_ID)
    assert (stored.record.status, stored.record.head, stored.snapshot_head) == ("paused", 2, 2)
    assert stored.record.actor == "actor-1"


async def test_end_takes_up_every_item_left(world: StoreWorld) -> None:
    """After the terminal fact nothing is left to take up, and the run is no more in anybody's list."""
    run, form, recipient = await pause_with_form(world)
    await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    await world.journal.request_stop(run.run_id, "enough", NOW)
    assert len(await world.journal.inbox(run.run_id)) == 2
    await world.journal.append(write([finished("stopped")], 3, epoch=2, found_epoch=1))
    assert await world.journal.inbox(run.run_id) == []
    assert await world.journal.untaken() == []
    assert await world.journal.running_runs() == []


async def test_end_is_refused_where_its_item_is_taken(world: StoreWorld) -> None:
    """A terminal fact that takes up an item which another fact has, or which is none, ends nothing."""
    run, form, recipient = await pause_with_form(world)
    await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    await world.journal.append(write([RunResumed(NOW)], 3, epoch=2, found_epoch=1, taken=[form.form_id]))
    await world.journal.request_stop(run.run_id, "enough", NOW)
    left = await world.journal.inbox(run.run_id)
    for item_id in (form.form_id, make_id("nobody's item")):
        with pytest.raises(FencedError):
            await world.journal.append(write([finished()], 4, epoch=2, taken=[item_id]))
    assert await world.journal.inbox(run.run_id) == left
    assert await world.journal.append(write([finished()], 4, epoch=2, taken=[left[0].item_id])) == 5
    assert await world.journal.inbox(run.run_id) == []


async def test_request_stop_reaches_a_run_once(world: StoreWorld) -> None:
    """A stop is one item however often it is asked for; it tells how the run stood; an unknown run is refused."""
    await start(world)
    records = [await world.journal.request_stop(RUN_ID, reason, NOW) for reason in ("first", "second")]
    assert [record.status for record in records] == ["running", "running"]
    assert [item.reason for item in await world.journal.inbox(RUN_ID)] == ["first"]
    with pytest.raises(RunNotFoundError):
        await world.journal.request_stop(make_id("other"), "why", NOW)


async def test_request_stop_expires_the_forms_of_a_paused_run(world: StoreWorld) -> None:
    """The forms of a paused run close with the stop, those of an executing run when it has taken the stop up."""
    run, form, _ = await pause_with_form(world)
    assert (await world.journal.request_stop(run.run_id, "enough", NOW + 1)).status == "paused"
    closed = await world.forms.get(form.form_id)
    assert closed is not None and (closed.status, closed.closed_at) == ("expired", NOW + 1)
    assert [(entry.event, entry.detail) for entry in await acts_on(world.forms, form.form_id)] == [
        ("expired", "enough")
    ]


async def test_request_stop_leaves_an_ended_run_alone(world: StoreWorld) -> None:
    """A run that has ended gets no stop item."""
    await start(world)
    await world.journal.append(write([finished()], 1))
    assert (await world.journal.request_stop(RUN_ID, "late", NOW)).status == "succeeded"
    assert await world.journal.inbox(RUN_ID) == []


async def test_lists_name_executing_runs_and_those_with_items(world: StoreWorld) -> None:
    """Who executes what, and which runs have something to take up, is found for all runs at once."""
    first, second = await start(world, new_run("one")), new_run("two")
    await world.journal.append(first_write(second, actor="actor-2"))
    stopped, _, _ = await pause_with_form(world, "three")
    await world.journal.request_stop(stopped.run_id, "enough", NOW)
    expected = [(first.run_id, "actor-1"), (second.run_id, "actor-2")]
    assert sorted(await world.journal.running_runs()) == sorted(expected)
    assert await world.journal.runs_of_actor("actor-2") == [second.run_id]
    assert await world.journal.runs_of_actor("actor-9") == []
    assert await world.journal.untaken() == [(stopped.run_id, "paused", "actor-1", NOW)]


async def test_large_values_are_kept_outside_and_come_back(world: StoreWorld) -> None:
    """Values over 64 KB come back equal from facts, inputs and outputs, also where a value looks like a reference."""
    large, lookalike = "x" * 70_000, {"$blob": "0" * 64, "size": 1}
    run = await start(world, new_run(inputs={"text": large, "odd": lookalike}))
    fact = node_finished(1, text=large, parts=[{"deep": large}, lookalike], many=["y" * 1000] * 100)
    await world.journal.append(write([fact], 1))
    await world.journal.append(write([finished(answer=large)], 2))
    assert (await world.journal.read(run.run_id))[1:] == [(2, fact), (3, finished(answer=large))]
    record = await world.journal.get(run.run_id)
    assert record is not None
    assert (record.inputs, record.outputs) == ({"text": large, "odd": lookalike}, {"answer": large})
