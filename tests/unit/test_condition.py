"""Every operator of if-else, as spec/graph.md 2.6 lists them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from graph.condition import ConditionData, case_holds, compile_case, compile_condition
from graph.errors import NodeError
from graph.variable_pool import FILE_MARK, FILE_MARK_VALUE, VariablePool

OPERATORS = [
    "contains", "not contains", "start with", "end with", "is", "is not", "empty", "not empty", "in", "not in",
    "all of",
    "=", "≠", ">", "<", "≥", "≤", "null", "not null", "exists", "not exists",
]  # fmt: skip


def holds(actual: Any, operator: str, value: Any = None, **more: Any) -> bool:
    """Evaluate one comparison of a variable that has the value ``actual``."""
    pool = VariablePool()
    pool.put("n", {"x": actual, "ref": "hello"})
    data = {"variable_selector": ["n", "x"], "comparison_operator": operator, "value": value, **more}
    return compile_condition(ConditionData.model_validate(data))(pool).holds


def file(**values: Any) -> dict[str, Any]:
    """A file mapping."""
    return {FILE_MARK: FILE_MARK_VALUE, "type": "image", "filename": "a.png", "extension": ".png", "size": 5, **values}


@pytest.mark.parametrize(
    ("actual", "operator", "value", "expected"),
    [
        ("hello world", "contains", "hello", True), ("Hello", "contains", "hello", False), ("", "contains", "", False),
        (None, "contains", "a", False), ([], "contains", "a", False), (["a"], "contains", "a", True),
        ([1], "contains", "1", False), ("null", "contains", None, False), ("None", "contains", None, True),
        ("hello", "not contains", "x", True), ("", "not contains", "", True), (["a"], "not contains", "a", False),
        ("hello", "start with", "he", True), ("", "start with", "", False), (None, "end with", "a", False),
        ("hello", "end with", "lo", True),
        ("a", "is", "a", True), ("a", "is not", "a", False), (None, "is", "a", False), (None, "is not", "a", False),
        (True, "is", "true", True), (True, "is", "1", True), (False, "is", False, True),
        (True, "is not", "false", True),
        ("", "empty", "", True), (0, "empty", "", True), (False, "empty", "", True), ([], "not empty", "", False),
        ("a", "not empty", None, True), (None, "empty", None, True),
        ("a", "in", ["a", "b"], True), ("", "in", "x", False), ("c", "not in", ["a"], True),
        (None, "not in", "x", True),
        (True, "in", [True], True), (3, "in", ["3"], False),
        (["a", "b"], "all of", ["a"], True), (["a"], "all of", ["a", "b"], False), ([], "all of", ["a"], False),
        ("abc", "all of", ["a", "c"], True), ([True, True], "all of", [True], True), (["a"], "all of", [], True),
        (5, "=", "5", True), (5, "≠", "4", True), (None, "=", "5", False), (None, "≠", "5", False),
        (1.5, "=", "1.5", True), (True, "=", "true", True), (False, "≠", "1", True), (5, "=", " 5 ", True),
        (5, ">", "4.5", True), (5, ">", "5", False), (5, "≥", "5.0", True), (4.5, "<", "5", True), (5, "≤", "5", True),
        (None, ">", "1", False), (True, "≥", "1", True), (2, "<", "inf", True),
        (None, "null", None, True), (None, "exists", None, False), ("", "exists", None, True),
        ("", "null", None, False),
        (None, "not exists", None, True), (0, "not null", None, True), (True, "exists", "", True),
    ],
)  # fmt: skip
def test_operator_holds(actual, operator, value, expected):
    """Each operator gives what the table says, null and empty values included."""
    assert holds(actual, operator, value) is expected


@pytest.mark.parametrize(
    ("actual", "operator", "value"),
    [
        (5, "contains", "5"), ({"a": 1}, "contains", "a"), (5, "start with", "5"), ("a", "start with", ["a"]),
        (["a"], "end with", "a"), (5, "is", "5"), (["a"], "is not", "a"), ("a", "in", "abc"), ("a", "not in", "abc"),
        (["a"], "all of", "a"), (5, "all of", ["5"]), ("5", "=", "5"), (5, "=", "1.5"), (5, "=", ""), ([1], "≠", "1"),
        ("5", ">", "4"), (5, ">", "much"), (5, "≤", None), (True, "is", "yes"), (True, "is", "null"),
    ],
)  # fmt: skip
def test_comparison_that_values_do_not_allow_fails(actual, operator, value):
    """A comparison of the wrong types is an error of the node, not false."""
    with pytest.raises(NodeError):
        holds(actual, operator, value)


@pytest.mark.parametrize("operator", OPERATORS)
def test_missing_variable_fails_every_operator(operator):
    """A variable that is not in the pool is an error, for exists and null too."""
    condition = ConditionData(variable_selector=["gone", "x"], comparison_operator=operator, value="a")
    with pytest.raises(NodeError, match=r"Variable \['gone', 'x'\] not found"):
        compile_condition(condition)(VariablePool())


def test_expected_text_is_a_template():
    """The expected value may refer to other values."""
    assert holds("say hello", "contains", "{{#n.ref#}}")


def test_unknown_operator_is_bad_data():
    """An operator that does not exist is found when the file is read."""
    with pytest.raises(ValidationError, match="no comparison operator"):
        ConditionData(variable_selector=["n", "x"], comparison_operator="like", value="a")


@pytest.mark.parametrize(
    ("key", "operator", "value", "expected"),
    [
        ("type", "in", ["image", "video"], True), ("type", "not in", ["image"], False),
        ("extension", "is", "png", True),
        ("extension", "is", ".pdf", True), ("extension", "is not", "png", False),
        ("extension", "contains", "jp", False),
        ("name", "contains", "b", True), ("size", ">", "7", True), ("size", "<", "5", False),
    ],
)  # fmt: skip
def test_files_are_compared_one_by_one(key, operator, value, expected):
    """Operators with "not" want all files, others any; an extension is compared with its dot."""
    files = [file(), file(filename="b.pdf", extension="pdf", size=9, type="document")]
    sub = {"logical_operator": "and", "conditions": [{"key": key, "comparison_operator": operator, "value": value}]}
    assert holds(files, "contains", None, sub_variable_condition=sub) is expected


def test_file_list_without_sub_conditions_fails():
    """A file list can only be searched by attributes."""
    with pytest.raises(NodeError, match="Sub variable is required"):
        holds([file()], "contains", "a")


def test_sub_conditions_combine():
    """The sub conditions of a file list combine by and, or."""
    conditions = [
        {"key": "type", "comparison_operator": "in", "value": ["image"]},
        {"key": "size", "comparison_operator": ">", "value": "7"},
    ]
    for logical_operator, expected in (("and", False), ("or", True)):
        sub = {"logical_operator": logical_operator, "conditions": conditions}
        assert holds([file()], "contains", None, sub_variable_condition=sub) is expected


def test_unknown_file_attribute_fails():
    """A sub condition on what no file has is an error."""
    sub = {"conditions": [{"key": "colour", "comparison_operator": "is", "value": "red"}]}
    with pytest.raises(NodeError, match="no attribute of a file"):
        holds([file()], "contains", None, sub_variable_condition=sub)


def test_other_operators_act_on_the_file_list():
    """Emptiness of a file list is that of the list."""
    assert holds([file()], "not empty") and holds([], "empty")


def test_case_stops_at_the_deciding_comparison():
    """The first false of "and" and the first true of "or" decide; what comes after is not looked at."""
    pool = VariablePool()
    pool.put("n", {"x": "a"})
    first = ConditionData(variable_selector=["n", "x"], comparison_operator="is", value="b")
    broken = ConditionData(variable_selector=["gone", "x"], comparison_operator="is", value="b")
    made = compile_case([first, broken], "and")(pool)
    assert len(made) == 1 and not case_holds(made, "and")
    with pytest.raises(NodeError):
        compile_case([first, broken], "or")(pool)


def test_empty_case_holds_for_and_only():
    """No conditions at all are true for "and" and false for "or"."""
    assert case_holds([], "and") and not case_holds([], "or")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(file()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)
expectations = st.none() | st.booleans() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=3)


@given(values, st.sampled_from(OPERATORS), expectations)
def test_no_pair_of_types_escapes(actual, operator, value):
    """Whatever the types, a comparison gives a boolean or a node error."""
    try:
        assert isinstance(holds(actual, operator, value), bool)
    except NodeError:
        pass
