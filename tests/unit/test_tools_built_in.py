"""The built-in tools: time, JSON, pages, regular expressions, arithmetic."""

import json
from typing import Any

import pytest

from effect_fakes import LocalCode, MemoryFiles, ScriptedHttp, a_file
from effects.tools.built_in import TOOLS, BuiltInPorts, BuiltInTools
from effects.tools.errors import ToolNotConfiguredError
from effects.tools.json_path import InvalidPathError, places, read_path
from effects.tools.page_text import page_text
from effects.tools.source import Request
from fakes import TickClock
from graph.errors import NodeError
from graph.ports import HttpReply, ToolMessage

NOON = 1_786_017_600.0  # 2026-08-06 12:00:00 UTC
INSERTED = {"a": {"b": [1, "new", {"c": "x"}, {"c": "y"}]}, "c": "z"}
DOCUMENT = {"a": {"b": [1, {"c": "x"}, {"c": "y"}]}, "c": "z"}


async def called(provider: str, tool: str, reply: HttpReply | None = None, **parameters: Any) -> list[ToolMessage]:
    """What a built-in tool gives at noon."""
    http = ScriptedHttp(lambda call: reply or HttpReply(200, {"content-type": "text/html"}, "<p>page</p>"))
    tools = BuiltInTools(BuiltInPorts(TickClock(NOON), LocalCode(), http, MemoryFiles()))
    return [message async for message in tools.call(Request(provider, tool, parameters))]


async def text(provider: str, tool: str, **parameters: Any) -> str:
    """The text that a built-in tool gives."""
    return (await called(provider, tool, **parameters))[0].value


@pytest.mark.parametrize(
    ("tool", "parameters", "expected"),
    [
        ("current_time", {}, "2026-08-06 12:00:00 UTC"),
        ("current_time", {"format": "%H", "timezone": "Asia/Tokyo"}, "21"),
        ("current_time", {"timezone": "Mars/Base"}, "Invalid timezone: Mars/Base"),
        ("localtime_to_timestamp", {"localtime": "2026-08-06 20:00:00"}, "1786017600"),
        ("localtime_to_timestamp", {"localtime": "1970-01-01 00:00:10", "timezone": "UTC"}, "10"),
        ("timestamp_to_localtime", {"timestamp": "1786017600", "timezone": "UTC"}, "2026-08-06 12:00:00"),
        ("timezone_conversion", {"current_time": "2026-08-06 12:00:00", "current_timezone": "UTC",
                                 "target_timezone": "America/New_York"}, "2026-08-06 08:00:00"),
        ("weekday", {"year": "2024", "month": 2, "day": 29}, "February 29, 2024 is Thursday."),
        ("weekday", {}, "August 6, 2026 is Thursday."),
        ("weekday", {"year": 2023, "month": 2, "day": 30}, "Invalid date: Year 2023, Month 2, Day 30."),
    ],
)  # fmt: skip
async def test_time_tools(tool, parameters, expected):
    """Times, timestamps and weekdays are told as Dify's tools tell them."""
    assert await text("time", tool, **parameters) == expected


@pytest.mark.parametrize(
    ("tool", "parameters"),
    [
        ("localtime_to_timestamp", {"localtime": "yesterday"}), ("localtime_to_timestamp", {}),
        ("timestamp_to_localtime", {"timestamp": "1e30"}), ("timestamp_to_localtime", {"timestamp": "x"}),
        ("timezone_conversion", {"current_time": "2026-08-06 12:00:00", "target_timezone": "../etc/passwd"}),
        ("weekday", {"year": 1.5}),
    ],
)  # fmt: skip
async def test_time_that_cannot_be_read_fails(tool, parameters):
    """A time, zone or number that is none fails the tool."""
    with pytest.raises(NodeError):
        await called("time", tool, **parameters)


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("$", [DOCUMENT]), ("$.a.b[0]", [1]), ("a.b[-1].c", ["y"]), ("$.a['b'][*].c", ["x", "y"]),
        ("$..c", ["z", "x", "y"]),
        ("$.a.*", [DOCUMENT["a"]["b"]]), ("$.gone", []), ("$.c[0]", []),
        ("$..b[1]", [{"c": "x"}]), ("$..['c']", ["z", "x", "y"]),
    ],
)  # fmt: skip
def test_paths_name_places(path, values):
    """A path finds its values in document order, or none."""
    _, found = places(DOCUMENT, read_path(path))
    assert [place.value for place in found] == values


@pytest.mark.parametrize("path", ["$.a[?(@.b)]", "$.[", "$.a..", "a b[", "$[1:2]", "$a["])
def test_other_paths_are_refused(path):
    """Filters, slices and broken paths are told, not guessed."""
    with pytest.raises(InvalidPathError):
        read_path(path)


