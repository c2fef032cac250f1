"""What is wrong with nodes and edges as a graph: faults that a draft may have and a run may not.

Checked for each scope (the top level and the inside of each container) as graphon 0.8 does before it builds a
graph. Source: spec/graph.md 1.3, 1.5.
"""

from collections.abc import Iterator, Sequence

from graph.workflow import Edge, Fault, Node

ENTRY_KINDS = frozenset({"start", "datasource", "trigger-webhook", "trigger-schedule", "trigger-plugin"})
TRIGGER_KINDS = frozenset(kind for kind in ENTRY_KINDS if kind.startswith("trigger-"))
CONTAINER_KINDS = frozenset({"iteration", "loop"})
_CONTAINER_ENTRY_KINDS = frozenset({"iteration-start", "loop-start"})


def graph_faults(nodes: Sequence[Node], edges: Sequence[Edge]) -> Iterator[Fault]:
    """Yield every fault of the graph, in file order for each kind of fault."""
    by_id = {node.id: node for node in nodes}
    yield from _owner_faults(nodes, by_id)
    yield from _container_faults(nodes, by_id)
    yield from _edge_faults(edges, by_id)
    yield from _root_faults(nodes, by_id)
    yield from _cycle_faults(nodes, edges, by_id)


def entry_node(nodes: Sequence[Node]) -> Node | None:
    """Return the node that a run starts at: the first of an entry kind outside of containers."""
    return next((node for node in nodes if node.container is None and node.type in ENTRY_KINDS), None)


def _owner_faults(nodes: Sequence[Node], by_id: dict[str, Node]) -> Iterator[Fault]:
    for node in nodes:
        if node.container is None:
            continue
        owner = by_id.get(node.container)
        if owner is None:
            yield Fault(node.path, f"lies in {node.container!r}, which is no node", "publish")
        elif owner.type not in CONTAINER_KINDS:
            yield Fault(node.path, f"lies in {node.container!r}, which is no iteration or loop", "publish")
        elif _owns_itself(node, by_id):
            yield Fault(node.path, f"{node.id!r} lies, by way of its containers, in itself", "publish")


def _container_faults(nodes: Sequence[Node], by_id: dict[str, Node]) -> Iterator[Fault]:
    for node in nodes:
        if node.type in CONTAINER_KINDS and "/" in node.id:
            yield Fault(f"{node.path}.id", f"{node.id!r} holds a '/', which the id of a container may not", "publish")
        if node.type == "loop-end" and not _lies_in_a_loop(node, by_id):
            yield Fault(node.path, f"{node.id!r} lies in no loop that it could end; it does nothing", "nothing")


def _lies_in_a_loop(node: Node, by_id: dict[str, Node]) -> bool:
    seen: set[str] = set()
    owner = by_id.get(node.container or "")
    while owner is not None and owner.id not in seen:
        if owner.type == "loop":
            return True
        seen.add(owner.id)
        owner = by_id.get(owner.container or "")
    return False


def _owns_itself(node: Node, by_id: dict[str, Node]) -> bool:
    seen: set[str] = set()
    current: Node | None = node
    while current is not None and current.container is not None:
        if current.container == node.id:
            return True
        if current.container in seen:
            return False
        seen.add(current.container)
        current = by_id.get(current.container)
    return False


def _edge_faults(edges: Sequence[Edge], by_id: dict[str, Node]) -> Iterator[Fault]:
    seen: set[tuple[str | None, str]] = set()
    for edge in edges:
        source, target = by_id.get(edge.source), by_id.get(edge.target)
        for end, name, node in (("source", edge.source, source), ("target", edge.target, target)):
            if node is None:
                yield Fault(f"{edge.path}.{end}", f"there is no node {name!r}", "publish")
        if source is None or target is None:
            continue
        if source.container != target.container:
            yield Fault(edge.path, f"leads from {source.id!r} to {target.id!r} across a container's border", "publish")
        elif (source.container, edge.id) in seen:
            yield Fault(f"{edge.path}.id", f"{edge.id!r} is the id of an earlier edge", "publish")
        seen.add((source.container, edge.id))


def _root_faults(nodes: Sequence[Node], by_id: dict[str, Node]) -> Iterator[Fault]:
    if entry_node(nodes) is None:
        yield Fault("workflow.graph.nodes", "there is no start node", "publish")
    children: dict[str, list[Node]] = {}
    for node in nodes:
        if node.container is not None:
            children.setdefault(node.container, []).append(node)
    for node in nodes:
        if node.type not in CONTAINER_KINDS:
            continue
        inside = children.get(node.id, [])
        named = node.data.get("start_node_id")
        # Files of the first versions name an ordinary child: it is the root of its scope.
        if any(child.id == str(named) for child in inside):
            continue
        if named:
            yield Fault(f"{node.path}.data.start_node_id", f"{named!r} is no node inside of {node.id!r}", "publish")
        elif not any(child.type in _CONTAINER_ENTRY_KINDS for child in inside):
            yield Fault(f"{node.path}.data.start_node_id", f"{node.id!r} names no node to start at", "publish")


def _cycle_faults(nodes: Sequence[Node], edges: Sequence[Edge], by_id: dict[str, Node]) -> Iterator[Fault]:
    targets: dict[str, list[str]] = {node.id: [] for node in nodes}
    incoming = dict.fromkeys(targets, 0)
    for edge in edges:
        if edge.source in by_id and edge.target in by_id:
            targets[edge.source].append(edge.target)
            incoming[edge.target] += 1
    free = [node_id for node_id, count in incoming.items() if not count]
    while free:
        for target in targets[free.pop()]:
            incoming[target] -= 1
            if not incoming[target]:
                free.append(target)
    stuck = {node_id for node_id, count in incoming.items() if count}
    if stuck:
        circle = _one_cycle(stuck, targets)
        yield Fault(by_id[circle[0]].path, f"there is a cycle: {' -> '.join(circle)}", "publish")


def _one_cycle(stuck: set[str], targets: dict[str, list[str]]) -> list[str]:
    """Return the ids along one cycle among ``stuck`` nodes, the first again at the end.

    Every stuck node has a stuck predecessor, so walking backwards must come to a node again.
    """
    before: dict[str, str] = {}
    for source in stuck:
        for target in targets[source]:
            if target in stuck:
                before.setdefault(target, source)
    walked: list[str] = []
    current = min(stuck)
    while current not in walked:
        walked.append(current)
        current = before[current]
    circle = [current, *reversed(walked[walked.index(current) :])]
    return circle
