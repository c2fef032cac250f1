"""The code node: what goes into the sandbox, and what may come out of it."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fakes import ListForms, ScriptedChat
from graph.errors import NodeError
from graph.nodes import code, template_transform
from graph.nodes.code_outputs import DeclaredOutput, checked_outputs
from graph.nodes.kind import EffectContext, NodeResult
from graph.ports import Effects
from graph.variable_pool import VariablePool

HALF = "\ud800"


class EchoSandbox:
    """Gives a fixed answer and keeps what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    async def run_code(self, language: str, code: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Keep the call."""
        self.asked.append((language, code, inputs))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def render(self, template: str, values: dict[str, Any]) -> str:
        """Keep the call."""
        self.asked.append(("jinja2", template, values))
        return self.answer


def pool_of(**nodes: dict[str, Any]) -> VariablePool:
    """Return a pool with ``nodes``."""
    pool = VariablePool()
    for node_id, values in nodes.items():
        pool.put(node_id, values)
    return pool


def context(sandbox: EchoSandbox) -> EffectContext:
    """Return the context of an execution over ``sandbox``."""
    effects = Effects(ScriptedChat(), ListForms(), code=sandbox)
    return EffectContext("run", "n", "execution", effects, lambda *_: None)


async def run(sandbox: EchoSandbox, pool: VariablePool, **data: Any) -> NodeResult:
    """Run a code node."""
    data = {"type": "code", "code_language": "python3", "code": "def main(): ...", "outputs": {}, **data}
    assert code.KIND.compile_effect is not None
    result = await code.KIND.compile_effect(code.KIND.data.model_validate(data))(pool, context(sandbox))
    assert isinstance(result, NodeResult)
    return result


def check(result: dict[str, Any], **declared: Any) -> dict[str, Any]:
    """Return the outputs that ``result`` makes under ``declared`` (name -> type, or the whole declaration)."""
    outputs = {name: {"type": each} if isinstance(each, str) else each for name, each in declared.items()}
    return checked_outputs(result, {name: DeclaredOutput.model_validate(each) for name, each in outputs.items()})


async def test_code_gets_its_variables_by_name():
    """Inputs are the values under the names that the node gives them; a missing one is null."""
    sandbox = EchoSandbox({"sum": 3})
    variables = [
        {"variable": "a", "value_selector": ["s", "x"]},
        {"variable": "b", "value_selector": ["s", "gone"]},
        {"variable": "c", "value_selector": None},
    ]
    result = await run(sandbox, pool_of(s={"x": [1]}), variables=variables, outputs={"sum": {"type": "number"}})
    assert sandbox.asked == [("python3", "def main(): ...", {"a": [1], "b": None, "c": None})]
    assert result.outputs == {"sum": 3}
    assert result.inputs == {"a": [1], "b": None, "c": None}


async def test_code_fails_as_the_sandbox_says():
    """An error of the sandbox fails the node with its text and type."""
    with pytest.raises(NodeError, match="ValueError: bad") as caught:
        await run(EchoSandbox(NodeError("ValueError: bad", "CodeExecutionError")), pool_of())
    assert caught.value.error_type == "CodeExecutionError"


@pytest.mark.parametrize(
    "data",
    [
        {"outputs": {"x": {"type": "file"}}}, {"outputs": {"x": {"type": "array[file]"}}},
        {"outputs": {"x": {"type": "object", "children": {"y": {"type": "secret"}}}}}, {"code_language": "ruby"},
        {"code": None},
    ],
)  # fmt: skip
def test_code_refuses_data_that_cannot_run(data):
    """An output of a type that code cannot make and an unknown language are faults of the file."""
    with pytest.raises(ValidationError):
        code.KIND.data.model_validate({"type": "code", "code_language": "python3", "code": "", **data})


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "a\x00b", "ab"), ("string", f"a{HALF}", "a?"), ("string", "é", "é"), ("number", 1.5, 1.5),
        ("number", True, 1), ("number", 9_223_372_036_854_775_807, 9_223_372_036_854_775_807),
        ("number", 1e-20, 1e-20), ("boolean", True, True), ("boolean", "yes", "yes"), ("boolean", 1, 1),
        ("object", {"a": {"b": [1, None]}}, {"a": {"b": [1, None]}}), ("object", {"a\x00": "\x00"}, {"a": ""}),
        ("array[string]", ["a\x00", None], ["a", None]), ("array[number]", [1, 2.5, True], [1, 2.5, 1]),
        ("array[number]", [10**19], [10**19]), ("array[number]", [1] * 1000, [1] * 1000),
        ("array[object]", [{"a": 1}, None], [{"a": 1}, None]), ("array[boolean]", [True, None] * 600,
        [True, None] * 600), ("array[string]", [], []), ("number", "1.5e+3", 1500.0), ("number", "-2e-1", -0.2),
        *[(kind, None, None) for kind in ("string", "number", "boolean", "object", "array[number]")],
    ],
)  # fmt: skip
def test_output_of_its_type_passes(kind, value, expected):
    """A value of the declared type is an output, cleaned of what cannot be stored; null fits every type."""
    outputs = check({"x": value}, x=kind)
    assert outputs == {"x": expected}
    assert type(outputs["x"]) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("string", 1, "`x` must be a string, got int"), ("string", "a" * 400_001, "must be at most 400000 characters"),
        ("string", "1e+5", "must be a string, got float"), ("number", "1", "must be a number, got str"),
        ("number", 9_223_372_036_854_775_808, "out of range"), ("number", 1e300, "out of range"),
        ("number", "1e+999", "out of range"), ("number", 1e-21, "too high precision"),
        ("object", [1], "is not an object, got list"), ("object", {"a": "b" * 400_001}, "`x.a` must be at most"),
        ("object", {"a": 10**30}, "`x.a` is out of range"), ("object", {"a": [1, "b"]}, "x.a is not a valid array"),
        ("array[string]", "abc", "is not an array, got str"), ("array[string]", ["a"] * 31, "has 31 elements"),
        ("array[string]", ["a", 1], r"`x\[1\]` must be a string"), ("array[object]", [{}] * 31, "has 31 elements"),
        ("array[object]", ["a"], r"x\[0\] is not an object"), ("array[number]", [1] * 1001, "has 1001 elements"),
        ("array[number]", [None], r"x\[0\] is not a number, got NoneType"), ("array[number]", ["1"], "not a number"),
        ("array[number]", [10**30], "out of range"), ("array[boolean]", [1], r"x\[0\] is not a boolean, got int"),
        ("boolean", 10**30, "out of range"),
    ],
)  # fmt: skip
def test_output_of_another_type_fails(kind, value, message):
    """A value of another type, or over a limit, fails the node by the output's name."""
    with pytest.raises(NodeError, match=message) as caught:
        check({"x": value}, x=kind)
    assert caught.value.error_type == "OutputValidationError"


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({}, r"Output x is missing\."), ({"x": {}}, r"Output x\.y is missing\."),
        ({"x": {"y": 1}, "z": 2}, r"Not all output parameters are validated\."),
        ({"x": {"y": 1, "z": 2}}, r"Not all output parameters are validated\."),
        ({"x": {"y": "a"}}, r"`x\.y` must be a number"),
    ],
)  # fmt: skip
def test_outputs_are_exactly_the_declared_ones(result, message):
    """At every level with declared members, a missing one and an extra one fail the node."""
    with pytest.raises(NodeError, match=message):
        check(result, x={"type": "object", "children": {"y": {"type": "number"}}})
    assert check({"x": {"y": True}}, x={"type": "object", "children": {"y": {"type": "number"}}}) == {"x": {"y": 1}}


