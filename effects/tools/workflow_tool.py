"""Another app of this installation as a tool: its outputs as text, as JSON and one by one.

How an app is run inside of a node's call is the wiring's part; this module bounds how deep apps may call each other.
Source: spec/graph.md 4.7.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from effects.tools.catalog import WorkflowSource
from effects.tools.errors import ToolFailedError, WorkflowDepthError
from effects.tools.source import Request
from graph.ports import ToolMessage
from graph.value_types import files_in

MAX_DEPTH = 5
"""How many workflows may be around a called one."""
_NODE_OUTPUTS = frozenset({"text", "files", "json"})


@dataclass(frozen=True, slots=True)
class AppCall:
    """An app to run for a tool. ``inputs``: by the names of its start form; ``depth``: workflows around it."""

    app: str
    inputs: dict[str, Any]
    depth: int
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class AppResult:
    """How such a run ended. ``error``: None when it succeeded, also partly."""

    outputs: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


class AppRunner(Protocol):
    """Runs apps of this installation to their end."""

    async def run_app(self, call: AppCall) -> AppResult:
        """Run the published version of an app.

        Raises:
            NodeError: there is no such app, its inputs do not fit, or it asks people.
        """
        ...


class WorkflowTool:
    """Implements effects.tools.source.ToolSource over one app, whatever the tool is called."""

    def __init__(self, source: WorkflowSource, apps: AppRunner) -> None:
        self._source = source
        self._apps = apps

    async def call(self, request: Request) -> AsyncIterator[ToolMessage]:
        """Yield the outputs of the app.

        Raises:
            WorkflowDepthError: too many workflows are around it.
            ToolFailedError: its run failed.
            NodeError: as ``AppRunner.run_app``.
        """
        depth = request.depth + 1
        if depth > MAX_DEPTH:
            raise WorkflowDepthError(MAX_DEPTH)
        call = AppCall(self._source.app, dict(request.parameters), depth, request.idempotency_key)
        result = await self._apps.run_app(call)
        if result.error is not None:
            raise ToolFailedError(request.tool, result.error)
        for file in files_in(result.outputs.values()):
            yield ToolMessage("file", file)
        for name, value in result.outputs.items():
            if name not in _NODE_OUTPUTS:
                yield ToolMessage("variable", value, name)
        yield ToolMessage("text", json.dumps(result.outputs, ensure_ascii=False))
        yield ToolMessage("json", result.outputs)
