"""The 16 workflow files of Dify's own tests give the outputs, the order of events and the text that those tests expect.

They run through the simulation; code really runs, and the facts of each run replay to its state. Sequences are those of
Dify with our place for text that is known from the beginning: right after the start. Source: spec/graph.md 7.1-7.3 and
9.1.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from effects.code_sandbox.image import build_image
from factories import document, edge, end, iteration, node, start
from fixtures_path import fixtures_path, workflow_files
from graph.events import NodeFinished, NodeStarted, TextEmitted
from simulated import Simulated, simulated

pytestmark = pytest.mark.service

MOCKED = "This is a mocked LLM response"
MOCKED_WORDS = ["This", " is", " a", " mocked", " LLM", " response", ""]


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    """Code nodes run in the sandbox's image."""
    build_image()


@dataclass(frozen=True)
class Case:
    """What one file gives. ``outputs``: each listed key, all of them if ``is_whole``; ``story``: all facts in short."""

    name: str
    outputs: dict[str, Any]
    story: list[str] | None = None
    query: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, Any] = field(default_factory=dict)
    text: str | None = None
    status: str = "succeeded"
    is_whole: bool = False


def ran(*nodes: str) -> list[str]:
    """Return the lines of nodes that ran one after the other and said nothing."""
    return [line for name in nodes for line in (f"S {name}", f"OK {name}")]


def said(name: str, *pieces: str) -> list[str]:
    """Return the lines of a node while which ran ``pieces`` were told, the last one final."""
    return [f"S {name}", *(f'C"{piece}"' for piece in pieces[:-1]), f'C"{pieces[-1]}"!', f"OK {name}"]


def passthrough(query: str) -> Case:
    """Return the simplest workflow with ``query``."""
    story = [f'C"{query}"!', *ran("1754154032319", "1754154034161"), "=succeeded"]
    return Case("simple_passthrough_workflow", {"query": query}, story, inputs={"query": query}, is_whole=True)


def hello(query: str, handle: str, last: str) -> Case:
    """Return the branch on "hello" with ``query``."""
    story = [*ran("1754154032319"), *said("1754217359748", query), *ran(last), "=succeeded"]
    outputs, inputs = {handle: query}, {"query": query}
    return Case("conditional_hello_branching_workflow", outputs, story, inputs=inputs, is_whole=True)


def rounds() -> list[str]:
    """Return the lines of a loop that counts from 1 to 5."""
    loop, inner = "1754827949615", "1754827988715"
    return [
        line
        for index, count in enumerate((2, 3, 4, 5))
        for line in (
            f"pass {loop} {index}", f"S {loop}:{index}|{inner}", f"{loop}.num={count}", f"OK {loop}:{index}|{inner}",
            f"succeeded {loop} {index}",
        )
    ]  # fmt: skip


def items() -> list[str]:
    """Return the lines of an iteration over three items with one template inside."""
    it, inner = "1754683430480", "1754683458843"
    return [
        line
        for index in range(3)
        for line in (f"pass {it} {index}", *ran(f"{it}:{index}|{inner}"), f"succeeded {it} {index}")
    ]


def branch_and_model(query: str, **shown: Any) -> Case:
    """Return the answer beside a model with ``query``."""
    return Case("test_complex_branch", {}, query=query, **shown)


BODY = {"key": "value", "number": 42}
FALLBACK = {"error_strategy": "default-value",
            "default_value": [{"key": "text", "type": "string", "value": "fallback response"}]}  # fmt: skip
