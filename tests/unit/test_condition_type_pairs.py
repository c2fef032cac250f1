"""Conditions in the engine: every operator on every pair of types ends the run, well or with a sentence.

What each operator means is in ``test_condition.py``; here nothing may escape. Source: spec/graph.md 2.6 and 4.10.
"""

import math
import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import edge, end, loop, node, start, template
from graph.errors import InvalidWorkflowError
from graph.events import RunFinished
from graph.plan import Plan
from graph.variable_pool import FILE_MARK, FILE_MARK_VALUE
from run_on_stage import RunOnStage, end_of, graph

OPERATORS = [
    "contains", "not contains", "start with", "end with", "is", "is not", "empty", "not empty", "in", "not in",
    "all of", "=", "≠", ">", "<", "≥", "≤", "null", "not null", "exists", "not exists",
]  # fmt: skip
ATTRIBUTES = ["type", "size", "name", "mime_type", "transfer_method", "url", "extension", "related_id"]

texts = st.sampled_from(["", "a", "5", "1.5", "true", "null", "nan", "[1]", "{}"]) | st.text(max_size=8)
numbers = st.integers() | st.floats()
objects = st.dictionaries(texts, texts | numbers | st.none(), max_size=2)
files = st.builds(
    lambda own: {FILE_MARK: FILE_MARK_VALUE, **own},
    st.dictionaries(
        st.sampled_from(["type", "filename", "extension", "size"]), texts | numbers | st.none(), max_size=4
    ),
)


