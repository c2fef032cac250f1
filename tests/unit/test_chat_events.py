"""What a reader of a conversation is told, fact by fact; what goes along with a message; the example of the docs."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from actors.messages import RunOrder, TailBatch
from chat_flow import OUTER, approve, asked, echo, messages_of, streamed, variables_of
from graph.events import Fact, NodeFinished, RunFinished, RunRecovered, RunStarted, TextEmitted, TextPart, TextWithdrawn
from graph.nodes.model_call import usage_of
from graph.ports import ChatUsage
from graph.workflow import Variable
from hitl.surface import Surface
from store.chat_record import ConversationVariable, Message
from surface_world import make_world, names_of
from surfaces.chat_order import fits, history_of, stored_values, title_of
from surfaces.chat_shapes import Metadata
from surfaces.event_shapes import RunLabel, run_inputs
from surfaces.projections import RunProjection

NOW = 1_781_000_000.0
LABEL = RunLabel("R", "W", {"id": "EU", "user": "u"}, {}, Surface.SERVICE_API, NOW + 0.7, "A", "C")
STARTED = RunStarted(NOW, {"topic": "tea"}, {"conversation_id": "C", "history": [{}], "query": "q", "user_id": "u"})
SUPPORT = Path(__file__).resolve().parents[2] / "examples" / "support_chat.yml"


def text(*texts: str, stream: str = "") -> TextEmitted:
    """Return the fact that text is durable."""
    return TextEmitted(NOW, "llm", "E", ["llm", "text"], list(texts), True, stream)


def part(offset: int, told: str, attempt: int = 1) -> TextPart:
    """Return text of a node in flight."""
    return TextPart("E", attempt, offset, "llm", ["llm", "text"], told)


def end(status: Any, error: str | None = None) -> RunFinished:
    """Return the end of a run."""
    return RunFinished(NOW + 9, status, {"answer": "x"}, error, 1.0, 0, 1, 0)


def told(projection: RunProjection, *facts: Fact, first: int = 1) -> list[dict[str, Any]]:
    """Return the events of facts."""
    return [each.event for number, fact in enumerate(facts, first) for each in projection.project(number, fact)]


def model_finished(usage: Any) -> NodeFinished:
    """Return the end of a node that called a model."""
    return NodeFinished(NOW, "llm", "E", 1, "succeeded", NOW, {}, {}, process_data={"usage": usage})


def test_system_values_that_are_not_for_readers_are_left_out() -> None:
    """Neither the id of the conversation nor its history is among the inputs that readers see."""
    assert run_inputs(STARTED) == {"topic": "tea", "sys.query": "q", "sys.user_id": "u"}


def test_text_lost_with_its_actor_is_replaced() -> None:
    """After a crash the reader gets the durable answer as message_replace, then the new text in full."""
    projection = RunProjection(LABEL)
    told(projection, STARTED, text("Tea "))
    assert projection.project_part(part(0, "is go"))[0].event["answer"] == "is go"
    (replaced,) = told(projection, RunRecovered(NOW, 2, 0.0), first=3)
    assert list(replaced) == [*OUTER, "answer", "reason"]
    assert (replaced["answer"], replaced["reason"], replaced["created_at"]) == ("Tea ", "", int(NOW))
    (again,) = projection.project_part(part(0, "is good", attempt=2))
    assert (again.event["answer"], again.position) == ("is good", "3.2.7")
    assert told(projection, text("is good", stream="E"), first=4) == []


def test_text_of_a_failed_attempt_is_replaced() -> None:
    """Text that a failed attempt has told is void."""
    projection = RunProjection(LABEL)
    told(projection, STARTED)
    projection.project_part(part(0, "half"))
    (replaced,) = told(projection, TextWithdrawn(NOW, "llm", "E", ["E"]), first=2)
    assert (replaced["event"], replaced["answer"]) == ("message_replace", "")


@pytest.mark.parametrize(
    ("status", "names"),
    [
        ("succeeded", ["message_end", "workflow_finished"]),
        ("partial-succeeded", ["message_end", "workflow_finished"]),
        ("stopped", ["message_end", "workflow_finished"]),
        ("failed", ["workflow_finished", "error"]),
    ],
)
def test_message_ends_by_how_its_run_ends(status: Any, names: list[str]) -> None:
    """A message that has not failed is ended before the run is; a failure is told behind it, each with an id."""
    projection = RunProjection(LABEL)
    projection.observe(1, STARTED)
    ended = projection.project(2, end(status, "boom"))
    assert [each.event["event"] for each in ended] == names
    assert [each.position for each in ended] == ["2.1", "2.2"]
    assert len(told(RunProjection(replace(LABEL, conversation_id="")), STARTED, end(status))) == 2


def test_metadata_sums_what_models_have_used() -> None:
    """Tokens, seconds and prices add up; of the first token counts the first call; nodes without usage pass."""
    metadata = Metadata()
    metadata.add(replace_usage(total_price="0.5", total_tokens=4))
    metadata.add(model_finished(None))
    metadata.add(NodeFinished(NOW, "code", "E", 2, "succeeded", NOW, {}, {}))
    metadata.add(replace_usage(total_price="0.25", total_tokens=6, time_to_first_token=9.0))
    metadata.add(replace_usage(total_price="unknown", total_tokens=0, time_to_generate=None, latency=None))
    usage = metadata.shown(is_full=True)["usage"]
    assert (usage["total_price"], usage["total_tokens"], usage["latency"]) == ("0.75", 10, 1.0)
    assert (usage["time_to_first_token"], usage["time_to_generate"]) == (0.1, pytest.approx(0.8))


def replace_usage(**changes: Any) -> NodeFinished:
    """Return the end of a node whose usage is a usual one, changed."""
    return model_finished(usage_of(ChatUsage(3, 1, 0.5, 0.1)) | changes)


def test_retriever_resources_are_told_with_the_end() -> None:
    """The passages that a node was given stand in the metadata; the simple level tells less of them, and no usage."""
    metadata = Metadata()
    finish = NodeFinished(NOW, "llm", "E", 1, "succeeded", NOW, {}, {}, metadata={"retriever_resources": [{"n": 1}]})
    metadata.add(finish)
    assert metadata.shown(is_full=True)["retriever_resources"] == [{"n": 1}]
    assert list(metadata.shown(is_full=False)) == ["retriever_resources"]
    assert list(metadata.shown(is_full=False)["retriever_resources"][0])[:2] == ["segment_id", "position"]


def test_history_is_the_newest_that_fits() -> None:
    """Messages without an answer are left out; the first that does not fit ends the history."""
    messages = [Message(str(n), "C", f"q{n}", {}, [], NOW, answer="" if n == 3 else "a" * n) for n in (4, 3, 2, 1)]
    assert [each["query"] for each in history_of(messages, 100)] == ["q1", "q2", "q4"]
    assert [each["query"] for each in history_of(messages, 10)] == ["q2", "q4"]
    assert history_of(messages, 5) == []


def test_name_of_a_conversation_is_one_short_line() -> None:
    """White space is folded, what is too long is cut."""
    assert title_of("  Is\n tea  good? ") == "Is tea good?"
    assert title_of("x" * 50) == "x" * 50 and title_of("x" * 51) == "x" * 49 + "…"


@pytest.mark.parametrize(
    ("value", "value_type", "expected"),
    [
        (1, "integer", True), (1.5, "integer", True), (1, "float", True), (True, "number", False),
        ("1", "number", False), ("x", "string", True), (None, "string", False), ({}, "object", True),
        ([1], "array[string]", False), ([], "array[object]", True), ("x", "nonsense", False),
    ],
)  # fmt: skip
def test_value_fits_its_type(value: Any, value_type: str, expected: bool) -> None:
    """The kinds of numbers are one type; null and unknown types fit nothing."""
    assert fits(value, value_type) is expected


def test_stored_values_are_those_of_the_declared_variables() -> None:
    """What the file does not declare any more, or declares otherwise, is left out."""
    held = {
        name: ConversationVariable(name, name, "string", value, "", NOW, NOW)
        for name, value in {"a": "kept", "b": 5, "gone": "x"}.items()
    }
    declared = [Variable("a", "string", ""), Variable("b", "string", "default"), Variable("new", "string", "")]
    assert stored_values(declared, held) == {"a": "kept"}


async def test_fault_within_a_stream_is_told_of_the_message(caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours ends the stream with an error event that names the message and nothing of the inside."""
    world = await make_world(echo())

    async def broken(order: RunOrder) -> AsyncGenerator[TailBatch]:
        yield TailBatch([(1, STARTED)])
        raise RuntimeError("secret inside")

    world.runs.start_and_follow = broken
    async with world.client() as client:
        events = await streamed(client)
    assert names_of(events) == ["workflow_started", "error"]
    assert list(events[-1]) == ["event", "conversation_id", "message_id", "created_at", "code", "message", "status"]
    assert events[-1]["message_id"] == events[1]["message_id"] and events[-1]["code"] == "internal_server_error"
    assert "secret" not in str(events) and "secret inside" in caplog.text


async def test_example_of_the_docs_decides_with_a_person() -> None:
    """examples/support_chat.yml tells the customer to wait, lets a person decide, and remembers it."""
    world = await make_world(yaml.safe_load(SUPPORT.read_text(encoding="utf-8")))
    world.chat.script = {"smollm2-135m-instruct": ["Green tea."]}
    async with world.client() as client:
        body = await asked(client, query="I want a refund!", inputs={"customer": "Ada"})
        assert body["answer"] == "A colleague will look at this. "
        reason = body["data"]["reasons"][0]
        assert "### Ada asks for money" in reason["form_content"]
        await approve(world, client, reason["form_token"], action="refund", inputs={"words": "Sorry."})
        number = body["conversation_id"]
        assert await variables_of(client, number) == {"refunds": '["I want a refund!"]'}
        again = await asked(client, query="Which tea is best?", conversation_id=number)
        first, _ = await messages_of(client, number)
    assert first["answer"] == "A colleague will look at this. Sorry. You get your money back."
    assert again["answer"] == "Green tea."
    prompt = world.chat.requests[-1].messages
    assert "I want a refund!" in prompt[0].text and prompt[1].text == "I want a refund!"