YES, NO = ("true", "1754154034161"), ("false", "1754217363584")
CASES = [
    *(passthrough(query) for query in ("hello", "", "你好 🌍", "x" * 5000, "'; DROP TABLE", "{{#sys.query#}}")),
    *(hello(query, *YES) for query in ("hello", "say hello", "hello123", "say hello123", " hello ")),
    *(hello(query, *NO) for query in ("Hello", "HELLO", "helo", "")),
    Case(
        "conditional_parallel_code_execution_workflow", {"1": "Code 1", "2": "Code 2", "3": None},
        inputs={"switch": 1}, text="Code 1\nCode 2\n", is_whole=True,
    ),
    Case(
        "conditional_parallel_code_execution_workflow", {"1": None, "2": "Code 2", "3": "Code 3"},
        inputs={"switch": 0}, text="\nCode 2\nCode 3", is_whole=True,
    ),
    Case(
        "answer_end_with_text", {"answer": "prefixHello, AI!suffix"},
        ['C"prefix"', 'C"Hello, AI!"', 'C"suffix"!', *ran("1755077165531", "answer"), "=succeeded"],
        query="Hello, AI!", text="prefixHello, AI!suffix",
    ),
    Case(
        "array_iteration_formatting_workflow", {"output": ["output: 1", "output: 2", "output: 3"]},
        [
            *ran("1754683427386", "1754683442688"), "S 1754683430480", "+ 1754683430480", *items(),
            'C"- output: 1\n- output: 2\n- output: 3"!', "OK 1754683430480", *ran("1754683480778"), "=succeeded",
        ],
    ),
    Case("iteration_flatten_output_enabled_workflow", {"output": [1, 2, 2, 4, 3, 6]}),
    Case("iteration_flatten_output_disabled_workflow", {"output": [[1, 2], [2, 4], [3, 6]]}),
    Case(
        "increment_loop_with_break_condition_workflow", {"num": 5},
        [
            *ran("1754827922555"), "S 1754827949615", "+ 1754827949615", *rounds(), 'C"5"!', "OK 1754827949615",
            *ran("1754828005059"), "=succeeded",
        ],
        is_whole=True,
    ),
    Case(
        "test_streaming_conversation_variables", {"answer": "Hello, this is my test query"},
        [
            *ran("1755316734941"), "S 1755316749068", "conversation.str=Hello, this is my test query",
            'C"Hello, this is my test query"!', "OK 1755316749068", *ran("answer"), "=succeeded",
        ],
        query="Hello, this is my test query", text="Hello, this is my test query",
    ),
    Case(
        "test_streaming_conversation_variables_v1_overwrite",
        {"answer": "Current Value Of `conv_var` is:overwrite-value"},
        [
            *ran("start"), "S assigner", "conversation.conv_var=overwrite-value", 'C"Current Value Of `conv_var` is:"',
            'C"overwrite-value"!', "OK assigner", *ran("answer"), "=succeeded",
        ],
        query="overwrite-value", text="Current Value Of `conv_var` is:overwrite-value",
    ),
    Case(
        "basic_chatflow", {"answer": "mocked llm response"},
        [*ran("1755189262236"), *said("llm", "mocked", " llm", " response", ""), *ran("answer"), "=succeeded"],
        nodes={"llm": {"outputs": {"text": "mocked llm response"}}}, text="mocked llm response",
    ),
    Case(
        "basic_chatflow", {"answer": MOCKED},
        [*ran("1755189262236"), *said("llm", *MOCKED_WORDS), *ran("answer"), "=succeeded"],
    ),
    Case("basic_chatflow", {}, nodes={"llm": {"error": "mock llm failure"}}, text="", status="failed"),
    Case("basic_llm_chat_workflow", {"answer": MOCKED}, inputs={"query": "2+2?"}, text=MOCKED, is_whole=True),
    Case(
        "basic_llm_chat_workflow", {"answer": "Four."}, inputs={"query": "2+2?"}, is_whole=True, text="Four.",
        nodes={"llm_node": {"chunks": ["Fo", "ur."], "delay_s": 0.01}},
    ),
    Case(
        "basic_llm_chat_workflow", {}, [*ran("start_node"), "S llm_node", "failed llm_node", "=failed"],
        inputs={"query": "2+2?"}, nodes={"llm_node": {"error": "quota"}}, status="failed", is_whole=True,
    ),
    Case(
        "http_request_with_json_tool_workflow", {"status_code": 200, "parsed_data": BODY},
        inputs={"url": "https://sample.invalid"}, is_whole=True,
        nodes={
            "http_node": {"outputs": {"status_code": 200, "body": json.dumps(BODY), "headers": {}}},
            "tool_node": {"outputs": {"text": "", "json": [BODY], "result": BODY}},
        },
    ),
    Case(
        "http_request_with_json_tool_workflow", {"status_code": 200, "parsed_data": "mocked tool output"},
        inputs={"url": "https://sample.invalid"}, is_whole=True,
    ),
    Case(
        "chatflow_time_tool_static_output_workflow", {"answer": "hello, dify!"}, query="1", text="hello, dify!",
        story=[
            *ran("1754336720803", "1754336729904"), *said("1754336733947", "hello, dify!"), *ran("answer"),
            "=succeeded",
        ],
    ),
    branch_and_model("hello world"),
    branch_and_model("say hello to everyone"),
    branch_and_model("bye", text=MOCKED),
    Case(
        "response_stream_filter_issue_170_workflow",
        {"answer": "# Du Fu\n\nSpring View\n\n# Li Bai\n\nQuiet Night Thought"},
        nodes={"llm": {"outputs": {"text": "Quiet Night Thought"}}, "dufu": {"outputs": {"text": "Spring View"}}},
        text="# Du Fu\n\nSpring View\n\n# Li Bai\n\nQuiet Night Thought",
    ),
]  # fmt: skip


