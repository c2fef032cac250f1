"""Loops: variables, break conditions, loop-end, write-through, failures, and loops around iterations."""

from typing import Any

import pytest

from factories import assigner, condition, edge, end, iteration, loop, node, start, template, variable
from graph.events import ContainerStarted, PassStarted
from run_on_stage import RunOnStage, end_of, finished, graph, long_story, metadata_of, play

OUTER = [edge("start", "lp"), edge("lp", "end")]
COUNT_UP = assigner("add", (["lp", "n"], "+=", 1))


def counting(value: Any = 0, **data: Any) -> list[Any]:
    """Return start -> loop "lp" that adds 1 to its variable n, at most 5 times -> end."""
    return [
        start(), loop("lp", 5, COUNT_UP, loop_variables=[variable("n", "number", value)], **data),
        end(n=["lp", "n"], rounds=["lp", "loop_round"]),
    ]  # fmt: skip


COUNTING = [*OUTER, edge("lpstart", "add")]


async def test_loop_runs_until_its_condition_holds():
    """Two rounds, then the condition; steps stay loop_count and each round after the first tells what was before."""
    run = await play(counting(break_conditions=[condition(["lp", "n"], "≥", "2")]), COUNTING)
    assert long_story(run.facts) == [
        "S start", "OK start", "S lp", "+ lp", "pass lp 0", "S lp:0|add", "lp.n=1", "OK lp:0|add", "succeeded lp 0",
        "pass lp 1", "S lp:1|add", "lp.n=2", "OK lp:1|add", "succeeded lp 1", 'C"2"', 'C"\n"', 'C"2"', "OK lp",
        "S end", "OK end", "=succeeded",
    ]  # fmt: skip
    assert finished(run).outputs == {"n": 2, "rounds": 2}
    ended = end_of(run, "lp")
    assert (ended.steps, ended.outputs) == (5, {"n": 2, "loop_round": 2})
    assert metadata_of(run, "lp")["completed_reason"] == "loop_break"
    assert metadata_of(run, "lp")["loop_variable_map"] == {"0": {"n": 1}, "1": {"n": 2}}
    assert [f.so_far for f in run.facts if isinstance(f, PassStarted)] == [None, {"n": 1, "loop_round": 1}]


async def test_condition_that_holds_before_the_first_round_leaves_none():
    """No round, no outputs and no steps; the loop's variables can be read behind it all the same."""
    run = await play(counting(break_conditions=[condition(["lp", "n"], "≥", "0")]), COUNTING)
    assert finished(run).outputs == {"n": 0, "rounds": None}
    ended = end_of(run, "lp")
    assert (ended.steps, ended.outputs, metadata_of(run, "lp")["completed_reason"]) == (0, {}, "loop_break")
    assert next(f for f in run.facts if isinstance(f, ContainerStarted)).is_over


async def test_loop_without_a_condition_ends_with_its_count():
    """All rounds run and the loop was not broken."""
    run = await play(counting(), COUNTING)
    assert finished(run).outputs == {"n": 5, "rounds": 5}
    assert metadata_of(run, "lp")["completed_reason"] == "loop_completed"


async def test_missing_variable_of_a_condition_counts_after_a_round_only():
    """Before round 1 it is passed over; then it fails the loop, which counts once."""
    run = await play(counting(break_conditions=[condition(["no", "where"], "≥", "2")]), COUNTING)
    assert long_story(run.facts)[-3:] == ["failed lp 0", "failed lp", "=failed"]
    assert (finished(run).exceptions_count, metadata_of(run, "lp")["completed_reason"]) == (1, "error")


async def test_loop_end_breaks_the_loop_with_its_round():
    """A loop-end node ends the loop after the present round."""
    nodes = [start(), loop("lp", 3, node("stop", "loop-end")), end(rounds=["lp", "loop_round"])]
    run = await play(nodes, [*OUTER, edge("lpstart", "stop")])
    assert finished(run).outputs == {"rounds": 1}
    assert metadata_of(run, "lp")["completed_reason"] == "loop_break"


async def test_loop_end_in_a_nested_iteration_breaks_the_loop_around_it():
    """The iteration goes through all its items and succeeds; then the loop ends."""
    inner = iteration("it", ["sys", "items"], ["it", "item"], node("stop", "loop-end"))
    nodes = [start(), loop("lp", 3, *inner), end(rounds=["lp", "loop_round"])]
    run = await play(nodes, [*OUTER, edge("lpstart", "it"), edge("itstart", "stop")], ["one", "two"])
    assert finished(run).outputs == {"rounds": 1}
    assert long_story(run.facts).count("OK lp:0|it") == 1
    assert end_of(run, "it").outputs == {"output": ["one", "two"]}


async def test_failing_child_fails_the_loop():
    """The round's outputs are dropped; child and loop count as one exception each."""
    nodes = [
        start(),
        loop("lp", 2, end("inner", seen=["sys", "items"]), assigner("bad", (["no", "no"], "set", 1))),
        end(),
    ]
    run = await play(nodes, [*OUTER, edge("lpstart", "inner"), edge("inner", "bad")], "x")
    assert long_story(run.facts)[-4:] == ["failed lp:0|bad", "failed lp 0", "failed lp", "=failed"]
    assert (finished(run).exceptions_count, finished(run).outputs) == (2, {})
    assert (end_of(run, "lp").steps, metadata_of(run, "lp")["completed_reason"]) == (2, "error")


