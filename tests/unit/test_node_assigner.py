"""Assigners: what each operation does to which type, what is refused, and that all is committed together."""

from typing import Any

import pytest

from factories import assigner, edge, end, node, start
from graph.events import NodeFinished, VariableUpdated
from run_on_stage import RunOnStage, end_of, finished, graph, long_story, play

EDGES = [edge("start", "set"), edge("set", "answer")]
TARGET = ["conversation", "v"]
SHOW = node("answer", "answer", answer="{{#conversation.v#}}")
ZEROES = [
    ("string", "x", ""), ("number", 5, 0), ("boolean", True, False), ("object", {"a": 1}, {}),
    ("array[string]", ["x"], []), ("array[number]", [1], []), ("array[object]", [{}], []),
    ("array[boolean]", [True], []),
]  # fmt: skip


async def changed(kind: str, before: Any, made: dict, items: Any = None) -> RunOnStage:
    """Run start -> assigner "set" -> answer over a conversation variable "v"; ``items`` is sys.items."""
    options = {"mode": "advanced-chat", "conversation": {"v": (kind, before)}}
    return await play([start(), made, SHOW], EDGES, items, **options)


def value_after(run: RunOnStage) -> Any:
    """Return the value that the run's variable has at its end."""
    return run.state.pool.get(TARGET)


@pytest.mark.parametrize(
    ("kind", "before", "operation", "value", "after"),
    [
        ("string", "a", "set", "b", "b"), ("string", "a", "over-write", "b", "b"), ("number", 1, "set", 2.5, 2.5),
        ("boolean", False, "set", True, True), ("object", {}, "set", {"a": 1}, {"a": 1}),
        ("object", {}, "set", '{"a": 2}', {"a": 2}), ("number", 1, "+=", 2, 3), ("number", 1, "-=", 2, -1),
        ("number", 3, "*=", 2, 6), ("number", 6, "/=", 2, 3.0),
        ("array[string]", ["a", "b"], "remove-first", None, ["b"]),
        ("array[number]", [1, 2], "remove-last", None, [1]), ("array[number]", [], "remove-last", None, []),
        *((kind, before, "clear", None, zero) for kind, before, zero in ZEROES),
    ],
)  # fmt: skip
async def test_operation_changes_the_variable(kind: str, before: Any, operation: str, value: Any, after: Any):
    """Each operation with a constant, or without an input, gives the new value; the fact and the record tell it."""
    run = await changed(kind, before, assigner("set", (TARGET, operation, value)))
    assert value_after(run) == after and type(value_after(run)) is type(after)
    kind = "integer" if kind == "number" else kind
    fact = next(f for f in run.facts if isinstance(f, VariableUpdated))
    assert (fact.selector, fact.value_type, fact.value) == (TARGET, kind, after)
    update = {"name": "v", "selector": TARGET, "value_type": kind, "new_value": after}
    assert end_of(run, "set").process_data == {"__updated_variables": [update]}
    assert end_of(run, "set").outputs == {}


@pytest.mark.parametrize(
    ("kind", "before", "operation", "given", "after"),
    [
        ("string", "a", "over-write", "b", "b"), ("array[string]", ["a"], "append", "b", ["a", "b"]),
        ("array[number]", [1], "extend", [2, 3], [1, 2, 3]), ("array[string]", ["a"], "over-write", ["b"], ["b"]),
        ("array[object]", [], "append", {"a": 1}, [{"a": 1}]), ("array[boolean]", [], "append", True, [True]),
        ("number", 1, "over-write", 2, 2), ("array[number]", [1], "extend", [], [1]),
    ],
)  # fmt: skip
async def test_operation_takes_its_input_from_a_variable(
    kind: str, before: Any, operation: str, given: Any, after: Any
):
    """The input may be the value of another variable; the list before is left as it was."""
    run = await changed(kind, before, assigner("set", (TARGET, operation, ["sys", "items"])), given)
    assert value_after(run) == after


@pytest.mark.parametrize(
    ("kind", "before", "made", "items", "error_type"),
    [
        ("string", "a", (TARGET, "+=", 1), None, "OperationNotSupportedError"),
        ("number", 1, (TARGET, "append", ["sys", "items"]), 1, "OperationNotSupportedError"),
        ("array[string]", [], (TARGET, "set", "x"), None, "OperationNotSupportedError"),
        ("array[string]", [], (TARGET, "append", "x"), None, "InputTypeNotSupportedError"),
        ("array[string]", [], (TARGET, "over-write", "x"), None, "InputTypeNotSupportedError"),
        ("number", 1, (TARGET, "+=", ["sys", "items"]), 1, "InputTypeNotSupportedError"),
        ("number", 1, (TARGET, "/=", 0), None, "InvalidInputValueError"),
        ("number", 1, (TARGET, "set", "x"), None, "InvalidInputValueError"),
        ("array[number]", [], (TARGET, "append", ["sys", "items"]), "x", "InvalidInputValueError"),
        ("array[number]", [], (TARGET, "extend", ["sys", "items"]), ["x"], "InvalidInputValueError"),
        ("string", "a", (TARGET, "over-write", ["sys", "nowhere"]), None, "VariableNotFoundError"),
        ("string", "a", (["conversation", "other"], "set", "x"), None, "VariableNotFoundError"),
        ("number", 2**62, (TARGET, "*=", 4), None, "VariableOperatorNodeError"),
        ("number", 1e308, (TARGET, "*=", 10), None, "VariableOperatorNodeError"),
    ],
)  # fmt: skip
async def test_operation_that_does_not_fit_fails_the_node(
    kind: str, before: Any, made: Any, items: Any, error_type: str
):
    """Wrong types of target, input or value are named by their error type; nothing is written."""
    run = await changed(kind, before, assigner("set", made), items)
    assert end_of(run, "set").error_type == error_type
    assert value_after(run) == before


