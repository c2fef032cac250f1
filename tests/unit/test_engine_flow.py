"""Routing, outputs, failures and limits of the engine, on whole small graphs."""

import asyncio
from typing import Any

import pytest

from factories import edge, end, llm, node, plan, start, template
from fakes import ListRecorder, ScriptedChat, TickClock, effects
from graph.engine import Engine, Limits
from graph.events import NodeFinished, NodeStarted, RunFinished, TextEmitted
from graph.run_state import RunState

CONTAINS_HELLO = {
    "case_id": "true",
    "logical_operator": "and",
    "conditions": [{"variable_selector": ["start", "query"], "comparison_operator": "contains", "value": "hello"}],
}


async def run(
    nodes: list[dict], edges: list[dict], inputs: dict[str, Any], chat: ScriptedChat | None = None, **options
):
    """Run a graph to its end; return the recorder and the outcome."""
    compiled = plan(nodes, edges, options.pop("mode", "workflow"))
    recorder = ListRecorder()
    engine = Engine(compiled, RunState(compiled), "run-1", effects(chat), recorder, TickClock(), **options)
    outcome = await engine.start(inputs, {"query": inputs.get("query", ""), "files": []})
    return recorder, outcome


def story(recorder: ListRecorder) -> list[str]:
    """Return the facts in short: S node, OK node, C"text", ending with =status."""
    short = []
    for fact in recorder.facts:
        match fact:
            case NodeStarted():
                short.append(f"S {fact.node_id}")
            case NodeFinished():
                short.append(f"{'OK' if fact.status == 'succeeded' else fact.status} {fact.node_id}")
            case TextEmitted():
                short.extend(f'C"{text}"' for text in fact.texts)
            case RunFinished():
                short.append(f"={fact.status}")
    return short


async def test_passthrough_tells_its_text_right_after_the_start():
    """An end whose value is known at the start speaks before the first node starts."""
    recorder, outcome = await run(
        [start("query"), end(query=["start", "query"])], [edge("start", "end")], {"query": "tea"}
    )
    assert story(recorder) == ['C"tea"', "S start", "OK start", "S end", "OK end", "=succeeded"]
    assert outcome.outputs == {"query": "tea"}
    assert outcome.total_steps == 2


async def test_pure_run_is_one_append():
    """Pure steps between two effects need no commit of their own."""
    recorder, _ = await run([start("query"), end(query=["start", "query"])], [edge("start", "end")], {"query": "tea"})
    assert len(recorder.append_sizes) == 1


@pytest.mark.parametrize(("query", "outputs"), [("say hello", {"yes": "say hello"}), ("Hello", {"no": "Hello"})])
async def test_branch_takes_one_side_and_skips_the_other(query: str, outputs: dict[str, str]):
    """Only the end behind the taken handle runs; the other contributes nothing."""
    nodes = [
        start("query"),
        node("if", "if-else", cases=[CONTAINS_HELLO]),
        end("yes", yes=["start", "query"]),
        end("no", no=["start", "query"]),
    ]
    edges = [edge("start", "if"), edge("if", "yes", "true"), edge("if", "no", "false")]
    recorder, outcome = await run(nodes, edges, {"query": query})
    taken = next(iter(outputs))
    assert outcome.outputs == outputs
    assert story(recorder) == [
        "S start", "OK start", "S if", f'C"{query}"', "OK if", f"S {taken}", f"OK {taken}", "=succeeded",
    ]  # fmt: skip


async def test_join_waits_for_all_and_reads_skipped_branches_as_absent():
    """A join runs once, when its last unknown edge is settled; outputs of skipped nodes read as null."""
    case = {
        "case_id": "true",
        "logical_operator": "and",
        "conditions": [{"variable_selector": ["start", "n"], "comparison_operator": "is", "value": "1"}],
    }
    nodes = [
        start("n"),
        node("if", "if-else", cases=[case]),
        *(template(name, f"Code {name[-1]}") for name in ("code1", "code2", "code3")),
        end(a=["code1", "output"], b=["code2", "output"], c=["code3", "output"]),
    ]
    edges = [
        edge("start", "if"), edge("if", "code1", "true"), edge("if", "code2", "true"), edge("if", "code2", "false"),
        edge("if", "code3", "false"), edge("code1", "end"), edge("code2", "end"), edge("code3", "end"),
    ]  # fmt: skip
    recorder, outcome = await run(nodes, edges, {"n": "1"})
    assert outcome.outputs == {"a": "Code 1", "b": "Code 2", "c": None}
    assert "".join(t for f in recorder.facts if isinstance(f, TextEmitted) for t in f.texts) == "Code 1\nCode 2\n"
    _, outcome = await run(nodes, edges, {"n": "0"})
    assert outcome.outputs == {"a": None, "b": "Code 2", "c": "Code 3"}


