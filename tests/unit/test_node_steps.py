"""The pure node kinds: what each gives back for what is in the pool."""

from typing import Any

import pytest
from pydantic import ValidationError

from graph.errors import NodeError
from graph.nodes.kind import NodeResult
from graph.nodes.table import KINDS, RECOGNISED
from graph.variable_pool import FILE_MARK, FILE_MARK_VALUE, VariablePool

FILE = {FILE_MARK: FILE_MARK_VALUE, "type": "image", "filename": "a.png", "url": "https://x.test/a"}


def checked(kind: str, **data: Any) -> Any:
    """Return the checked data of a node named n."""
    return KINDS[kind].data.model_validate({"type": kind, "node_id": "n", **data})


def run(kind: str, pool: dict[str, dict[str, Any]], **data: Any) -> NodeResult:
    """Run one node of ``kind`` over the values in ``pool``."""
    compile_pure = KINDS[kind].compile_pure
    assert compile_pure is not None
    step, values = compile_pure(checked(kind, **data)), VariablePool()
    for node_id, names in pool.items():
        values.put(node_id, names)
    result = step(values)
    assert result is not None
    return result


def variable(name: str, kind: str = "text-input", **data: Any) -> dict[str, Any]:
    """One field of a start form."""
    return {"variable": name, "label": name, "type": kind, **data}


def test_start_gives_inputs_and_system_values():
    """A start node's inputs and outputs are its fields and the sys values, and nothing secret."""
    pool = {"n": {"topic": "tea"}, "sys": {"user_id": "u", "files": []}, "env": {"key": "hunter2"}}
    result = run("start", pool, variables=[variable("topic")])
    assert result.outputs == {"topic": "tea", "sys.user_id": "u", "sys.files": []} == result.inputs


@pytest.mark.parametrize(
    ("value", "data", "message"),
    [
        (None, {"required": True}, "x is required in input form"), ("{}", {}, "x must be a JSON object"),
        ({"a": "1"}, {"json_schema": {"properties": {"a": {"type": "number"}}}}, "JSON object for 'x' does not match"),
        ({}, {"json_schema": '{"required": ["a"]}'}, "JSON object for 'x' does not match schema"),
    ],
)  # fmt: skip
def test_start_checks_json_objects(value, data, message):
    """A json_object field must be there if required, be an object and match its schema."""
    with pytest.raises(NodeError, match=message):
        run("start", {"n": {"x": value}}, variables=[variable("x", "json_object", **data)])
    assert run("start", {"n": {"x": None}}, variables=[variable("x", "json_object")]).outputs == {"x": None}


@pytest.mark.parametrize("schema", ['{"type": 3}', "[1]", "{"])
def test_start_refuses_a_broken_schema(schema):
    """A json_schema that is no schema is bad node data; an empty one is none."""
    with pytest.raises(ValidationError):
        checked("start", variables=[variable("x", "json_object", json_schema=schema)])
    assert checked("start", variables=[variable("x", "json_object", json_schema="")]).variables[0].json_schema is None


def test_end_gives_raw_values_or_null():
    """An output is the value as it is, null when nothing is there; the last of equal names wins."""
    outputs = [{"variable": "a", "value_selector": ["m", "x"]}, {"variable": "b", "value_selector": ["m", "gone"]}]
    doubled = [*outputs, {"variable": "a", "value_selector": ["m", "y"], "value_type": "Array[String]"}]
    pool = {"m": {"x": [1], "y": {"k": None}}}
    assert run("end", pool, outputs=outputs).outputs == {"a": [1], "b": None}
    assert run("end", pool, outputs=doubled).outputs == {"a": {"k": None}, "b": None}
    assert checked("end", outputs=doubled).outputs[2].value_type == "array[string]"
    assert run("end", pool, outputs=[]).outputs == {}


def test_end_streams_its_outputs_on_lines():
    """A line break parts neighbours, also where an output has no selector, but never comes last."""
    parts = KINDS["end"].parts
    assert parts is not None
    outputs = [{"variable": name, "value_selector": selector} for name, selector in
               [("a", ["m", "x"]), ("b", []), ("c", ["m", "y", "z"]), ("d", None)]]  # fmt: skip
    assert parts(checked("end", outputs=outputs)) == [("m", "x"), "\n", "\n", ("m", "y", "z")]


