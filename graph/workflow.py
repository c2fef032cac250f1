"""The parsed definition of a workflow file: what the author wrote, checked for shape, nothing compiled."""

from dataclasses import dataclass, field
from typing import Any, Literal

from graph.human_rules import AppRules
from graph.variable_pool import SecretText

Mode = Literal["workflow", "advanced-chat"]


@dataclass(frozen=True, slots=True)
class Node:
    """One node. ``data``: its mapping as in the file; ``container``: id of the iteration or loop it lies in.

    ``path``: its place in the file, for messages, such as ``workflow.graph.nodes[3]``.
    """

    id: str
    type: str
    title: str
    data: dict[str, Any]
    container: str | None
    path: str


@dataclass(frozen=True, slots=True)
class Edge:
    """From the exit ``handle`` of node ``source`` to node ``target``."""

    id: str
    source: str
    target: str
    handle: str
    path: str


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment or conversation variable. The value of a ``secret`` never reaches a ``repr``."""

    name: str
    value_type: str
    value: Any = field(repr=False)
    description: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Workflow:
    """An app file of mode workflow or advanced-chat.

    ``content_hash``: hex SHA-256 over what execution depends on; equal hash, equal behaviour.
    ``document``: the whole file as read, to store and export. ``rules``: what it says about people.
    """

    name: str
    description: str
    mode: Mode
    version: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    environment: tuple[Variable, ...]
    conversation: tuple[Variable, ...]
    features: dict[str, Any]
    content_hash: str
    document: dict[str, Any] = field(repr=False)
    icon: dict[str, Any] = field(default_factory=dict)
    rules: AppRules = field(default_factory=AppRules)

    @property
    def environment_values(self) -> dict[str, Any]:
        """Environment variable name -> value; secrets hide themselves in what records show."""
        secret = {each.name: SecretText(each.value) for each in self.environment if each.value_type == "secret"}
        return {each.name: each.value for each in self.environment} | secret


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in a file. ``path``: where (``workflow.graph.edges[2].target``).

    ``blocks``: what it prevents: "import" (the file is refused), "publish" (a draft may be saved, but publish, run and
    simulate refuse it), "nothing" (a warning: the run fails only if it gets there).
    """

    path: str
    message: str
    blocks: Literal["import", "publish", "nothing"]

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What reading a file gave. ``workflow`` is None exactly when a fault blocks the import.

    ``status``: the import status of Dify (spec/graph.md 1.4).
    """

    workflow: Workflow | None
    status: Literal["completed", "completed-with-warnings", "pending", "failed"]
    faults: tuple[Fault, ...]
