"""Scripts of simulations: what they may say, and how a wrong one is refused with its place."""

from pathlib import Path
from typing import Any

import pytest

import factories as f
from cli.simulation_script import Behaviour, InvalidScriptError, Script
from simulated import simulated

CASE = {"case_id": "true", "logical_operator": "and", "conditions": [f.condition(["start", "q"], "is", "x")]}
CLASSES = [{"id": "c1", "name": "Bills"}]
TONE = {"type": "select", "output_variable_name": "tone",
        "option_source": {"type": "constant", "selector": [], "value": ["warm", "cold"]}}  # fmt: skip
NODES = [
    f.start("q"), f.human("ask", inputs=[TONE]), f.llm("m"), f.node("if", "if-else", cases=[CASE]),
    f.node("sort", "question-classifier", classes=CLASSES, query_variable_selector=["start", "q"],
           model={"provider": "p", "name": "m", "mode": "chat"}),
    *f.iteration("it", ["sys", "files"], ["t", "output"], f.template("t", "x")), f.end(),
]  # fmt: skip
FILE = f.document(NODES, [f.edge("start", "ask"), f.edge("ask", "end", "approve"), f.edge("itstart", "t")])


def reason(document: Any, name: str = "s.yml") -> str:
    """Return why a script is refused."""
    with pytest.raises(InvalidScriptError) as refused:
        Script.parse(document, name)
    return str(refused.value)


async def misfit(**nodes: Any) -> str:
    """Return why a script is refused for the workflow above."""
    with pytest.raises(InvalidScriptError) as refused:
        await simulated(FILE, {"nodes": nodes})
    return str(refused.value)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"nodes": {"m": {"says": "x"}}}, "nodes.m.says"),
        ({"nodes": {"m": {"calls": [{}, {"chunks": "x"}]}}}, "nodes.m.calls[1].chunks"),
        ({"nodes": {"m": {"calls": []}}}, "nodes.m.calls"),
        ({"nodes": {"m": {"delay_s": -1}}}, "nodes.m.delay_s"),
        ({"nodes": {"m": {"delay_s": float("nan")}}}, "nodes.m.delay_s"),
        ({"nodes": {"m": "x"}}, "nodes.m"),
        ({"nodes": []}, "nodes"),
        ({"default": "sometimes"}, "default"),
        ({"more": 1}, "more"),
        ([1], "s.yml"),
    ],
)
def test_wrong_shape_is_refused_with_its_place(document: Any, place: str) -> None:
    """An unknown key or a wrong value is named by its path in the script."""
    assert reason(document).startswith(f"the script: {place}: ")


def test_all_faults_are_listed() -> None:
    """One run shows every fault of the shape."""
    told = reason({"nodes": {"a": {"x": 1}, "b": {"timeout": "perhaps"}}})
    assert "nodes.a.x: " in told and "nodes.b.timeout: " in told


@pytest.mark.parametrize(
    ("nodes", "fault"),
    [
        ({"nobody": {}}, "nodes.nobody: the workflow has no node of this id"),
        ({"m": {"action": "approve"}}, "nodes.m.action: 'm' is a node that asks nobody"),
        ({"ask": {"outputs": {}}}, "nodes.ask.outputs: 'ask' is a node that asks people"),
        ({"ask": {"action": "maybe"}}, "nodes.ask.action: the form has no action 'maybe'; it has approve, reject"),
        ({"ask": {"inputs": {"tune": "x"}}}, "nodes.ask.inputs.tune: the form has no such field; it has tone"),
        ({"ask": {"calls": [{}, {"action": "x"}]}}, "nodes.ask.calls[1].action: the form has no action 'x'"),
        ({"it": {"delay_s": 1}}, "nodes.it: a container is given outputs or an error"),
        ({"it": {"chunks": ["x"], "outputs": {}}}, "nodes.it: a container is given outputs or an error"),
        ({"itstart": {}}, "nodes.itstart: this node only marks where its container begins"),
        (
            {"if": {"outputs": {"selected_case_id": "x"}}},
            "nodes.if.outputs.selected_case_id: must be one of true, false",
        ),
        ({"sort": {"outputs": {"class_id": "x"}}}, "nodes.sort.outputs.class_id: must be one of c1"),
    ],
)
async def test_script_that_does_not_fit_its_workflow_is_refused(nodes: dict, fault: str) -> None:
    """What cannot happen to a node is named before the run begins."""
    assert fault in await misfit(**nodes)


async def test_answer_that_the_form_would_refuse_is_refused() -> None:
    """A scripted person can do only what a person can: a choice is one of the options."""
    assert "nodes.ask: Invalid value for select input 'tone'" in await misfit(ask={"inputs": {"tone": "loud"}})
    file = f.document([f.start(), f.human("ask", inputs=[{"type": "file", "output_variable_name": "doc"}])],
                      [f.edge("start", "ask")])  # fmt: skip
    with pytest.raises(InvalidScriptError, match=r"nodes\.ask: Missing required inputs: doc"):
        await simulated(file, {"nodes": {"ask": {"action": "approve"}}})


@pytest.mark.parametrize(
    "text",
    [
        "nodes:\n  17: {outputs: {text: a}}\ndefault: fail",
        '{"nodes": {"17": {"outputs": {"text": "a"}}}, "default": "fail"}',
    ],
)
def test_script_is_yaml_or_json(tmp_path: Path, text: str) -> None:
    """Both are read alike; ids that look like numbers are text."""
    file = tmp_path / "script"
    file.write_text(text, encoding="utf-8")
    script = Script.read(file)
    assert script.default == "fail"
    assert script.nodes["17"].outputs == {"text": "a"}


@pytest.mark.parametrize("text", ["", "nodes:", "nodes: {m: }"])
def test_empty_parts_of_a_script_say_nothing(tmp_path: Path, text: str) -> None:
    """A file, a list of nodes and a behaviour may be empty."""
    file = tmp_path / "script.yml"
    file.write_text(text, encoding="utf-8")
    assert Script.read(file).default == "auto"
    assert Script.read(None) == Script()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"nodes: [", "is no YAML"),
        (b"\xff", "is no UTF-8 text"),
        (b"a: &a [*a]", "by an alias"),
        (None, "cannot be read"),
    ],
)
def test_unreadable_script_is_refused_by_its_name(tmp_path: Path, content: bytes | None, why: str) -> None:
    """The name of the file and the reason are told."""
    file = tmp_path / "script.yml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidScriptError) as refused:
        Script.read(file)
    assert str(refused.value).startswith("the script: script.yml ")
    assert why in str(refused.value)


def test_last_call_stays_and_lies_over_the_keys_beside_it() -> None:
    """Keys beside ``calls`` hold for every call that does not say otherwise."""
    behaviour = Behaviour.model_validate({"delay_s": 1, "error": "e", "calls": [{"error": None}, {"delay_s": 2}]})
    assert [(call.delay_s, call.error) for call in map(behaviour.call, range(3))] == [(1, None), (2, "e"), (2, "e")]
