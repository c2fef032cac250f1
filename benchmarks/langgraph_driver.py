"""Measures LangGraph in its own environment; see driver_loop for what it is asked and answers.

A workflow becomes a StateGraph without a checkpointer, compiled before the clock starts. Templates become functions
that hand the value on, which is less than rendering it; an iteration becomes a map over its items (``Send``) or, in
sequence, a node that returns to itself; a loop likewise. A run that asks a person has a checkpointer on SQLite with
synchronous FULL, is interrupted, and is resumed with the answer.
"""

import itertools
import logging
import operator
import sqlite3
import time
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from driver_loop import Run, serve
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

JsonObject = dict[str, Any]
Invoke = Callable[[], JsonObject]
"""Runs the compiled graph once and returns its outputs."""


def newer(old: Any, new: Any) -> Any:
    """Let the last write win where several nodes write in one step."""
    return new


class Value(TypedDict):
    """What a graph of plain nodes hands on."""

    value: Annotated[Any, newer]


class Passes(TypedDict):
    """What an iteration goes through and has gathered."""

    items: list[str]
    index: int
    results: Annotated[list[str], operator.add]


class Item(TypedDict):
    """What one pass of a parallel iteration gets."""

    item: str


class Count(TypedDict):
    """The variable of a loop."""

    n: int


def plain(asked: JsonObject) -> Invoke:
    """Return a run of a graph without containers, one node for each of its nodes."""
    builder = StateGraph(Value)
    nodes, edges = asked["graph"]["nodes"], asked["graph"]["edges"]
    for each in nodes:
        builder.add_node(each["id"], lambda state: {"value": state["value"]})
    builder.add_edge(START, "start")
    sources: dict[str, list[str]] = {}
    for each in edges:
        sources.setdefault(each["target"], []).append(each["source"])
    for target, before in sources.items():
        builder.add_edge(before if len(before) > 1 else before[0], target)
    builder.add_edge("end", END)
    compiled = builder.compile()
    given, config = {"value": asked["inputs"]["q"]}, {"recursion_limit": len(nodes) + 10}
    return lambda: {"out": compiled.invoke(given, config)["value"]}


def passes(asked: JsonObject) -> Invoke:
    """Return a run of an iteration, one item after the other."""
    items = asked["inputs"]["items"]
    builder = StateGraph(Passes)
    builder.add_node("start", lambda state: {"index": 0})
    builder.add_node("t", lambda state: {"results": [state["items"][state["index"]]], "index": state["index"] + 1})
    builder.add_node("end", lambda state: {"index": state["index"]})
    builder.add_edge(START, "start")
    builder.add_edge("start", "t")
    builder.add_conditional_edges("t", lambda state: "t" if state["index"] < len(state["items"]) else "end")
    builder.add_edge("end", END)
    compiled = builder.compile()
    config = {"recursion_limit": len(items) + 10}
    return lambda: {"out": compiled.invoke({"items": items, "results": []}, config)["results"]}


def parallel_passes(asked: JsonObject) -> Invoke:
    """Return a run of an iteration, as many items side by side as the workflow says."""
    items = asked["inputs"]["items"]
    container = next(each["data"] for each in asked["graph"]["nodes"] if each["data"]["type"] == "iteration")
    builder = StateGraph(Passes)
    builder.add_node("start", lambda state: {"index": 0})
    builder.add_node("t", lambda state: {"results": [state["item"]]}, input_schema=Item)
    builder.add_node("end", lambda state: {"index": len(state["results"])})
    builder.add_edge(START, "start")
    builder.add_conditional_edges("start", lambda state: [Send("t", {"item": item}) for item in state["items"]], ["t"])
    builder.add_edge("t", "end")
    builder.add_edge("end", END)
    compiled = builder.compile()
    config = {"max_concurrency": container["parallel_nums"]}
    return lambda: {"out": compiled.invoke({"items": items, "results": []}, config)["results"]}


def rounds(asked: JsonObject) -> Invoke:
    """Return a run of a loop that counts."""
    count = next(each["data"]["loop_count"] for each in asked["graph"]["nodes"] if each["data"]["type"] == "loop")
    builder = StateGraph(Count)
    builder.add_node("start", lambda state: {"n": 0})
    builder.add_node("add", lambda state: {"n": state["n"] + 1})
    builder.add_node("end", lambda state: {"n": state["n"]})
    builder.add_edge(START, "start")
    builder.add_edge("start", "add")
    builder.add_conditional_edges("add", lambda state: "add" if state["n"] < count else "end")
    builder.add_edge("end", END)
    compiled = builder.compile()
    config = {"recursion_limit": count + 10}
    return lambda: {"out": compiled.invoke({"n": 0}, config)["n"]}


def person(asked: JsonObject) -> Invoke:
    """Return a whole cycle of a run that asks a person: start, question, pause, answer, end."""
    connection = sqlite3.connect(f"{asked['inputs']['folder']}/langgraph.db", check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    builder = StateGraph(Value)
    builder.add_node("start", lambda state: {"value": state["value"]})
    builder.add_node("ask", lambda state: {"value": interrupt({"question": f"Shall we go on with {state['value']}?"})})
    builder.add_node("end", lambda state: {"value": state["value"]})
    for source, target in ((START, "start"), ("start", "ask"), ("ask", "end"), ("end", END)):
        builder.add_edge(source, target)
    compiled = builder.compile(checkpointer=SqliteSaver(connection))
    numbers = itertools.count()

    def cycle() -> JsonObject:
        config = {"configurable": {"thread_id": str(next(numbers))}}
        compiled.invoke({"value": asked["inputs"]["q"]}, config)
        return {"out": compiled.invoke(Command(resume=asked["inputs"]["answer"]), config)["value"]}

    return cycle


SHAPES = {"graph": plain, "person": person, "passes": passes, "parallel-passes": parallel_passes, "rounds": rounds}


def prepare(asked: JsonObject) -> Run:
    """Return a run of the workflow's counterpart."""
    invoke = SHAPES[asked["shape"]](asked)

    def run() -> tuple[float, JsonObject]:
        began = time.perf_counter()
        outputs = invoke()
        return time.perf_counter() - began, outputs

    return run


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    serve(prepare)
