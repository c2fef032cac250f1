"""Which nodes become ready or skipped when a node ends.

A node is ready when none of its incoming edges is unknown and at least one is taken; it is skipped when all are
skipped, and its own outgoing edges then are too. Source: spec/graph.md 4.2.
"""

from graph.plan import PlanScope
from graph.variable_pool import VariablePool

UNKNOWN, TAKEN, SKIPPED = 0, 1, 2


class ScopeState:
    """What a run knows about one level of the graph.

    ``edges``: UNKNOWN, TAKEN or SKIPPED by edge index. ``settled``: by node index, nonzero once the node ended
    (TAKEN) or was skipped (SKIPPED).
    """

    __slots__ = ("_open_edges", "edges", "path", "plan", "pool", "settled")

    def __init__(self, plan: PlanScope, path: str, pool: VariablePool) -> None:
        self.plan = plan
        self.path = path
        self.pool = pool
        self.edges = bytearray(len(plan.edges))
        self.settled = bytearray(len(plan.nodes))
        self._open_edges = [len(node.incoming) for node in plan.nodes]

    def begin(self) -> list[int]:
        """Skip what no path from the root leads to; return the nodes that are ready: the root."""
        for index in self.plan.unreachable:
            self.settled[index] = SKIPPED
            for edge in self.plan.nodes[index].outgoing:
                self._settle_edge(edge, SKIPPED)
        return [self.plan.root]

    def end_node(self, index: int, handle: str, is_branch: bool) -> tuple[list[int], list[int]]:
        """Settle the outgoing edges of a node that ended through ``handle``.

        Returns:
            The edges taken, and the nodes that became ready, in order.
        """
        self.settled[index] = TAKEN
        plan_edges = self.plan.edges
        outgoing = self.plan.nodes[index].outgoing
        if not is_branch:
            taken = outgoing
            ready: list[int] = []
        else:
            taken = [edge for edge in outgoing if plan_edges[edge].handle == handle]
            ready = self._skip([edge for edge in outgoing if plan_edges[edge].handle != handle])
        for edge in taken:
            target = plan_edges[edge].target
            if self._settle_edge(edge, TAKEN) and not self.settled[target]:
                ready.append(target)
        return taken, ready

    def _skip(self, edges: list[int]) -> list[int]:
        ready: list[int] = []
        queue = list(edges)
        for edge in queue:
            if not self._settle_edge(edge, SKIPPED):
                continue
            target = self.plan.edges[edge].target
            if self._is_any_taken(target):
                ready.append(target)
            else:
                self.settled[target] = SKIPPED
                queue.extend(self.plan.nodes[target].outgoing)
        return ready

    def _settle_edge(self, edge: int, state: int) -> bool:
        """Record ``state``; True when it was the last unknown edge into its target."""
        self.edges[edge] = state
        target = self.plan.edges[edge].target
        self._open_edges[target] -= 1
        return not self._open_edges[target]

    def _is_any_taken(self, node: int) -> bool:
        return any(self.edges[edge] == TAKEN for edge in self.plan.nodes[node].incoming)

    def load(self, edges: bytes, settled: bytes) -> None:
        """Take over the states of a snapshot."""
        self.edges[:] = edges
        self.settled[:] = settled
        self._open_edges = [len(node.incoming) for node in self.plan.nodes]
        for edge in self.plan.edges:
            if self.edges[edge.index] != UNKNOWN:
                self._open_edges[edge.target] -= 1
