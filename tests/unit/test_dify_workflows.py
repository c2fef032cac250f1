"""The workflow files of Dify's own tests give the outputs, events and texts that Dify's tests expect.

What reaches outside answers as Dify's mocks do; code really runs. Source: spec/graph.md 7.1-7.3.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures_path import fixtures_path
from graph.errors import NodeError
from graph.events import RunFinished, TextEmitted
from graph.nodes.kind import EffectContext, NodeResult
from graph.parse_workflow import parse_workflow
from graph.plan import Plan, PlanNode, compile_plan
from graph.variable_pool import MISSING, VariablePool
from run_on_stage import RunOnStage, end_of, finished, long_story

MOCKED = "This is a mocked LLM response"
FOLDER = fixtures_path()
pytestmark = pytest.mark.skipif(FOLDER is None, reason="the workflow files are absent; set GREENROOM_FIXTURES")

Answers = dict[str, Any]


def compiled(name: str, answers: Answers) -> Plan:
    """Return the plan of a file with its outside scripted: ``answers`` by node id, an exception fails the node."""
    assert FOLDER is not None
    parsed = parse_workflow((FOLDER / "dify" / f"{name}.yml").read_text(encoding="utf-8"))
    assert parsed.workflow is not None, parsed.faults
    plan = compile_plan(parsed.workflow)
    data = {node.id: node.data for node in parsed.workflow.nodes}
    for scope in plan.scopes.values():
        for node in scope.nodes:
            if node.type == "llm":
                node.effect = says(answers.get(node.id, MOCKED))
            elif node.type == "code":
                node.effect = runs(data[node.id])
            elif node.type in ("tool", "http-request"):
                node.effect = gives(answers[node.id])
    return plan


def says(answer: Any) -> Callable[..., Any]:
    """Return a step that streams a text word by word."""

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        if isinstance(answer, Exception):
            raise answer
        for number, word in enumerate(answer.split(" ")):
            context.emit("text", word if number == 0 else f" {word}")
        context.emit("text", "", is_final=True)
        return NodeResult({"text": answer})

    return step


def runs(data: dict[str, Any]) -> Callable[..., Any]:
    """Return a step that runs the node's Python code in this process: the files are known."""
    names: dict[str, Any] = {}
    exec(data["code"], names)

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        found = {each["variable"]: pool.get(each["value_selector"]) for each in data["variables"]}
        return NodeResult(names["main"](**{n: None if value is MISSING else value for n, value in found.items()}))

    return step


def gives(outputs: dict[str, Any]) -> Callable[..., Any]:
    """Return a step that gives ``outputs``."""

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        return NodeResult(dict(outputs))

    return step


async def perform(name: str, query: str = "", answers: Answers | None = None, **inputs: Any) -> RunOnStage:
    """Run a file to its end, with ``query`` as sys.query and start input, and check its replay."""
    plan = compiled(name, answers or {})
    run = RunOnStage(plan)
    names = {variable["variable"] for variable in plan.start_form}
    given = {name: value for name, value in {"query": query, **inputs}.items() if name in names}
    outcome = await run.engine().start(given, {"query": query, "files": []})
    assert isinstance(outcome, RunFinished)
    run.check_replay()
    return run


