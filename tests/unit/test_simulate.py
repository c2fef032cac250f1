"""Simulated runs: what nodes and people do by themselves, and what a script makes of them."""

from itertools import pairwise
from typing import Any

import pytest

import factories as f
from cli.simulation_ports import MOCKED_BODY, MOCKED_DOCUMENT, MOCKED_KNOWLEDGE, MOCKED_TEXT, MOCKED_TOOL_OUTPUT, sample
from effects.code_sandbox.image import build_image
from graph.errors import InvalidInputError
from graph.events import FormOpened
from simulated import Simulated, simulated

MODEL = {"provider": "p", "name": "m", "mode": "chat", "completion_params": {}}
FILE = {"type": "document", "transfer_method": "remote_url", "url": "https://sample.invalid/a.pdf"}


def chain(*nodes: dict[str, Any], mode: str = "workflow", **outputs: list[str]) -> dict[str, Any]:
    """Return a file: start (text input ``q``) -> nodes in a row -> end with ``outputs``, or the last of the nodes."""
    row = [f.start("q"), *nodes, *([f.end(**outputs)] if outputs else [])]
    return f.document(row, [f.edge(a["id"], b["id"]) for a, b in pairwise(row)], mode)


def asking(**data: Any) -> dict[str, Any]:
    """Return a file whose only node asks a person; ends "yes", "no" and "late" behind its exits."""
    nodes = [f.start("q"), f.human("ask", **data)]
    nodes += [f.end(name, took=["ask", "__action_id"], said=["ask", "comment"]) for name in ("yes", "no", "late")]
    exits = {"yes": "approve", "no": "reject", "late": "__timeout"}
    return f.document(nodes, [f.edge("start", "ask"), *(f.edge("ask", end, exits[end]) for end in exits)])


def texts(made: Simulated) -> list[str]:
    """Return the pieces of text as they were told."""
    return [line for line in made.story() if line.startswith("C")]


async def test_model_says_the_mocked_text_word_by_word() -> None:
    """The text comes in words, the last piece is empty and final."""
    made = await simulated(chain(f.llm("m"), text=["m", "text"]))
    assert made.outputs == {"text": MOCKED_TEXT}
    words = ['C"This"', 'C" is"', 'C" a"', 'C" mocked"', 'C" LLM"', 'C" response"', 'C""!']
    assert texts(made) == words


