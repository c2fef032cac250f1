"""The parameter-extractor node: what it asks, and what it makes of whatever comes back."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from effect_fakes import a_file, ports_of, run_node
from fakes import ScriptedChat
from graph.errors import NodeError
from graph.nodes.extraction import ParameterData, extract
from graph.nodes.json_answer import json_object_in
from graph.nodes.kind import NodeResult
from graph.nodes.table import KINDS

MODEL = {"provider": "p", "name": "m", "mode": "chat", "completion_params": {}}
CITY = {"name": "city", "type": "string", "description": "a city", "required": True}
DAYS = {"name": "days", "type": "number", "description": "how many", "required": False}


def parameter(name: str, kind: str, **more: Any) -> dict[str, Any]:
    """A parameter of a file."""
    return {"name": name, "type": kind, "description": "", "required": False, **more}


async def run(answer: str, pool: dict[str, Any] | None = None, **data: Any) -> tuple[NodeResult, ScriptedChat]:
    """Run a node whose model answers ``answer``."""
    chat = ScriptedChat({"m": [answer]})
    data = {"model": MODEL, "query": ["s", "q"], "parameters": [CITY, DAYS], **data}
    result, _ = await run_node(
        "parameter-extractor", pool or {"s": {"q": "three days in Rome"}}, ports_of(chat=chat), **data
    )
    return result, chat


async def test_values_come_back_by_name():
    """A whole answer gives each parameter, success and no reason, with usage and metadata of the call."""
    result, chat = await run('{"city": "Rome", "days": 3}')
    outputs = result.outputs
    assert (outputs["city"], outputs["days"], outputs["__is_success"], outputs["__reason"]) == ("Rome", 3, 1, None)
    assert outputs["__usage"]["total_tokens"] == 4 and result.total_tokens == 4
    assert result.metadata == {"total_tokens": 4, "total_price": "0", "currency": "USD"}
    (request,) = chat.requests
    assert [message.role for message in request.messages] == ["system", "user"]
    assert request.messages[1].text == "three days in Rome"
    assert request.idempotency_key == "execution-1"


async def test_function_call_mode_hands_the_model_a_schema():
    """In function_call mode the schema goes with the call; in prompt mode it stands in the prompt."""
    _, held = await run("{}")
    schema = held.requests[0].schema or {}
    assert schema["properties"]["city"] == {"type": "string", "description": "a city"}
    assert sorted(schema["required"]) == ["city", "days"]
    _, told = await run("{}", reasoning_mode="prompt")
    assert told.requests[0].schema is None
    assert '"required": ["city"]' in told.requests[0].messages[0].text


@pytest.mark.parametrize(
    "answer",
    [
        '```json\n{"city": "Rome", "days": 3}\n```', 'Sure! {"city": "Rome", "days": 3} Anything else?',
        '<think>{"city": "Oslo"}</think>{"city": "Rome", "days": 3}', "{'city': 'Rome', 'days': 3,}",
        '[{"city": "Rome", "days": 3}]', '{"city": "Rome", "days": 3',
    ],
)  # fmt: skip
async def test_json_is_found_and_repaired(answer):
    """Fences, prose, thoughts, single quotes and a cut end do not matter."""
    result, _ = await run(answer)
    assert (result.outputs["city"], result.outputs["days"], result.outputs["__is_success"]) == ("Rome", 3, 1)


async def test_no_json_gives_defaults_and_a_reason():
    """Without any object each type's default stands in, and the node succeeds with its reason."""
    parameters = [parameter("s", "string"), parameter("n", "number"), parameter("b", "bool")]
    result, _ = await run("I do not know.", parameters=parameters)
    assert [result.outputs[name] for name in "snb"] == ["", 0, False]
    assert result.outputs["__is_success"] == 0
    assert result.outputs["__reason"].startswith("Failed to extract result")


