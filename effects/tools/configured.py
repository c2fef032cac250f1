"""The tools of this installation: implements graph.ports.Tools over the catalog."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, assert_never, cast

from effects.tools.built_in import BuiltInPorts, BuiltInTools
from effects.tools.catalog import BUILT_IN, McpSource, OpenApiSource, Source, ToolCatalog, WorkflowSource
from effects.tools.errors import ToolNotConfiguredError
from effects.tools.mcp_server import McpTools
from effects.tools.openapi import OpenApiTools
from effects.tools.source import Environment, Request, ToolSource
from effects.tools.workflow_tool import AppRunner, WorkflowTool
from graph.ports import ToolCall, ToolMessage, Tools


class ConfiguredTools:
    """Calls what the catalog says. Sources are made at their first call; belongs to one event loop."""

    def __init__(
        self,
        catalog: ToolCatalog,
        ports: BuiltInPorts,
        apps: AppRunner,
        environment: Environment = os.environ.get,
    ) -> None:
        """Prepare; nothing is read or opened.

        Args:
            catalog: what provider and tool names mean.
            ports: what tools reach outside through.
            apps: runs apps that are used as tools.
            environment: environment variable -> value, for secrets.
        """
        self._catalog = catalog
        self._ports = ports
        self._apps = apps
        self._environment = environment
        self._sources: dict[str, ToolSource] = {BUILT_IN: BuiltInTools(ports)}

    async def call(self, call: ToolCall) -> AsyncIterator[ToolMessage]:
        """Yield what the tool gives; see graph.ports.Tools."""
        meaning = self._catalog.resolve((call.provider_id, call.provider_name), call.tool_name)
        parameters = meaning.parameters({**call.settings, **call.parameters})
        request = Request(meaning.provider, meaning.name, parameters, call.idempotency_key, call.depth)
        try:
            async with aclosing(cast(Any, self._source(meaning.source).call(request))) as messages:
                async for message in messages:
                    yield message
        except ToolNotConfiguredError:
            # By the names of the file: its author and the operator know no others.
            shown = call.provider_id or call.provider_name
            raise ToolNotConfiguredError(shown, call.tool_name) from None

    def _source(self, name: str) -> ToolSource:
        source = self._sources.get(name)
        if source is None:
            source = self._sources[name] = self._made(name, self._catalog.sources[name])
        return source

    def _made(self, name: str, source: Source) -> ToolSource:
        match source:
            case OpenApiSource():
                return OpenApiTools(name, source, self._ports.http, self._environment)
            case McpSource():
                return McpTools(name, source, self._ports.files, self._environment)
            case WorkflowSource():
                return WorkflowTool(source, self._apps)
            case _:
                assert_never(source)


class ToolsInside:
    """Implements graph.ports.Tools for a run that is itself the call of a tool: its calls are that much deeper."""

    def __init__(self, tools: Tools, depth: int) -> None:
        self._tools = tools
        self._depth = depth

    def call(self, call: ToolCall) -> AsyncIterator[ToolMessage]:
        """Yield what the tool gives; see graph.ports.Tools."""
        return self._tools.call(replace(call, depth=self._depth))
