"""The rules of the store of conversations, and of what a run's facts change in it, on every kind of store."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from graph.events import NodeFinished, RunFinished, RunPaused, RunResumed, TextEmitted, VariableUpdated
from store.chat_record import (
    Conversation,
    ConversationOwner,
    ConversationVariable,
    Feedback,
    Message,
    NewMessage,
)
from store.errors import FencedError
from store.run_record import JournalWrite, NewRun
from store_world import NOW, StoreWorld, finished, make_id, new_run, paused, started, write

OWNER = ConversationOwner(make_id("app"), "end_user", make_id("end user"))


def talk(key: str = "talk", **changes: Any) -> Conversation:
    """Return the conversation that ``key`` stands for."""
    made = Conversation(make_id(key), OWNER, "Tea", {"topic": "tea"}, "Hello.", NOW, NOW)
    return replace(made, **changes)


def variable(name: str, value: Any, value_type: str = "string") -> ConversationVariable:
    """Return a variable of a conversation as it begins."""
    return ConversationVariable(make_id("variable", name), name, value_type, value, f"about {name}", NOW, NOW)


def chat_run(name: str = "run") -> NewRun:
    """Return a run of a chatflow."""
    return new_run(name, mode="advanced-chat")


def first(name: str = "run", at: float = NOW, conversation: Conversation | None = None, **more: Any) -> JournalWrite:
    """Return the write by which the run ``name`` begins as a message."""
    run, held = chat_run(name), conversation or talk()
    message = Message(run.run_id, held.conversation_id, f"{name}?", {"topic": "tea"}, [{"id": "file"}], at)
    held = replace(held, updated_at=at)
    new = NewMessage(held, message, tuple(more.pop("variables", ())), more.pop("is_first", True))
    facts = [started(), *more.pop("facts", ())]
    return JournalWrite(run.run_id, 1, 1, 0, facts, new_run=run, actor="a", is_message=True, message=new)


def text(*texts: str) -> TextEmitted:
    """Return the fact that a reader was told ``texts``."""
    return TextEmitted(NOW, "answer", "e", ["answer", "answer"], list(texts), True)


def updated(name: str, value: Any, node: str = "conversation") -> VariableUpdated:
    """Return the fact that a variable has a new value."""
    return VariableUpdated(NOW + 3, "n", "e", [node, name], "string", value)


async def test_message_begins_with_its_run(world: StoreWorld) -> None:
    """The first append stores run, conversation, message and variables; the same append again stores nothing twice."""
    write_ = first(
        variables=[variable("b", [1], "array[number]"), variable("a", "x" * 70_000)], facts=[text("Te", "a")]
    )
    assert [await world.journal.append(write_), await world.journal.append(write_)] == [2, 2]
    assert await world.chats.conversation(make_id("talk")) == talk()
    message = await world.chats.message(make_id("run"))
    assert message == Message(
        make_id("run"), make_id("talk"), "run?", {"topic": "tea"}, [{"id": "file"}], NOW, answer="Tea"
    )
    assert await world.chats.variables(make_id("talk")) == [
        variable("a", "x" * 70_000), variable("b", [1], "array[number]"),
    ]  # fmt: skip
    assert await world.chats.message_count(make_id("talk")) == 1
    nothing = [await world.chats.conversation("x"), await world.chats.message("x"), await world.chats.variables("x")]
    assert nothing == [None, None, []]


async def test_facts_change_message_and_variables_exactly_once(world: StoreWorld) -> None:
    """Answer, status and variables follow the facts; a repeated append changes nothing, a fenced one neither."""
    await world.journal.append(first(variables=[variable("mood", "calm"), variable("other", "o")]))
    run = chat_run()
    finish = NodeFinished(
        NOW, "llm", "e", 1, "succeeded", NOW, {}, {}, metadata={"retriever_resources": [{"position": 1}]}
    )
    facts = [updated("mood", "glad"), updated("mood", "gladder"), updated("other", "no", "loop"), finish, text("Te")]
    more = write(facts, 1, run=run, is_message=True)
    assert [await world.journal.append(more), await world.journal.append(more)] == [6, 6]
    with pytest.raises(FencedError):
        await world.journal.append(write([text("!")], 1, run=run, is_message=True))
    assert await world.journal.pause(write([text("a"), paused()], 6, run=run, is_message=True), b"state") == []
    message = await world.chats.message(run.run_id)
    assert message is not None and (message.answer, message.status) == ("Tea", "paused")
    assert message.resources == [{"position": 1}]
    variables = {each.name: each for each in await world.chats.variables(make_id("talk"))}
    assert (variables["mood"].value, variables["mood"].updated_at) == ("gladder", NOW)
    assert (variables["other"].value, variables["mood"].created_at) == ("o", NOW)
    await world.journal.append(write([RunResumed(NOW + 6)], 8, run=run, is_message=True))
    message = await world.chats.message(run.run_id)
    assert message is not None and message.status == "normal"


@pytest.mark.parametrize(
    ("status", "shown"), [("succeeded", "normal"), ("stopped", "normal"), ("failed", "error"),
                          ("partial-succeeded", "normal")]
)  # fmt: skip
async def test_end_of_a_run_settles_its_message(world: StoreWorld, status: Any, shown: str) -> None:
    """A message whose run has failed shows the error; every other end is normal, also after a pause."""
    await world.journal.append(first(facts=[RunPaused(NOW, [], {}, 1.0, 0, 1)]))
    end = RunFinished(NOW + 9, status, {}, "boom", 1.0, 0, 1, 0)
    await world.journal.append(write([end], 2, run=chat_run(), is_message=True))
    message = await world.chats.message(make_id("run"))
    assert message is not None and message.status == shown
    assert message.error == ("boom" if status == "failed" else None)


async def test_run_of_a_workflow_changes_no_conversation(world: StoreWorld) -> None:
    """A run that is no message leaves conversations alone; so does a message whose conversation was deleted."""
    await world.journal.append(first(variables=[variable("mood", "calm")]))
    await world.journal.append(write([text("x"), updated("mood", "glad")], 1, run=chat_run()))
    message = await world.chats.message(make_id("run"))
    assert message is not None and message.answer == ""
    await world.chats.delete(make_id("talk"))
    await world.journal.append(write([text("y"), updated("mood", "sad")], 3, run=chat_run(), is_message=True))
    await world.journal.append(write([finished()], 5, run=chat_run(), is_message=True))
    gone = [await world.chats.conversation(make_id("talk")), await world.chats.message(make_id("run"))]
    assert gone == [None, None]
    assert await world.chats.variables(make_id("talk")) == []
    record = await world.journal.get(make_id("run"))
    assert record is not None and record.status == "succeeded"


async def test_later_message_keeps_what_the_conversation_has(world: StoreWorld) -> None:
    """A second message moves the conversation's time; its name and its variables' values stay, new ones are added."""
    await world.journal.append(first(variables=[variable("mood", "calm")], facts=[updated("mood", "glad")]))
    later = talk(name="Other", inputs={})
    await world.journal.append(
        first("second", NOW + 5, later, variables=[variable("mood", "calm"), variable("new", "n")], is_first=False)
    )
    assert await world.chats.conversation(make_id("talk")) == talk(updated_at=NOW + 5)
    held = {each.name: each.value for each in await world.chats.variables(make_id("talk"))}
    assert held == {"mood": "glad", "new": "n"}
    assert await world.chats.message_count(make_id("talk")) == 2


async def test_message_of_a_deleted_conversation_is_not_stored(world: StoreWorld) -> None:
    """A message that continues a conversation which is gone by then brings none back; its run begins all the same."""
    late = first("late", variables=[variable("mood", "calm")], facts=[text("x")], is_first=False)
    assert [await world.journal.append(late), await world.journal.append(late)] == [2, 2]
    gone = [await world.chats.conversation(make_id("talk")), await world.chats.message(make_id("late"))]
    assert gone == [None, None] and await world.chats.variables(make_id("talk")) == []
    record = await world.journal.get(make_id("late"))
    assert record is not None and record.status == "running"


async def test_overlapping_messages_all_write(world: StoreWorld) -> None:
    """Messages of one conversation that write the same variables at a time do so one after the other."""
    names = [f"run {number}" for number in range(6)]
    both = [variable("a", ""), variable("b", "")]
    await world.journal.append(first(names[0], variables=both))
    begun = (first(name, variables=both, is_first=False) for name in names[1:])
    await asyncio.gather(*(world.journal.append(each) for each in begun))
    for _ in range(3):
        writes = []
        for number, name in enumerate(names):
            facts = [updated("a", name), updated("b", name), text("x")]
            run = chat_run(name)
            record = await world.journal.get(run.run_id)
            assert record is not None
            order = facts if number % 2 else [facts[1], facts[0], facts[2]]
            writes.append(world.journal.append(write(order, record.head, run=run, is_message=True)))
        await asyncio.gather(*writes)
    for name in names:
        message = await world.chats.message(make_id(name))
        assert message is not None and message.answer == "xxx"
    values = [each.value for each in await world.chats.variables(make_id("talk"))]
    assert values[0] == values[1] and values[0] in names


async def test_messages_come_newest_first_in_pages(world: StoreWorld) -> None:
    """A page ends before a message; those of the same moment are told apart by their ids."""
    for number in range(4):
        await world.journal.append(first(f"run {number}", NOW + number // 2))
    newest = await world.chats.messages(make_id("talk"), None, 10)
    assert [each.created_at for each in newest] == [NOW + 1, NOW + 1, NOW, NOW]
    for size in (1, 3):
        page, found = await world.chats.messages(make_id("talk"), None, size), []
        while page:
            found += page
            page = await world.chats.messages(make_id("talk"), page[-1], size)
        assert found == newest
    assert await world.chats.first_message(make_id("talk")) == newest[-1]
    assert await world.chats.messages(make_id("other"), None, 10) == []
    assert await world.chats.first_message(make_id("other")) is None


async def test_conversations_are_sorted_and_paged(world: StoreWorld) -> None:
    """Each order gives the owner's conversations page by page; nobody else's."""
    ages = [(0, 9), (1, 7), (1, 8), (3, 8)]
    for number, (created, changed) in enumerate(ages):
        held = talk(f"talk {number}", created_at=NOW + created)
        await world.journal.append(first(f"run {number}", NOW + changed, held))
    other = ConversationOwner(OWNER.app_id, "end_user", make_id("somebody"))
    await world.journal.append(first("foreign", NOW, talk("foreign", owner=other)))
    for sort_by in ("created_at", "updated_at"):
        rising = await world.chats.conversations(OWNER, sort_by, None, 10)
        assert len(rising) == 4 and rising == sorted(rising, key=lambda each: getattr(each, sort_by))
        falling = await world.chats.conversations(OWNER, f"-{sort_by}", None, 10)
        assert falling == rising[::-1]
        for order, whole in ((sort_by, rising), (f"-{sort_by}", falling)):
            page = await world.chats.conversations(OWNER, order, None, 3)
            assert page + await world.chats.conversations(OWNER, order, page[-1], 3) == whole


async def test_conversation_is_renamed_and_deleted(world: StoreWorld) -> None:
    """A new name counts as a change; deleting takes messages, variables and feedback along, and may be repeated."""
    await world.journal.append(first(variables=[variable("mood", "calm")]))
    await world.journal.append(first("other", NOW, talk("other talk")))
    assert await world.chats.rename(make_id("talk"), "N\x00ew", NOW + 2) is not None
    assert await world.chats.rename("x", "New", NOW) is None
    renamed = await world.chats.conversation(make_id("talk"))
    assert renamed is not None and renamed.updated_at == NOW + 2 and renamed.name.startswith("N")
    await world.chats.rate(Feedback(make_id("run"), make_id("talk"), OWNER.app_id, "u", "like", "", NOW, NOW))
    for _ in range(2):
        await world.chats.delete(make_id("talk"))
    assert await world.chats.messages(make_id("talk"), None, 10) == []
    assert await world.chats.feedbacks([make_id("run")]) == {}
    assert [each.conversation_id for each in await world.chats.conversations(OWNER, "created_at", None, 10)] == [
        make_id("other talk")
    ]


async def test_variable_is_set_from_outside(world: StoreWorld) -> None:
    """A variable gets another value; a name that the conversation does not have changes nothing."""
    await world.journal.append(first(variables=[variable("mood", "calm")]))
    await world.chats.set_variable(make_id("talk"), "mood", {"deep": [1]}, NOW + 4)
    await world.chats.set_variable(make_id("talk"), "unknown", "x", NOW + 4)
    assert await world.chats.variables(make_id("talk")) == [
        replace(variable("mood", {"deep": [1]}), updated_at=NOW + 4)
    ]


async def test_feedback_is_one_a_message(world: StoreWorld) -> None:
    """A second opinion takes the place of the first; taken back, there is none."""
    likes = Feedback(make_id("run"), make_id("talk"), OWNER.app_id, "u", "like", "good", NOW, NOW)
    await world.chats.rate(likes)
    dislikes = replace(likes, rating="dislike", content="", created_at=NOW + 1, updated_at=NOW + 1)
    await world.chats.rate(dislikes)
    expected = replace(dislikes, created_at=NOW)
    assert await world.chats.feedbacks([make_id("run"), "x"]) == {make_id("run"): expected}
    await world.chats.rate(replace(likes, message_id=make_id("second"), created_at=NOW + 2))
    assert [each.message_id for each in await world.chats.feedbacks_of_app(OWNER.app_id, 0, 1)] == [make_id("second")]
    assert await world.chats.feedbacks_of_app(OWNER.app_id, 1, 5) == [expected]
    assert [await world.chats.unrate(make_id("run")), await world.chats.unrate(make_id("run"))] == [True, False]
    assert await world.chats.feedbacks([]) == {}
