"""The tools that need no configuration, under the names that Dify's own tools have in workflow files."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from effects.tools import clock_tools, json_tools
from effects.tools.catalog import ANY_PROVIDER
from effects.tools.errors import ToolNotConfiguredError
from effects.tools.parameters import Parameters
from effects.tools.source import Request
from effects.tools.text_tools import eval_expression, regex_extract
from effects.tools.web_tools import webscraper
from graph.ports import Clock, CodeSandbox, Files, Http, ToolMessage


@dataclass(frozen=True, slots=True)
class BuiltInPorts:
    """What built-in tools reach outside through."""

    clock: Clock
    code: CodeSandbox
    http: Http
    files: Files


Tool = Callable[[Parameters, BuiltInPorts, Request], Awaitable[list[ToolMessage]]]


def _of_clock(tell: Callable[[Parameters, Clock], list[ToolMessage]]) -> Tool:
    async def call(parameters: Parameters, ports: BuiltInPorts, request: Request) -> list[ToolMessage]:
        return tell(parameters, ports.clock)

    return call


def _of_json(change: Callable[[Parameters], list[ToolMessage]]) -> Tool:
    async def call(parameters: Parameters, ports: BuiltInPorts, request: Request) -> list[ToolMessage]:
        return change(parameters)

    return call


def _in_sandbox(run: Callable[[Parameters, CodeSandbox], Awaitable[list[ToolMessage]]]) -> Tool:
    async def call(parameters: Parameters, ports: BuiltInPorts, request: Request) -> list[ToolMessage]:
        return await run(parameters, ports.code)

    return call


async def _webscraper(parameters: Parameters, ports: BuiltInPorts, request: Request) -> list[ToolMessage]:
    return await webscraper(parameters, ports.http, ports.files, request.idempotency_key)


_PARSE = _of_json(json_tools.json_parse)
TOOLS: dict[str, dict[str, Tool]] = {
    "time": {
        "current_time": _of_clock(clock_tools.current_time),
        "localtime_to_timestamp": _of_clock(clock_tools.localtime_to_timestamp),
        "timestamp_to_localtime": _of_clock(clock_tools.timestamp_to_localtime),
        "timezone_conversion": _of_clock(clock_tools.timezone_conversion),
        "weekday": _of_clock(clock_tools.weekday),
    },
    "json_process": {
        "parse": _PARSE,
        "json_parse": _PARSE,
        "json_delete": _of_json(json_tools.json_delete),
        "json_insert": _of_json(json_tools.json_insert),
        "json_replace": _of_json(json_tools.json_replace),
    },
    "webscraper": {"webscraper": _webscraper},
    "regex": {"regex_extract": _in_sandbox(regex_extract)},
    "maths": {"eval_expression": _in_sandbox(eval_expression)},
}
"""Provider -> tool -> what it does; docs/tools.md lists them."""


class BuiltInTools:
    """Implements effects.tools.source.ToolSource."""

    def __init__(self, ports: BuiltInPorts) -> None:
        self._ports = ports

    async def call(self, request: Request) -> AsyncIterator[ToolMessage]:
        """Yield what the tool gives.

        Raises:
            ToolNotConfiguredError: there is no built-in tool of this name.
            NodeError: its parameters do not fit, or it failed.
        """
        tool = _tool(request.provider, request.tool)
        if tool is None:
            raise ToolNotConfiguredError(request.provider, request.tool)
        for message in await tool(Parameters(request.tool, request.parameters), self._ports, request):
            yield message


def _tool(provider: str, name: str) -> Tool | None:
    if provider == ANY_PROVIDER:
        return next((tools[name] for tools in TOOLS.values() if name in tools), None)
    return TOOLS.get(provider, {}).get(name)
