"""How edges settle, and which nodes become ready or skipped by that."""

from typing import Any

import pytest

import factories as f
from graph.routing import SKIPPED, TAKEN, UNKNOWN, ScopeState
from graph.variable_pool import VariablePool


class Scope:
    """A fresh scope of a graph whose nodes are templates, ``start`` first; named instead of numbered."""

    def __init__(self, *arrows: str) -> None:
        """Begin; ``arrows``: "a>b", or "a>b:handle" out of a branch."""
        parts = [arrow.partition(":")[0].split(">") for arrow in arrows]
        names = dict.fromkeys(name for pair in parts for name in pair if name != "start")
        edges = [
            f.edge(pair[0], pair[1], arrow.partition(":")[2] or "source")
            for pair, arrow in zip(parts, arrows, strict=True)
        ]
        plan = f.plan([f.start(), *(f.template(name, "x") for name in names)], edges).top
        self.state = ScopeState(plan, "", VariablePool())
        self.plan = plan

    def begin(self) -> list[str]:
        """Return the names of the nodes that are ready at the start."""
        return self._names(self.state.begin())

    def end(self, name: str, handle: str = "source", *, is_branch: bool = False) -> list[str]:
        """End a node; return the names of the nodes that became ready, and check the edges taken."""
        taken, ready = self.state.end_node(self.plan.node_index[name], handle, is_branch)
        outgoing = self.plan.nodes[self.plan.node_index[name]].outgoing
        wanted = [edge for edge in outgoing if not is_branch or self.plan.edges[edge].handle == handle]
        assert taken == wanted
        return self._names(ready)

    def edges(self) -> str:
        """Return the states of the edges in file order: "?", "t" or "s"."""
        return "".join({UNKNOWN: "?", TAKEN: "t", SKIPPED: "s"}[state] for state in self.state.edges)

    def settled(self) -> dict[str, int]:
        """Return the nodes that have ended or were skipped."""
        return {node.id: self.state.settled[node.index] for node in self.plan.nodes if self.state.settled[node.index]}

    def _names(self, indices: list[int]) -> list[str]:
        return [self.plan.nodes[index].id for index in indices]


def test_root_is_ready_and_nothing_is_settled_at_the_start() -> None:
    """A run begins at its root."""
    scope = Scope("start>a")
    assert scope.begin() == ["start"]
    assert (scope.edges(), scope.settled()) == ("?", {})


def test_node_is_ready_when_its_last_edge_is_taken() -> None:
    """A join waits for all of its edges."""
    scope = Scope("start>a", "start>b", "a>j", "b>j")
    scope.begin()
    assert scope.end("start") == ["a", "b"]
    assert scope.end("a") == []
    assert scope.end("b") == ["j"]
    assert scope.edges() == "tttt"
    assert scope.settled() == {"start": TAKEN, "a": TAKEN, "b": TAKEN}


def test_ordinary_node_takes_every_edge_whatever_its_handle() -> None:
    """Only branches look at handles."""
    scope = Scope("start>a:true", "start>b:false")
    scope.begin()
    assert scope.end("start", "true") == ["a", "b"]


def test_branch_takes_one_handle_and_skips_what_hangs_on_the_others() -> None:
    """Skipping goes on through nodes whose edges are all skipped."""
    scope = Scope("start>a:true", "start>b:false", "b>c", "c>d", "a>e")
    scope.begin()
    assert scope.end("start", "true", is_branch=True) == ["a"]
    assert scope.edges() == "tsss?"
    assert scope.settled() == {"start": TAKEN, "b": SKIPPED, "c": SKIPPED, "d": SKIPPED}


def test_branch_without_an_edge_for_its_handle_skips_all() -> None:
    """An exit that leads nowhere ends its path."""
    scope = Scope("start>a:true", "start>b:false")
    scope.begin()
    assert scope.end("start", "other", is_branch=True) == []
    assert scope.settled() == {"start": TAKEN, "a": SKIPPED, "b": SKIPPED}


