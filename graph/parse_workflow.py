"""A Dify workflow file -> the parsed workflow, with every fault and its place.

What blocks the import is what Dify refuses (spec/graph.md 1.4); what only blocks publishing and running is told
beside the workflow, so that a draft can be saved and mended. Not here: compiling (``graph.plan``).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from graph.graph_faults import TRIGGER_KINDS, graph_faults
from graph.human_faults import human_faults
from graph.human_rules import AppRules
from graph.nodes.table import KINDS, RECOGNISED
from graph.parse_variables import parse_conversation, parse_environment
from graph.read_document import UnreadableError, plain, read_document
from graph.uncollected import uncollected
from graph.workflow import Edge, Fault, Mode, Node, ParsedFile, Workflow

CURRENT_VERSION = "0.6.0"
"""The file version of Dify 1.14.2."""

Status = Literal["completed", "completed-with-warnings", "pending", "failed"]

_OLDEST_VERSION = "0.1.0"
_NO_GRAPH_MODES = frozenset({"completion", "chat", "agent-chat", "channel", "agent"})
_FEATURES: dict[str, frozenset[str]] = {
    "workflow": frozenset({"file_upload", "text_to_speech", "sensitive_word_avoidance"}),
    "advanced-chat": frozenset(
        {
            "file_upload", "opening_statement", "suggested_questions", "suggested_questions_after_answer",
            "retriever_resource", "sensitive_word_avoidance", "speech_to_text", "text_to_speech",
        }
    ),
}  # fmt: skip
_ICON_KEYS = ("icon", "icon_type", "icon_background", "use_icon_as_answer_icon")
_IMPORT_CHECKED = frozenset({"human-input"})
_EDITOR_KEYS = frozenset({"selected"})
_VERSION = re.compile(
    r"v?(\d{1,9}(?:\.\d{1,9}){0,5})(?:[-._]?(?:a|b|c|rc|alpha|beta|pre|preview|post|rev|r|dev)[-._]?\d{0,9}){0,3}"
    r"(?:\+[a-z0-9.]{1,40})?"
)


@uncollected()
def parse_workflow(text: str | bytes) -> ParsedFile:
    """Return what a file's text (YAML or JSON) holds: its workflow, unless a fault blocks it, and all its faults."""
    try:
        document = read_document(text)
    except UnreadableError as error:
        return ParsedFile(None, "failed", (Fault("file", str(error), "import"),))
    return _parse(document)


@uncollected()
def parse_document(document: dict[str, Any]) -> ParsedFile:
    """Return what a file holds that has been read into plain data already; as ``parse_workflow``."""
    try:
        return _parse(plain(document))
    except UnreadableError as error:
        return ParsedFile(None, "failed", (Fault("file", str(error), "import"),))


def _parse(document: Any) -> ParsedFile:
    if not isinstance(document, dict):
        return ParsedFile(None, "failed", (Fault("file", "holds no mapping", "import"),))
    return _FileParser(_as_app(document)).parse()


def _as_app(document: dict[str, Any]) -> dict[str, Any]:
    """Return ``document`` as an app file; a bare graph becomes the graph of a workflow app."""
    if "app" in document or "workflow" in document:
        return document
    graph = document.get("graph") if document.get("kind") == "graph" else document if "nodes" in document else None
    if not isinstance(graph, dict):
        return document
    return {
        "version": document.get("version", CURRENT_VERSION),
        "kind": "app",
        "app": {"name": str(document.get("name") or "graph"), "mode": "workflow"},
        "workflow": {"graph": {"nodes": graph.get("nodes"), "edges": graph.get("edges")}},
    }


