"""What the names of tools mean, and what a bad tools file gets."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from effect_fakes import LocalCode, MemoryFiles, ScriptedHttp
from effects.tools.built_in import BuiltInPorts
from effects.tools.catalog import BUILT_IN, ToolCatalog
from effects.tools.configured import ConfiguredTools, ToolsInside
from effects.tools.errors import InvalidToolsFileError, ToolFailedError, ToolNotConfiguredError
from effects.tools.workflow_tool import AppCall, AppResult
from fakes import TickClock
from graph.errors import NodeError
from graph.ports import HttpReply, ToolCall, ToolMessage

DOCUMENT: dict[str, Any] = {
    "sources": {
        "search": {"kind": "openapi", "file": "search.yml", "auth": {"in": "query", "name": "key", "env": "KEY"}},
        "sum": {"kind": "workflow", "app": "Summarise"},
    },
    "tools": [
        {"provider": "langgenius/tavily/tavily", "tool": "tavily_search", "source": "search", "name": "find",
         "rename": {"query": "q"}, "set": {"count": 5}, "drop": ["depth"]},
        {"provider": "tavily", "source": "sum"},
        {"provider": "clock", "source": "built-in", "tool": "now", "name": "current_time"},
    ],
}  # fmt: skip


class Apps:
    """Runs apps by returning what it was asked."""

    def __init__(self, error: str | None = None) -> None:
        self.calls: list[AppCall] = []
        self._error = error

    async def run_app(self, call: AppCall) -> AppResult:
        """Return the inputs as outputs."""
        self.calls.append(call)
        return AppResult(call.inputs, self._error)


def tools_of(document: dict[str, Any] | None = None, apps: Apps | None = None) -> ConfiguredTools:
    """The tools of a document over memory ports."""
    http = ScriptedHttp(lambda call: HttpReply(200, {}, ""))
    ports = BuiltInPorts(TickClock(), LocalCode(), http, MemoryFiles())
    return ConfiguredTools(ToolCatalog.parse(document or {}), ports, apps or Apps())


async def called(tools: Any, provider: str, tool: str, depth: int = 0, **parameters: Any) -> list[ToolMessage]:
    """What a call gives."""
    call = ToolCall("builtin", provider, tool, parameters, idempotency_key="e-1", depth=depth)
    messages: AsyncIterator[ToolMessage] = tools.call(call)
    return [message async for message in messages]


def test_most_specific_entry_wins() -> None:
    """A tool of its own comes before its provider; a provider's short and long form are one."""
    catalog = ToolCatalog.parse(DOCUMENT)
    meaning = catalog.resolve(("tavily", "Tavily"), "tavily_search")
    assert (meaning.source, meaning.name) == ("search", "find")
    assert meaning.parameters({"query": "tea", "depth": 3, "x": 1}) == {"q": "tea", "x": 1, "count": 5}
    assert catalog.resolve(("langgenius/tavily/tavily",), "other").source == "sum"


def test_provider_may_be_a_source_or_built_in() -> None:
    """A provider that bears the name of a source means it, by id or name; any other the built-in tools."""
    catalog = ToolCatalog.parse(DOCUMENT)
    assert catalog.resolve(("b2a8", "search"), "find").source == "search"
    assert catalog.resolve(("time",), "current_time").source == BUILT_IN


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"tool": []}, "tool"), ({"tools": [{"provider": "a", "source": "x"}]}, "not under sources"),
        ({"sources": {"a": {"kind": "openapi"}}}, "file"),
        ({"sources": {"built-in": DOCUMENT["sources"]["sum"]}}, "no name"),
        ({"sources": {"a": {"kind": "mcp"}}}, "either a url or a command"),
        ({"sources": {"a": {"kind": "mcp", "url": "http://u:p@x/"}}}, "password"),
        ({"sources": {"a": {"kind": "mcp", "url": "ftp://x/"}}}, "http"),
        ({"sources": {"a": {"kind": "mcp", "url": "http://x/", "headers": {"A": "secret-value"}}}}, "headers"),
        ({"sources": DOCUMENT["sources"], "tools": [{"provider": "a", "source": "sum"}] * 2}, "listed twice"),
    ],
)  # fmt: skip
def test_faults_are_named_and_show_no_value(document, fault) -> None:
    """Each fault of a tools file is told with its place, and never with a value."""
    with pytest.raises(InvalidToolsFileError) as caught:
        ToolCatalog.parse(document)
    assert fault in str(caught.value) and "secret-value" not in str(caught.value)


def test_file_is_read_with_its_folder(tmp_path: Path) -> None:
    """A description lies beside the tools file; an empty file is an empty catalog, a missing one a fault."""
    file = tmp_path / "tools.yml"
    file.write_text(json.dumps(DOCUMENT))
    source = ToolCatalog.load(file).sources["search"]
    assert source.kind == "openapi" and source.file == tmp_path / "search.yml"
    file.write_text("")
    assert not ToolCatalog.load(file).tools
    for text in ("- a", "a: [", None):
        file.unlink() if text is None else file.write_text(text)
        with pytest.raises(InvalidToolsFileError):
            ToolCatalog.load(file)


async def test_unknown_tool_says_what_to_set() -> None:
    """A tool that is not configured is named as in the file, with the place to configure it."""
    with pytest.raises(ToolNotConfiguredError, match=r'"find_all" of provider "langgenius/x/x".*GREENROOM_TOOLS_FILE'):
        await called(tools_of(), "langgenius/x/x", "find_all")
    with pytest.raises(ToolNotConfiguredError):
        await called(tools_of(), "", "find_all")


async def test_entry_may_mean_a_built_in_tool() -> None:
    """A foreign name can be mapped to a tool of our own."""
    (message,) = await called(tools_of(DOCUMENT), "clock", "now", format="%Y")
    assert message == ToolMessage("text", "2026")


async def test_workflow_gives_its_outputs() -> None:
    """An app as a tool gives its outputs as text, as JSON and by name, and is called one level deeper."""
    apps = Apps()
    messages = await called(tools_of(DOCUMENT, apps), "sum", "any", q="tea", text="t")
    assert [(message.kind, message.name) for message in messages] == [("variable", "q"), ("text", ""), ("json", "")]
    assert json.loads(messages[1].value) == messages[2].value == {"q": "tea", "text": "t"}
    assert apps.calls == [AppCall("Summarise", {"q": "tea", "text": "t"}, 1, "e-1")]


async def test_failed_workflow_fails_the_tool() -> None:
    """An app whose run failed fails the call with its reason."""
    with pytest.raises(ToolFailedError, match="broke"):
        await called(tools_of(DOCUMENT, Apps("it broke")), "sum", "any")


async def test_workflows_nest_five_deep() -> None:
    """The fifth workflow inside of another one still runs, a sixth does not."""
    apps = Apps()
    tools = tools_of(DOCUMENT, apps)
    await called(ToolsInside(tools, 4), "sum", "any")
    assert apps.calls[-1].depth == 5
    with pytest.raises(NodeError, match=r"^Max workflow call depth 5 reached\.$"):
        await called(ToolsInside(tools, 5), "sum", "any")