async def test_json_is_parsed_to_text_objects_and_result():
    """A JSON text gives its value as text, as JSON objects and as result; a filter picks from it."""
    content = json.dumps(DOCUMENT)
    whole = await called("json_process", "parse", content=content)
    assert [(message.kind, message.value) for message in whole] == [
        ("text", content), ("json", DOCUMENT), ("variable", DOCUMENT)
    ]  # fmt: skip
    assert (await called("json_process", "parse", content=content, json_filter="$.c"))[0].value == "z"
    several = await called("builtin", "json_parse", json_string=content, json_filter="$.a.b[*].c")
    assert several[-1] == ToolMessage("variable", ["x", "y"], "result")


@pytest.mark.parametrize("parameters", [{"content": "{"}, {}, {"content": "{}", "json_filter": "$.x"}])
async def test_json_that_cannot_be_read_fails(parameters):
    """What is no JSON, and a path to nothing, fail the tool."""
    with pytest.raises(NodeError):
        await called("json_process", "parse", **parameters)


@pytest.mark.parametrize(
    ("tool", "parameters", "expected"),
    [
        ("json_delete", {"query": "$.a.b[*].c"}, {"a": {"b": [1, {}, {}]}, "c": "z"}),
        ("json_delete", {"query": "$.a.b[*]"}, {"a": {"b": []}, "c": "z"}),
        ("json_insert", {"query": "$.a.b", "new_value": "new", "index": "1"}, INSERTED),
        ("json_insert", {"query": "$.c", "new_value": '{"k": 1}', "value_decode": "true"}, {**DOCUMENT, "c": {"k": 1}}),
        ("json_insert", {"query": "$.d.e", "new_value": "v", "create_path": 1}, {**DOCUMENT, "d": {"e": "v"}}),
        ("json_insert", {"query": "$.d.e", "new_value": "v"}, DOCUMENT),
        ("json_replace", {"query": "$.c", "replace_value": "n"}, {**DOCUMENT, "c": "n"}),
        ("json_replace", {"query": "$.c", "replace_model": "pattern", "replace_pattern": "z", "replace_value": "yy"},
         {**DOCUMENT, "c": "yy"}),
        ("json_replace", {"query": "$.c", "replace_model": "key", "replace_value": "d"},
         {"a": DOCUMENT["a"], "d": "z"}),
    ],
)  # fmt: skip
async def test_json_is_changed(tool, parameters, expected):
    """Deleting, inserting and replacing give the changed text."""
    assert json.loads(await text("json_process", tool, content=json.dumps(DOCUMENT), **parameters)) == expected


async def test_json_keeps_letters_when_asked():
    """Other letters are escaped unless ensure_ascii is off."""
    parameters = {"content": '{"a": "é"}', "query": "$.b"}
    assert await text("json_process", "json_delete", **parameters) == '{"a": "\\u00e9"}'
    assert await text("json_process", "json_delete", ensure_ascii="false", **parameters) == '{"a": "é"}'


async def test_page_gives_its_text():
    """A page gives title and text without scripts; other texts and documents as they are."""
    head = "<head><title>T &amp; U</title><style>x</style></head>"
    html = f"{head}<body><h1>One</h1><script>no()</script>two<br>three</body>"
    assert page_text(html) == ("T & U", "One\ntwo\nthree")
    found = await called(
        "webscraper", "webscraper", HttpReply(200, {"Content-Type": "text/html"}, html), url="https://x"
    )
    assert found[0].value == "TITLE: T & U\nTEXT:\nOne\ntwo\nthree"
    plain = await called(
        "webscraper", "webscraper", HttpReply(200, {"content-type": "text/plain"}, "a<b"), url="https://x"
    )
    assert plain[0].value == "a<b"
    document = HttpReply(200, {}, "", a_file("report"))
    assert (await called("webscraper", "webscraper", document, url="https://x"))[0].value == "report"
    with pytest.raises(NodeError, match="404"):
        await called("webscraper", "webscraper", HttpReply(404, {}, ""), url="https://x")


@pytest.mark.parametrize("html", ["", "<", "<p", "</nav></p>", "<script>a", "<head><p>x", "<nav><nav>a</nav>b</nav>c"])
def test_broken_pages_are_read(html):
    """However broken a page is, it gives some text."""
    assert isinstance(page_text(html)[1], str)


async def test_expressions_run_in_the_sandbox():
    """Regular expressions and arithmetic are worked out by the code sandbox."""
    matches = await called("regex", "regex_extract", content="a1 b2", expression=r"([a-z])(\d)")
    assert json.loads(matches[0].value) == matches[1].value == [["a", "1"], ["b", "2"]]
    assert await text("maths", "eval_expression", expression="sqrt(16) + 2 ** 3") == "12.0"
    for wrong in ("1/0", "'a'"):
        with pytest.raises(NodeError):
            await called("maths", "eval_expression", expression=wrong)


async def test_other_tools_are_not_built_in():
    """A name that is not in the table is not configured; the oldest provider name finds every tool."""
    with pytest.raises(ToolNotConfiguredError):
        await called("time", "next_week")
    assert await text("builtin", "current_time", format="%Y") == "2026"
    assert all(tools for tools in TOOLS.values())