async def test_model_that_follows_a_schema_gives_a_sample_of_it() -> None:
    """Structured output is an object of the wanted shape."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    node = f.llm("m", structured_output={"schema": schema}, structured_output_switch_on=True)
    made = await simulated(chain(node, out=["m", "structured_output"]))
    assert made.outputs == {"out": {"name": "mocked_name", "age": 42}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"enum": ["b", "a"]}, "b"), ({"const": 7}, 7), ({"default": "d", "type": "string"}, "d"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 42), ({"type": ["null", "boolean"]}, True),
        ({"type": "array", "items": {"type": "string"}}, ["mocked_value"]), ({"type": "object"}, {"key": "value"}),
        ({"properties": {"a": {"type": "null"}}}, {"a": None}), ({}, "mocked_value"), (True, "mocked_value"),
        ({"type": "array"}, ["mocked_value"]), ({"type": []}, None), ({"enum": []}, "mocked_value"),
    ],
)  # fmt: skip
def test_sample_has_the_shape_of_its_schema(schema: Any, value: Any) -> None:
    """Fixed values first, then the first choice, then something of the type."""
    assert sample(schema) == value


async def test_tool_and_server_give_fixed_answers() -> None:
    """A tool gives its text and ``result``, a server status 200."""
    tool = f.node("t", "tool", provider_id="any", tool_name="any", tool_parameters={})
    http = f.node("h", "http-request", method="get", url="https://sample.invalid", headers="", params="", body=None)
    selectors = {"text": ["t", "text"], "result": ["t", "result"], "code": ["h", "status_code"], "body": ["h", "body"]}
    made = await simulated(chain(tool, http, headers=["h", "headers"], **selectors))
    answers = {
        "text": MOCKED_TOOL_OUTPUT,
        "result": MOCKED_TOOL_OUTPUT,
        "code": 200,
        "body": MOCKED_BODY,
        "headers": {},
    }
    assert made.outputs == answers


async def test_classifier_takes_its_first_class() -> None:
    """The exit of the first class is taken."""
    classes = [{"id": "c1", "name": "Bills"}, {"id": "c2", "name": "Rest"}]
    node = f.node("c", "question-classifier", query_variable_selector=["start", "q"], model=MODEL, classes=classes)
    nodes = [f.start("q"), node, f.end("first", name=["c", "class_name"]), f.end("other", name=["c", "class_name"])]
    file = f.document(nodes, [f.edge("start", "c"), f.edge("c", "first", "c1"), f.edge("c", "other", "c2")])
    made = await simulated(file)
    assert "S first" in made.story()
    assert made.outputs == {"name": "Bills"}
    by_id = await simulated(file, {"nodes": {"c": {"outputs": {"class_id": "c2", "class_name": "Rest"}}}})
    by_name = await simulated(file, {"nodes": {"c": {"outputs": {"class_name": "Rest"}}}})
    neither = await simulated(file, {"nodes": {"c": {"outputs": {}}}})
    assert ["S other" in each.story() for each in (by_id, by_name, neither)] == [True, True, False]


@pytest.mark.parametrize("mode", ["function_call", "prompt"])
async def test_extractor_gives_a_value_of_each_type(mode: str) -> None:
    """Every parameter has a value, in both ways of asking a model."""
    wanted = [
        {"name": "who", "type": "string"},
        {"name": "n", "type": "number"},
        {"name": "l", "type": "array[string]"},
    ]
    parameters = [{**each, "description": "", "required": True} for each in wanted]
    node = f.node("x", "parameter-extractor", model=MODEL, query=["start", "q"], parameters=parameters,
                  reasoning_mode=mode)  # fmt: skip
    selectors = {name: ["x", name] for name in ("who", "n", "l", "__is_success")}
    made = await simulated(chain(node, **selectors))
    assert made.outputs == {"who": "mocked_who", "n": 42, "l": ["mocked_l"], "__is_success": 1}


async def test_document_gives_a_fixed_text() -> None:
    """A file input goes in by its address, or as any upload, and its text comes out."""
    form = [{"variable": "doc", "label": "doc", "type": "file", "required": True}]
    start = f.node("start", "start", variables=form)
    reader = f.node("d", "document-extractor", variable_selector=["start", "doc"])
    name = f.template("n", "{{ doc.filename }}", doc=["start", "doc"])
    nodes = [start, reader, name, f.end(text=["d", "text"], name=["n", "output"])]
    file = f.document(nodes, [f.edge("start", "d"), f.edge("d", "n"), f.edge("n", "end")])
    made = await simulated(file, inputs={"doc": FILE})
    assert made.outputs == {"text": MOCKED_DOCUMENT, "name": "a.pdf"}
    upload = {"type": "document", "transfer_method": "local_file", "upload_file_id": "b.docx"}
    assert (await simulated(file, inputs={"doc": upload})).outputs["name"] == "b.docx"


async def test_kinds_that_do_not_run_answer_by_themselves() -> None:
    """Agents and knowledge bases give fixed answers, so that files which use them can be tested."""
    agent, find = f.node("a", "agent"), f.node("k", "knowledge-retrieval")
    made = await simulated(chain(find, agent, text=["a", "text"], found=["k", "result"]))
    assert made.outputs["text"] == MOCKED_TEXT
    assert [each["content"] for each in made.outputs["found"]] == [MOCKED_KNOWLEDGE]
    assert texts(made)[:2] == ['C"This"', 'C" is"']


async def test_kind_that_does_not_run_fails_by_the_script() -> None:
    """Its error strategy and its retries count."""
    branches = f.node("a", "agent", error_strategy="fail-branch")
    nodes = [f.start("q"), branches, f.end("good"), f.end("bad", why=["a", "error_message"])]
    file = f.document(nodes, [f.edge("start", "a"), f.edge("a", "good"), f.edge("a", "bad", "fail-branch")])
    assert (await simulated(file, {"nodes": {"a": {"error": "no"}}})).outputs == {"why": "no"}
    again = f.node("a", "agent", retry_config={"retry_enabled": True, "max_retries": 2, "retry_interval": 1})
    script = {"nodes": {"a": {"calls": [{"error": "no"}, {"outputs": {"text": "yes"}}]}}}
    made = await simulated(chain(again, text=["a", "text"]), script)
    assert (made.status, made.outputs) == ("partial-succeeded", {"text": "yes"})


@pytest.mark.parametrize("kind", ["trigger-webhook", "datasource"])
async def test_entry_that_does_not_run_hands_on_the_inputs(kind: str) -> None:
    """What --inputs says are the outputs of a trigger."""
    nodes = [f.node("in", kind), f.end(q=["in", "q"], user=["in", "sys.user_id"])]
    made = await simulated(f.document(nodes, [f.edge("in", "end")]), inputs={"q": "tea"})
    assert made.outputs == {"q": "tea", "user": "simulated"}


async def test_unknown_kind_fails_unless_it_is_scripted() -> None:
    """What no version knows has no answer of its own."""
    file = chain(f.node("n", "teleport"), out=["n", "place"])
    assert "'teleport'" in (await simulated(file)).error
    assert "'teleport'" in (await simulated(file, {"nodes": {"n": {}}})).error
    made = await simulated(file, {"nodes": {"n": {"outputs": {"place": "Rome"}}}})
    assert made.outputs == {"out": "Rome"}


@pytest.mark.service
async def test_code_really_runs() -> None:
    """Code gives what it gives, and its failure is a failure of the run."""
    build_image()
    variables = [{"variable": "q", "value_selector": ["start", "q"]}]
    outputs = {"out": {"type": "string", "children": None}}
    code = "def main(q):\n    return {'out': q[::-1] if q else 1 / 0}"
    node = f.node("c", "code", code_language="python3", code=code, variables=variables, outputs=outputs)
    file = chain(node, out=["c", "out"])
    assert (await simulated(file, inputs={"q": "abc"})).outputs == {"out": "cba"}
    failed = await simulated(file, inputs={"q": ""})
    assert "ZeroDivisionError" in failed.error
    assert not failed.run.notes


@pytest.mark.service
async def test_code_behind_made_up_values_gives_values_of_its_types() -> None:
    """Code that cannot read what a mock says does not end the run; a note says so. Scripted values count in earnest."""
    build_image()
    kinds = {"s": "string", "n": "number", "o": "object", "b": "boolean", "ns": "array[number]", "os": "array[object]"}
    code = "import json\ndef main(t):\n    return json.loads(t)"
    node = f.node("c", "code", code_language="python3", code=code, outputs={k: {"type": t} for k, t in kinds.items()},
                  variables=[{"variable": "t", "value_selector": ["m", "text"]}])  # fmt: skip
    file = chain(f.llm("m"), node, **{name: ["c", name] for name in kinds})
    made = await simulated(file)
    assert made.outputs == {
        "s": "mocked_s", "n": 42, "o": {"key": "value"}, "b": True, "ns": [1, 2, 3],
        "os": [{"key": "value1"}, {"key": "value2"}],
    }  # fmt: skip
    assert len(made.run.notes) == 1 and "JSONDecodeError" in made.run.notes[0]
    strict = await simulated(file, {"nodes": {"m": {"outputs": {"text": "{"}}}})
    assert strict.status == "failed" and not strict.run.notes


async def test_person_takes_the_first_action_with_defaults() -> None:
    """Constant defaults, values of variables, the first option, else an empty text."""
    fields = [
        {"type": "paragraph", "output_variable_name": "comment", "default": {"type": "constant", "value": "Fine."}},
        {"type": "paragraph", "output_variable_name": "empty"},
        {"type": "paragraph", "output_variable_name": "known",
         "default": {"type": "variable", "selector": ["start", "q"], "value": ""}},
        {"type": "select", "output_variable_name": "tone",
         "option_source": {"type": "constant", "selector": [], "value": ["warm", "cold"]}},
    ]  # fmt: skip
    nodes = [f.start("q"), f.human("ask", inputs=fields), f.end(**{n: ["ask", n] for n in ("comment", "empty", "known",
             "tone", "__action_id")})]  # fmt: skip
    file = f.document(nodes, [f.edge("start", "ask"), f.edge("ask", "end", "approve")])
    made = await simulated(file, inputs={"q": "tea"})
    assert made.outputs == {
        "comment": "Fine.", "empty": "", "known": "tea", "tone": "warm", "__action_id": "approve",
    }  # fmt: skip


@pytest.mark.parametrize("field", ["file", "file-list"])
async def test_person_who_needs_a_file_waits(field: str) -> None:
    """Only a script can give a file."""
    fields = [{"type": field, "output_variable_name": "comment"}]
    assert (await simulated(asking(inputs=fields))).status == "paused"
    given = [FILE] if field == "file-list" else FILE
    made = await simulated(asking(inputs=fields), {"nodes": {"ask": {"inputs": {"comment": given}}}})
    said = made.outputs["said"]
    assert (said[0] if field == "file-list" else said)["filename"] == "a.pdf"


async def test_person_waits_who_has_nothing_to_choose() -> None:
    """A form without actions, or a choice without options, cannot be answered without a script."""
    assert (await simulated(asking(actions=()))).status == "paused"
    source = {"type": "variable", "selector": ["start", "nothing"], "value": []}
    fields = [{"type": "select", "output_variable_name": "comment", "option_source": source}]
    assert (await simulated(asking(inputs=fields))).status == "paused"


@pytest.mark.parametrize(
    ("behaviour", "story", "outputs"),
    [
        ({"action": "reject", "inputs": {"comment": "No."}}, "S no", {"took": "reject", "said": "No."}),
        ({"inputs": {"comment": "Hm."}}, "S yes", {"took": "approve", "said": "Hm."}),
        ({"timeout": True}, "S late", {"took": "", "said": None}),
        ({"pause": True}, "paused", {}),
        ({"error": "mail is down", "error_type": "MailError"}, "failed ask", {}),
    ],
)
async def test_person_does_what_the_script_says(behaviour: dict, story: str, outputs: dict) -> None:
    """Answers, lets the deadline pass, never answers; or the form cannot be opened."""
    made = await simulated(asking(), {"nodes": {"ask": behaviour}})
    assert story in made.story()
    assert made.outputs == outputs


async def test_calls_are_one_for_each_pass_and_the_last_one_stays() -> None:
    """A person in a loop answers each round's form by the next call; keys beside the calls hold for each."""
    asks = f.human("ask", inputs=[{"type": "paragraph", "output_variable_name": "word"}], actions=("go",))
    keep = f.assigner("keep", (["lp", "all"], "append", ["ask", "word"]))
    inner = f.loop("lp", 4, asks, keep, loop_variables=[f.variable("all", "array[string]", "[]")], break_conditions=[])
    file = f.document(
        [f.start(), *inner, f.end(all=["lp", "all"])],
        [f.edge("start", "lp"), f.edge("lpstart", "ask"), f.edge("ask", "keep", "go"), f.edge("lp", "end")],
    )
    calls = [{"inputs": {"word": "a"}}, {"inputs": {"word": "b"}}, {}]
    made = await simulated(file, {"nodes": {"ask": {"inputs": {"word": "c"}, "calls": calls}}})
    assert made.outputs == {"all": ["a", "b", "c", "c"]}, made.error
    assert len([fact for fact in made.facts if isinstance(fact, FormOpened)]) == 4