async def test_chain_of_thirty_diamonds_compiles_at_once():
    """Readiness to speak is decided by reachability; paths are never enumerated (2**30 here)."""
    nodes, edges = [start("query")], []
    previous = "start"
    for i in range(30):
        nodes += [template(f"a{i}", "a"), template(f"b{i}", "b"), template(f"j{i}", "j")]
        edges += [edge(previous, f"a{i}"), edge(previous, f"b{i}"), edge(f"a{i}", f"j{i}"), edge(f"b{i}", f"j{i}")]
        previous = f"j{i}"
    nodes.append(end(out=[previous, "output"]))
    edges.append(edge(previous, "end"))
    _, outcome = await run(nodes, edges, {})
    assert outcome.outputs == {"out": "j"}
    assert outcome.total_steps == 92


async def test_several_ends_merge_their_outputs():
    """Every end that ran contributes; of equal names the last to finish wins."""
    nodes = [start("query"), end("e1", a=["start", "query"]), end("e2", b=["start", "query"])]
    _, outcome = await run(nodes, [edge("start", "e1"), edge("start", "e2")], {"query": "x"})
    assert outcome.outputs == {"a": "x", "b": "x"}


async def test_failing_node_fails_the_run_with_its_name_and_reason():
    """Without an error strategy the run fails, naming the node; nothing new starts."""
    chat = ScriptedChat({"writer": [RuntimeError("out of ink")]})
    recorder, outcome = await run(
        [start(), llm("writer", title="Writer"), end(t=["writer", "text"])],
        [edge("start", "writer"), edge("writer", "end")],
        {},
        chat,
    )
    assert outcome.status == "failed"
    assert "Writer" in outcome.error and "out of ink" in outcome.error
    assert story(recorder)[-2:] == ["failed writer", "=failed"]


async def test_default_value_stands_in_for_a_failed_node():
    """The run ends partial-succeeded with the default text, told as one piece."""
    chat = ScriptedChat({"writer": [RuntimeError("mock llm failure")]})
    defaults = [{"key": "text", "type": "string", "value": "fallback response"}]
    recorder, outcome = await run(
        [
            start(),
            llm("writer", error_strategy="default-value", default_value=defaults),
            node("answer", "answer", answer="{{#writer.text#}}"),
        ],
        [edge("start", "writer"), edge("writer", "answer")],
        {},
        chat,
        mode="advanced-chat",
    )
    assert (outcome.status, outcome.exceptions_count) == ("partial-succeeded", 1)
    assert outcome.outputs["answer"] == "fallback response"
    assert story(recorder).count('C"fallback response"') == 1


async def test_fail_branch_is_taken_only_on_failure():
    """A failed node leaves through fail-branch with its error as outputs."""
    chat = ScriptedChat({"writer": [RuntimeError("no")]})
    nodes = [
        start(),
        llm("writer", error_strategy="fail-branch"),
        end("good", t=["writer", "text"]),
        end("bad", why=["writer", "error_message"], kind=["writer", "error_type"]),
    ]
    edges = [edge("start", "writer"), edge("writer", "good"), edge("writer", "bad", "fail-branch")]
    _, outcome = await run(nodes, edges, {}, chat)
    assert outcome.outputs == {"why": "no", "kind": "RuntimeError"}
    _, outcome = await run(nodes, edges, {})
    assert outcome.outputs == {"t": "This is scripted"}


async def test_unsupported_kind_fails_by_its_name():
    """A run that reaches a kind without a step fails and names the kind."""
    nodes = [start(), node("know", "knowledge-retrieval"), end()]
    _, outcome = await run(nodes, [edge("start", "know"), edge("know", "end")], {})
    assert outcome.status == "failed"
    assert "knowledge-retrieval" in outcome.error


async def test_too_many_steps_stop_the_run():
    """The step limit ends the run as stopped, with the numbers in the reason."""
    nodes = [start(), template("a", "a"), template("b", "b"), end()]
    edges = [edge("start", "a"), edge("a", "b"), edge("b", "end")]
    _, outcome = await run(nodes, edges, {}, limits=Limits(max_steps=3))
    assert (outcome.status, outcome.error) == ("stopped", "Aborted: Maximum execution steps exceeded: 4 > 3")


async def test_time_limit_cuts_a_long_node():
    """A node that never ends is cut when the run's time is over."""

    class Endless(ScriptedChat):
        async def stream(self, request):
            await asyncio.Event().wait()
            yield

    _, outcome = await run(
        [start(), llm("slow"), end()], [edge("start", "slow"), edge("slow", "end")], {}, Endless(),
        limits=Limits(max_time_s=0.05),
    )  # fmt: skip
    assert outcome.status == "stopped"
    assert outcome.error.startswith("Aborted: Maximum execution time exceeded")


async def test_unreachable_nodes_never_run_and_are_not_counted():
    """A node no path leads to counts as skipped, so a join behind it does not wait for it."""
    nodes = [start("query"), template("lost", "x"), end(q=["start", "query"], lost=["lost", "output"])]
    _, outcome = await run(nodes, [edge("start", "end"), edge("lost", "end")], {"query": "x"})
    assert outcome.outputs == {"q": "x", "lost": None}
    assert outcome.total_steps == 2
