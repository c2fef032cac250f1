"""Tells how the edges of a simulated run are settled: taken or skipped, each once in its scope."""

from copy import deepcopy
from typing import Any

from graph.events import Fact, NodeFinished, PassFinished, PassStarted, RunStarted
from graph.plan import Plan, pass_path
from graph.routing import TAKEN, UNKNOWN
from graph.run_state import RunState, apply


class EdgeWatch:
    """Follows a run by its facts, in a state of its own."""

    def __init__(self, plan: Plan) -> None:
        self._state = RunState(plan)
        self._told: dict[str, bytes] = {}
        """Scope path -> the states of its edges, as far as they were told."""

    def observe(self, fact: Fact) -> list[dict[str, Any]]:
        """Take up ``fact``; return an event for each edge that it settles, in file order."""
        apply(self._state, deepcopy(fact))
        match fact:
            case RunStarted():
                return self._settled("")
            case PassStarted():
                return self._settled(pass_path(fact.scope, fact.node_id, fact.index))
            case PassFinished():
                self._told.pop(pass_path(fact.scope, fact.node_id, fact.index), None)
            case NodeFinished():
                return self._settled(fact.scope)
        return []

    def _settled(self, path: str) -> list[dict[str, Any]]:
        scope = self._state.scopes[path]
        states = bytes(scope.edges)
        told = self._told.get(path) or bytes(len(states))
        self._told[path] = states
        nodes = scope.plan.nodes
        return [
            {
                "event": "edge",
                "source": nodes[edge.source].id,
                "target": nodes[edge.target].id,
                "handle": edge.handle,
                "taken": states[edge.index] == TAKEN,
            }
            for edge in scope.plan.edges
            if states[edge.index] != UNKNOWN and told[edge.index] == UNKNOWN
        ]