async def test_calls_of_a_node_count_across_the_passes_of_an_iteration() -> None:
    """Each item takes the next call; a whole container can be given its outputs instead."""
    inner = f.iteration("it", ["conversation", "list"], ["m", "text"], f.llm("m"))
    nodes = [f.start(), *inner, f.node("say", "answer", answer="{{#it.output#}}")]
    file = f.document(nodes, [f.edge("start", "it"), f.edge("itstart", "m"), f.edge("it", "say")], "advanced-chat")
    items = {"name": "list", "value_type": "array[string]", "value": ["1", "2", "3"]}
    file["workflow"]["conversation_variables"] = [items]
    script = {"nodes": {"m": {"calls": [{"outputs": {"text": "one"}}, {"chunks": ["t", "wo"]}]}}}
    assert (await simulated(file, script)).text() == "- one\n- two\n- two"
    script = {"nodes": {"it": {"outputs": {"output": ["all"]}}}}
    made = await simulated(file, script)
    assert made.text() == "- all"
    assert "S it:0|m" not in made.story()
    short = await simulated(file, conversation={"list": ["x"]})
    assert short.text() == f"- {MOCKED_TEXT}"


async def test_keys_of_a_behaviour_combine() -> None:
    """Delay, chunks and outputs together; chunks before an error are taken back if the run goes on."""
    script = {"nodes": {"m": {"delay_s": 0.001, "chunks": ["a", "b"], "outputs": {"extra": 1}}}}
    made = await simulated(chain(f.llm("m"), text=["m", "text"], extra=["m", "extra"]), script)
    assert made.outputs == {"text": "ab", "extra": 1}
    assert texts(made)[:2] == ['C"a"', 'C"b"']
    stands_in = [{"key": "text", "type": "string", "value": "instead"}]
    node = f.llm("m", error_strategy="default-value", default_value=stands_in)
    made = await simulated(chain(node, text=["m", "text"]), {"nodes": {"m": {"chunks": ["a"], "error": "cut"}}})
    assert (made.status, made.outputs) == ("partial-succeeded", {"text": "instead"})