def lists(of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Return lists that are not empty."""
    return st.lists(of, min_size=1, max_size=3)


ACTUAL = {
    "null": st.none(),
    "string": texts,
    "integer": st.integers(),
    "float": st.floats(),
    "no finite number": st.sampled_from([math.nan, math.inf, -math.inf]),
    "boolean": st.booleans(),
    "object": objects,
    "file": files,
    "array[string]": lists(texts),
    "array[number]": lists(numbers),
    "array[boolean]": lists(st.booleans()),
    "array[object]": lists(objects),
    "array[file]": lists(files),
    "array[any]": lists(st.none() | st.booleans() | numbers | texts | objects | files | lists(texts)),
    "empty array": st.just([]),
}
EXPECTED = {
    "nothing": st.none(),
    "text": texts,
    "number in a text": numbers.map(str) | st.just("9" * 5000),
    "boolean in a text": st.sampled_from(["true", "false", "True", "1", " true "]),
    "variable": st.sampled_from(["{{#sys.x#}}", "a {{#sys.x#}}", "sys.x", "{{#sys.gone#}}", "{{#sys.x.a#}}"]),
    "nested without end": st.just("[" * 100_000),
    "number": st.integers(-(2**63), 2**64 - 1) | st.floats(),
    "boolean": st.booleans(),
    "texts": st.lists(texts, max_size=3),
    "booleans": st.lists(st.booleans(), max_size=3),
}
"""What a file may hold; what it may not is refused before a run."""

CLEAR = re.compile(
    r"\w+ \(\w+\): (?:"
    r"'(?P<operator>[a-z =≠><≥≤]+)' cannot compare \w+: .+"
    r"|.+ is no boolean; write true or false"
    r"|Sub variable is required"
    r"|the expected value of a file extension must be text"
    r"|'colour' is no attribute of a file"
    r"|Variable \['sys', 'gone'\] not found)",
    re.DOTALL,
)
"""The sentences of a condition that its values do not allow, behind the node's title and id."""
TYPES = {"ValueError", "TypeError", "OverflowError", "RecursionError", "LoopNodeError"}
"""What a fail branch reads as ``error_type``."""


def condition(operator: str, value: Any, name: str = "x", **more: Any) -> dict[str, Any]:
    """Return a comparison of ``sys.<name>`` as a file writes it."""
    return {"variable_selector": ["sys", name], "comparison_operator": operator, "value": value, **more}


def branching(compared: dict[str, Any]) -> Plan:
    """Return start -> if-else -> one of two ends."""
    case = {"case_id": "true", "logical_operator": "and", "conditions": [compared]}
    nodes = [
        start(),
        node("if", "if-else", cases=[case]),
        end("yes", yes=["if", "result"]),
        end("no", no=["if", "result"]),
    ]
    return graph(nodes, [edge("start", "if"), edge("if", "yes", "true"), edge("if", "no", "false")])


def looping(compared: dict[str, Any]) -> Plan:
    """Return start -> loop of two rounds that the comparison may break -> end."""
    around = loop("if", 2, template("inside", "x"), break_conditions=[compared])
    return graph([start(), around, end("end")], [edge("start", "if"), edge("ifstart", "inside"), edge("if", "end")])


def is_storable(value: Any) -> bool:
    """Say whether a journal gives ``value`` back as it was."""
    try:
        return orjson.loads(orjson.dumps(value)) == value
    except TypeError:
        return False


async def check(plan: Plan, operator: str, actual: Any) -> RunFinished:
    """Run ``plan`` with ``actual`` as ``sys.x``; it must end, and say what was wrong if it failed."""
    run = RunOnStage(plan)
    outcome = await run.start({"x": actual})
    assert isinstance(outcome, RunFinished)
    assert outcome.status in ("succeeded", "failed")
    if outcome.status == "failed":
        said = CLEAR.fullmatch(outcome.error or "")
        assert said, outcome.error
        assert said["operator"] in (None, operator)
        assert "Traceback" not in said[0]
        assert end_of(run, "if").error_type in TYPES
    if is_storable(actual):
        run.check_replay()
    return outcome


async def check_branch(plan: Plan, operator: str, actual: Any) -> RunFinished:
    """Check a run of ``branching``: it goes one way if it does not fail."""
    outcome = await check(plan, operator, actual)
    if outcome.status == "succeeded":
        assert outcome.outputs in ({"yes": True}, {"no": False})
    return outcome


@pytest.mark.parametrize("operator", OPERATORS)
@settings(max_examples=6, deadline=None)
@given(actual=st.fixed_dictionaries(ACTUAL), expected=st.fixed_dictionaries(EXPECTED))
async def test_run_ends_whatever_the_types(operator: str, actual: dict[str, Any], expected: dict[str, Any]) -> None:
    """A branch on any pair of types goes one way, or fails with a sentence that names the operator or the value."""
    for value in expected.values():
        plan = branching(condition(operator, value))
        for each in actual.values():
            await check_branch(plan, operator, each)


@pytest.mark.parametrize("operator", OPERATORS)
@settings(max_examples=2, deadline=None)
@given(actual=st.fixed_dictionaries(ACTUAL), expected=st.fixed_dictionaries(EXPECTED))
async def test_loop_ends_whatever_the_types(operator: str, actual: dict[str, Any], expected: dict[str, Any]) -> None:
    """As a break condition, too, a comparison holds, does not, or fails its loop."""
    for value in expected.values():
        plan = looping(condition(operator, value))
        for each in actual.values():
            await check(plan, operator, each)


@pytest.mark.parametrize("operator", OPERATORS)
async def test_missing_variable_fails_the_branch(operator: str) -> None:
    """A variable that is not there fails every operator, with its selector."""
    for value in (None, "a", "5", "true", ["a"], [True]):
        outcome = await check_branch(branching(condition(operator, value, "gone")), operator, "x")
        assert outcome.error == "if (if): Variable ['sys', 'gone'] not found"


@pytest.mark.parametrize("operator", ["contains", "not contains", "all of"])
@settings(max_examples=80, deadline=None)
@given(
    actual=st.lists(files, max_size=3),
    key=st.sampled_from([*ATTRIBUTES, "colour"]),
    inner=st.sampled_from(OPERATORS),
    value=st.none() | texts | st.booleans() | st.lists(texts, max_size=2),
)
async def test_run_ends_whatever_is_compared_of_files(
    operator: str, actual: list[Any], key: str, inner: str, value: Any
) -> None:
    """Files are compared by any attribute and operator; a failure names the inner operator or the attribute."""
    subs = {"conditions": [{"key": key, "comparison_operator": inner, "value": value}]}
    await check_branch(branching(condition(operator, None, sub_variable_condition=subs)), inner, actual)


def nested(depth: int) -> tuple[list[Any], dict[str, Any]]:
    """Return a list in lists, and an object in objects."""
    inside: tuple[list[Any], dict[str, Any]] = ([], {})
    for _ in range(depth):
        inside = [inside[0]], {"a": inside[1]}
    return inside


BEYOND = {"400 digits": 10**400, "5000 digits": 10**5000, "lists": nested(5000)[0], "objects": nested(5000)[1]}


@pytest.mark.parametrize("name", BEYOND)
@pytest.mark.parametrize("operator", OPERATORS)
async def test_run_ends_when_a_value_is_beyond_what_python_writes(operator: str, name: str) -> None:
    """Numbers and nesting that Python neither converts nor writes fail the node, in a loop as in a branch."""
    for value in (None, "5", "1.5", "true", "1e400", "{{#sys.x#}}", "9" * 5000, ["a"], [True]):
        await check_branch(branching(condition(operator, value)), operator, BEYOND[name])
        await check(looping(condition(operator, value)), operator, BEYOND[name])


@pytest.mark.parametrize("value", [{"a": 1}, [2], [None], ["a", True], [["a"]], [{}]], ids=repr)
def test_expected_value_of_no_type_is_refused_with_its_place(value: Any) -> None:
    """What no operator can be given does not come to a run."""
    with pytest.raises(InvalidWorkflowError, match=r"nodes\[1\]\.data\.cases\.0\.conditions\.0\.value"):
        branching(condition("is", value))
