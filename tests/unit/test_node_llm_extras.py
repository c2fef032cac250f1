"""The llm node's structured output, images, files, past turns and retriever resources."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from effect_fakes import Emitted, MemoryFiles, a_file, ports_of, run_node
from fakes import ScriptedChat
from graph.errors import NodeError
from graph.nodes.kind import NodeResult
from graph.ports import ChatDelta, ChatMessage, ChatRequest, ChatUsage, ImagePart

MODEL = {"provider": "p", "name": "m", "mode": "chat", "completion_params": {}}
PROMPT = [{"role": "system", "text": "S"}, {"role": "user", "text": "ask"}]
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
HISTORY = [{"query": f"q{n}", "answer": f"a{n}"} for n in (1, 2, 3)]


async def run(
    answer: str = "ok", pool: dict[str, Any] | None = None, **data: Any
) -> tuple[NodeResult, list[ChatMessage], ScriptedChat, Emitted]:
    """Run a node whose model answers ``answer``; return result, messages sent, the model and what was streamed."""
    chat = ScriptedChat({"m": [answer]})
    data = {"model": MODEL, "prompt_template": PROMPT, **data}
    result, streamed = await run_node("llm", pool or {}, ports_of(chat=chat), **data)
    return result, list(chat.requests[0].messages), chat, streamed


async def test_schema_goes_with_the_call_and_the_object_comes_back():
    """With structured output the schema goes to the model and its answer is read as an object, text kept."""
    data = {"structured_output": {"schema": SCHEMA}, "structured_output_enabled": True}
    result, _, chat, streamed = await run('Here: {"age": 4,}', **data)
    assert result.outputs["structured_output"] == {"age": 4} and result.outputs["text"] == 'Here: {"age": 4,}'
    assert chat.requests[0].schema == SCHEMA and streamed[-1] == ("text", "", True)


async def test_structured_output_needs_an_object_and_a_schema():
    """An answer without an object and a node without a schema fail with their own classes."""
    switched = {"structured_output_switch_on": True}
    with pytest.raises(NodeError, match="Failed to parse structured output") as caught:
        await run("no idea", structured_output={"schema": SCHEMA}, **switched)
    assert caught.value.error_type == "OutputParserError"
    with pytest.raises(NodeError, match="no schema"):
        await run(structured_output=None, **switched)


async def test_switched_off_structured_output_is_free_text():
    """A schema that is not switched on changes nothing."""
    result, _, chat, _ = await run(structured_output={"enabled": False, "schema": SCHEMA})
    assert "structured_output" not in result.outputs and chat.requests[0].schema is None


async def test_images_go_with_the_last_user_message():
    """With vision the images of the selector go along, other files do not, and the record names them."""
    files = [a_file("a.png"), a_file("b.pdf", "document", "application/pdf")]
    vision = {"enabled": True, "configs": {"detail": "low"}}
    result, messages, _, _ = await run(pool={"sys": {"files": files}}, vision=vision)
    assert [message.images for message in messages] == [(), (ImagePart(b"a.png", "image/png", "low", "a.png"),)]
    assert result.process_data is not None
    assert result.process_data["prompts"][1]["files"] == [{"type": "image", "data": "a.png", "detail": "low"}]
    assert result.inputs["#files#"] == files


async def test_images_get_a_message_where_no_user_speaks_last():
    """After an assistant message the images go out in a message of their own; without vision they stay."""
    prompt = [*PROMPT, {"role": "assistant", "text": "Yes?"}]
    pool = {"sys": {"files": [a_file("a.png")]}}
    _, messages, _, _ = await run(pool=pool, prompt_template=prompt, vision={"enabled": True})
    assert (messages[-1].role, messages[-1].text, len(messages[-1].images)) == ("user", "", 1)
    _, messages, _, _ = await run(pool=pool, prompt_template=prompt)
    assert not any(message.images for message in messages)


async def test_image_in_the_prompt_follows_its_message():
    """An image that a prompt refers to goes out in a message of the same role."""
    prompt = [{"role": "user", "text": "Look: {{#s.picture#}}"}]
    _, messages, _, _ = await run(pool={"s": {"picture": a_file("p.png")}}, prompt_template=prompt)
    assert [(message.role, message.text, len(message.images)) for message in messages] == [
        ("user", "Look: ", 0), ("user", "", 1)
    ]  # fmt: skip


class Painter:
    """Answers with a picture."""

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Yield text and picture."""
        yield ChatDelta(text="Done", images=(ImagePart(b"pixels", "image/png", name="image.png"),))
        yield ChatDelta(finish_reason="stop", usage=ChatUsage())


