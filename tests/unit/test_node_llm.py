"""The llm node: the prompt it sends, the text it streams, what it gives back."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fakes import ScriptedChat, effects
from graph.errors import NodeError
from graph.nodes.kind import EffectContext, NodeResult
from graph.nodes.reasoning import ReasoningSplitter, split_reasoning
from graph.nodes.table import KINDS
from graph.variable_pool import VariablePool

MODEL = {"provider": "p", "name": "m", "mode": "chat", "completion_params": {"temperature": 0.5}}


def chat_prompt(*texts: str) -> list[dict[str, Any]]:
    """A chat prompt: a system message, then user messages."""
    return [{"role": "user" if index else "system", "text": text} for index, text in enumerate(texts)]


async def run(
    pool: dict[str, dict[str, Any]], script: Sequence[str | Exception] | None = None, **data: Any
) -> tuple[NodeResult, ScriptedChat, list[tuple[str, str, bool]]]:
    """Run one llm node; return its result, the model it called and what it streamed."""
    compile_effect = KINDS["llm"].compile_effect
    assert compile_effect is not None
    step = compile_effect(KINDS["llm"].data.model_validate({"type": "llm", "model": MODEL, **data}))
    values, streamed = VariablePool(), []
    for node_id, names in pool.items():
        values.put(node_id, names)
    chat = ScriptedChat({"m": list(script)} if script is not None else {})
    context = EffectContext("run", "n", "execution-1", effects(chat), lambda *piece: streamed.append(piece))
    result = await step(values, context)
    assert isinstance(result, NodeResult)
    return result, chat, streamed


def sent(chat: ScriptedChat) -> list[tuple[str, str]]:
    """The messages of the one call, as (role, text)."""
    (request,) = chat.requests
    return [(message.role, message.text) for message in request.messages]


async def test_answer_streams_and_comes_back_whole():
    """Each piece streams as text, an empty final piece closes, and outputs, usage and metadata are complete."""
    result, chat, streamed = await run(
        {"s": {"q": "tea"}}, ["a", "", "b"], prompt_template=chat_prompt("Hi", "{{#s.q#}}?")
    )
    assert streamed == [("text", "a", False), ("text", "b", False), ("text", "", True)]
    assert sent(chat) == [("system", "Hi"), ("user", "tea?")]
    usage = result.outputs["usage"]
    assert result.outputs == {"text": "ab", "reasoning_content": "", "usage": usage, "finish_reason": "stop"}
    assert (usage["total_tokens"], usage["total_price"], usage["currency"]) == (6, "0", "USD")
    assert usage["time_to_generate"] == pytest.approx(0.4)
    assert result.metadata == {"total_tokens": 6, "total_price": "0", "currency": "USD"} and result.total_tokens == 6
    assert result.inputs == {"#s.q#": "tea"}
    assert chat.requests[0].idempotency_key == "execution-1" and chat.requests[0].parameters == {"temperature": 0.5}


async def test_missing_variable_fails_before_the_call():
    """A prompt variable that does not exist is an error with its own class; a null is empty text."""
    with pytest.raises(NodeError, match=r"Variable s\.gone not found") as caught:
        await run({}, prompt_template=chat_prompt("{{#s.gone#}}"))
    assert caught.value.error_type == "VariableNotFoundError"
    _, chat, _ = await run({"s": {"q": None}}, prompt_template=chat_prompt("[{{#s.q#}}]"))
    assert sent(chat) == [("system", "[]")]


async def test_messages_without_text_are_left_out():
    """An empty message is not sent, and without any the node fails."""
    _, chat, _ = await run({}, prompt_template=chat_prompt("", "ask"))
    assert sent(chat) == [("user", "ask")]
    with pytest.raises(NodeError, match="No prompt found"):
        await run({}, prompt_template=chat_prompt(""))


async def test_completion_prompt_is_one_user_message():
    """A completion model gets its one text; the marks of memory vanish where there is none."""
    data = {"model": {**MODEL, "mode": "completion"}, "prompt_template": {"text": "{{#s.q#}}#histories# go"}}
    _, chat, _ = await run({"s": {"q": "tea"}}, **data)
    assert sent(chat) == [("user", "tea go")] and chat.requests[0].mode == "completion"


async def test_jinja2_edition_sees_texts():
    """A jinja2 text sees lists line by line, objects as JSON and knowledge as its content."""
    prompt = [
        {"role": "user", "edition_type": "jinja2", "text": "{{#s.gone#}}", "jinja2_text": "{{ l }}|{{ o }}|{{ k }}"}
    ]
    knowledge = [{"content": "fact", "metadata": {"_source": "knowledge"}}]
    names = [{"variable": name, "value_selector": ["s", name]} for name in "lok"]
    pool = {"s": {"l": [1, "b"], "o": {"é": 1}, "k": knowledge}}
    _, chat, _ = await run(pool, prompt_template=prompt, prompt_config={"jinja2_variables": names})
    assert sent(chat) == [("user", '1\nb|{"é": 1}|fact')]
    with pytest.raises(NodeError, match="not found"):
        await run({}, prompt_template=prompt, prompt_config={"jinja2_variables": names})


@pytest.mark.parametrize(
    ("value", "expected"),
    [("text {{#s.q#}}", "text {{#s.q#}}"), (["a", {"content": "b"}], "a\nb"), (None, ""), ([], "")],
)
async def test_context_fills_its_placeholder(value, expected):
    """The context is text or items with content; references inside of it stay text."""
    data = {"context": {"enabled": True, "variable_selector": ["k", "result"]}}
    _, chat, _ = await run(
        {"k": {"result": value}, "s": {"q": "x"}}, prompt_template=chat_prompt("<{{#context#}}>"), **data
    )
    assert sent(chat) == [("system", f"<{expected}>")]


async def test_context_of_another_shape_fails():
    """An item without content is an error with its own class."""
    data = {"context": {"enabled": True, "variable_selector": ["k", "result"]}, "prompt_template": chat_prompt("a")}
    with pytest.raises(NodeError, match="Invalid context structure"):
        await run({"k": {"result": [{"title": "b"}]}}, **data)


async def test_parameters_may_hold_references():
    """Text parameters are templates, others go as they are."""
    model = {**MODEL, "completion_params": {"stop": "{{#s.q#}}", "max_tokens": 5, "response_format": "text"}}
    _, chat, _ = await run({"s": {"q": "tea"}}, model=model, prompt_template=chat_prompt("a"))
    assert chat.requests[0].parameters == {"stop": "tea", "max_tokens": 5, "response_format": "text"}


@pytest.mark.parametrize(
    ("memory", "system", "expected"),
    [
        (None, {"query": "hi"}, []), ({"window": {"enabled": True, "size": 3}}, {"query": "hi"}, [("user", "hi")]),
        ({"window": {"enabled": False}, "query_prompt_template": "Q: {{#sys.query#}}"}, {"query": "hi"}, [("user",
        "Q: hi")]),
        ({"window": {"enabled": True, "size": 3}, "query_prompt_template": "{{#sys.query#}}"}, {"user_id": "u"}, []),
    ],
)  # fmt: skip
async def test_memory_carries_the_question_of_a_chatflow(memory, system, expected):
    """With memory the reader's question goes along; a workflow app has none and runs all the same."""
    _, chat, _ = await run({"sys": system}, memory=memory, prompt_template=chat_prompt("S"))
    assert sent(chat) == [("system", "S"), *expected]