class _FileParser:
    """One file being read; collects its faults."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._faults: list[Fault] = []

    def parse(self) -> ParsedFile:
        status = self._status()
        rules = self._rules(self._document.get("greenroom"))
        app, mode = self._app()
        body = self._mapping(self._document, "workflow", "is missing" if mode else None)
        workflow = self._workflow(app, mode, body, rules) if mode and body is not None else None
        if any(fault.blocks == "import" for fault in self._faults):
            return ParsedFile(None, "failed", tuple(self._faults))
        return ParsedFile(workflow, status, tuple(self._faults))

    def _add(self, path: str, message: str, blocks: Literal["import", "publish", "nothing"] = "import") -> None:
        self._faults.append(Fault(path, message, blocks))

    def _mapping(
        self, owner: Mapping[str, Any], name: str, missing: str | None, prefix: str = ""
    ) -> dict[str, Any] | None:
        value = owner.get(name)
        if value is None:
            if missing:
                self._add(prefix + name, missing)
            return None
        if not isinstance(value, dict):
            self._add(prefix + name, "must be a mapping")
            return None
        return value

    def _status(self) -> Status:
        version = self._document.get("version", _OLDEST_VERSION)
        version = _OLDEST_VERSION if version is None else version
        if not isinstance(version, str):
            self._add("version", f"must be text, not {type(version).__name__}; write it in quotes")
            return "failed"
        match = _VERSION.fullmatch(version.strip().lower())
        if match is None:
            self._add("version", f"{version!r} is no version")
            return "failed"
        found, current = _numbers(match[1]), _numbers(CURRENT_VERSION)
        if found > current or found[0] < current[0]:
            self._add("version", f"{version} is not of this time; known is {CURRENT_VERSION}", "nothing")
            return "pending"
        return "completed-with-warnings" if found[1] < current[1] else "completed"

    def _app(self) -> tuple[dict[str, Any], Mode | None]:
        app = self._mapping(self._document, "app", "is missing; the file is no app")
        if app is None:
            return {}, None
        mode = app.get("mode")
        if mode == "workflow" or mode == "advanced-chat":
            return app, mode
        if not mode:
            self._add("app.mode", "loss app mode: it is missing")
        elif mode in _NO_GRAPH_MODES:
            self._add("app.mode", f"apps of mode {mode!r} hold no workflow; only workflow and advanced-chat do")
        else:
            self._add("app.mode", f"{mode!r} is no mode")
        return app, None

    def _workflow(self, app: dict[str, Any], mode: Mode, body: dict[str, Any], rules: AppRules) -> Workflow:
        environment = parse_environment(
            body.get("environment_variables"), "workflow.environment_variables", self._faults.append
        )
        conversation = parse_conversation(
            body.get("conversation_variables"), "workflow.conversation_variables", self._faults.append
        )
        features = self._mapping(body, "features", None, "workflow.") or {}
        graph = self._mapping(body, "graph", None, "workflow.") or {}
        nodes = self._nodes(self._list(graph, "nodes"))
        edges = self._edges(self._list(graph, "edges"))
        for node in nodes:
            self._check_node(node)
        self._check_entry(nodes)
        self._faults.extend(graph_faults(nodes, edges))
        self._faults.extend(human_faults(nodes, rules))
        return Workflow(
            name=str(app.get("name") or ""),
            description=str(app.get("description") or ""),
            mode=mode,
            version=str(self._document.get("version") or _OLDEST_VERSION),
            nodes=nodes,
            edges=edges,
            environment=environment,
            conversation=conversation,
            features={name: value for name, value in features.items() if name in _FEATURES[mode]},
            content_hash=_content_hash(mode, body, nodes, edges, self._document.get("greenroom")),
            document=self._document,
            icon={key: app[key] for key in _ICON_KEYS if key in app},
            rules=rules,
        )

    def _list(self, graph: dict[str, Any], name: str) -> list[Any]:
        value = graph.get(name)
        if value is None or isinstance(value, list):
            return value or []
        self._add(f"workflow.graph.{name}", "must be a list")
        return []

    def _nodes(self, items: list[Any]) -> tuple[Node, ...]:
        kept: list[tuple[str, dict[str, Any], dict[str, Any], str]] = []
        seen: set[str] = set()
        for index, item in enumerate(items):
            path = f"workflow.graph.nodes[{index}]"
            if not isinstance(item, dict):
                self._add(path, "must be a mapping")
                continue
            if item.get("type") == "custom-note":
                continue
            node_id = _text(item.get("id"))
            data = item.get("data")
            if not node_id:
                self._add(f"{path}.id", "is missing")
            elif node_id in seen:
                self._add(f"{path}.id", f"{node_id!r} is the id of an earlier node")
            elif data is not None and not isinstance(data, dict):
                self._add(f"{path}.data", "must be a mapping")
            else:
                seen.add(node_id)
                kept.append((node_id, item, data or {}, path))
        owners = _owners(kept)
        return tuple(
            Node(node_id, _text(data.get("type")), _text(data.get("title")), data, owners[node_id], path)
            for node_id, _, data, path in kept
        )

    def _edges(self, items: list[Any]) -> tuple[Edge, ...]:
        edges: list[Edge] = []
        for index, item in enumerate(items):
            path = f"workflow.graph.edges[{index}]"
            if not isinstance(item, dict):
                self._add(path, "must be a mapping")
                continue
            source, target = _text(item.get("source")), _text(item.get("target"))
            handle = _text(item.get("sourceHandle")) or "source"
            edges.append(Edge(_text(item.get("id")) or f"edge_{index}", source, target, handle, path))
        return tuple(edges)

    def _check_entry(self, nodes: tuple[Node, ...]) -> None:
        triggers = [node for node in nodes if node.type in TRIGGER_KINDS]
        if triggers and any(node.type == "start" for node in nodes):
            self._add(triggers[0].path, "a start node and a trigger cannot be in one workflow")

    def _check_node(self, node: Node) -> None:
        if node.type != "human-input" and node.data.get("greenroom"):
            self._add(f"{node.path}.data.greenroom", "only a human-input node has such settings")
        kind = KINDS.get(node.type)
        if kind is None:
            self._check_unsupported(node)
            return
        try:
            kind.data.model_validate(node.data)
        except ValidationError as error:
            blocks: Literal["import", "publish"] = "import" if node.type in _IMPORT_CHECKED else "publish"
            for problem in error.errors():
                self._add(f"{node.path}.data{_place(problem['loc'])}", problem["msg"], blocks)

    def _check_unsupported(self, node: Node) -> None:
        path = f"{node.path}.data.type"
        if not node.type:
            self._add(path, "is missing", "publish")
        elif node.type in RECOGNISED:
            self._add(
                path, f"nodes of kind {node.type!r} cannot run yet; a run that reaches {node.id!r} fails", "nothing"
            )
        else:
            self._add(path, f"{node.type!r} is no node kind; a run that reaches {node.id!r} fails", "nothing")

    def _rules(self, rules: Any) -> AppRules:
        """Return what the file says about people; where that has faults, nothing."""
        if rules is not None and not isinstance(rules, dict):
            self._add("greenroom", "must be a mapping")
            return AppRules()
        try:
            return AppRules.model_validate(rules or {})
        except ValidationError as error:
            for problem in error.errors():
                self._add(f"greenroom{_place(problem['loc'])}", problem["msg"])
        return AppRules()


def _place(loc: tuple[int | str, ...]) -> str:
    """Return where in a mapping a problem is, as it is written behind the mapping's own place."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch, *_ = [*map(int, version.split(".")), 0, 0]
    return major, minor, patch