async def test_branch_takes_the_exit_that_its_outputs_name() -> None:
    """A scripted if-else goes where ``selected_case_id`` or a plain ``result`` says."""
    case = {"case_id": "true", "logical_operator": "and", "conditions": [f.condition(["start", "q"], "is", "x")]}
    nodes = [f.start("q"), f.node("if", "if-else", cases=[case]), f.end("yes", a=["start", "q"]), f.end("no")]
    edges = [f.edge("start", "if"), f.edge("if", "yes", "true"), f.edge("if", "no", "false")]
    file = f.document(nodes, edges)
    for outputs in ({"selected_case_id": "true"}, {"result": True}):
        made = await simulated(file, {"nodes": {"if": {"outputs": outputs}}}, inputs={"q": "tea"})
        assert made.outputs == {"a": "tea"}
    assert (await simulated(file, {"nodes": {"if": {}}}, inputs={"q": "tea"})).outputs == {}


async def test_nothing_is_made_up_where_the_default_is_fail() -> None:
    """What reaches outside fails by its name unless the script names it; an empty behaviour is enough."""
    file = chain(f.llm("m"), f.template("t", "{{ x }}!", x=["m", "text"]), out=["t", "output"])
    failed = await simulated(file, {"default": "fail"})
    assert "the script says nothing about 'm', and its default is fail" in failed.error
    assert (await simulated(file, {"default": "fail", "nodes": {"m": None}})).outputs == {"out": f"{MOCKED_TEXT}!"}
    assert "'ask'" in (await simulated(asking(), {"default": "fail"})).error
    assert (await simulated(asking(), {"default": "fail", "nodes": {"ask": {}}})).status == "succeeded"


@pytest.mark.parametrize(
    ("given", "reason"),
    [({"other": 1}, "no conversation variable 'other'; there is count"), ({"count": "x"}, "'count' must be of type")],
)
async def test_conversation_variables_are_checked(given: dict, reason: str) -> None:
    """A value for a variable that is not declared, or of another type, is refused."""
    file = chain(f.node("say", "answer", answer="{{#conversation.count#}}"), mode="advanced-chat")
    file["workflow"]["conversation_variables"] = [{"name": "count", "value_type": "number", "value": 1}]
    assert (await simulated(file, conversation={"count": 2.5})).text() == "2.5"
    with pytest.raises(InvalidInputError, match=reason):
        await simulated(file, conversation=given)