@pytest.mark.parametrize("query", ["hello", "", "你好 🌍", "x" * 5000, "'; DROP TABLE", "{{#sys.query#}}"])
async def test_passthrough_gives_what_came_in(query: str):
    """The query comes out unchanged, told right after the start."""
    run = await perform("simple_passthrough_workflow", query)
    assert finished(run).outputs == {"query": query}
    start, end = "1754154032319", "1754154034161"
    assert long_story(run.facts) == [
        f'C"{query}"', f"S {start}", f"OK {start}", f"S {end}", f"OK {end}", "=succeeded",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "handle"),
    [("hello", "true"), ("say hello123", "true"), (" hello ", "true"), ("Hello", "false"), ("HELLO", "false"),
     ("helo", "false"), ("", "false")],
)  # fmt: skip
async def test_branch_on_hello_is_case_sensitive(query: str, handle: str):
    """Exactly the output of the branch taken; its text comes before the branch node's end."""
    run = await perform("conditional_hello_branching_workflow", query)
    assert finished(run).outputs == {handle: query}
    end = {"true": "1754154034161", "false": "1754217363584"}[handle]
    assert long_story(run.facts)[2:] == [
        "S 1754217359748", f'C"{query}"', "OK 1754217359748", f"S {end}", f"OK {end}", "=succeeded",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("switch", "outputs", "text"),
    [
        (1, {"1": "Code 1", "2": "Code 2", "3": None}, "Code 1\nCode 2\n"),
        (0, {"1": None, "2": "Code 2", "3": "Code 3"}, "\nCode 2\nCode 3"),
    ],
)
async def test_join_reads_skipped_branches_as_null(switch: int, outputs: dict, text: str):
    """Code nodes beside each other join in one end; what was skipped is null and leaves its line break."""
    run = await perform("conditional_parallel_code_execution_workflow", switch=switch)
    assert finished(run).outputs == outputs and run.text() == text


async def test_answer_with_text_around_a_variable():
    """Three pieces, the last one final, all before the start node begins."""
    run = await perform("answer_end_with_text", "Hello, AI!")
    assert finished(run).outputs["answer"] == "prefixHello, AI!suffix"
    assert long_story(run.facts)[:3] == ['C"prefix"', 'C"Hello, AI!"', 'C"suffix"']
    assert [f.is_final for f in run.facts if isinstance(f, TextEmitted)] == [False, False, True]


async def test_iteration_formats_an_array():
    """Every item once, in order; the list is told as lines when the iteration ends."""
    run = await perform("array_iteration_formatting_workflow")
    assert finished(run).outputs == {"output": ["output: 1", "output: 2", "output: 3"]}
    it, inner = "1754683430480", "1754683458843"
    story = long_story(run.facts)
    begun = story.index(f"+ {it}")
    assert story[begun : story.index(f"OK {it}")] == [
        f"+ {it}",
        *(line for i in range(3) for line in (
            f"pass {it} {i}", f"S {it}:{i}|{inner}", f"OK {it}:{i}|{inner}", f"succeeded {it} {i}",
        )),
        'C"- output: 1\n- output: 2\n- output: 3"',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("iteration_flatten_output_enabled_workflow", [1, 2, 2, 4, 3, 6]),
        ("iteration_flatten_output_disabled_workflow", [[1, 2], [2, 4], [3, 6]]),
    ],
)
async def test_iteration_flattens_as_it_is_told(name: str, output: list):
    """Lists of the items are joined, or not."""
    assert finished(await perform(name)).outputs == {"output": output}


async def test_loop_counts_up_to_its_condition():
    """Four rounds from 1 to 5; LoopNext comes before rounds 2 to 4; the value is told when the loop ends."""
    run = await perform("increment_loop_with_break_condition_workflow")
    assert finished(run).outputs == {"num": 5}
    assert end_of(run, "1754827949615").outputs == {"num": 5, "loop_round": 4}
    story = long_story(run.facts)
    assert [line for line in story if line.startswith("pass ")] == [f"pass 1754827949615 {i}" for i in range(4)]
    assert story[-5:-3] == ['C"5"', "OK 1754827949615"]


@pytest.mark.parametrize(
    ("name", "query", "answer"),
    [
        ("test_streaming_conversation_variables", "Hello, this is my test query", "Hello, this is my test query"),
        ("test_streaming_conversation_variables_v1_overwrite", "overwrite-value",
         "Current Value Of `conv_var` is:overwrite-value"),
    ],
)  # fmt: skip
async def test_answer_shows_the_new_value_of_a_conversation_variable(name: str, query: str, answer: str):
    """The assigner's value is streamed, never the default; after the update, before the assigner's end."""
    run = await perform(name, query)
    assert finished(run).outputs["answer"] == run.text() == answer
    told = [f for f in run.facts if isinstance(f, TextEmitted) and f.selector[0] == "conversation"]
    assert ["".join(fact.texts) for fact in told] == [query]
    story = long_story(run.facts)
    at = story.index(f'C"{query}"')
    assert [line for line in story[:at] if "=" in line] and story[at + 1].startswith("OK ")


