"""All values of a run, read by selector.

Values are plain Python values; a type is inferred only where one is asked for (``graph.value_types``). A child
pool layers over its parent: reads fall through, what nodes give stays in the child.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final


class Missing:
    """The type of MISSING: what a selector gives that resolves to nothing (a present null is None)."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing()


class SecretText(str):
    """The value of a secret variable: an ordinary text to nodes, hidden in ``repr`` and in what records show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "SecretText(***)"


FILE_MARK = "dify_model_identity"
FILE_MARK_VALUE = "__dify__file__"
_FILE_ATTRIBUTES = {
    "type": "type",
    "size": "size",
    "name": "filename",
    "mime_type": "mime_type",
    "transfer_method": "transfer_method",
    "url": "url",
    "extension": "extension",
    "related_id": "related_id",
}


def is_file(value: Any) -> bool:
    """Whether ``value`` is a file mapping (carries the identity mark of a file)."""
    return isinstance(value, dict) and value.get(FILE_MARK) == FILE_MARK_VALUE


def file_attribute(file: dict[str, Any], name: str) -> Any:
    """Return an attribute of a file mapping by its name in the language, or MISSING for an unknown name."""
    key = _FILE_ATTRIBUTES.get(name)
    return file.get(key) if key else MISSING


_NOTHING: Mapping[str, Any] = {}


class VariablePool:
    """Two levels: node id (or sys, env, conversation) -> name -> value."""

    __slots__ = ("_nodes", "_parent", "_writes_through")

    def __init__(self, parent: "VariablePool | None" = None, *, writes_through: bool = False) -> None:
        """Make a pool over ``parent``; ``writes_through``: updates of the parent's variables reach the parent."""
        self._nodes: dict[str, dict[str, Any]] = {}
        self._parent = parent
        self._writes_through = writes_through

    def put(self, node_id: str, values: Mapping[str, Any]) -> None:
        """Store ``values`` (name -> value) under ``node_id``; a value of the same name is replaced."""
        held = self._nodes.get(node_id)
        if held is None:
            self._nodes[node_id] = dict(values)
        else:
            held.update(values)

    def update(self, selector: Sequence[str], value: Any) -> None:
        """Give the variable at the two-part ``selector`` a new value, in the layer that holds it.

        A layer that does not write through keeps a value of its own from then on, and its parent keeps the old one.
        """
        parent = self._parent if self._writes_through and not self.holds(selector) else None
        if parent is not None and parent.get(selector) is not MISSING:
            parent.update(selector, value)
        else:
            self.put(selector[0], {selector[1]: value})

    def holds(self, selector: Sequence[str]) -> bool:
        """Whether this layer itself, not its parent, has the variable at the two-part ``selector``."""
        return selector[1] in self._nodes.get(selector[0], _NOTHING)

    def own(self, node_id: str) -> Mapping[str, Any]:
        """Return name -> value of one node in this layer only."""
        return self._nodes.get(node_id, _NOTHING)

    def names(self, node_id: str) -> dict[str, Any]:
        """Return name -> value of one node, parents included."""
        inherited = self._parent.names(node_id) if self._parent else {}
        return {**inherited, **self._nodes.get(node_id, {})}

    def node_ids(self) -> list[str]:
        """Return every first-level key, parents' first."""
        inherited = self._parent.node_ids() if self._parent else []
        return list(dict.fromkeys([*inherited, *self._nodes]))

    def get(self, selector: Sequence[str]) -> Any:
        """Return the value at ``selector``, or MISSING.

        Fewer than two parts resolve to nothing. Parts after the second walk into objects by key; of a file the
        third part is an attribute and deeper ones are ignored. Lists are not indexable.
        Source: graphon 0.8.0 runtime/variable_pool (spec/graph.md 3.1).
        """
        if len(selector) < 2:
            return MISSING
        pool: VariablePool | None = self
        while pool is not None:
            held = pool._nodes.get(selector[0])
            if held is not None and selector[1] in held:
                value = held[selector[1]]
                return value if len(selector) == 2 else _walk(value, selector[2:])
            pool = pool._parent
        return MISSING

    def dump(self) -> dict[str, dict[str, Any]]:
        """Return this layer's own values, for a snapshot."""
        return self._nodes

    def load(self, nodes: dict[str, dict[str, Any]]) -> None:
        """Replace this layer's own values with those of ``dump``."""
        self._nodes = nodes


def _walk(value: Any, path: Sequence[str]) -> Any:
    if is_file(value):
        return file_attribute(value, path[0])
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value