def test_answer_renders_markdown_and_finds_files():
    """An answer shows files as links and gives them beside the text."""
    result = run("answer", {"m": {"f": FILE, "fs": [FILE], "l": ["a"]}}, answer="{{#m.l#}} {{#m.f#}}{{#m.fs#}}")
    assert result.outputs["answer"] == "- a ![a.png](https://x.test/a)![a.png](https://x.test/a)"
    assert result.outputs["files"] == [FILE, FILE]
    parts = KINDS["answer"].parts
    assert parts is not None and parts(checked("answer", answer="a{{#m.l#}}")) == ["a", ("m", "l")]


def test_if_else_takes_the_first_case_that_holds():
    """The exit is the id of the first case that holds, else "false"."""
    condition = {"variable_selector": ["m", "x"], "comparison_operator": "is"}
    cases = [
        {"case_id": case, "logical_operator": "and", "conditions": [{**condition, "value": case}]}
        for case in ("a", "b")
    ]
    for value, exit_ in (("a", "a"), ("b", "b"), ("c", "false")):
        result = run("if-else", {"m": {"x": value}}, cases=cases)
        assert result.handle == exit_
        assert result.outputs == {"result": exit_ != "false", "selected_case_id": exit_}
    assert result.inputs["conditions"] == [{"actual_value": "c", "expected_value": "b", "comparison_operator": "is"}]
    handles = KINDS["if-else"].handles
    assert handles is not None and handles(checked("if-else", cases=cases)) == ["a", "b", "false"]


def test_if_else_reads_files_of_the_first_versions():
    """Conditions beside the cases are one case named "true"."""
    legacy = [{"variable_selector": ["m", "x"], "comparison_operator": "is", "value": "b"}]
    assert run("if-else", {"m": {"x": "b"}}, conditions=legacy, logical_operator="and").handle == "true"
    assert run("if-else", {"m": {"x": "a"}}, conditions=legacy, logical_operator="or").handle == "false"


@pytest.mark.parametrize("kind", ["variable-aggregator", "variable-assigner"])
def test_aggregator_gives_the_first_present_value(kind):
    """A null that is there counts as present; with nothing there, the output is absent."""
    variables = [["gone", "x"], ["m", "none"], ["m", "x"]]
    assert run(kind, {"m": {"none": None, "x": 1}}, variables=variables).outputs == {"output": None}
    assert run(kind, {"m": {"x": [1]}}, variables=variables).outputs == {"output": [1]}
    assert run(kind, {}, variables=variables).outputs == {}


def test_aggregator_groups_have_their_own_outputs():
    """A group's output is an object with the value, and absent without one."""
    settings = {"group_enabled": True, "groups": [{"group_name": name, "variables": [["m", name]]} for name in "ab"]}
    result = run("variable-aggregator", {"m": {"a": "x"}}, variables=[["m", "q"]], advanced_settings=settings)
    assert result.outputs == {"a": {"output": "x"}}


def test_template_node_sees_missing_values_as_null():
    """A missing variable prints None, an undeclared name prints nothing."""
    data = {"variables": [{"variable": "a", "value_selector": ["m", "gone"]}], "template": "{{ a }}{{ b }}\n"}
    result = run("template-transform", {}, **data)
    assert (result.outputs, result.inputs) == ({"output": "None"}, {"a": None})


def test_default_values_are_read_as_their_type():
    """Text stands for a number or JSON where the type says so, and anything else is bad node data."""

    def default(value: Any, kind: str) -> Any:
        data = checked("answer", answer="", default_value=[{"key": "k", "type": kind, "value": value}])
        return data.default_value[0].value

    assert [default("3", "number"), default("[1]", "array[number]"), default("3", "string")] == [3.0, [1], "3"]
    for value, kind in (("a", "number"), ("{", "object"), ([1], "array[string]"), (3, "string")):
        with pytest.raises(ValidationError):
            default(value, kind)


def test_table_is_consistent():
    """Every kind compiles one step (or both, to try the pure one first), and only response kinds have parts."""
    for name, kind in KINDS.items():
        assert kind.type == name
        steps = [kind.compile_pure, kind.compile_effect, kind.compile_container]
        assert len([step for step in steps if step]) == (2 if name == "template-transform" else 1)
        assert (kind.parts is not None) == (kind.role == "response")
        assert (kind.handles is not None) == kind.is_branch
    assert not RECOGNISED & set(KINDS)