def _text(value: Any) -> str:
    """Return an id or name as text: unquoted ones are numbers or booleans to YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _owners(kept: list[tuple[str, dict[str, Any], dict[str, Any], str]]) -> dict[str, str | None]:
    """Return node id -> id of the container it lies in.

    A child names it in one of four places. Where both an iteration and a loop are named, it lies in the inner one.
    """
    named = {node_id: _named_owners(item, data) for node_id, item, data, _ in kept}
    owners: dict[str, str | None] = {}
    for node_id, candidates in named.items():
        inner = [owner for owner in candidates if not _is_around(owner, [o for o in candidates if o != owner], named)]
        owners[node_id] = (inner or candidates or [None])[0]
    return owners


def _named_owners(item: dict[str, Any], data: dict[str, Any]) -> list[str]:
    sure = _text(data.get("container_id")) or _text(item.get("parentId"))
    if sure:
        return [sure]
    both = (_text(data.get("iteration_id")), _text(data.get("loop_id")))
    return list(dict.fromkeys(owner for owner in both if owner))


def _is_around(owner: str, others: list[str], named: dict[str, list[str]]) -> bool:
    """Whether ``owner`` is a container around one of ``others``."""
    seen: set[str] = set()
    stack = list(others)
    while stack:
        for outer in named.get(stack.pop(), []):
            if outer == owner:
                return True
            if outer not in seen:
                seen.add(outer)
                stack.append(outer)
    return False


def _content_hash(
    mode: str, body: dict[str, Any], nodes: tuple[Node, ...], edges: tuple[Edge, ...], rules: dict[str, Any] | None
) -> str:
    content: dict[str, Any] = {
        "mode": mode,
        "nodes": [
            [node.id, node.container, {key: value for key, value in node.data.items() if key not in _EDITOR_KEYS}]
            for node in nodes
        ],
        "edges": [[edge.id, edge.source, edge.target, edge.handle] for edge in edges],
        "environment": body.get("environment_variables"),
        "conversation": body.get("conversation_variables"),
        "features": body.get("features"),
    }
    if rules:
        content["greenroom"] = rules
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