def file_of(name: str) -> Path:
    """Return the path of a file; the test is skipped where the files are absent."""
    folder = fixtures_path()
    if folder is None:
        pytest.skip("the workflow files are absent; set GREENROOM_FIXTURES to their folder")
    return folder / "dify" / f"{name}.yml"


def case_of(name: str) -> Case:
    """Return the first case of a file."""
    return next(case for case in CASES if case.name == name)


async def run(case: Case) -> Simulated:
    """Run the file of ``case`` and check its replay."""
    made = await simulated(file_of(case.name), {"nodes": case.nodes}, case.query, inputs=case.inputs)
    made.check_replay()
    return made


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{(case.query or case.text or '')[:12]}")
async def test_file_does_what_its_tests_expect(case: Case) -> None:
    """Status, outputs, order of events and text are those of the table."""
    made = await run(case)
    assert made.status == case.status, made.error
    kept = made.outputs if case.is_whole else {name: made.outputs.get(name) for name in case.outputs}
    assert kept == case.outputs
    assert case.story is None or made.story() == case.story
    assert case.text is None or made.text() == case.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_nodes_and_their_pieces_keep_to_the_order(case: Case) -> None:
    """A node ends and speaks after it began, and nothing of it comes after its final piece."""
    made = await run(case)
    began: dict[str, int] = {}
    ended: dict[str, int] = {}
    for number, fact in enumerate(made.facts):
        if isinstance(fact, NodeStarted):
            began[fact.execution_id] = number
        elif isinstance(fact, NodeFinished):
            ended[fact.execution_id] = number
    assert set(began) == set(ended)
    assert all(began[name] < ended[name] for name in began)
    told = [(number, fact) for number, fact in enumerate(made.facts) if isinstance(fact, TextEmitted)]
    live = [(number, fact.stream.partition("/")[0]) for number, fact in told if fact.stream]
    assert all(began[node] < number for number, node in live)
    final = [(fact.execution_id, fact.selector) for _, fact in told if fact.is_final]
    last = {(fact.execution_id, tuple(fact.selector)): fact.is_final for _, fact in told}
    assert all(last[(execution_id, tuple(selector))] for execution_id, selector in final)


@pytest.mark.parametrize("path", workflow_files("dify"))
def test_file_is_in_the_table(path: Path) -> None:
    """Every file of the folder has a case."""
    assert path.stem in {case.name for case in CASES}


@settings(max_examples=25, deadline=None)
@given(query=st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=60))
async def test_passthrough_gives_any_text_unchanged(query: str) -> None:
    """Whatever comes in comes out, and is the text that the reader gets."""
    made = await run(passthrough(query))
    assert made.outputs == {"query": query}
    assert made.text() == query


@pytest.mark.parametrize(
    ("query", "is_hello"), [("hello world", True), ("say hello to everyone", True), ("bye", False)]
)
async def test_answer_waits_for_its_model_beside_a_branch(query: str, is_hello: bool) -> None:
    """Branch and model both begin; the model's answer is told in any case, the other for a hello only."""
    made = await run(branch_and_model(query))
    story = made.story()
    first_text = next(number for number, line in enumerate(story) if line.startswith("C"))
    assert {"S 1755502773326", "S 1755502777322"} <= set(story[:first_text])
    assert ("S 1755502793218" in story) is is_hello
    assert ("contains 'hello'" in made.text()) is is_hello
    assert made.text().replace("contains 'hello'", "", int(is_hello)) == MOCKED
    assert sorted(made.outputs["answer"]) == sorted(made.text())


