"""RunState <-> bytes, versioned. Restoring a snapshot equals replaying the facts that led to it.

Environment variables are left out: they stand in the workflow version, and some are secret.
"""

from typing import Any

import orjson

from graph.errors import SnapshotVersionError
from graph.events import decode_facts, encode_facts
from graph.plan import Plan, container_of
from graph.response_stream import ResponseStream
from graph.routing import ScopeState
from graph.run_state import Execution, OpenForm, RunState
from graph.variable_pool import VariablePool

SNAPSHOT_VERSION = 1
_PLAIN_FIELDS = (
    "status", "outputs", "exceptions_count", "total_steps", "total_tokens", "started_at", "segment_started_at",
    "elapsed_s", "last_at", "attempt",
)  # fmt: skip


def dump_state(state: RunState) -> bytes:
    """Return ``state`` as JSON bytes. Indices are those of the plan, which a version fixes."""
    dumped: dict[str, Any] = {"version": SNAPSHOT_VERSION}
    for name in _PLAIN_FIELDS:
        dumped[name] = getattr(state, name)
    dumped["scopes"] = [
        {
            "path": scope.path,
            "edges": scope.edges.hex(),
            "settled": scope.settled.hex(),
            "pool": {node: values for node, values in scope.pool.dump().items() if node != "env"},
            "stream": state.streams[scope.path].dump(),
        }
        for scope in state.scopes.values()
    ]
    dumped["ready"] = [list(key) for key in state.ready]
    dumped["executions"] = [[e.execution_id, e.scope, e.node, e.index, e.started_at] for e in state.executions.values()]
    dumped["forms"] = encode_facts([form.opened for form in state.forms.values()]).decode()
    dumped["shown"] = [form_id for form_id, form in state.forms.items() if form.is_shown]
    return orjson.dumps(dumped, option=orjson.OPT_NON_STR_KEYS)


def load_state(plan: Plan, data: bytes) -> RunState:
    """Return the state that ``dump_state`` wrote, for the same workflow version.

    Raises:
        SnapshotVersionError: a newer version wrote it.
    """
    dumped = orjson.loads(data)
    if dumped["version"] > SNAPSHOT_VERSION:
        raise SnapshotVersionError(dumped["version"], SNAPSHOT_VERSION)
    state = RunState(plan)
    for name in _PLAIN_FIELDS:
        setattr(state, name, dumped[name])
    for row in dumped["scopes"]:
        _load_scope(state, row)
    if state.status != "new":
        state.put_environment()
    state.ready = dict.fromkeys((path, node) for path, node in dumped["ready"])
    state.executions = {row[0]: Execution(*row) for row in dumped["executions"]}
    shown = set(dumped["shown"])
    for opened in decode_facts(dumped["forms"].encode()):
        state.forms[opened.form_id] = OpenForm(opened, opened.form_id in shown)  # type: ignore[union-attr]
    return state


def _load_scope(state: RunState, row: dict[str, Any]) -> None:
    path = row["path"]
    scope = state.scopes.get(path)
    if scope is None:
        level = state.plan.scopes[container_of(path)]
        scope = state.scopes[path] = ScopeState(level, path, VariablePool(state.pool))
        state.streams[path] = ResponseStream(level)
    scope.load(bytes.fromhex(row["edges"]), bytes.fromhex(row["settled"]))
    scope.pool.load(row["pool"])
    state.streams[path].load(row["stream"])