def test_join_with_a_skipped_edge_runs_if_any_is_taken() -> None:
    """The order in which edges settle does not matter."""
    late = Scope("start>if", "start>b", "if>j:true", "b>j")
    late.begin()
    late.end("start")
    assert late.end("if", "false", is_branch=True) == []
    assert "j" not in late.settled()
    assert late.end("b") == ["j"]
    early = Scope("start>if", "start>b", "if>j:true", "b>j")
    early.begin()
    early.end("start")
    assert early.end("b") == []
    assert early.end("if", "false", is_branch=True) == ["j"]
    assert early.edges() == "ttst"


def test_join_behind_skipped_nodes_runs_if_any_edge_is_taken() -> None:
    """A skip that comes through other nodes completes a join too."""
    scope = Scope("start>if", "start>b", "if>c:true", "c>d", "d>j", "b>j", "if>e:false")
    scope.begin()
    scope.end("start")
    scope.end("b")
    assert scope.end("if", "false", is_branch=True) == ["j", "e"]
    assert scope.edges() == "ttsss" + "tt"


def test_both_handles_of_a_branch_may_lead_to_one_node() -> None:
    """It runs once, by the handle taken, whichever comes first in the file."""
    for arrows in (("start>j:true", "start>j:false"), ("start>j:false", "start>j:true")):
        scope = Scope(*arrows)
        scope.begin()
        assert scope.end("start", "true", is_branch=True) == ["j"]


def test_unreachable_nodes_are_skipped_at_the_start() -> None:
    """A join does not wait for what no path leads to, nor does that ever become ready."""
    scope = Scope("lost>more", "more>j", "start>j")
    assert scope.begin() == ["start"]
    assert scope.settled() == {"lost": SKIPPED, "more": SKIPPED}
    assert scope.edges() == "ss?"
    assert scope.end("start") == ["j"]


def test_settled_node_does_not_become_ready_again() -> None:
    """What was skipped once stays skipped, also when an edge into it is taken."""
    scope = Scope("start>a", "a>b")
    scope.begin()
    scope.state.settled[scope.plan.node_index["b"]] = SKIPPED
    scope.end("start")
    assert scope.end("a") == []


@pytest.mark.parametrize(
    ("before", "added", "after"),
    [
        ({}, {"answer": "a"}, {"answer": "a"}),
        ({"answer": "a"}, {"answer": "b"}, {"answer": "ab"}),
        ({"answer": None}, {"answer": "b"}, {"answer": "b"}),
        ({"answer": ["x"]}, {"answer": "b"}, {"answer": "b"}),
        ({"text": "a"}, {"text": "b", "n": 1}, {"text": "b", "n": 1}),
    ],
)
def test_outputs_merge(before: dict[str, Any], added: dict[str, Any], after: dict[str, Any]) -> None:
    """Answers add up; of every other name the last one counts."""
    scope = Scope("start>a").state
    scope.merge_outputs(before)
    scope.merge_outputs(added)
    assert scope.outputs == after


@pytest.mark.parametrize("ended", range(5))
def test_restored_scope_goes_on_where_it_was(ended: int) -> None:
    """Edge and node states say all: a join knows how many edges it still waits for."""
    names = ["a", "b", "c", "d"]
    arrows = [*(f"start>{name}" for name in names), *(f"{name}>j" for name in names)]
    scope, restored = Scope(*arrows), Scope(*arrows)
    scope.begin()
    scope.end("start")
    for name in names[:ended]:
        scope.end(name)
    restored.state.load(bytes(scope.state.edges), bytes(scope.state.settled))
    assert (restored.edges(), restored.settled()) == (scope.edges(), scope.settled())
    ready = [restored.end(name) for name in names[ended:]]
    assert ready == [[], [], [], ["j"]][ended:]


def test_new_scope_is_that_of_its_pass() -> None:
    """A scope knows its container and its pass; nothing runs in it and nothing has failed."""
    plan, pool = Scope("start>a").plan, VariablePool()
    scope = ScopeState(plan, "it:3", pool, "execution", 3)
    assert (scope.plan, scope.path, scope.pool, scope.owner, scope.index) == (plan, "it:3", pool, "execution", 3)
    assert (scope.active_count, scope.outputs, scope.failure) == (0, {}, None)
    top = ScopeState(plan, "", pool)
    assert (top.owner, top.index) == ("", 0)
