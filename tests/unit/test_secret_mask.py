"""Secret environment variables stay out of what facts show, and in what nodes compute."""

import json
from dataclasses import replace
from typing import Any

import pytest

from effect_fakes import LocalCode, ScriptedHttp
from factories import condition, document, edge, end, llm, node, start, template
from fakes import ListForms, ListRecorder, ScriptedChat, TickClock
from graph.engine import Engine
from graph.errors import NodeError
from graph.events import NodeFinished, NodeRetried
from graph.parse_workflow import parse_document
from graph.plan import Plan, compile_plan
from graph.ports import Effects, HttpCall, HttpReply
from graph.run_state import RunState
from graph.secret_mask import SecretMask
from graph.value_types import MASK

KEY = 'hunter/2 "öl"'
"""A secret that JSON and addresses write in other ways."""


def plan_with_secret(nodes: list[dict[str, Any]], edges: list[dict[str, Any]], kind: str = "secret") -> Plan:
    """Return the plan of a graph whose environment holds KEY."""
    file = document(nodes, edges)
    file["workflow"]["environment_variables"] = [{"name": "key", "value_type": kind, "value": KEY, "id": "1"}]
    parsed = parse_document(file)
    assert parsed.workflow is not None, parsed.faults
    return compile_plan(parsed.workflow)


async def run(plan: Plan, effects: Effects) -> tuple[Any, list[Any]]:
    """Run ``plan`` and return its outcome and its facts."""
    recorder = ListRecorder()
    outcome = await Engine(plan, RunState(plan), "run-1", effects, recorder, TickClock()).start({}, {"files": []})
    return outcome, recorder.facts


def finished(facts: list[Any]) -> dict[str, NodeFinished]:
    """Return node id -> the fact of its end."""
    return {fact.node_id: fact for fact in facts if isinstance(fact, NodeFinished)}


def shown(fact: NodeFinished | NodeRetried) -> str:
    """Return what records show of a fact besides its outputs, as they write it."""
    parts = [getattr(fact, "inputs", None), getattr(fact, "process_data", None), fact.error]
    return json.dumps(parts, ensure_ascii=False)


NAMED = [{"variable": "key", "value_selector": ["env", "key"]}]
IF_ELSE = node(
    "if", "if-else", cases=[{"case_id": "true", "logical_operator": "and",
                             "conditions": [condition(["env", "key"], "contains", "hunter")]}],
)  # fmt: skip
CODE = node(
    "code", "code", code_language="python3", variables=NAMED, outputs={"size": {"type": "number", "children": None}},
    code="def main(key):\n    return {'size': len(key)}",
)  # fmt: skip
HTTP = node(
    "http", "http-request", method="get", url="https://example.org/?k={{#env.key#}}", headers="X-Key: {{#env.key#}}",
    params="", body={"type": "none", "data": []}, authorization={"type": "no-auth"},
)  # fmt: skip
NODES = [
    start(), IF_ELSE, template("template", "<{{ key }}>", key=["env", "key"]), CODE, HTTP,
    llm("llm", "Say {{#env.key#}} in JSON."), end(text=["template", "output"], size=["code", "size"]),
]  # fmt: skip
EDGES = [
    edge("start", "if"), edge("if", "template", "true"), edge("template", "code"), edge("code", "http"),
    edge("http", "llm"), edge("llm", "end"),
]  # fmt: skip


async def test_secret_is_computed_with_and_never_shown() -> None:
    """Nodes get the secret, outputs that carry it keep it, and neither inputs nor process data show it."""
    http = ScriptedHttp(lambda call: HttpReply(200, {}, "fine"))
    chat = ScriptedChat()
    plan = plan_with_secret(NODES, EDGES)
    outcome, facts = await run(plan, replace(Effects(chat, ListForms()), code=LocalCode(), http=http))
    assert (outcome.status, outcome.outputs) == ("succeeded", {"text": f"<{KEY}>", "size": len(KEY)})
    assert KEY in chat.requests[0].messages[0].text
    assert any(KEY in value for _, value in http.calls[0].headers)
    ends = finished(facts)
    assert set(ends) == {"start", "if", "template", "code", "http", "llm", "end"}
    for node_id, fact in ends.items():
        text = shown(fact)
        assert "hunter/2" not in text and "hunter%2F2" not in text, node_id
    for node_id in ("if", "template", "code", "http", "llm"):
        assert MASK in shown(ends[node_id]), node_id
    assert plan.workflow.environment[0].value == KEY


async def test_without_a_secret_nothing_is_masked() -> None:
    """A variable that is no secret is shown as it is, and the plan has no mask to ask."""
    plan = plan_with_secret(
        [*NODES[:3], end(text=["template", "output"])], [*EDGES[:2], edge("template", "end")], "string"
    )
    assert plan.secrets is None
    _, facts = await run(plan, Effects(ScriptedChat(), ListForms()))
    assert finished(facts)["template"].inputs == {"key": KEY}


@pytest.mark.parametrize("strategy", [None, "fail-branch"])
async def test_error_text_is_masked_wherever_it_goes(strategy: str | None) -> None:
    """An error that quotes the secret: masked in the retry, the node's error, its output, and the run's error."""

    def refuse(call: HttpCall) -> HttpReply:
        raise NodeError(f"cannot reach https://example.org/?k={KEY}", "HttpError")

    retry = {"retry_enabled": True, "max_retries": 1, "retry_interval": 0}
    failing = {**HTTP, "data": {**HTTP["data"], "retry_config": retry, "error_strategy": strategy}}
    after = [edge("http", "end", "fail-branch" if strategy else "source")]
    plan = plan_with_secret([start(), failing, end(text=["http", "error_message"])], [edge("start", "http"), *after])
    http = ScriptedHttp(refuse)
    outcome, facts = await run(plan, replace(Effects(ScriptedChat(), ListForms()), http=http))
    assert len(http.calls) == 2
    told = [fact.error for fact in facts if isinstance(fact, (NodeRetried, NodeFinished)) and fact.error]
    assert told == [f"cannot reach https://example.org/?k={MASK}"] * 2
    assert KEY not in str(outcome.error) and KEY not in str(outcome.outputs)
    assert (MASK in str(outcome.error)) is (strategy is None)
    assert (MASK in str(outcome.outputs)) is (strategy is not None)


@pytest.mark.parametrize(
    ("secrets", "text", "masked"),
    [
        (["hunter2"], "a hunter2 and hunter2x", f"a {MASK} and {MASK}x"),
        (["abcd", "abcdef"], "abcdef abcde", f"{MASK} {MASK}e"),
        (["a b&c"], "?k=a%20b%26c&l=a+b%26c", f"?k={MASK}&l={MASK}"),
        (["line\nbreak"], '{"k": "line\\nbreak"}', f'{{"k": "{MASK}"}}'),
        (["abc"], "abc", MASK),
        (["abc"], "an abcess", "an abcess"),
    ],
)
def test_forms_of_a_secret_are_found(secrets: list[str], text: str, masked: str) -> None:
    """Plain, within JSON and within addresses; the longest of several; a short one only where it stands alone."""
    assert SecretMask(secrets).text(text) == masked


def test_value_is_masked_in_a_copy() -> None:
    """Names and values of any depth are masked; what was given stays."""
    value = {"hunter2": ["hunter2", {"deep": ("x hunter2", 7, None, True)}]}
    before = repr(value)
    assert SecretMask(["hunter2"]).value(value) == {MASK: [MASK, {"deep": [f"x {MASK}", 7, None, True]}]}
    assert repr(value) == before
