"""The tool node: the parameters it hands over, and what it gathers."""

from typing import Any

import pytest
from pydantic import ValidationError

from effect_fakes import Emitted, ScriptedTools, a_file, ports_of, run_node
from graph.errors import NodeError
from graph.nodes.kind import NodeResult
from graph.nodes.table import KINDS
from graph.ports import ToolMessage

NAMED = {"provider_id": "time", "provider_type": "builtin", "provider_name": "Time", "tool_name": "now"}


async def run(
    script: list[ToolMessage | Exception] | None = None, pool: dict[str, Any] | None = None, **data: Any
) -> tuple[NodeResult, Any, Emitted]:
    """Run a node whose tool gives ``script``; return its result, the call and what it streamed."""
    tools = ScriptedTools(script or [])
    result, streamed = await run_node("tool", pool or {}, ports_of(tools=tools), **{**NAMED, **data})
    return result, tools.calls[0], streamed


async def test_parameters_are_templates_values_and_constants():
    """Mixed text is filled in, a variable goes as it is, a constant as text, a null not at all."""
    parameters = {
        "text": {"type": "mixed", "value": "for {{#s.q#}}"}, "raw": {"type": "variable", "value": ["s", "list"]},
        "five": {"type": "constant", "value": 5}, "yes": {"type": "constant", "value": True},
        "none": {"type": "mixed", "value": None}, "nothing": None,
        "gone": {"type": "variable", "value": ["s", "gone"]},
    }  # fmt: skip
    result, call, _ = await run(pool={"s": {"q": "tea", "list": [1, 2]}}, tool_parameters=parameters)
    assert call.parameters == {"text": "for tea", "raw": [1, 2], "five": "5", "yes": "True"}
    assert result.inputs == call.parameters and call.idempotency_key == "execution-1"
    assert (call.provider_id, call.provider_name, call.tool_name) == ("time", "Time", "now")


async def test_missing_required_variable_fails():
    """A variable that the tool requires has to exist."""
    with pytest.raises(NodeError, match=r"s\.gone") as caught:
        await run(
            tool_parameters={"a": {"type": "variable", "value": ["s", "gone"]}},
            paramSchemas=[{"name": "a", "required": True}],
        )
    assert caught.value.error_type == "ToolParameterError"


async def test_old_files_keep_parameters_in_configurations():
    """Typed configurations are parameters, plain ones are settings, and bare values count as text or constants."""
    configurations = {"format": {"type": "mixed", "value": "%H {{#s.q#}}"}, "count": 5, "off": None}
    _, call, _ = await run(
        pool={"s": {"q": "x"}}, tool_configurations=configurations, tool_parameters={"body": "<{{#s.q#}}>", "n": 3}
    )
    assert call.parameters == {"format": "%H x", "body": "<x>", "n": "3"} and call.settings == {"count": 5}


async def test_messages_become_outputs():
    """Texts and links join, files and objects gather, variables stand by name; text streams and closes."""
    file = a_file("a.png")
    script = [
        ToolMessage("text", "Hello\n"), ToolMessage("link", "https://example.com"), ToolMessage("link", file),
        ToolMessage("file", file), ToolMessage("json", {"a": 1}), ToolMessage("json", {}),
        ToolMessage("variable", 7, "count"), ToolMessage("variable", "so", "s", True),
        ToolMessage("variable", " on", "s", True),
    ]  # fmt: skip
    result, _, streamed = await run(script)
    text = "Hello\nLink: https://example.com\nFile: /files/a.png\n"
    assert result.outputs == {"text": text, "files": [file, file], "json": [{"a": 1}], "count": 7, "s": "so on"}
    assert streamed[-2:] == [("text", "", True), ("s", "", True)]
    assert "".join(piece for name, piece, _ in streamed if name == "text") == text
    assert result.metadata == {
        "tool_info": {"provider_type": "builtin", "provider_id": "time", "plugin_unique_identifier": None}
    }


async def test_nothing_gives_empty_outputs():
    """A tool that gives nothing leaves empty text, no files and the empty data object."""
    result, _, streamed = await run([])
    assert result.outputs == {"text": "", "files": [], "json": [{"data": []}]} and streamed == [("text", "", True)]


async def test_failure_names_the_tool_call():
    """What a tool raises fails the node, marked as the call of a tool; so does a stream that is no text."""
    with pytest.raises(NodeError, match="Failed to invoke tool: out of order") as caught:
        await run([ToolMessage("text", "a"), NodeError("out of order", "ToolInvokeError")])
    assert caught.value.error_type == "ToolInvokeError"
    with pytest.raises(NodeError, match="is no text"):
        await run([ToolMessage("variable", 5, "s", True)])


@pytest.mark.parametrize(
    "data",
    [
        {"tool_parameters": {"a": {"type": "mixed", "value": 5}}}, {"tool_name": None},
        {"tool_parameters": {"a": {"type": "variable", "value": "s.q"}}},
    ],
)  # fmt: skip
def test_bad_tool_data_is_found_when_the_file_is_read(data):
    """A mixed value that is no text and a variable that is no selector are bad node data."""
    with pytest.raises(ValidationError):
        KINDS["tool"].data.model_validate({"type": "tool", **NAMED, **data})