def nest(depth: int, wrap: Any) -> Any:
    """Return a value wrapped ``depth`` times."""
    value: Any = "bottom"
    for _ in range(depth):
        value = wrap(value)
    return value


def test_outputs_nest_five_deep():
    """The mapping of outputs is the first of five levels; the sixth fails the node."""
    assert check({"x": nest(4, lambda v: {"a": v})}, x="object")
    for wrap in (lambda v: {"a": v}, lambda v: {"a": [v]}):
        with pytest.raises(NodeError, match="Depth limit 5 reached, object too deep") as caught:
            check({"x": nest(5, wrap)}, x="object")
        assert caught.value.error_type == "DepthLimitError"
    deep = {"type": "object", "children": {"a": {"type": "object", "children": {}}}}
    assert check({"x": [{"a": {}}, None]}, x={**deep, "type": "array[object]"}) == {"x": [{"a": {}}, None]}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.sampled_from(["string", "number", "object", "boolean", "array[object]", "array[number]"]))
def test_any_result_is_checked(value, kind):
    """Whatever comes back is an output or a node error, never anything else."""
    error_type = ""
    try:
        assert set(check({"x": value}, x=kind)) == {"x"}
    except NodeError as error:
        error_type = error.error_type
    assert error_type in ("", "OutputValidationError", "DepthLimitError")


def template_steps(template: str) -> Any:
    """Return both steps of a template node with one variable, v."""
    variables = [{"variable": "v", "value_selector": ["s", "v"]}]
    data = {"type": "template-transform", "template": template, "variables": variables}
    kind, checked = template_transform.KIND, template_transform.KIND.data.model_validate(data)
    assert kind.compile_pure is not None and kind.compile_effect is not None
    return kind.compile_pure(checked), kind.compile_effect(checked)


def test_template_without_bound_goes_to_the_sandbox():
    """A template that cannot render in process is left to the effect step, which renders it in the sandbox."""
    pure, effect = template_steps("{% macro m() %}{{ v }}{% endmacro %}{{ m() }}")
    pool, sandbox = pool_of(s={"v": 7}), EchoSandbox("7")
    assert pure(pool) is None
    result = asyncio.run(effect(pool, context(sandbox)))
    assert result.outputs == {"output": "7"}
    assert result.inputs == {"v": 7}
    assert sandbox.asked[0][0] == "jinja2"
    assert sandbox.asked[0][2] == {"v": 7}
    assert template_steps("{{ v }}")[0](pool).outputs == {"output": "7"}


def test_template_from_the_sandbox_has_the_same_length_limit():
    """Text from the sandbox longer than 400,000 characters fails the node as in process."""
    _, effect = template_steps("{{ v }}")
    with pytest.raises(NodeError, match="Output length exceeds 400000 characters"):
        asyncio.run(effect(pool_of(), context(EchoSandbox("a" * 400_001))))