async def test_answers_of_all_rounds_come_one_after_the_other():
    """Inner answers stream in their rounds and append to the answer of the run."""
    inner = (COUNT_UP, node("say", "answer", answer="{{#lp.n#}},"))
    nodes = [start(), loop("lp", 3, *inner, loop_variables=[variable("n", "number", 0)]),
             node("last", "answer", answer="done")]  # fmt: skip
    edges = [edge("start", "lp"), edge("lpstart", "add"), edge("add", "say"), edge("lp", "last")]
    run = await play(nodes, edges, mode="advanced-chat")
    assert run.text() == "1,2,3,done" == finished(run).outputs["answer"]


async def test_round_begins_without_the_values_of_the_round_before():
    """What inner nodes gave is gone in the next round; loop variables and conversation variables stay."""
    show = template("show", "{{ before }}", before=["make", "output"])
    keep = assigner("keep", (["lp", "all"], "append", ["show", "output"]), (["conversation", "n"], "+=", 1))
    nodes = [
        start(),
        loop("lp", 2, show, keep, template("make", "made"), loop_variables=[variable("all", "array[string]", [])]),
        node("last", "answer", answer="{{#conversation.n#}} {{#lp.all#}}"),
    ]  # fmt: skip
    edges = [
        edge("start", "lp"), edge("lpstart", "show"), edge("show", "keep"), edge("keep", "make"), edge("lp", "last"),
    ]  # fmt: skip
    run = await play(nodes, edges, mode="advanced-chat", conversation={"n": ("number", 5)})
    assert finished(run).outputs["answer"] == "7 - None\n- None"


async def test_loop_writes_through_to_variables_of_outer_nodes():
    """An update of what stands outside of the loop is seen behind it."""
    nodes = [
        start(), template("t", "old"), loop("lp", 1, assigner("set", (["t", "output"], "set", "new"))),
        end(t=["t", "output"]),
    ]  # fmt: skip
    edges = [edge("start", "t"), edge("t", "lp"), edge("lpstart", "set"), edge("lp", "end")]
    run = await play(nodes, edges)
    assert finished(run).outputs == {"t": "new"}


@pytest.mark.parametrize(
    ("var_type", "value", "first"),
    [
        ("number", "1", 1), ("number", 1.5, 1.5), ("string", "5", "5"), ("boolean", "true", True),
        ("object", '{"a": 1}', {"a": 1}), ("object", {"a": 1}, {"a": 1}), ("array[number]", "[1, 2]", [1, 2]),
        ("array[string]", "", []), ("array[object]", [{"a": 1}], [{"a": 1}]), ("array[boolean]", "[true]", [True]),
    ],
)  # fmt: skip
async def test_loop_variable_begins_with_its_constant(var_type: str, value: Any, first: Any):
    """Constants may be written as JSON text; each becomes a value of the declared type."""
    nodes = [
        start(),
        loop("lp", 1, template("t", ""), loop_variables=[variable("v", var_type, value)]),
        end(v=["lp", "v"]),
    ]
    run = await play(nodes, [*OUTER, edge("lpstart", "t")])
    assert finished(run).outputs == {"v": first}


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (variable("v", "number", "many"), "is no number"), (variable("v", "array[number]", '["a"]'), "is no array"),
        (variable("v", "string", ["no", "where"], "variable"), "not found"),
        (variable("v", "string", ["sys", "items"], "variable"), "is no string"),
    ],
)  # fmt: skip
async def test_loop_variable_of_another_type_fails_the_loop(declared: dict, reason: str):
    """A first value that is missing or does not fit names the variable; the loop has not begun."""
    nodes = [start(), loop("lp", 1, template("t", ""), loop_variables=[declared]), end()]
    run = await play(nodes, [*OUTER, edge("lpstart", "t")], [1])
    assert reason in (finished(run).error or "") and "+ lp" not in long_story(run.facts)


async def test_loop_variable_may_begin_with_another_variable():
    """The value is taken once, before the first round."""
    declared = [variable("v", "array[number]", ["sys", "items"], "variable")]
    nodes = [start(), loop("lp", 2, assigner("add", (["lp", "v"], "remove-first", None)), loop_variables=declared),
             end(v=["lp", "v"])]  # fmt: skip
    run = await play(nodes, COUNTING, [1, 2, 3])
    assert finished(run).outputs == {"v": [3]}


async def test_condition_may_look_at_what_a_round_made():
    """Break conditions see the outputs of the round's nodes."""
    nodes = [start(), loop("lp", 3, template("t", "yes"), break_conditions=[condition(["t", "output"], "is", "yes")]),
             end(rounds=["lp", "loop_round"])]  # fmt: skip
    run = await play(nodes, [*OUTER, edge("lpstart", "t")])
    assert finished(run).outputs == {"rounds": 1}


async def test_loop_in_a_loop_begins_anew_in_each_round():
    """The inner loop's variables begin with their first values in each round of the outer one."""
    inner = loop("lp", 2, COUNT_UP, loop_variables=[variable("n", "number", 0)])
    add = assigner("sum", (["out", "total"], "append", ["lp", "n"]))
    nodes = [start(), loop("out", 3, *inner, add, loop_variables=[variable("total", "array[number]", [])]),
             end(total=["out", "total"])]  # fmt: skip
    edges = [
        edge("start", "out"), edge("outstart", "lp"), edge("lpstart", "add"), edge("lp", "sum"), edge("out", "end"),
    ]  # fmt: skip
    run = await play(nodes, edges)
    assert finished(run).outputs == {"total": [2, 2, 2]}
    assert long_story(run.facts).count("S out:2/lp:1|add") == 1


async def test_steps_of_a_loop_count_against_the_limit():
    """A long loop is stopped by the step limit of the run."""
    run = RunOnStage(graph(counting(), COUNTING), max_steps=4)
    await run.start()
    assert finished(run).error == "Aborted: Maximum execution steps exceeded: 5 > 4"
    assert long_story(run.facts)[-2:] == ["stopped lp", "=stopped"]