async def test_pictures_that_the_model_makes_are_files():
    """What the model paints is stored, and stands in the output files."""
    store = MemoryFiles()
    result, _ = await run_node("llm", {}, ports_of(chat=Painter(), files=store), model=MODEL, prompt_template=PROMPT)
    assert [file["filename"] for file in result.outputs["files"]] == ["image.png"]
    assert store.stored == {"image.png": b"pixels"}


@pytest.mark.parametrize(
    ("window", "kept"),
    [({"enabled": True, "size": 2}, ["q2", "a2", "q3", "a3"]), ({"enabled": True, "size": 0}, []),
     ({"enabled": False, "size": 1}, ["q1", "a1", "q2", "a2", "q3", "a3"])],
)  # fmt: skip
async def test_memory_window_bounds_past_turns(window, kept):
    """Past turns go between the prompt and the question, as many as the window lets through."""
    pool = {"sys": {"query": "now", "history": HISTORY}}
    _, messages, _, _ = await run(pool=pool, memory={"window": window})
    assert [message.text for message in messages] == ["S", "ask", *kept, "now"]
    assert [message.role for message in messages[2:]] == ["user", "assistant"] * (len(kept) // 2) + ["user"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("H:{{#histories#}}|Q:{{#sys.query#}}", "H:Me: q1\nBot: a1|Q:now"), ("Go", "Me: q1\nBot: a1\nGo")],
)
async def test_completion_prompt_takes_past_turns_as_text(text, expected):
    """A completion prompt has them at its mark, or before it."""
    memory = {"role_prefix": {"user": "Me", "assistant": "Bot"}, "window": {"enabled": True, "size": 9}}
    pool = {"sys": {"query": "now", "history": HISTORY[:1]}}
    data = {"model": {**MODEL, "mode": "completion"}, "prompt_template": {"text": text}, "memory": memory}
    _, messages, _, _ = await run(pool=pool, **data)
    assert [message.text for message in messages] == [expected]


async def test_knowledge_context_gives_retriever_resources():
    """Knowledge items of the context are told as resources; other items are not."""
    metadata = {"_source": "knowledge", "dataset_id": "d", "segment_word_count": 9, "score": 0.5, "position": 1}
    items = [{"content": "fact", "title": "T", "metadata": metadata}, {"content": "plain"}]
    data = {"context": {"enabled": True, "variable_selector": ["k", "result"]}}
    result, _, _, _ = await run(pool={"k": {"result": items}}, **data)
    assert result.metadata is not None
    (resource,) = result.metadata["retriever_resources"]
    assert (resource["dataset_id"], resource["word_count"], resource["content"]) == ("d", 9, "fact")
    assert result.inputs["#context#"] == "fact\nplain"


async def test_costly_jinja2_prompt_goes_to_the_sandbox():
    """A jinja2 text whose cost is not bounded is rendered by the sandbox."""
    text = "{% macro again(n) %}{{ again(n) }}{% endmacro %}{{ n }}"
    prompt = [{"role": "user", "edition_type": "jinja2", "text": "", "jinja2_text": text}]
    variables = {"jinja2_variables": [{"variable": "n", "value_selector": ["s", "n"]}]}
    _, messages, _, _ = await run(pool={"s": {"n": 5}}, prompt_template=prompt, prompt_config=variables)
    assert [message.text for message in messages] == ["sandboxed ['n']"]
