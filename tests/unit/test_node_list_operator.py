"""The list-operator node: what stays of a list, in which order."""

from typing import Any

import pytest

from graph.errors import NodeError
from graph.file_value import remote_file
from graph.nodes.kind import NodeResult
from graph.nodes.table import KINDS
from graph.variable_pool import VariablePool

KIND = KINDS["list-operator"]


def run(value: Any, **data: Any) -> NodeResult:
    """Run the node over ``value``; every part that is given is enabled."""
    parts = {name: {"enabled": True, **part} for name, part in data.items()}
    compile_pure = KIND.compile_pure
    assert compile_pure is not None
    pool = VariablePool()
    pool.put("m", {"x": value, "n": 2, "w": "b"})
    result = compile_pure(KIND.data.model_validate({"type": KIND.type, "variable": ["m", "x"], **parts}))(pool)
    assert result is not None
    return result


def kept(value: Any, operator: str, wanted: Any = "", key: str = "") -> list[Any]:
    """Return the elements that one condition keeps."""
    condition = {"key": key, "comparison_operator": operator, "value": wanted}
    return run(value, filter_by={"conditions": [condition]}).outputs["result"]


def file(name: str, kind: str = "image", size: int = 1) -> dict[str, Any]:
    """Return a remote file."""
    return {**remote_file(f"https://x.test/{name}", name, kind), "size": size}


@pytest.mark.parametrize(
    ("operator", "wanted", "result"),
    [
        ("contains", "b", ["ab", "b"]), ("not contains", "b", ["a", ""]), ("start with", "a", ["ab", "a"]),
        ("end with", "b", ["ab", "b"]), ("is", "{{#m.w#}}", ["b"]), ("is not", "b", ["ab", "a", ""]),
        ("in", "ab", ["ab", "b", "a", ""]), ("not in", "a", ["ab", "b"]), ("empty", "", [""]),
        ("not empty", "", ["ab", "b", "a"]),
    ],
)  # fmt: skip
def test_strings_are_filtered(operator, wanted, result):
    """Each text operator keeps what it says; ``in`` asks whether the element is part of the value."""
    assert kept(["ab", "b", "a", ""], operator, wanted) == result


@pytest.mark.parametrize(
    ("operator", "result"),
    [("=", [2, 2.0]), ("≠", [1, 3]), ("<", [1]), ("≤", [1, 2, 2.0]), (">", [3]), ("≥", [2, 2.0, 3])],
)
def test_numbers_are_filtered(operator, result):
    """The value reads as a number."""
    assert kept([1, 2, 2.0, 3], operator, "{{#m.n#}}") == result


def test_booleans_are_filtered():
    """A boolean is compared with a boolean."""
    assert kept([True, False, True], "is", True) == [True, True]
    assert kept([True, False, True], "is not", True) == [False]


def test_files_are_filtered_by_an_attribute():
    """Texts of a file take text operators, its kind a list of choices, its size a number."""
    files = [file("a.png", "image", 10), file("b.pdf", "document", 20)]
    assert kept(files, "end with", ".pdf", "name") == [files[1]]
    assert kept(files, "is", ".png", "extension") == [files[0]]
    assert kept(files, "in", ["document", "audio"], "type") == [files[1]]
    assert kept(files, "not in", ["remote_url"], "transfer_method") == []
    assert kept(files, ">", "15", "size") == [files[1]]
    assert kept(files, "contains", "x.test", "url") == files
    assert kept(files, "empty", "", "related_id") == files


def test_every_condition_narrows():
    """An element stays if it meets all conditions."""
    conditions = [
        {"comparison_operator": "contains", "value": "a"},
        {"comparison_operator": "not contains", "value": "b"},
    ]
    assert run(["ab", "ac"], filter_by={"conditions": conditions}).outputs["result"] == ["ac"]


def test_steps_come_in_their_order():
    """Filter, then one element, then sort, then the first few."""
    result = run([3, 1, 2], order_by={"value": "desc"}, limit={"size": 2})
    assert result.outputs == {"result": [3, 2], "first_record": 3, "last_record": 2}
    assert result.inputs == {"variable": [3, 1, 2]}
    assert run([3, 1, 2], extract_by={"serial": "{{#m.n#}}"}, order_by={}).outputs["result"] == [1]
    assert run(["b", "a"], order_by={}, limit={}).outputs["result"] == ["a"]
    files = [file("b.png", size=1), file("a.png", size=2)]
    assert run(files, order_by={"key": "name"}).outputs["first_record"] == files[1]
    assert run(files, order_by={"key": "size", "value": "desc"}).outputs["first_record"] == files[1]


@pytest.mark.parametrize("value", [[], None, "", 0, {}])
def test_nothing_gives_an_empty_list(value):
    """Whatever is falsy gives an empty result without first and last."""
    assert run(value, limit={"size": 1}).outputs == {"result": [], "first_record": None, "last_record": None}


@pytest.mark.parametrize(
    ("value", "data", "message"),
    [
        ([{"a": 1}], {}, "is a array[object]"),
        ("text", {}, "is a string"),
        ([1], {"extract_by": {"serial": "0"}}, "must be >= 1, got 0"),
        ([1], {"extract_by": {"serial": "2"}}, "must be <= 1, got 2"),
        ([1], {"extract_by": {"serial": "x"}}, "is no whole number"),
        ([1], {"filter_by": {"conditions": [{"comparison_operator": "=", "value": "x"}]}}, "Invalid filter value: x"),
        ([1], {"filter_by": {"conditions": [{"comparison_operator": "is", "value": "1"}]}}, "Invalid condition: is"),
        (["a"], {"filter_by": {"conditions": [{"comparison_operator": "is", "value": ["a"]}]}}, "Invalid filter value"),
        ([True], {"filter_by": {"conditions": [{"comparison_operator": "is", "value": "x"}]}}, "expects a boolean"),
        ([file("a")], {"filter_by": {"conditions": [{"key": "q", "value": "x"}]}}, "Invalid key: q"),
        ([file("a")], {"order_by": {"key": "q"}}, "Invalid order key: q"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_fails_by_its_reason(value, data, message):
    """A list of other things, a place that is not there and an operator that does not fit fail the node."""
    with pytest.raises(NodeError) as failed:
        run(value, **data)
    assert message in str(failed.value)


def test_missing_variable_fails():
    """A selector that resolves to nothing is named."""
    compile_pure = KIND.compile_pure
    assert compile_pure is not None
    step = compile_pure(KIND.data.model_validate({"type": KIND.type, "variable": ["m", "gone"]}))
    with pytest.raises(NodeError, match="Variable not found"):
        step(VariablePool())
