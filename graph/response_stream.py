"""Which text reaches the reader, in which order.

Every end and answer node has a template of pieces. A node may speak once a path from the root leads to it whose
blocking edges (those out of branches, containers, other response nodes and writers of its variables) are all
taken; nodes that may speak queue up, one at a time is the speaker. Reachability, not path enumeration, decides, so
the cost is linear in edges.

Each pass of a container has a stream of its own; what it emits passes through to the reader in the order of the
passes. A stream's state changes only by facts (``settle``), so a replay leads to the same state. Text of a node in
flight is told from outside, when ``waiting_for`` names its selector.

Source: graphon 0.8.0 ResponseStreamFilter and Dify 1.14.2 (spec/graph.md 4.12), without its faults: a source
that ended without a value is passed over instead of blocking the stream for ever.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graph.plan import PlanScope, ResponsePlan, reach
from graph.value_types import markdown_of
from graph.variable_pool import MISSING, VariablePool

Selector = tuple[str, ...]


@dataclass(slots=True)
class Emission:
    """Text to tell. ``node``: index of its source; ``is_streamed``: the source streamed it piece by piece."""

    scope: str
    node: int
    selector: Selector
    texts: list[str]
    is_final: bool
    is_streamed: bool = False


class ResponseStream:
    """The reader's text of one scope of one run."""

    __slots__ = ("_buffers", "_cursor", "_path", "_pending", "_plan", "_speaker", "_waiting", "waiting_for")

    def __init__(self, plan: PlanScope, path: str) -> None:
        self._plan = plan
        self._path = path
        self._pending: dict[int, set[int]] = {}
        self._waiting: deque[int] = deque()
        self._speaker: int | None = None
        self._cursor = 0
        self._buffers: dict[Selector, list[str]] = {}
        """Pieces of every output that was streamed to its end and not told yet; emptied, but kept, once told."""
        self.waiting_for: Selector | None = None
        """Selector whose text the reader waits for, None when nobody speaks."""

    def start(self, pool: VariablePool, settled: bytearray) -> list[Emission]:
        """Begin: nodes that may speak at once do, in file order; the others wait for their edges.

        ``settled``: nonzero at the index of each node that has ended or was skipped.
        """
        for number, response in enumerate(self._plan.responses):
            if response.is_ready_at_start:
                self._waiting.append(number)
            else:
                reached: set[int] = set()
                reach(self._plan, [self._plan.root], lambda edge, r=response: edge not in r.blocking, reached)
                self._pending[number] = reached
        return self._advance(pool, settled)

    def settle(
        self,
        node: int,
        streamed: Mapping[str, list[str]] | None,
        taken: Sequence[int],
        pool: VariablePool,
        settled: bytearray,
    ) -> list[Emission]:
        """Take up that ``node`` ended and its edges ``taken`` were taken; return what may be told now.

        ``streamed``: output name -> pieces. On a replay the list is empty where a TextEmitted fact already carries
        them; the state after is the same.
        """
        if streamed:
            node_id = self._plan.nodes[node].id
            for name, pieces in streamed.items():
                self._buffers[(node_id, name)] = pieces
        if self._pending:
            for edge in taken:
                self._open_paths(edge)
        if self._speaker is None and not self._waiting:
            return []
        return self._advance(pool, settled)

    def _open_paths(self, edge: int) -> None:
        source, target = self._plan.edges[edge].source, self._plan.edges[edge].target
        for number in list(self._pending):
            reached = self._pending[number]
            response = self._plan.responses[number]
            if source in reached and target not in reached and edge in response.blocking:
                reach(self._plan, [target], lambda edge, r=response: edge not in r.blocking, reached)
            if response.node in reached:
                del self._pending[number]
                self._waiting.append(number)

    def _advance(self, pool: VariablePool, settled: bytearray) -> list[Emission]:
        emissions: list[Emission] = []
        self.waiting_for = None
        while True:
            if self._speaker is None:
                if not self._waiting:
                    return emissions
                self._speaker, self._cursor = self._waiting.popleft(), 0
            response = self._plan.responses[self._speaker]
            while self._cursor < len(response.parts):
                if not self._tell_piece(response, pool, settled, emissions):
                    return emissions
                self._cursor += 1
            self._speaker = None

    def _tell_piece(
        self, response: ResponsePlan, pool: VariablePool, settled: bytearray, emissions: list[Emission]
    ) -> bool:
        """Tell the piece at the cursor; False when its source has not ended yet."""
        piece = response.parts[self._cursor]
        is_last = self._cursor == len(response.parts) - 1
        if isinstance(piece, str):
            own = (self._plan.nodes[response.node].id, "answer")
            emissions.append(Emission(self._path, response.node, own, [piece], is_last))
            return True
        source = self._plan.node_index.get(piece[0]) if piece else None
        pieces = self._buffers.get(piece)
        if pieces is not None:
            if pieces and source is not None:
                emissions.append(Emission(self._path, source, piece, pieces, True, is_streamed=True))
                self._buffers[piece] = []
            return True
        value = pool.get(piece)
        if value is not MISSING:
            teller = response.node if source is None else source
            emissions.append(Emission(self._path, teller, piece, [markdown_of(value)], is_last))
            return True
        if source is None or settled[source]:
            return True
        self.waiting_for = piece
        return False

    def dump(self) -> list[Any]:
        """Return the state as JSON values, for a snapshot."""
        return [
            [[number, sorted(reached)] for number, reached in self._pending.items()],
            list(self._waiting),
            self._speaker,
            self._cursor,
            [[list(selector), pieces] for selector, pieces in self._buffers.items()],
            list(self.waiting_for) if self.waiting_for else None,
        ]

    def load(self, dumped: list[Any]) -> None:
        """Take over the state that ``dump`` gave."""
        pending, waiting, self._speaker, self._cursor, buffers, waiting_for = dumped
        self._pending = {number: set(reached) for number, reached in pending}
        self._waiting = deque(waiting)
        self._buffers = {tuple(selector): pieces for selector, pieces in buffers}
        self.waiting_for = tuple(waiting_for) if waiting_for else None