async def test_model_failure_passes_through():
    """What the model raises fails the node as it is, after the pieces before it."""
    with pytest.raises(NodeError, match="no such model"):
        await run({}, ["a", NodeError("no such model")], prompt_template=chat_prompt("a"))


async def test_separated_reasoning_leaves_the_text():
    """With the separated format the thoughts stream and come back apart from the text."""
    pieces = ["<th", "ink>why", "</think", ">so <b", ">"]
    result, _, streamed = await run({}, pieces, reasoning_format="separated", prompt_template=chat_prompt("a"))
    assert (result.outputs["text"], result.outputs["reasoning_content"]) == ("so <b>", "why")
    assert "".join(text for name, text, _ in streamed if name == "text") == "so <b>"
    assert "".join(text for name, text, _ in streamed if name == "reasoning_content") == "why"
    tagged, _, _ = await run({}, pieces, prompt_template=chat_prompt("a"))
    assert tagged.outputs["text"] == "<think>why</think>so <b>" and tagged.outputs["reasoning_content"] == ""


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<think a='b'>", "<", ">", "a", "b\n", "</", "<th"])),
    st.integers(1, 7),
)
def test_splitting_does_not_depend_on_the_pieces(tokens, size):
    """However a text is cut into pieces, the same text and the same thoughts come out."""
    text = "".join(tokens)

    def split(cut: int) -> tuple[str, str]:
        splitter = ReasoningSplitter()
        out = [part for i in range(0, len(text), cut) for part in splitter.feed(text[i : i + cut])] + splitter.finish()
        return "".join(t for inside, t in out if not inside), "".join(t for inside, t in out if inside)

    assert split(size) == split(max(1, len(text)))
    assert all(isinstance(part, str) for part in split_reasoning(text))


@pytest.mark.parametrize(
    "data", [{"prompt_template": [{"role": "odd"}]}, {"prompt_template": None}, {"model": {"name": "m"}}]
)
def test_bad_llm_data_is_found_when_the_file_is_read(data):
    """A prompt or model of the wrong shape is bad node data."""
    with pytest.raises(ValidationError):
        KINDS["llm"].data.model_validate({"type": "llm", "model": MODEL, "prompt_template": [], **data})
