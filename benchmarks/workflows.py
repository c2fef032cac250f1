"""The measured workflows, as graphs of a workflow file that Greenroom and graphon read alike, with what they give."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]

ROUNDS = 50
PARALLEL = 10


@dataclass(frozen=True, slots=True)
class Case:
    """One measured workflow.

    ``node_count``: the nodes that one run starts, those inside a container once a pass (its hidden start node never);
    every engine's time is divided by it. ``shape``: what an engine that cannot read the file builds instead.
    """

    graph: JsonObject = field(repr=False)
    node_count: int
    inputs: JsonObject
    outputs: JsonObject
    shape: str = "graph"
    is_long: bool = False


def node(node_id: str, kind: str, **data: Any) -> JsonObject:
    """Return a node with the title ``node_id``."""
    return {"id": node_id, "data": {"type": kind, "title": node_id, **data}}


def start() -> JsonObject:
    """Return a start node with the text input ``q``."""
    variable = {"variable": "q", "label": "q", "type": "text-input", "required": False}
    return node("start", "start", variables=[variable])


def template(node_id: str, source: list[str], **data: Any) -> JsonObject:
    """Return a node that renders the value at ``source`` as it is."""
    variables = [{"variable": "x", "value_selector": source}]
    return node(node_id, "template-transform", variables=variables, template="{{ x }}", **data)


def end(source: list[str]) -> JsonObject:
    """Return an end node whose output ``out`` is the value at ``source``."""
    return node("end", "end", outputs=[{"variable": "out", "value_selector": source}])


def edge(source: str, target: str) -> JsonObject:
    """Return an edge between two nodes without branches."""
    return {"id": f"{source}-{target}", "source": source, "target": target, "sourceHandle": "source"}


def path(*names: str) -> list[JsonObject]:
    """Return the edges from each of ``names`` to the next."""
    return list(map(edge, names, names[1:]))


def plain(nodes: list[JsonObject], edges: Iterable[JsonObject], is_long: bool = False) -> Case:
    """Return the case of a graph without containers: it hands its input on to its output."""
    graph = {"nodes": nodes, "edges": list(edges)}
    return Case(graph, len(nodes), {"q": "hello"}, {"out": "hello"}, is_long=is_long)


def chain(count: int) -> Case:
    """Return ``count`` nodes one after the other: start, templates, end."""
    names = [f"n{number}" for number in range(count - 2)]
    sources = [["start", "q"], *([name, "output"] for name in names)]
    nodes = [start(), *map(template, names, sources), end(sources[-1])]
    return plain(nodes, path("start", *names, "end"), is_long=count > 1000)


def fan(width: int) -> Case:
    """Return start, ``width`` templates side by side, and an end that waits for all of them."""
    names = [f"n{number}" for number in range(width)]
    nodes = [start(), *(template(name, ["start", "q"]) for name in names), end(["n0", "output"])]
    return plain(nodes, [each for name in names for each in path("start", name, "end")])


def diamonds(count: int) -> Case:
    """Return ``count`` diamonds in a row: two templates side by side, then one that waits for both."""
    nodes, edges, before, source = [start()], [], "start", ["start", "q"]
    for number in range(count):
        left, right, join = f"l{number}", f"r{number}", f"j{number}"
        nodes += [template(left, source), template(right, source), template(join, [left, "output"])]
        edges += [*path(before, left, join), *path(before, right, join)]
        before, source = join, [join, "output"]
    return plain([*nodes, end(source)], [*edges, edge(before, "end")])


def iteration(count: int, is_parallel: bool) -> Case:
    """Return an iteration over ``count`` items with one template inside."""
    container = node(
        "it",
        "iteration",
        iterator_selector=["start", "items"],
        output_selector=["t", "output"],
        start_node_id="it-start",
        is_parallel=is_parallel,
        parallel_nums=PARALLEL,
        error_handle_mode="terminated",
        flatten_output=False,
    )
    inner = [node("it-start", "iteration-start", iteration_id="it"), template("t", ["it", "item"], iteration_id="it")]
    items = [f"item {number}" for number in range(count)]
    graph = {
        "nodes": [start(), container, *inner, end(["it", "output"])],
        "edges": [*path("start", "it", "end"), edge("it-start", "t")],
    }
    shape = "parallel-passes" if is_parallel else "passes"
    return Case(graph, 3 + count, {"q": "hello", "items": items}, {"out": items}, shape)


def loop(count: int) -> Case:
    """Return a loop of ``count`` rounds that adds 1 to its variable in each."""
    variable = {"id": "n", "label": "n", "var_type": "number", "value_type": "constant", "value": 0}
    container = node(
        "lp",
        "loop",
        loop_count=count,
        start_node_id="lp-start",
        break_conditions=[],
        logical_operator="and",
        loop_variables=[variable],
    )
    add_one = {"variable_selector": ["lp", "n"], "input_type": "constant", "operation": "+=", "value": 1}
    inner = [
        node("lp-start", "loop-start", loop_id="lp"),
        node("add", "assigner", version="2", loop_id="lp", items=[add_one]),
    ]
    graph = {
        "nodes": [start(), container, *inner, end(["lp", "n"])],
        "edges": [*path("start", "lp", "end"), edge("lp-start", "add")],
    }
    return Case(graph, 3 + count, {"q": "hello"}, {"out": count}, "rounds")


def asking_model(name: str) -> JsonObject:
    """Return the graph of a run that asks the model ``name`` for its answer: start, template, llm, end."""
    model = {"provider": "benchmark", "name": name, "mode": "chat", "completion_params": {}}
    prompt = [{"role": "user", "text": "{{#t.output#}}"}]
    ask = node("ask", "llm", model=model, prompt_template=prompt)
    nodes = [start(), template("t", ["start", "q"]), ask, end(["ask", "text"])]
    return {"nodes": nodes, "edges": path("start", "t", "ask", "end")}


ANSWER = {"comment": "fine"}
"""What is filled in, in every measured form."""


def asking() -> JsonObject:
    """Return the graph of a run that asks a person: start, human input, end."""
    ask = node(
        "ask",
        "human-input",
        form_content="Shall we go on with {{#start.q#}}?",
        inputs=[{"type": "paragraph", "output_variable_name": "comment"}],
        user_actions=[{"id": name, "title": name.title(), "button_style": "default"} for name in ("approve", "reject")],
        delivery_methods=[{"type": "webapp", "enabled": True, "id": "web"}],
    )
    edges = [edge("start", "ask"), *({**edge("ask", "end"), "sourceHandle": name} for name in ("approve", "reject"))]
    return {"nodes": [start(), ask, end(["ask", "comment"])], "edges": edges}


def engine_cases() -> dict[str, Case]:
    """Return every case of the engine's measurement by its name."""
    return {
        "chain_100": chain(100),
        "chain_10000": chain(10_000),
        "fan_98": fan(98),
        "iteration_50": iteration(ROUNDS, is_parallel=False),
        "iteration_50_parallel": iteration(ROUNDS, is_parallel=True),
        "loop_50": loop(ROUNDS),
        "diamonds_30": diamonds(30),
    }


def app_file(graph: Mapping[str, Any]) -> JsonObject:
    """Return the workflow file around ``graph``."""
    app = {"name": "benchmark", "mode": "workflow"}
    return {"kind": "app", "version": "0.6.0", "app": app, "workflow": {"graph": graph, "features": {}}}
