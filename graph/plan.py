"""A workflow compiled once: integers, adjacency, steps; shared by every run of the version, never changed by one.

A plan has one ``PlanScope`` for the top level and one for the inside of each container. What a run adds lives in
``graph.run_state``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from graph.errors import InvalidWorkflowError
from graph.nodes.kind import Container, EffectStep, NodeData, NodeKind, PureStep, RetryConfig
from graph.nodes.table import KINDS
from graph.secret_mask import SecretMask, mask_of
from graph.uncollected import uncollected
from graph.workflow import Edge, Node, Workflow

Part = str | tuple[str, ...]
"""A piece of a response template: literal text, or a selector."""


@dataclass(slots=True)
class PlanNode:
    """One node, compiled. ``index``: its place in its scope. A node without a step fails the run that reaches it.

    ``outgoing``, ``incoming``: edge indices; ``parts``: what it shows the reader, or None; ``retry_limit``: how often
    it runs again after a failure.
    """

    index: int
    id: str
    type: str
    title: str
    kind: NodeKind | None
    data: NodeData | None
    pure: PureStep | None = None
    effect: EffectStep | None = None
    container: Container | None = None
    is_branch: bool = False
    is_response: bool = False
    opens_form: bool = False
    breaks_loop: bool = False
    retry_limit: int = 0
    retry_interval_s: float = 0.0
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
    """One level of the graph.

    ``is_root_hidden``: the root is a container's start node, which only marks a place and never runs itself.
    ``unreachable``: nodes that no path from the root leads to; they never run. ``incoming_counts``: edges into each
    node.
    """

    container: str
    nodes: list[PlanNode]
    edges: list[PlanEdge]
    node_index: dict[str, int]
    root: int
    is_root_hidden: bool = False
    incoming_counts: tuple[int, ...] = ()
    unreachable: tuple[int, ...] = ()
    responses: tuple[ResponsePlan, ...] = ()
    response_selectors: frozenset[tuple[str, ...]] = frozenset()


@dataclass(slots=True)
class Plan:
    """A compiled workflow version."""

    workflow: Workflow
    scopes: dict[str, PlanScope]
    secrets: SecretMask | None = field(default=None, repr=False)
    """Keeps secret environment variables out of what records show; None without any."""

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
CONTAINER_START_KINDS = frozenset({"iteration-start", "loop-start"})
CONTAINER_KINDS = frozenset({"iteration", "loop"})


def container_of(scope: str) -> str:
    """Return the container id of a scope path: "" of "", "loop1" of "it1:3/loop1:0"."""
    return scope.rpartition("/")[2].rpartition(":")[0]


def pass_path(scope: str, container: str, index: int) -> str:
    """Return the scope path of pass ``index`` of ``container``, which lies in ``scope``."""
    return f"{scope}/{container}:{index}" if scope else f"{container}:{index}"


@uncollected()
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
    types = _variable_types(workflow)
    edges = _edges_by_container(workflow, faults)
    owners = {node.id: node for node in workflow.nodes}
    scopes = {
        container: _compile_scope(owners.get(container), nodes, edges.get(container, []), types, faults)
        for container, nodes in by_container.items()
    }
    if "" not in scopes:
        faults.append("workflow.graph.nodes: there is no node outside of containers")
    _check_containers(workflow, scopes, faults)
    if faults:
        raise InvalidWorkflowError(tuple(faults))
    return Plan(workflow, scopes, mask_of(workflow.environment))


def _variable_types(workflow: Workflow) -> dict[str, str]:
    """Return "<node id>.<name>" -> declared type of every conversation variable and loop variable."""
    types = {f"conversation.{variable.name}": variable.value_type for variable in workflow.conversation}
    for node in workflow.nodes:
        declared = node.data.get("loop_variables") if node.type == "loop" else None
        for variable in declared if isinstance(declared, list) else []:
            if isinstance(variable, dict):
                types[f"{node.id}.{variable.get('label')}"] = str(variable.get("var_type"))
    return types


def _edges_by_container(workflow: Workflow, faults: list[str]) -> dict[str, list[Edge]]:
    """Return container id -> the edges inside of it, "" for the top level."""
    container = {node.id: node.container or "" for node in workflow.nodes}
    edges: dict[str, list[Edge]] = {}
    for edge in workflow.edges:
        missing = [
            (end, name) for end, name in (("source", edge.source), ("target", edge.target)) if name not in container
        ]
        if missing:
            faults.extend(f"{edge.path}.{end}: there is no node {name!r}" for end, name in missing)
        elif container[edge.source] != container[edge.target]:
            faults.append(f"{edge.path}: the edge crosses the border of a container")
        else:
            edges.setdefault(container[edge.source], []).append(edge)
    return edges


def _compile_scope(
    owner: Node | None, nodes: Sequence[Node], inside: Sequence[Edge], types: dict[str, str], faults: list[str]
) -> PlanScope:
    compiled = [_compile_node(index, node, types, faults) for index, node in enumerate(nodes)]
    node_index = {node.id: index for index, node in enumerate(nodes)}
    edges = [
        PlanEdge(index, edge.id, node_index[edge.source], node_index[edge.target], edge.handle)
        for index, edge in enumerate(inside)
    ]
    for edge in edges:
        compiled[edge.source].outgoing.append(edge.index)
        compiled[edge.target].incoming.append(edge.index)
    root = _root(owner, nodes, node_index, faults)
    scope = PlanScope(nodes[0].container or "", compiled, edges, node_index, root)
    scope.is_root_hidden = compiled[root].type in CONTAINER_START_KINDS
    scope.incoming_counts = tuple(len(node.incoming) for node in compiled)
    reached: set[int] = set()
    reach(scope, [scope.root], lambda _edge: True, reached)
    scope.unreachable = tuple(n.index for n in compiled if n.index not in reached)
    _check_cycles(scope, faults)
    scope.responses = _response_plans(scope)
    scope.response_selectors = frozenset(
        part for response in scope.responses for part in response.parts if isinstance(part, tuple)
    )
    return scope


def _compile_node(index: int, node: Node, types: dict[str, str], faults: list[str]) -> PlanNode:
    kind = KINDS.get(node.type)
    if kind is None:
        return PlanNode(index, node.id, node.type, node.title, None, None)
    added = {"node_id": node.id, "variable_types": types} if kind.wants_types else {"node_id": node.id}
    try:
        data = kind.data.model_validate({**node.data, **added})
        retry = data.retry_config if kind.supports_retry and data.retry_config.retry_enabled else RetryConfig()
        return PlanNode(
            index,
            node.id,
            node.type,
            node.title,
            kind,
            data,
            pure=kind.compile_pure(data) if kind.compile_pure else None,
            effect=kind.compile_effect(data) if kind.compile_effect else None,
            container=kind.compile_container(data) if kind.compile_container else None,
            is_branch=kind.is_branch or data.error_strategy == "fail-branch",
            is_response=kind.role == "response",
            opens_form=node.type == "human-input",
            breaks_loop=node.type == "loop-end",
            retry_limit=retry.max_retries,
            retry_interval_s=retry.retry_interval / 1000,
            parts=kind.parts(data) if kind.parts else None,
        )
    except ValidationError as error:
        for problem in error.errors():
            place = ".".join(str(part) for part in problem["loc"])
            faults.append(f"{node.path}.data.{place}: {problem['msg']}")
    return PlanNode(index, node.id, node.type, node.title, kind, None)


def _root(owner: Node | None, nodes: Sequence[Node], node_index: dict[str, int], faults: list[str]) -> int:
    named = owner.data.get("start_node_id") if owner else None
    if named:
        if str(named) in node_index:
            return node_index[str(named)]
        faults.append(f"{owner.path if owner else ''}.data.start_node_id: there is no node {named!r} inside")
        return 0
    wanted = CONTAINER_START_KINDS if nodes[0].container else ROOT_KINDS
    for index, node in enumerate(nodes):
        if node.type in wanted:
            return index
    place = f"{owner.path}.data.start_node_id" if owner else "workflow.graph.nodes"
    faults.append(f"{place}: {'the container' if nodes[0].container else 'the graph'} has no start node")
    return 0


def _check_containers(workflow: Workflow, scopes: dict[str, PlanScope], faults: list[str]) -> None:
    kinds = {node.id: node.type for node in workflow.nodes}
    for node in workflow.nodes:
        if node.type in CONTAINER_KINDS and node.id not in scopes:
            faults.append(f"{node.path}: {node.id!r} is a container with nothing inside")
        if node.type in CONTAINER_KINDS and "/" in node.id:
            faults.append(f"{node.path}.id: the id of a container may not hold a '/'")
        if node.container is not None and kinds.get(node.container) not in CONTAINER_KINDS:
            faults.append(f"{node.path}: lies in {node.container!r}, which is no iteration or loop")


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


def _response_plans(scope: PlanScope) -> tuple[ResponsePlan, ...]:
    """Return the plan of each response node. An edge that holds an answer back until it is taken blocks it.

    Source: spec/graph.md 4.12.
    """
    sources = {edge.index: scope.nodes[edge.source] for edge in scope.edges}
    always = frozenset(index for index, source in sources.items() if _always_blocks(source))
    written = {
        index: {tuple(selector[:2]) for selector in selectors}
        for index, source in sources.items()
        if (selectors := getattr(source.data, "written_selectors", None)) and index not in always
    }
    plans: list[ResponsePlan] = []
    # Most answers are held back by the same edges: what those leave reachable is found once.
    reached_behind: dict[frozenset[int], set[int]] = {}
    for node in scope.nodes:
        if node.parts is None:
            continue
        targets = {part[:2] for part in node.parts if isinstance(part, tuple)}
        writing = frozenset(index for index, selectors in written.items() if not targets.isdisjoint(selectors))
        blocking = always | writing if writing else always
        if blocking not in reached_behind:
            reached: set[int] = set()
            reach(scope, [scope.root], lambda edge, held=blocking: edge not in held, reached)
            reached_behind[blocking] = reached
        plans.append(ResponsePlan(node.index, tuple(node.parts), blocking, node.index in reached_behind[blocking]))
    return tuple(plans)


def _always_blocks(source: PlanNode) -> bool:
    return source.is_branch or source.is_response or source.type in CONTAINER_KINDS


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
