"""The workflows that a campaign runs: effects before and after a person, two people at once, a long text."""

from typing import Any

from factories import document, edge, end, human, llm, node, start, template


def effect(node_id: str, url: str) -> dict[str, Any]:
    """Return a node that posts its run's id to the counting server."""
    return node(
        node_id,
        "http-request",
        method="post",
        url=f"{url}/{node_id}",
        authorization={"type": "no-auth"},
        headers="",
        params="",
        body={"type": "raw-text", "data": [{"type": "text", "value": "{{#sys.workflow_run_id#}}"}]},
    )


def apps(effects_url: str) -> dict[str, dict[str, Any]]:
    """Return name -> workflow file. ``effects_url``: where the counting server is."""
    return {name: _named(name, *make(effects_url)) for name, make in _MAKERS.items()}


def _named(name: str, nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> dict[str, Any]:
    return {**document(nodes, edges), "app": {"name": name, "mode": "workflow"}}


def _review(url: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Effect, model, person, effect."""
    nodes = [
        start("topic"), effect("before", url), llm("draft", model="quick"), human("review"), effect("after", url),
        end(topic=["start", "topic"], text=["draft", "text"], comment=["review", "comment"]),
    ]  # fmt: skip
    edges = [
        edge("start", "before"), edge("before", "draft"), edge("draft", "review"),
        edge("review", "after", "approve"), edge("after", "end"),
    ]  # fmt: skip
    return nodes, edges


def _pair(url: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two people at once; the run goes on when both have answered."""
    both = {"a": ["left", "comment"], "b": ["right", "comment"]}
    nodes = [
        start("topic"), human("left"), human("right"), template("joined", "{{ a }}+{{ b }}", **both),
        effect("after", url), end(comments=["joined", "output"], topic=["start", "topic"]),
    ]  # fmt: skip
    edges = [
        edge("start", "left"), edge("start", "right"), edge("left", "joined", "approve"),
        edge("right", "joined", "approve"), edge("joined", "after"), edge("after", "end"),
    ]  # fmt: skip
    return nodes, edges


def _talk(url: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A text of four seconds between two effects."""
    nodes = [
        start("topic"), effect("before", url), llm("draft", model="slow"), effect("after", url),
        end(topic=["start", "topic"], text=["draft", "text"]),
    ]  # fmt: skip
    edges = [edge("start", "before"), edge("before", "draft"), edge("draft", "after"), edge("after", "end")]
    return nodes, edges


_MAKERS = {"review": _review, "pair": _pair, "talk": _talk}
