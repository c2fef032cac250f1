"""A workflow compiled once: integers, adjacency, steps; shared by every run of the version, never changed by one.

A plan has one ``PlanScope`` for the top level and one for the inside of each container. What a run adds lives in
``graph.run_state``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from graph.errors import InvalidWorkflowError
from graph.nodes.kind import EffectStep, NodeData, NodeKind, PureStep
from graph.nodes.table import KINDS
from graph.workflow import Node, Workflow

Part = str | tuple[str, ...]
"""A piece of a response template: literal text, or a selector."""


@dataclass(slots=True)
class PlanNode:
    """One node, compiled. ``index``: its place in its scope. A node without a step fails the run that reaches it.

    ``outgoing``, ``incoming``: edge indices; ``parts``: what it shows the reader, or None.
    """

    index: int
    id: str
    type: str
    title: str
    kind: NodeKind | None
    data: NodeData | None
    pure: PureStep | None = None
    effect: EffectStep | None = None
    is_branch: bool = False
    is_response: bool = False
    opens_form: bool = False
    parts: list[Part] | None = None
    outgoing: list[int] = field(default_factory=list)
    incoming: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PlanEdge:
    """One edge by indices of its scope."""

    index: int
    id: str
    source: int
    target: int
    handle: str


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """How one response node reaches the reader: its pieces and the edges that must be taken before it may speak."""

    node: int
    parts: tuple[Part, ...]
    blocking: frozenset[int]
    is_ready_at_start: bool


@dataclass(slots=True)
class PlanScope:
    """One level of the graph. ``unreachable``: nodes that no path from the root leads to; they never run."""

    container: str
    nodes: list[PlanNode]
    edges: list[PlanEdge]
    node_index: dict[str, int]
    root: int
    unreachable: tuple[int, ...] = ()
    responses: tuple[ResponsePlan, ...] = ()
    response_selectors: frozenset[tuple[str, ...]] = frozenset()


@dataclass(slots=True)
class Plan:
    """A compiled workflow version."""

    workflow: Workflow
    scopes: dict[str, PlanScope]

    @property
    def top(self) -> PlanScope:
        """The scope outside of every container."""
        return self.scopes[""]

    @property
    def start_form(self) -> list[dict[str, Any]]:
        """The variables that the start node declares, as in the file."""
        root = self.top.nodes[self.top.root]
        node = next(n for n in self.workflow.nodes if n.id == root.id)
        return list(node.data.get("variables") or [])

    def node(self, scope: str, node_id: str) -> PlanNode:
        """Return the node ``node_id`` of the scope that the path ``scope`` names."""
        level = self.scopes[container_of(scope)]
        return level.nodes[level.node_index[node_id]]


ROOT_KINDS = frozenset({"start", "datasource", "trigger-webhook", "trigger-schedule", "trigger-plugin"})
_CONTAINER_START_KINDS = frozenset({"iteration-start", "loop-start"})
_CONTAINER_KINDS = frozenset({"iteration", "loop"})


def container_of(scope: str) -> str:
    """Return the container id of a scope path: "" of "", "loop1" of "it1:3/loop1:0"."""
    return scope.rpartition("/")[2].rpartition(":")[0]


def compile_plan(workflow: Workflow) -> Plan:
    """Compile ``workflow``; the cost grows with nodes plus edges.

    Raises:
        InvalidWorkflowError: node data does not fit its kind, an edge names an unknown node, a scope has no root
            or has a cycle.
    """
    faults: list[str] = []
    by_container: dict[str, list[Node]] = {}
    for node in workflow.nodes:
        by_container.setdefault(node.container or "", []).append(node)
    scopes = {
        container: _compile_scope(container, nodes, workflow, faults) for container, nodes in by_container.items()
    }
    if "" not in scopes:
        faults.append("workflow.graph.nodes: there is no node outside of containers")
    _check_edges(workflow, scopes, faults)
    if faults:
        raise InvalidWorkflowError(tuple(faults))
    return Plan(workflow, scopes)


def _compile_scope(container: str, nodes: Sequence[Node], workflow: Workflow, faults: list[str]) -> PlanScope:
    compiled = [_compile_node(index, node, faults) for index, node in enumerate(nodes)]
    node_index = {node.id: index for index, node in enumerate(nodes)}
    edges: list[PlanEdge] = []
    for edge in workflow.edges:
        source, target = node_index.get(edge.source), node_index.get(edge.target)
        if source is not None and target is not None:
            compiled[source].outgoing.append(len(edges))
            compiled[target].incoming.append(len(edges))
            edges.append(PlanEdge(len(edges), edge.id, source, target, edge.handle))
    scope = PlanScope(container, compiled, edges, node_index, _root(container, nodes, workflow, node_index, faults))
    reached: set[int] = set()
    reach(scope, [scope.root], lambda _edge: True, reached)
    scope.unreachable = tuple(n.index for n in compiled if n.index not in reached)
    _check_cycles(scope, faults)
    scope.responses = tuple(_response_plan(scope, node) for node in compiled if node.parts is not None)
    scope.response_selectors = frozenset(
        part for response in scope.responses for part in response.parts if isinstance(part, tuple)
    )
    return scope


def _compile_node(index: int, node: Node, faults: list[str]) -> PlanNode:
    kind = KINDS.get(node.type)
    if kind is None:
        return PlanNode(index, node.id, node.type, node.title, None, None)
    try:
        data = kind.data.model_validate({**node.data, "node_id": node.id})
        return PlanNode(
            index,
            node.id,
            node.type,
            node.title,
            kind,
            data,
            pure=kind.compile_pure(data) if kind.compile_pure else None,
            effect=kind.compile_effect(data) if kind.compile_effect else None,
            is_branch=kind.is_branch or data.error_strategy == "fail-branch",
            is_response=kind.role == "response",
            opens_form=node.type == "human-input",
            parts=kind.parts(data) if kind.parts else None,
        )
    except ValidationError as error:
        for problem in error.errors():
            place = ".".join(str(part) for part in problem["loc"])
            faults.append(f"{node.path}.data.{place}: {problem['msg']}")
    return PlanNode(index, node.id, node.type, node.title, kind, None)


def _root(
    container: str, nodes: Sequence[Node], workflow: Workflow, node_index: dict[str, int], faults: list[str]
) -> int:
    if container:
        owner = next((n for n in workflow.nodes if n.id == container), None)
        named = owner.data.get("start_node_id") if owner else None
        if named in node_index:
            return node_index[named]
        wanted = _CONTAINER_START_KINDS
    else:
        wanted = ROOT_KINDS
    for index, node in enumerate(nodes):
        if node.type in wanted:
            return index
    faults.append(f"workflow.graph.nodes: {f'container {container}' if container else 'the graph'} has no start node")
    return 0


def _check_edges(workflow: Workflow, scopes: dict[str, PlanScope], faults: list[str]) -> None:
    container = {node.id: node.container or "" for node in workflow.nodes}
    for edge in workflow.edges:
        for end, name in (("source", edge.source), ("target", edge.target)):
            if name not in container:
                faults.append(f"{edge.path}.{end}: there is no node {name!r}")
        if edge.source in container and edge.target in container and container[edge.source] != container[edge.target]:
            faults.append(f"{edge.path}: the edge crosses the border of a container")


def _check_cycles(scope: PlanScope, faults: list[str]) -> None:
    missing = [len(node.incoming) for node in scope.nodes]
    queue = [node.index for node in scope.nodes if not node.incoming]
    seen = 0
    while queue:
        index = queue.pop()
        seen += 1
        for edge_index in scope.nodes[index].outgoing:
            target = scope.edges[edge_index].target
            missing[target] -= 1
            if not missing[target]:
                queue.append(target)
    if seen < len(scope.nodes):
        circle = ", ".join(repr(scope.nodes[i].id) for i, count in enumerate(missing) if count)
        faults.append(f"workflow.graph.edges: the nodes {circle} lie on or behind a cycle")


def _response_plan(scope: PlanScope, node: PlanNode) -> ResponsePlan:
    parts = tuple(node.parts or ())
    targets = {part[:2] for part in parts if isinstance(part, tuple)}
    blocking = frozenset(edge.index for edge in scope.edges if _blocks(scope.nodes[edge.source], targets))
    reached: set[int] = set()
    reach(scope, [scope.root], lambda edge: edge not in blocking, reached)
    return ResponsePlan(node.index, parts, blocking, node.index in reached)


def _blocks(source: PlanNode, targets: set[tuple[str, ...]]) -> bool:
    """Whether an edge out of ``source`` holds an answer back until it is taken (spec/graph.md 4.12)."""
    if source.is_branch or source.is_response or source.type in _CONTAINER_KINDS:
        return True
    writes = getattr(source.data, "written_selectors", None)
    return bool(writes) and any(tuple(selector[:2]) in targets for selector in writes)


def reach(scope: PlanScope, start: Iterable[int], passes: Callable[[int], bool], reached: set[int]) -> None:
    """Add to ``reached`` the nodes of ``start`` and all that follow over edges for which ``passes(index)`` holds."""
    queue = [index for index in start if index not in reached]
    reached.update(queue)
    while queue:
        for edge_index in scope.nodes[queue.pop()].outgoing:
            target = scope.edges[edge_index].target
            if target not in reached and passes(edge_index):
                reached.add(target)
                queue.append(target)
