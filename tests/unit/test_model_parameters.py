"""The parameters of a workflow file's model: what is read how, and what is refused."""

from typing import Any

import pytest

from graph.ports import ChatMessage, ChatRequest
from models.catalog import LocalTarget
from models.errors import ModelCallRefusedError, ModelUnavailableError
from models.llama_engine import ChunkReader, llama_body
from models.parameters import split_parameters


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"temperature": "0.7"}, {"temperature": 0.7}),
        ({"max_tokens": 12.0}, {"max_tokens": 12}),
        ({"stop": "END"}, {"stop": ["END"]}),
        ({"stop": ["a", ""]}, {"stop": ["a"]}),
        ({"stop": []}, {}),
        ({"top_p": None, "seed": ""}, {}),
        ({"response_format": "text"}, {}),
        ({"response_format": "json_object"}, {"response_format": {"type": "json_object"}}),
        (
            {"response_format": "json_schema", "json_schema": '{"type": "object"}'},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"type": "object"}},
                }
            },
        ),
    ],
)
def test_known_parameter_is_read_to_its_type(given: dict[str, Any], read: dict[str, Any]) -> None:
    """Text becomes numbers, one stop word a list, and what is empty counts as not given."""
    assert split_parameters("m", given) == (read, {})


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": "warm"},
        {"temperature": "nan"},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"seed": "inf"},
        {"stop": [1]},
        {"response_format": "xml"},
        {"json_schema": "{"},
    ],
)
def test_value_that_cannot_be_is_refused_by_the_parameters_name(given: dict[str, Any]) -> None:
    """The node's error says which parameter of which model is wrong."""
    (name,) = given
    with pytest.raises(ModelCallRefusedError, match=f'the model "m" refused the call: parameter "{name}"'):
        split_parameters("m", given)


def test_unknown_parameter_is_set_apart_untouched() -> None:
    """What only some providers know is neither checked nor lost."""
    assert split_parameters("m", {"enable_thinking": True, "seed": 1}) == ({"seed": 1}, {"enable_thinking": True})


def test_local_body_takes_defaults_of_target_under_those_of_the_node() -> None:
    """The node's parameters win over the target's, and unknown ones are left out."""
    target = LocalTarget(parameters={"temperature": 0.1, "top_k": 5}, max_tokens=9)
    request = ChatRequest("p", "m", (ChatMessage("user", "hi"),), {"temperature": 0.2, "odd": 1})
    body = llama_body(request, target)
    assert (body["temperature"], body["top_k"], body["max_tokens"]) == (0.2, 5, 9)
    assert "odd" not in body
    assert body["messages"] == [{"role": "user", "content": "hi"}]


def test_completion_body_has_a_prompt_in_place_of_messages() -> None:
    """In completion mode the engine gets the bare text."""
    body = llama_body(ChatRequest("p", "m", (ChatMessage("user", "once"),), mode="completion"), LocalTarget())
    assert body["prompt"] == "once"
    assert "messages" not in body


@pytest.mark.parametrize(("code", "family"), [(400, ModelCallRefusedError), (500, ModelUnavailableError)])
def test_engine_error_is_a_refusal_or_an_outage_by_its_code(code: int, family: type[Exception]) -> None:
    """A 4xx of the engine is the call's fault, anything else the engine's."""
    with pytest.raises(family, match="too long"):
        ChunkReader("m").read([{"error": {"code": code, "message": "too long"}}])


def test_answer_without_an_end_broke_off() -> None:
    """Text without a finish reason never passes for a whole answer."""
    reader = ChunkReader("m")
    assert reader.read([{"choices": [{"delta": {"content": "half"}, "finish_reason": None}]}]) == "half"
    with pytest.raises(ModelUnavailableError, match="broke off"):
        reader.end()
