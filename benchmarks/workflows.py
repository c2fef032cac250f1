"""The measured workflows: graphs of start, template-transform and end nodes, with the nodes they have."""

from typing import Any

JsonObject = dict[str, Any]

CHAIN_LENGTH = 98
FAN_WIDTH = 98


def start() -> JsonObject:
    """Return a start node with the text input ``q``."""
    variable = {"variable": "q", "label": "q", "type": "text-input", "required": False}
    return {"id": "start", "data": {"type": "start", "title": "start", "variables": [variable]}}


def template(node_id: str, source: list[str]) -> JsonObject:
    """Return a node that renders the value at ``source`` as it is."""
    data = {"variables": [{"variable": "x", "value_selector": source}], "template": "{{ x }}"}
    return {"id": node_id, "data": {"type": "template-transform", "title": node_id, **data}}


def end(source: list[str]) -> JsonObject:
    """Return an end node whose output ``out`` is the value at ``source``."""
    outputs = [{"variable": "out", "value_selector": source}]
    return {"id": "end", "data": {"type": "end", "title": "end", "outputs": outputs}}


def edge(source: str, target: str) -> JsonObject:
    """Return an edge between two nodes without branches."""
    return {"id": f"{source}-{target}", "source": source, "target": target, "sourceHandle": "source"}


def chain(length: int) -> JsonObject:
    """Return start, ``length`` templates one after the other, end."""
    names = [f"n{number}" for number in range(length)]
    sources = [["start", "q"], *([name, "output"] for name in names)]
    nodes = [start(), *map(template, names, sources), end(sources[-1])]
    path = ["start", *names, "end"]
    return {"nodes": nodes, "edges": list(map(edge, path, path[1:]))}


def fan(width: int) -> JsonObject:
    """Return start, ``width`` templates side by side, and an end that waits for all of them."""
    names = [f"n{number}" for number in range(width)]
    nodes = [start(), *(template(name, ["start", "q"]) for name in names), end(["n0", "output"])]
    edges = [edge("start", name) for name in names] + [edge(name, "end") for name in names]
    return {"nodes": nodes, "edges": edges}


def graphs() -> dict[str, JsonObject]:
    """Return every measured graph by its name."""
    return {"three-nodes": chain(1), "chain-100": chain(CHAIN_LENGTH), "fan-100": fan(FAN_WIDTH)}