async def test_chatflow_streams_a_model_word_by_word():
    """The pieces of the model come between its start and its end, with an empty final one."""
    run = await perform("basic_chatflow", "hi", {"llm": "mocked llm response"})
    assert long_story(run.facts)[2:] == [
        "S llm", 'C"mocked"', 'C" llm"', 'C" response"', 'C""', "OK llm", "S answer", "OK answer", "=succeeded",
    ]  # fmt: skip
    assert finished(run).outputs["answer"] == "mocked llm response"


async def test_chatflow_recovers_by_a_default_value():
    """The default is told as one piece and the run succeeds partly."""
    plan = compiled("basic_chatflow", {"llm": NodeError("mock llm failure")})
    node: PlanNode = plan.node("", "llm")
    default = [{"key": "text", "type": "string", "value": "fallback response"}]
    assert node.kind is not None and node.data is not None
    changed = {**node.data.model_dump(), "error_strategy": "default-value", "default_value": default}
    node.data = node.kind.data.model_validate(changed)
    run = RunOnStage(plan)
    outcome = await run.engine().start({}, {"query": "hi", "files": []})
    assert (outcome.status, outcome.exceptions_count) == ("partial-succeeded", 1)
    assert outcome.outputs["answer"] == run.text() == "fallback response"


@pytest.mark.parametrize(("answer", "status"), [("Four.", "succeeded"), (NodeError("quota"), "failed")])
async def test_model_workflow_gives_its_text_or_fails(answer: Any, status: str):
    """A workflow around one model ends as the model does."""
    run = await perform("basic_llm_chat_workflow", "2+2?", {"llm_node": answer})
    assert finished(run).status == status
    assert finished(run).outputs == ({"answer": "Four."} if status == "succeeded" else {})


async def test_http_reply_goes_through_a_tool():
    """Status and parsed body come out."""
    body = {"key": "value", "number": 42}
    answers = {
        "http_node": {"status_code": 200, "body": json.dumps(body), "headers": {}},
        "tool_node": {"text": "", "json": [body], "result": body},
    }
    run = await perform("http_request_with_json_tool_workflow", answers=answers, url="https://sample.invalid")
    assert finished(run).outputs == {"status_code": 200, "parsed_data": body}


async def test_static_template_behind_a_tool_is_told_once():
    """Exactly one piece of text."""
    run = await perform("chatflow_time_tool_static_output_workflow", "1", {"1754336729904": {"text": "now"}})
    assert [line for line in long_story(run.facts) if line.startswith("C")] == ['C"hello, dify!"']


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("hello world", f"{MOCKED}contains 'hello'"),
        ("say hello to everyone", f"{MOCKED}contains 'hello'"),
        ("bye", MOCKED),
    ],
)
async def test_two_answers_beside_a_model(query: str, text: str):
    """The model's answer runs in any case, the other only for a hello."""
    run = await perform("test_complex_branch", query)
    story = long_story(run.facts)
    assert "S 1755502773326" in story and "S 1755502777322" in story
    assert sorted(run.text()) == sorted(text)
    assert ("contains 'hello'" in run.text()) is ("hello" in query)
    assert story.index("S 1755502777322") < next(i for i, line in enumerate(story) if line.startswith("C"))
    assert sorted(finished(run).outputs["answer"]) == sorted(text)


async def test_two_models_in_one_answer_come_in_its_order():
    """Streamed text equals the answer, and the last piece is final."""
    run = await perform("response_stream_filter_issue_170_workflow", "poems",
                        {"llm": "Quiet Night Thought", "dufu": "Spring View"})  # fmt: skip
    assert run.text() == finished(run).outputs["answer"] == "# Du Fu\n\nSpring View\n\n# Li Bai\n\nQuiet Night Thought"
    assert [f.is_final for f in run.facts if isinstance(f, TextEmitted)][-1]


def test_every_file_is_covered() -> None:
    """Each workflow file of the folder is run by this module."""
    assert FOLDER is not None
    source = Path(__file__).read_text(encoding="utf-8")
    assert not [path.stem for path in (FOLDER / "dify").glob("*.yml") if path.stem not in source]
