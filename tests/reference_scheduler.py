"""A slow scheduler to hold the engine against: it asks about every edge and enumerates every path, each time anew.

Source: spec/graph.md 4.2, 4.3 and 4.12, read literally.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shape:
    """A node: its ``exit`` if it is a branch, its ``output`` if it has one, its ``parts`` if it is a response."""

    node_id: str
    exit: str | None = None
    output: str | None = None
    parts: tuple[str, ...] | None = None


@dataclass
class Reference:
    """The expected run of ``shapes`` (in file order, the first is the root) over ``edges`` (source, target, handle)."""

    shapes: list[Shape]
    edges: list[tuple[str, str, str]]
    ended: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)
    sessions: list[str] = field(default_factory=list)
    speakers: list[tuple[str, int]] = field(default_factory=list)

    def shape(self, node_id: str) -> Shape:
        """Return the node of that id."""
        return next(shape for shape in self.shapes if shape.node_id == node_id)

    def edge(self, number: int) -> str:
        """Return whether an edge is taken, skipped or unknown."""
        source, _, handle = self.edges[number]
        if source in self.ended:
            return "taken" if self.shape(source).exit in (None, handle) else "skipped"
        return "skipped" if self.is_skipped(source) else "unknown"

    def incoming(self, node_id: str) -> list[str]:
        """Return the states of the edges into a node."""
        return [self.edge(number) for number, edge in enumerate(self.edges) if edge[1] == node_id]

    def is_skipped(self, node_id: str) -> bool:
        """Whether no way leads to a node any more."""
        return node_id != self.shapes[0].node_id and all(state == "skipped" for state in self.incoming(node_id))

    def is_ready(self, node_id: str) -> bool:
        """Whether a node may start: all its edges are settled, one is taken."""
        states = self.incoming(node_id)
        is_root = node_id == self.shapes[0].node_id
        return node_id not in self.ended and (is_root or ("unknown" not in states and "taken" in states))

    def paths(self, node_id: str) -> list[list[int]]:
        """Return every path from the root to a node, as numbers of edges."""
        if node_id == self.shapes[0].node_id:
            return [[]]
        ends = [number for number, edge in enumerate(self.edges) if edge[1] == node_id]
        return [[*path, number] for number in ends for path in self.paths(self.edges[number][0])]

    def is_blocking(self, number: int) -> bool:
        """Whether an answer behind an edge waits until it is taken."""
        source = self.shape(self.edges[number][0])
        return source.exit is not None or source.parts is not None

    def speak(self, *taken: int) -> None:
        """Let the responses speak that may, after each of the edges ``taken`` in turn."""
        for number in taken or (None,):
            self.taken |= set() if number is None else {number}
            for shape in self.shapes:
                is_new = shape.parts is not None and shape.node_id not in self.sessions
                if is_new and any(
                    all(edge in self.taken for edge in path if self.is_blocking(edge))
                    for path in self.paths(shape.node_id)
                ):
                    self.sessions.append(shape.node_id)
                    self.speakers.append((shape.node_id, 0))
        while self.speakers:
            node_id, cursor = self.speakers[0]
            parts = self.shape(node_id).parts or ()
            if cursor == len(parts):
                del self.speakers[0]
                continue
            source = self.shape(parts[cursor]) if parts[cursor] != "\n" else None
            if source and source.node_id not in self.ended and not self.is_skipped(source.node_id):
                return
            text = "\n" if source is None else source.output if source.node_id in self.ended else None
            self.told += [text] if text is not None else []
            self.speakers[0] = (node_id, cursor + 1)

    def end(self, node_id: str) -> None:
        """Take up that a node ended; it must have been ready."""
        assert self.is_ready(node_id), node_id
        self.ended.append(node_id)
        out = [number for number, edge in enumerate(self.edges) if edge[0] == node_id]
        self.speak(*(number for number in out if self.edge(number) == "taken"))
