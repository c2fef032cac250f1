"""Workflow files: what is refused, what is told, and where."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from factories import document, edge, end, human, node, start
from graph.parse_workflow import parse_document, parse_workflow
from graph.workflow import ParsedFile, Workflow

NODES = [start("query"), end(answer=["start", "query"])]
EDGES = [edge("start", "end")]
HOOK = {"url": "https://hooks.example", "events": ["run.paused"], "secret_env": "GREENROOM_WEBHOOK_A"}


def app(**body: Any) -> dict[str, Any]:
    """A valid app file with ``body`` in its workflow."""
    made = document(NODES, EDGES)
    made["workflow"].update(body)
    return made


def with_nodes(*nodes: dict[str, Any], edges: list[dict[str, Any]] | None = None) -> ParsedFile:
    """Parse a file whose graph has ``nodes`` after the start node."""
    return parse_document(document([start("query"), *nodes], edges or []))


def told(parsed: ParsedFile, blocks: str) -> list[str]:
    """The faults of one kind, as text."""
    return [str(fault) for fault in parsed.faults if fault.blocks == blocks]


def valid(parsed: ParsedFile) -> Workflow:
    """The workflow of a file that is in order."""
    assert parsed.workflow is not None and parsed.faults == (), parsed.faults
    return parsed.workflow


def test_valid_file_is_parsed_whole():
    """Nodes, edges, variables and features come out as in the file."""
    workflow = valid(
        parse_document(
            app(
                environment_variables=[{"name": "key", "value_type": "secret", "value": "hunter2", "id": 7}],
                conversation_variables=[{"name": "n", "value_type": "number", "value": 1.5, "description": "count"}],
                features={"file_upload": {"enabled": False}, "opening_statement": "hi"},
            )
        )
    )
    assert [n.id for n in workflow.nodes] == ["start", "end"]
    assert [(e.source, e.target, e.handle) for e in workflow.edges] == [("start", "end", "source")]
    assert workflow.environment[0].value == "hunter2" and "hunter2" not in repr(workflow)
    assert (workflow.conversation[0].value_type, workflow.conversation[0].description) == ("float", "count")
    assert workflow.features == {"file_upload": {"enabled": False}}


def test_json_and_yaml_give_the_same_workflow():
    """A file may be YAML or JSON, text or bytes."""
    made = app()
    found = [valid(parse_workflow(t)) for t in (json.dumps(made), yaml.safe_dump(made), yaml.safe_dump(made).encode())]
    assert {workflow.content_hash for workflow in found} == {valid(parse_document(made)).content_hash}


@pytest.mark.parametrize("wrapped", [True, False])
def test_bare_graph_becomes_a_workflow_app(wrapped):
    """A document that is only a graph is the graph of a workflow app."""
    graph = {"nodes": NODES, "edges": EDGES}
    workflow = valid(parse_document({"kind": "graph", "graph": graph} if wrapped else graph))
    assert workflow.mode == "workflow" and len(workflow.nodes) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a" * (10 * 1024 * 1024 + 1), "file: is larger than 10 MB"), (b"\xff\xfe", "file: is no UTF-8 text"),
        ("a: [", "file: is no YAML"), ("- a", "file: holds no mapping"), ("", "file: holds no mapping"),
        ("a: !!python/object/apply:os.getcwd []", "file: is not safe YAML"),
        ("[" * 100_000, "file: is nested deeper than"),
        ("- " * 100_000, "file: is nested deeper than"), ("{" * 300, "file: is nested deeper than"),
        ("a: &a [*a]", "file: contains itself"), ("a: !!binary aGk=", "file: holds a value of type bytes"),
        ("a: " + "9" * 5000, "file: is no YAML"),
        ("a: 99999999999999999999999", "file: holds an integer of more than 64 bits"),
        ("a: \x00", "file: is no YAML"), ("%YAML 9.9\n---\na: 1", "file: is no YAML"), ("{}", "app: is missing"),
    ],
)  # fmt: skip
def test_text_that_is_no_document_is_refused(text, message):
    """Hostile or broken text is refused with the reason, whatever it would do to the reader."""
    parsed = parse_workflow(text)
    assert parsed.workflow is None and parsed.status == "failed"
    assert str(parsed.faults[0]).startswith(message)


@pytest.mark.parametrize("merge", ["[{}]", "{{<<: [{}]}}"])
def test_alias_bomb_is_refused(merge):
    """Aliases that repeat each other do not fill the memory, nor do merged mappings."""
    lines = ["a0: &a0 {k: v}"]
    for level in range(1, 30):
        lines.append(f"a{level}: &a{level} " + merge.format(", ".join([f"*a{level - 1}"] * 10)))
    assert str(parse_workflow("\n".join(lines)).faults[0]).startswith("file: expands without reason")


def test_dates_and_booleans_stay_what_was_written():
    """An unquoted date stays text; unquoted numbers and booleans name nodes and handles."""
    text = """
