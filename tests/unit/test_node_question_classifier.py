"""The question-classifier node: what it asks, and which exit it takes."""

from typing import Any

import pytest

from effect_fakes import ports_of, run_node
from factories import edge, end, node, plan, start
from fakes import ListRecorder, ScriptedChat, TickClock, effects
from graph.engine import Engine
from graph.errors import NodeError
from graph.nodes.kind import NodeResult
from graph.nodes.table import KINDS
from graph.run_state import RunState

MODEL = {"provider": "p", "name": "m", "mode": "chat", "completion_params": {}}
CLASSES = [{"id": "1", "name": "Sport"}, {"id": "2", "name": "{{#s.topic#}}", "label": "Second"}]


async def run(answer: str, pool: dict[str, Any] | None = None, **data: Any) -> tuple[NodeResult, ScriptedChat]:
    """Run a node whose model answers ``answer``."""
    chat = ScriptedChat({"m": [answer]})
    data = {"model": MODEL, "query_variable_selector": ["s", "q"], "classes": CLASSES, **data}
    pool = pool or {"s": {"q": "Who won?", "topic": "Music"}}
    result, _ = await run_node("question-classifier", pool, ports_of(chat=chat), **data)
    return result, chat


async def test_named_class_is_the_exit():
    """The class that the model names is output and exit; its name may hold references."""
    result, chat = await run('```json\n{"category_id": "2", "category_name": "Music"}\n```')
    usage = result.outputs["usage"]
    assert result.outputs == {"class_name": "Music", "class_label": "Second", "class_id": "2", "usage": usage}
    assert result.handle == "2" and result.total_tokens == usage["total_tokens"] == 4
    system, user = chat.requests[0].messages
    assert '"category_id": "2", "category_name": "Music"' in system.text and user.text == "Who won?"
    schema = chat.requests[0].schema or {}
    assert schema["properties"]["category_id"]["enum"] == ["1", "2"]


@pytest.mark.parametrize(
    "answer",
    ["", "Sport, I think", '{"category_id": "9", "category_name": "Sport"}', '{"category_id": "2"}', "[]", '{"a": 1'],
)
async def test_anything_else_takes_the_first_class(answer):
    """Without a known id and a name in JSON the first class is taken, with its canonical label."""
    result, _ = await run(answer)
    assert result.handle == "1"
    assert (result.outputs["class_name"], result.outputs["class_label"]) == ("Sport", "CLASS 1")


async def test_thoughts_do_not_count():
    """A class that the model only thought about is not its answer."""
    result, _ = await run(
        '<think>{"category_id": "1", "category_name": "x"}</think>{"category_id":2,"category_name":""}'
    )
    assert result.handle == "2"


async def test_instruction_and_memory_go_along():
    """The instruction is a template and past turns are text of the prompt."""
    pool = {"s": {"q": "x", "topic": "Art"}, "sys": {"history": [{"query": "before", "answer": "yes"}]}}
    _, chat = await run("{}", pool, instruction="About {{#s.topic#}}", memory={"window": {"enabled": False}})
    text = chat.requests[0].messages[0].text
    assert "About Art" in text and "Human: before\nAssistant: yes" in text


async def test_missing_query_and_numeric_ids_are_taken():
    """A query that does not exist is asked as nothing, and ids that a file writes as numbers are texts."""
    result, chat = await run("{}", {"s": {}}, classes=[{"id": 7, "name": "only"}])
    assert (result.handle, result.inputs["query"], chat.requests[0].messages[1].text) == ("7", None, "")


async def test_completion_model_gets_one_text():
    """A completion model gets task and text in one message."""
    _, chat = await run("{}", model={**MODEL, "mode": "completion"})
    assert len(chat.requests[0].messages) == 1 and "Who won?" in chat.requests[0].messages[0].text


async def test_model_failure_passes_through():
    """What the model raises fails the node, and so does a node without classes."""
    chat = ScriptedChat({"m": [NodeError("gone")]})
    with pytest.raises(NodeError, match="gone"):
        await run_node("question-classifier", {}, ports_of(chat=chat), model=MODEL, classes=CLASSES)
    with pytest.raises(NodeError, match="no classes"):
        await run("{}", classes=[])


async def test_only_the_chosen_branch_runs():
    """In a run the exit decides which nodes follow."""
    classifier = node("c", "question-classifier", model=MODEL, query_variable_selector=["start", "q"], classes=CLASSES)
    graph = plan(
        [start("q"), classifier, end("one", out=["c", "class_id"]), end("two", out=["c", "class_name"])],
        [edge("start", "c"), edge("c", "one", "1"), edge("c", "two", "2")],
    )
    assert KINDS["question-classifier"].handles is not None
    chat = ScriptedChat({"m": ['{"category_id": "2", "category_name": "x"}']})
    outcome = await Engine(graph, RunState(graph), "run", effects(chat), ListRecorder(), TickClock()).start({}, {})
    assert outcome.status == "succeeded" and outcome.outputs == {"out": "s.topic"}