async def test_last_piece_of_two_models_in_one_answer_is_final() -> None:
    """However the two models take turns, nothing comes behind the piece that closes the answer."""
    made = await run(case_of("response_stream_filter_issue_170_workflow"))
    assert [fact.is_final for fact in made.facts if isinstance(fact, TextEmitted)][-1]


async def test_loop_gives_its_variables_and_its_rounds() -> None:
    """The outputs of the loop are its variables at the end and how many rounds there were."""
    made = await run(case_of("increment_loop_with_break_condition_workflow"))
    ended = next(f for f in made.facts if isinstance(f, NodeFinished) and f.node_id == "1754827949615")
    assert ended.outputs == {"num": 5, "loop_round": 4}


@pytest.mark.parametrize(
    "name", ["test_streaming_conversation_variables", "test_streaming_conversation_variables_v1_overwrite"]
)
async def test_conversation_variable_is_never_told_with_its_default(name: str) -> None:
    """Each piece that stands for the variable is the query."""
    case = case_of(name)
    made = await run(case)
    told = [f for f in made.facts if isinstance(f, TextEmitted) and f.selector[0] == "conversation"]
    assert ["".join(fact.texts) for fact in told] == [case.query]


async def test_default_value_stands_in_for_a_failed_model() -> None:
    """One piece with the fallback; the run succeeds partly, with one exception."""
    file = yaml.safe_load(file_of("basic_chatflow").read_text(encoding="utf-8"))
    model = next(each for each in file["workflow"]["graph"]["nodes"] if each["id"] == "llm")
    model["data"] |= FALLBACK
    made = await simulated(file, {"nodes": {"llm": {"error": "mock llm failure"}}}, "hi")
    assert (made.status, made.outcome.exceptions_count) == ("partial-succeeded", 1)
    assert [line for line in made.story() if line.startswith("C")] == ['C"fallback response"!']
    assert made.outputs["answer"] == made.text() == "fallback response"


async def test_parallel_iteration_gives_the_same() -> None:
    """Items in parallel give the output of items one by one."""
    file = yaml.safe_load(file_of("array_iteration_formatting_workflow").read_text(encoding="utf-8"))
    for each in file["workflow"]["graph"]["nodes"]:
        if each["data"]["type"] == "iteration":
            each["data"] |= {"is_parallel": True, "parallel_nums": 10}
    for _ in range(5):
        made = await simulated(file)
        assert made.outputs == {"output": ["output: 1", "output: 2", "output: 3"]}


async def test_answer_in_an_iteration_is_told_item_by_item() -> None:
    """Answers inside of an iteration are told in the order of the items, before the one after it."""
    say = node("say", "answer", answer="{{#it.item#}}\n")
    inside = iteration("it", ["conversation", "fruits"], ["say", "answer"], say, flatten_output=False)
    nodes = [start(), *inside, node("last", "answer", answer="done")]
    file = document(nodes, [edge("start", "it"), edge("itstart", "say"), edge("it", "last")], "advanced-chat")
    fruits = {"name": "fruits", "value_type": "array[string]", "value": ["apple", "banana"]}
    file["workflow"]["conversation_variables"] = [fruits]
    made = await simulated(file, query="hi")
    assert made.text() == "apple\nbanana\ndone"
    assert made.text("it:") == "apple\nbanana\n"


async def test_retrieval_answers_by_the_script() -> None:
    """A node that does not run by itself hands on what the script says."""
    find = node("find", "knowledge-retrieval-v2", control_space_ids=["s"], metadata_filters=[], top_n=5)
    file = document(
        [start("query"), find, end(evidence=["find", "result"])], [edge("start", "find"), edge("find", "end")]
    )
    script = {"nodes": {"find": {"outputs": {"result": [{"title": "t", "content": "c"}]}}}}
    made = await simulated(file, script, inputs={"query": "q"})
    assert made.outputs == {"evidence": [{"title": "t", "content": "c"}]}