version: '0.6.0'
app: {mode: workflow, name: 2026-01-01}
workflow:
  graph:
    nodes:
    - {id: 1754154032319, data: {type: start, variables: []}}
    - {id: 5, data: {type: if-else, cases: [{case_id: true, logical_operator: and, conditions: []}]}}
    - {id: 6, data: {type: end, outputs: []}}
    edges:
    - {source: 1754154032319, target: 5}
    - {source: 5, target: 6, sourceHandle: true}
"""
    workflow = valid(parse_workflow(text))
    assert workflow.name == "2026-01-01"
    assert [n.id for n in workflow.nodes] == ["1754154032319", "5", "6"]
    assert [(e.id, e.handle) for e in workflow.edges] == [("edge_0", "source"), ("edge_1", "true")]


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("0.6.0", "completed"), ("0.6.9", "pending"), ("0.5.0", "completed-with-warnings"),
        (None, "completed-with-warnings"),
        ("0.1.5", "completed-with-warnings"), ("1.0.0", "pending"), ("v0.6", "completed"), ("0.6.0rc1", "completed"),
    ],
)  # fmt: skip
def test_version_decides_the_status(version, status):
    """An older file is imported with a warning, one of another time waits for a confirmation."""
    made = app()
    made["version"] = version
    parsed = parse_document(made)
    assert parsed.workflow is not None and parsed.status == status


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"version": 0.6}, "version: must be text"), ({"version": "newest"}, "version: 'newest' is no version"),
        ({"version": "1" * 5000}, "version: "), ({"app": None}, "app: is missing"),
        ({"app": []}, "app: must be a mapping"),
        ({"app": {"name": "x"}}, "app.mode: loss app mode"),
        ({"app": {"mode": "chat"}}, "app.mode: apps of mode 'chat' hold no workflow"),
        ({"app": {"mode": "odd"}}, "app.mode: 'odd' is no mode"), ({"workflow": None}, "workflow: is missing"),
        ({"workflow": {"graph": []}}, "workflow.graph: must be a mapping"),
        ({"workflow": {"features": 1}}, "workflow.features: must be a mapping"),
        ({"workflow": {"graph": {"nodes": {}}}}, "workflow.graph.nodes: must be a list"),
        ({"workflow": {"graph": {"nodes": ["a"]}}}, "workflow.graph.nodes[0]: must be a mapping"),
        ({"workflow": {"graph": {"nodes": [{"id": "a",
        "data": 1}]}}}, "workflow.graph.nodes[0].data: must be a mapping"),
        ({"workflow": {"graph": {"nodes": [{"data": {}}]}}}, "workflow.graph.nodes[0].id: is missing"),
        ({"workflow": {"graph": {"nodes": [NODES[0], NODES[0]]}}}, "workflow.graph.nodes[1].id: 'start' is "),
        ({"workflow": {"graph": {"edges": [3]}}}, "workflow.graph.edges[0]: must be a mapping"),
        ({"greenroom": {"odd": 1}}, "greenroom.odd: Extra inputs are not permitted"),
        ({"greenroom": 1}, "greenroom: must be a mapping"),
        (
            {"greenroom": {"webhooks": [{**HOOK, "secret_env": "GREENROOM_DATABASE_PASSWORD"}]}},
            "greenroom.webhooks[0].secret_env: ",
        ),
    ],
)  # fmt: skip
def test_broken_file_is_refused_with_its_place(change, place):
    """What Dify refuses to import is refused, each fault at its path."""
    parsed = parse_document({**app(), **change})
    assert parsed.workflow is None and parsed.status == "failed"
    assert any(fault.startswith(place) for fault in told(parsed, "import")), told(parsed, "import")


@pytest.mark.parametrize(
    ("variable", "place"),
    [
        ({"value_type": "string", "value": "a"}, "name: is missing"),
        ({"name": "v", "value": "a"}, "value_type: of 'v' is missing"),
        ({"name": "v", "value_type": "string"}, "value: of 'v' is missing"),
        ({"name": "v", "value_type": "odd", "value": 1}, "value_type: "),
        ({"name": "v", "value_type": "number", "value": "1"}, "value: of 'v' is no number"),
        ({"name": "v", "value_type": "number", "value": True}, "value: of 'v' is no number"),
        ({"name": "v", "value_type": "array[string]", "value": [1]}, "value: of 'v' is no array[string]"),
        ({"name": "v", "value_type": "string", "value": "a" * 205_000}, "value: of 'v' is larger than 200 KiB"),
        ({"name": "v", "value_type": "string", "value": "a",
        "description": "d" * 256}, "description: of 'v' is longer than 255"),
        ({"name": "v", "value_type": "array[file]", "value": []}, "value_type: of 'v' is 'array[file]'"),
    ],
)  # fmt: skip
def test_bad_conversation_variable_is_refused(variable, place):
    """A conversation variable without a name, type or fitting value blocks the import."""
    faults = told(parse_document(app(conversation_variables=[variable])), "import")
    assert len(faults) == 1 and faults[0].startswith(f"workflow.conversation_variables[0].{place}")


def test_secret_value_stays_out_of_faults():
    """A message about a variable never quotes its value."""
    bad = {"name": "key", "value_type": "secret", "value": ["hunter2"]}
    assert "hunter2" not in "".join(told(parse_document(app(environment_variables=[bad])), "import"))


def test_start_beside_a_trigger_is_refused():
    """A workflow begins by a start node or by triggers, not both."""
    parsed = with_nodes(node("hook", "trigger-webhook"))
    assert told(parsed, "import") == ["workflow.graph.nodes[1]: a start node and a trigger cannot be in one workflow"]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"inputs": [{"type": "odd", "output_variable_name": "a"}]}, "inputs[0]"),
        ({"inputs": [{"type": "select", "output_variable_name": "a"}]}, "inputs[0].select.option_source"),
        ({"inputs": [{"type": "paragraph", "output_variable_name": "a"}] * 2}, ""),
        ({"inputs": [{"type": "paragraph", "output_variable_name": "a", "default": {"type": "variable",
        "selector": ["n"]}}]}, "inputs[0]"),
        ({"inputs": [{"type": "file", "output_variable_name": "a", "allowed_file_types": ["custom"]}]}, "inputs[0]"),
        ({"inputs": [{"type": "file", "output_variable_name": "a",
        "allowed_file_upload_methods": ["tool_file"]}]}, "inputs[0]"),
        ({"user_actions": [{"id": "1st", "title": "A"}]}, "user_actions[0].id"),
        ({"user_actions": [{"id": "a" * 21, "title": "A"}]}, "user_actions[0].id"),
        ({"user_actions": [{"id": "a", "title": "A" * 101}]}, "user_actions[0].title"),
        ({"user_actions": [{"id": "a", "title": "A"}] * 2}, ""), ({"timeout_unit": "week"}, "timeout_unit"),
        ({"delivery_methods": [{"type": "pigeon"}]}, "delivery_methods[0]"),
        ({"delivery_methods": [{"type": "email", "config": {"recipients": {"odd": 1}, "subject": "",
        "body": ""}}]}, "delivery_methods[0]"),
        ({"greenroom": {"idempotent": "yes"}}, "greenroom.idempotent"), ({"greenroom": {"odd": True}}, "greenroom.odd"),
    ],
)  # fmt: skip
def test_bad_human_input_node_is_refused(data, place):
    """The data of a human-input node must be valid to be imported at all."""
    faults = told(with_nodes(node("ask", "human-input", **data)), "import")
    assert faults and faults[0].startswith(f"workflow.graph.nodes[1].data.{place}".rstrip(".")), faults


def test_bad_data_of_other_nodes_only_blocks_publishing():
    """A draft with bad node data can be saved; the fault names the field."""
    parsed = with_nodes(node("llm", "llm", prompt_template=[{"role": "odd", "text": "a"}]))
    assert parsed.workflow is not None and not told(parsed, "import")
    assert any(f.startswith("workflow.graph.nodes[1].data.model: ") for f in told(parsed, "publish"))


@pytest.mark.parametrize(
    ("kind", "message"), [("agent", "cannot run yet"), ("odd-kind", "is no node kind"), ("", "is missing")]
)
def test_unsupported_kind_is_told_with_its_place(kind, message):
    """A kind that cannot run yet, or that nobody knows, is a warning; a node without a kind cannot be published."""
    parsed = with_nodes(node("n", kind))
    faults = told(parsed, "nothing" if kind else "publish")
    assert parsed.workflow is not None
    assert len(faults) == 1 and faults[0].startswith("workflow.graph.nodes[1].data.type: ") and message in faults[0]


def test_graph_faults_block_publishing():
    """Dangling, doubled and crossing edges are told with their place and leave the draft savable."""
    inside = {**node("in", "end", outputs=[]), "parentId": "loop1"}
    parsed = with_nodes(
        node("loop1", "loop", loop_count=1, start_node_id="in"),
        inside,
        edges=[edge("start", "gone"), edge("start", "in"), edge("start", "loop1"), edge("start", "loop1")],
    )
    assert parsed.workflow is not None
    assert told(parsed, "publish") == [
        "workflow.graph.edges[0].target: there is no node 'gone'",
        "workflow.graph.edges[1]: leads from 'start' to 'in' across a container's border",
        f"workflow.graph.edges[3].id: {edge('start', 'loop1')['id']!r} is the id of an earlier edge",
    ]


def test_cycle_is_shown_in_order():
    """A cycle is told as the way around it, without the nodes behind it."""
    nodes = [node(n, "answer", answer="") for n in "abcd"]
    parsed = with_nodes(
        *nodes, edges=[edge("start", "a"), edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("c", "d")]
    )
    assert told(parsed, "publish") == ["workflow.graph.nodes[1]: there is a cycle: a -> b -> c -> a"]


@pytest.mark.parametrize(
    ("child", "message"),
    [
        ({"parentId": "gone"}, "lies in 'gone', which is no node"),
        ({"parentId": "start"}, "which is no iteration or loop"),
        ({"parentId": "x"}, "in itself"),
    ],
)  # fmt: skip
def test_owner_must_be_another_container(child, message):
    """A node can only lie in an iteration or loop that exists and is not itself."""
    faults = told(with_nodes({**node("x", "loop"), **child}), "publish")
    assert any(message in fault for fault in faults), faults


def test_node_lies_in_the_inner_of_two_containers():
    """Where a node names an iteration and a loop, it lies in the one that lies in the other."""
    parsed = with_nodes(
        node("it", "iteration"),
        {**node("lp", "loop"), "parentId": "it"},
        node("x", "code", iteration_id="it", loop_id="lp"),
    )
    assert parsed.workflow is not None
    assert {n.id: n.container for n in parsed.workflow.nodes} == {"start": None, "it": None, "lp": "it", "x": "lp"}


def test_notes_are_left_out_and_an_empty_graph_is_a_draft():
    """Notes are no nodes; a file without nodes can be saved but not published."""
    note = {"id": "note", "type": "custom-note", "data": {"type": ""}}
    parsed = parse_document(document([note], []))
    assert parsed.workflow is not None and parsed.workflow.nodes == ()
    assert told(parsed, "publish") == ["workflow.graph.nodes: there is no start node"]


def test_content_hash_ignores_what_the_editor_keeps():
    """Position and selection of a node do not make another version, its data does."""
    moved = [{**NODES[0], "position": {"x": 1}, "data": {**NODES[0]["data"], "selected": True}}, NODES[1]]
    other = [start("query", "more"), NODES[1]]
    first, same, changed = (valid(parse_document(document(n, EDGES))).content_hash for n in (NODES, moved, other))
    assert first == same != changed


def test_content_hash_counts_whom_the_app_tells():
    """Another webhook is another version; a file without the mapping keeps the hash it had."""
    plain, empty, told_one = (
        valid(parse_document({**app(), **more}))
        for more in ({}, {"greenroom": {}}, {"greenroom": {"webhooks": [HOOK]}})
    )
    assert plain.content_hash == empty.content_hash != told_one.content_hash
    assert told_one.rules.webhooks[0].url == HOOK["url"] and plain.rules.webhooks == ()


def test_human_input_of_the_factories_is_valid():
    """A human-input node with an action is in order, its own extension keys included."""
    ask = human("ask")
    ask["data"]["greenroom"] = {"idempotent": True}
    valid(with_nodes(ask, edges=[edge("start", "ask")]))


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-5, 5)
        | st.text(max_size=5)
        | st.sampled_from(["start", "llm", "loop"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["id", "data", "type", "nodes", "edges", "source", "parentId", "cases", "model"]), inner
            )
        ),
        max_leaves=25,
    )
)
def test_any_document_is_parsed_or_refused(graph):
    """No document makes the parser raise."""
    made = document([], [])
    made["workflow"]["graph"] = graph
    assert isinstance(parse_document(made), ParsedFile)
    assert isinstance(parse_document({"nodes": [graph], "edges": [graph]}), ParsedFile)
