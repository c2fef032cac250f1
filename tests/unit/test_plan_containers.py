"""Faults of containers, in a file and in what is compiled: starts, borders, owners."""

import pytest

from factories import assigner, document, edge, end, iteration, loop, node, start, template, workflow
from graph.errors import InvalidWorkflowError
from graph.parse_workflow import parse_document
from graph.plan import compile_plan

EDGES = [edge("start", "it"), edge("itstart", "t"), edge("it", "end")]


def nodes(**data: object) -> list[dict]:
    """Return start -> iteration "it" with a template "t" -> end; ``data`` changes the iteration's."""
    around = iteration("it", ["sys", "items"], ["t", "output"], template("t", "x"))
    around[0]["data"].update(data)
    return [start(), *around, end()]


@pytest.mark.parametrize(
    ("made", "edges", "place", "reason"),
    [
        (nodes(start_node_id="nobody"), EDGES, "nodes[1].data.start_node_id", "nobody"),
        ([*nodes()[:2], end()], EDGES[:1] + EDGES[2:], "nodes[1]", "start"),
        (nodes(), [*EDGES, edge("start", "t")], "edges[3]", "border"),
        (nodes(), [*EDGES, edge("t", "end")], "edges[3]", "border"),
        ([*nodes(), {**template("x", ""), "parentId": "end"}], EDGES, "nodes[5]", "no iteration or loop"),
        ([*nodes(), {**template("x", ""), "parentId": "lost"}], EDGES, "nodes[5]", "lost"),
        (nodes(), [*EDGES, edge("t", "itstart")], "", "cycle"),
        ([start(), *iteration("a/b", ["sys", "items"], ["t", "output"], template("t", "x"))],
         [edge("a/bstart", "t")], "nodes[1].id", "'/'"),
    ],
    ids=["unknown start", "empty", "edge in", "edge out", "owner of another kind", "no owner", "cycle", "slash"],
)  # fmt: skip
def test_fault_of_a_container_is_named_and_blocks(made: list, edges: list, place: str, reason: str) -> None:
    """The file's fault says where, blocks publishing, and compiling refuses the same graph."""
    parsed = parse_document(document(made, edges))
    faults = [fault for fault in parsed.faults if fault.blocks == "publish"]
    assert any(place in fault.path and reason in str(fault) for fault in faults), parsed.faults
    assert parsed.workflow is not None
    with pytest.raises(InvalidWorkflowError):
        compile_plan(parsed.workflow)


def test_loop_end_outside_of_a_loop_is_a_warning() -> None:
    """A loop-end that ends nothing is told, and keeps nobody from publishing; one in a nested iteration is right."""
    parsed = parse_document(
        document([start(), node("stop", "loop-end"), end()], [edge("start", "stop"), edge("stop", "end")])
    )
    assert [fault.blocks for fault in parsed.faults] == ["nothing"]
    inner = iteration("it", ["sys", "items"], ["it", "item"], node("stop", "loop-end"))
    inside = [start(), *loop("lp", 2, *inner), end()]
    edges = [edge("start", "lp"), edge("lpstart", "it"), edge("itstart", "stop"), edge("lp", "end")]
    assert parse_document(document(inside, edges)).faults == ()


@pytest.mark.parametrize(
    ("kind", "data", "field"),
    [
        ("iteration", {"iterator_selector": None}, "iterator_selector"),
        ("iteration", {"parallel_nums": 0}, "parallel_nums"),
        ("iteration", {"error_handle_mode": "hope"}, "error_handle_mode"),
        ("loop", {"loop_count": 0}, "loop_count"),
        ("loop", {"loop_variables": [{"label": "x", "var_type": "file", "value_type": "constant"}]},
         "loop_variables[0].var_type"),
        ("loop", {"break_conditions": [{"variable_selector": ["a", "b"], "comparison_operator": "like"}]},
         "break_conditions[0].comparison_operator"),
        ("assigner", {"version": "1"}, ""), ("assigner", {"items": [{"variable_selector": ["a"]}]}, "items[0]"),
    ],
)  # fmt: skip
def test_bad_data_of_a_container_or_assigner_names_its_field(kind: str, data: dict, field: str) -> None:
    """What does not fit the kind is a fault at the field."""
    made = {"iteration": nodes()[1:4], "loop": loop("it", 2, template("t", "x")), "assigner": [assigner("it")]}[kind]
    made[0] = {**made[0], "data": {**made[0]["data"], **data}}
    edges = EDGES if kind != "assigner" else [EDGES[0], EDGES[2]]
    parsed = parse_document(document([start(), *made, end()], edges))
    assert any(f.path.startswith(f"workflow.graph.nodes[1].data.{field}".rstrip(".")) for f in parsed.faults), (
        parsed.faults
    )


def test_edges_and_nodes_of_each_container_are_compiled_apart() -> None:
    """A scope holds its own nodes and edges only, and its start node is hidden."""
    plan = compile_plan(workflow(nodes(), EDGES))
    assert {name: [each.id for each in scope.nodes] for name, scope in plan.scopes.items()} == {
        "": ["start", "it", "end"], "it": ["itstart", "t"],
    }  # fmt: skip
    assert [len(scope.edges) for scope in plan.scopes.values()] == [2, 1]
    assert plan.scopes["it"].is_root_hidden and not plan.top.is_root_hidden
