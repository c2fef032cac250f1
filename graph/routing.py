"""Which nodes become ready or skipped when a node ends.

A node is ready when none of its incoming edges is unknown and at least one is taken; it is skipped when all are
skipped, and its own outgoing edges then are too. Source: spec/graph.md 4.2.
"""

from typing import Any

from graph.plan import PlanScope
from graph.response_stream import ResponseStream
from graph.variable_pool import VariablePool

UNKNOWN, TAKEN, SKIPPED = 0, 1, 2


class ScopeState:
    """What a run knows about the top level of its graph, or about one pass of a container.

    ``owner`` and ``index``: execution id of the container and number of the pass, "" and 0 at the top level.
    ``edges``: UNKNOWN, TAKEN or SKIPPED by edge index. ``settled``: by node index, nonzero once the node ended
    (TAKEN) or was skipped (SKIPPED). ``active_count``: nodes that are ready or execute; ``outputs``: what the response
    nodes gave; ``failure``: name and reason of the first node that failed without an error strategy.
    """

    __slots__ = (
        "_open_edges", "active_count", "edges", "failure", "index", "outputs", "owner", "path", "plan", "pool",
        "settled", "stream",
    )  # fmt: skip

    def __init__(self, plan: PlanScope, path: str, pool: VariablePool, owner: str = "", index: int = 0) -> None:
        self.plan = plan
        self.path = path
        self.pool = pool
        self.owner = owner
        self.index = index
        self.stream = ResponseStream(plan, path)
        self.active_count = 0
        self.outputs: dict[str, Any] = {}
        self.failure: str | None = None
        self.edges = bytearray(len(plan.edges))
        self.settled = bytearray(len(plan.nodes))
        self._open_edges = list(plan.incoming_counts)

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

    def merge_outputs(self, added: dict[str, Any]) -> None:
        """Merge a response node's outputs: ``answer`` is appended, every other key overwrites (spec/graph.md 4.3)."""
        outputs = self.outputs
        for name, value in added.items():
            if name == "answer" and isinstance(outputs.get("answer"), str):
                outputs["answer"] += value
            else:
                outputs[name] = value

    def load(self, edges: bytes, settled: bytes) -> None:
        """Take over the states of a snapshot."""
        self.edges[:] = edges
        self.settled[:] = settled
        self._open_edges = list(self.plan.incoming_counts)
        for edge in self.plan.edges:
            if self.edges[edge.index] != UNKNOWN:
                self._open_edges[edge.target] -= 1