async def test_clear_takes_no_constant():
    """An input of type constant beside clear is refused, as in Dify."""
    made = assigner("set", (TARGET, "clear", None))
    made["data"]["items"][0]["input_type"] = "constant"
    assert end_of(await changed("string", "a", made), "set").error_type == "InputTypeNotSupportedError"


async def test_null_input_skips_its_item():
    """A source that is null changes nothing and is no failure."""
    run = await changed("string", "a", assigner("set", (TARGET, "over-write", ["sys", "items"])), None)
    assert value_after(run) == "a" and not [f for f in run.facts if isinstance(f, VariableUpdated)]


async def test_items_see_earlier_ones_and_are_committed_together():
    """One update for each variable, with its last value; a bad item undoes all."""
    items = [
        (["conversation", "n"], "+=", 1),
        (TARGET, "append", ["conversation", "n"]),
        (["conversation", "n"], "+=", 1),
    ]
    options: dict[str, Any] = {
        "mode": "advanced-chat",
        "conversation": {"n": ("number", 1), "v": ("array[number]", [])},
    }
    run = await play([start(), assigner("set", *items), SHOW], EDGES, **options)
    assert [(f.selector[1], f.value) for f in run.facts if isinstance(f, VariableUpdated)] == [("n", 3), ("v", [2])]
    run = await play([start(), assigner("set", *items, (TARGET, "set", 1)), SHOW], EDGES, **options)
    assert finished(run).status == "failed" and not [f for f in run.facts if isinstance(f, VariableUpdated)]


def first_version(mode: str, source: list[str] | None = None, **data: Any) -> dict[str, Any]:
    """Return an assigner of version 1 for the variable "v"."""
    return node("set", "assigner", assigned_variable_selector=TARGET, write_mode=mode,
                input_variable_selector=source or ["sys", "items"], **data)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "before", "mode", "given", "after"),
    [
        ("string", "a", "over-write", "b", "b"), ("string", "a", "over-write", 5, 5),
        ("string", "a", "clear", None, ""),
        ("array[string]", ["a"], "append", "b", ["a", "b"]), ("array[number]", [1], "clear", None, []),
    ],
)  # fmt: skip
async def test_first_version_overwrites_appends_and_clears(kind: str, before: Any, mode: str, given: Any, after: Any):
    """Version 1 does not check the type of what it writes over."""
    assert value_after(await changed(kind, before, first_version(mode), given)) == after


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (first_version("append"), "cannot append"),
        (first_version("over-write", ["sys", "nowhere"]), "input value not found"),
        (node("set", "assigner", assigned_variable_selector=["no", "where"], write_mode="clear"), "variable not found"),
    ],
)  # fmt: skip
async def test_first_version_names_what_is_missing(made: dict, reason: str):
    """A missing target or source, and a target that is no list, fail the node."""
    assert reason in (end_of(await changed("string", "a", made, "x"), "set").error or "")


@pytest.mark.parametrize(
    "made", [first_version("over-write"), assigner("set", (TARGET, "over-write", ["sys", "items"]))]
)
async def test_answer_waits_for_the_assigner_of_its_variable(made: dict):
    """The reader gets the new value, after the update and before the end of the assigner; never the old one."""
    run = await changed("string", "old", made, "new")
    assert long_story(run.facts) == [
        "S start", "OK start", "S set", "conversation.v=new", 'C"new"', "OK set", "S answer", "OK answer", "=succeeded",
    ]  # fmt: skip


async def test_outputs_of_nodes_may_be_assigned():
    """Any variable that stands in the pool can be given a new value, by the type it has."""
    nodes = [start("q"), assigner("set", (["start", "q"], "set", "new")), end(q=["start", "q"])]
    run = RunOnStage(graph(nodes, [edge("start", "set"), edge("set", "end")]))
    await run.start({"q": "old"})
    assert finished(run).outputs == {"q": "new"}
    assert [f.node_id for f in run.facts if isinstance(f, NodeFinished)] == ["start", "set", "end"]
