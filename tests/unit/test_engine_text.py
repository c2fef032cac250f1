"""What text reaches the reader, when, and what of it is durable."""

import asyncio

from factories import edge, end, llm, node, plan, start
from fakes import ListRecorder, ScriptedChat, TickClock, effects
from graph.engine import Engine
from graph.events import NodeFinished, TextEmitted, TextPart
from graph.ports import ChatDelta, InboxItem
from graph.run_state import RunState
from test_engine_flow import CONTAINS_HELLO, run, story


def texts(recorder: ListRecorder) -> str:
    """Return all durable text in order."""
    return "".join(text for fact in recorder.facts if isinstance(fact, TextEmitted) for text in fact.texts)


async def test_streamed_text_comes_in_pieces_before_its_node_ends():
    """The pieces of a model are told live as parts and durable with the node's end, in the same order."""
    chat = ScriptedChat({"llm": ["mocked", " llm", " response"]})
    nodes = [start(), llm("llm"), node("answer", "answer", answer="{{#llm.text#}}")]
    recorder, outcome = await run(nodes, [edge("start", "llm"), edge("llm", "answer")], {}, chat, mode="advanced-chat")
    assert story(recorder) == [
        "S start", "OK start", "S llm", 'C"mocked"', 'C" llm"', 'C" response"', 'C""', "OK llm", "S answer",
        "OK answer", "=succeeded",
    ]  # fmt: skip
    assert [(part.offset, part.text) for part in recorder.parts] == [(0, "mocked"), (6, " llm"), (10, " response")]
    assert outcome.outputs["answer"] == "mocked llm response"


async def test_parts_are_told_after_every_fact_before_them():
    """The start of a streaming node is told before its first part."""
    chat = ScriptedChat({"llm": ["a", "b"]})
    recorder, _ = await run(
        [start(), llm("llm"), end(t=["llm", "text"])], [edge("start", "llm"), edge("llm", "end")], {}, chat
    )
    kinds = [type(item).__name__ for item in recorder.told]
    assert kinds.index("TextPart") > kinds.index("NodeStarted", kinds.index("NodeFinished"))
    finished = next(f for f in recorder.facts if isinstance(f, NodeFinished) and f.node_id == "llm")
    assert finished.streamed == {"text": []}, "the TextEmitted fact carries the text; the end does not repeat it"


async def test_text_behind_a_branch_waits_and_comes_right_after_the_edge_is_taken():
    """A model's text whose answer lies behind an if-else is buffered, then told before the branch node's end."""
    chat = ScriptedChat({"first": ["Initial", " stream"], "yes": ["pri", "mary"]})
    nodes = [
        start("query"),
        llm("first"),
        node("if", "if-else", cases=[CONTAINS_HELLO]),
        llm("yes"),
        llm("no"),
        end("end_yes", a=["first", "text"], b=["yes", "text"]),
        end("end_no", a=["first", "text"], b=["no", "text"]),
    ]
    edges = [
        edge("start", "first"), edge("first", "if"), edge("if", "yes", "true"), edge("if", "no", "false"),
        edge("yes", "end_yes"), edge("no", "end_no"),
    ]  # fmt: skip
    recorder, outcome = await run(nodes, edges, {"query": "hello"}, chat)
    assert story(recorder) == [
        "S start", "OK start", "S first", "OK first", "S if", 'C"Initial"', 'C" stream"', 'C""', 'C"\n"', "OK if",
        "S yes", 'C"pri"', 'C"mary"', 'C""', "OK yes", "S end_yes", "OK end_yes", "=succeeded",
    ]  # fmt: skip
    assert "".join(part.text for part in recorder.parts) == "primary"
    assert outcome.outputs == {"a": "Initial stream", "b": "primary"}


async def test_two_models_come_in_template_order_whichever_ends_first():
    """The second model's text waits until the first one's is complete."""
    release = asyncio.Event()

    class SlowFirst(ScriptedChat):
        async def stream(self, request):
            if request.name == "slow":
                await release.wait()
            else:
                release.set()
            async for delta in super().stream(request):
                yield delta

    chat = SlowFirst({"slow": ["Spring View"], "fast": ["Quiet Night"]})
    nodes = [
        start(),
        llm("slow"),
        llm("fast"),
        node("answer", "answer", answer="# Du Fu\n{{#slow.text#}}\n# Li Bai\n{{#fast.text#}}"),
    ]
    edges = [edge("start", "slow"), edge("start", "fast"), edge("slow", "answer"), edge("fast", "answer")]
    recorder, outcome = await run(nodes, edges, {}, chat, mode="advanced-chat")
    assert texts(recorder) == outcome.outputs["answer"] == "# Du Fu\nSpring View\n# Li Bai\nQuiet Night"


async def test_text_told_before_a_stop_becomes_durable_with_it():
    """What readers have of a node that is cut off stands in the journal afterwards."""
    told = asyncio.Event()

    class Hanging(ScriptedChat):
        async def stream(self, request):
            yield ChatDelta(text="half")
            told.set()
            await asyncio.Event().wait()

    compiled = plan([start(), llm("llm"), end(t=["llm", "text"])], [edge("start", "llm"), edge("llm", "end")])
    recorder = ListRecorder()
    engine = Engine(compiled, RunState(compiled), "run-1", effects(Hanging()), recorder, TickClock())
    task = asyncio.create_task(engine.start({}, {}))
    await told.wait()
    engine.deliver([InboxItem("i1", "stop", reason="Stopped by user.")])
    outcome = await task
    assert (outcome.status, outcome.error) == ("stopped", "Stopped by user.")
    assert texts(recorder) == "half" == "".join(p.text for p in recorder.told if isinstance(p, TextPart))
    assert recorder.taken == ["i1"]


async def test_second_use_of_a_streamed_variable_tells_nothing():
    """Pieces of a stream are told at its first use only, as in Dify; the outputs hold both."""
    chat = ScriptedChat({"llm": ["a", " b"]})
    nodes = [start(), llm("llm"), node("answer", "answer", answer="{{#llm.text#}} | {{#llm.text#}}")]
    recorder, outcome = await run(nodes, [edge("start", "llm"), edge("llm", "answer")], {}, chat, mode="advanced-chat")
    assert texts(recorder) == "a b | "
    assert outcome.outputs["answer"] == "a b | a b"