@pytest.mark.parametrize(
    ("kind", "found", "value", "is_success"),
    [
        ("number", "12", 12, 0), ("number", "1.5", 1.5, 0), ("number", True, 1, 1), ("number", "x", 0, 0),
        ("boolean", True, True, 1), ("bool", 1, True, 0), ("boolean", "yes", False, 0), ("string", 5, "", 0),
        ("select", "a", "a", 1), ("array[string]", ["a", 1, "b"], ["a", "b"], 0),
        ("array[number]", ["1", 2.5, None], [1, 2.5], 0), ("array[object]", [{"a": 1}, 2], [{"a": 1}], 0),
        ("array[boolean]", [True, 0], [True], 0), ("array[string]", "a", [], 0), ("array[string]", ["a"], ["a"], 1),
    ],
)  # fmt: skip
async def test_values_are_converted_or_dropped(kind, found, value, is_success):
    """What does not have the declared type is parsed or dropped, and then the extraction does not count as success."""
    result, _ = await run(json.dumps({"p": found}), parameters=[parameter("p", kind)])
    assert result.outputs["p"] == value and type(result.outputs["p"]) is type(value)
    assert result.outputs["__is_success"] == is_success


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"city": "Rome"}', "Invalid number of parameters"), ('{"days": 1, "x": 2}', "Parameter city is required"),
        ('{"city": "Rome", "days": "soon"}', "Invalid value for parameter days"),
    ],
)  # fmt: skip
async def test_faults_are_named(answer, reason):
    """The reason tells the first fault of what was extracted."""
    result, _ = await run(answer)
    assert result.outputs["__reason"].startswith(reason)


async def test_option_outside_of_the_list_is_a_fault():
    """A select keeps what the model said, but does not count as success."""
    result, _ = await run('{"p": "c"}', parameters=[parameter("p", "select", options=["a", "b"])])
    assert (result.outputs["p"], result.outputs["__is_success"]) == ("c", 0)
    assert "select" in result.outputs["__reason"]


async def test_instruction_memory_and_images_go_along():
    """The instruction is a template, past turns are text, and images go with the question."""
    pool = {"s": {"q": "x", "tone": "strictly"}, "sys": {"files": [a_file("a.png")], "history": [{"query": "hi"}]}}
    memory = {"window": {"enabled": True, "size": 5}}
    _, chat = await run("{}", pool, instruction="Read {{#s.tone#}}", memory=memory, vision={"enabled": True})
    system, user = chat.requests[0].messages
    assert "Read strictly" in system.text and "Human: hi" in system.text
    assert [image.content for image in user.images] == [b"a.png"]


async def test_completion_model_gets_one_text():
    """A completion model gets task and text in one message."""
    model = {**MODEL, "mode": "completion"}
    result, chat = await run('{"city": "Rome", "days": 3}', model=model, reasoning_mode="prompt")
    assert len(chat.requests[0].messages) == 1 and "three days in Rome" in chat.requests[0].messages[0].text
    assert result.outputs["__is_success"] == 1


async def test_missing_query_is_empty_text():
    """A query that does not exist is asked as nothing."""
    _, chat = await run("{}", {"other": {}})
    assert chat.requests[0].messages[1].text == ""


async def test_model_failure_fails_with_outputs():
    """When the model cannot be called the node fails, showing what happened in its outputs."""
    chat = ScriptedChat({"m": [NodeError("no such model", "Gone")]})
    with pytest.raises(NodeError, match="no such model") as caught:
        await run_node("parameter-extractor", {}, ports_of(chat=chat), model=MODEL, query=["s", "q"], parameters=[CITY])
    assert caught.value.error_type == "Gone"
    assert caught.value.outputs == {
        "__is_success": 0, "__reason": "Failed to invoke model", "__error": "no such model"
    }  # fmt: skip


@pytest.mark.parametrize("bad", [parameter("__reason", "string"), parameter("p", "file"), parameter("", "string")])
def test_bad_parameters_are_found_when_the_file_is_read(bad):
    """Reserved names, empty ones and types that cannot be extracted are bad node data."""
    with pytest.raises(ValidationError):
        KINDS["parameter-extractor"].data.model_validate(
            {"type": "parameter-extractor", "model": MODEL, "query": ["s", "q"], "parameters": [bad]}
        )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), _JSON, max_size=3))
def test_every_answer_gives_values_of_the_declared_types(found):
    """Whatever JSON a model writes, each parameter has a value of its type."""
    kinds = {"a": "string", "b": "number", "c": "array[object]"}
    values = extract([ParameterData(name=name, type=kind) for name, kind in kinds.items()], found).values
    assert isinstance(values["a"], str) and isinstance(values["b"], int | float)
    assert all(isinstance(item, dict) for item in values["c"])


@given(st.text(alphabet='{}[]":,a1 \\n<think>/', max_size=60))
def test_any_text_can_be_searched_for_json(text):
    """Searching never fails: it gives an object or nothing."""
    found = asyncio.run(json_object_in(text))
    assert found is None or isinstance(found, dict)
