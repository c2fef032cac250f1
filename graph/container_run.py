"""One iteration or loop in flight: which passes it has begun, what they gave, and their text that waits its turn.

Only ``graph.run_state.apply`` changes it. A pass is forgotten when it ends; what stays of it is its result. Passes may
end in any order, but their outputs and texts come out in the order of their index.
"""

from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import Any

from graph.events import ContainerStarted, NodeFinished, PassFinished, PassStarted
from graph.nodes.kind import Container
from graph.response_stream import Emission
from graph.routing import ScopeState


@dataclass(slots=True)
class ContainerRun:
    """One execution of a container. ``scope`` and ``node``: where it lies; ``index``: the place of a pass.

    ``speaking``: the lowest pass that has not ended, the only one whose text reaches the reader.
    """

    execution_id: str
    scope: str
    node: int
    inputs: dict[str, Any]
    length: int
    is_over: bool = False
    """Whether no further pass begins: a loop was broken, or a pass failed for good."""
    begun_count: int = 0
    speaking: int = 0
    error: str | None = None
    """Why the container fails."""
    total_tokens: int = 0
    total_price: str = "0"
    in_flight: dict[int, float] = field(default_factory=dict)
    """Index of each pass in flight -> when it began."""
    results: dict[int, Any] = field(default_factory=dict)
    durations_s: dict[str, float] = field(default_factory=dict)
    waiting_outputs: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Outputs of ended passes whose turn has not come."""
    held_back: dict[int, list[Emission]] = field(default_factory=dict)
    """Text of passes whose turn has not come."""

    @classmethod
    def of(cls, fact: ContainerStarted, node: int) -> "ContainerRun":
        """Return the state of a container that begins; ``node``: its index in its scope."""
        return cls(fact.execution_id, fact.scope, node, fact.inputs, fact.length, fact.is_over)

    def may_begin(self, parallel_nums: int) -> bool:
        """Whether the next pass begins now."""
        return not self.is_over and self.begun_count < self.length and len(self.in_flight) < parallel_nums

    def begin_pass(self, fact: PassStarted) -> None:
        """Take up that a pass began."""
        self.in_flight[fact.index] = fact.at
        self.begun_count = fact.index + 1

    def end_pass(
        self, fact: PassFinished, ended: ScopeState, around: ScopeState, container: Container
    ) -> list[Emission]:
        """Take up that a pass ended; return the text of other passes whose turn has come.

        Args:
            fact: its end.
            ended: its scope.
            around: the scope that the container lies in.
            container: what the container is.
        """
        self.durations_s[str(fact.index)] = round(max(0.0, fact.at - self.in_flight.pop(fact.index)), 6)
        if fact.status == "succeeded":
            self.results[fact.index] = container.pass_result(ended.pool)
            self.waiting_outputs[fact.index] = ended.outputs
            self.is_over = self.is_over or fact.is_break
        elif container.on_failure == "terminated":
            self.error = self.error or fact.error or ""
            self.is_over = True
        elif container.on_failure == "continue-on-error":
            self.results[fact.index] = None
        if self.error is None and not container.is_loop:
            # Conversation variables are the only ones that outlive an item; a loop has written through all along.
            for name, value in ended.pool.own("conversation").items():
                around.pool.update(("conversation", name), value)
        return self._next_turns(around)

    def _next_turns(self, around: ScopeState) -> list[Emission]:
        released: list[Emission] = []
        while self.speaking < self.begun_count and self.speaking not in self.in_flight:
            around.merge_outputs(self.waiting_outputs.pop(self.speaking, {}))
            self.speaking += 1
            released += self.held_back.pop(self.speaking, ())
        return released

    def add_usage(self, fact: NodeFinished) -> None:
        """Add what a node inside used; a container inside reports the sum of its own."""
        used = fact.metadata or {}
        self.total_tokens += used.get("total_tokens") or fact.total_tokens
        price = used.get("total_price")
        if price and price != "0":
            try:
                self.total_price = str(Decimal(self.total_price) + Decimal(str(price)))
            except InvalidOperation:
                return

    def dump(self) -> list[Any]:
        """Return the state as JSON values, for a snapshot."""
        row = {name: getattr(self, name) for name in _FIELDS}
        for name in _BY_INDEX:
            row[name] = list(row[name].items())
        row["held_back"] = [
            [index, [[getattr(each, name) for name in _EMISSION_FIELDS] for each in emissions]]
            for index, emissions in self.held_back.items()
        ]
        return list(row.values())

    @classmethod
    def load(cls, dumped: list[Any]) -> "ContainerRun":
        """Return the state that ``dump`` gave."""
        row = dict(zip(_FIELDS, dumped, strict=True))
        for name in _BY_INDEX:
            row[name] = dict(row[name])
        row["held_back"] = {
            index: [Emission(scope, node, tuple(selector), *rest) for scope, node, selector, *rest in emissions]
            for index, emissions in row["held_back"].items()
        }
        return cls(**row)


_FIELDS = tuple(each.name for each in fields(ContainerRun))
_BY_INDEX = ("in_flight", "results", "waiting_outputs", "held_back")
_EMISSION_FIELDS = tuple(each.name for each in fields(Emission))
