"""What a comparison shows of itself: the values it saw, and the sentence and type of its failure."""

from typing import Any

import pytest
from pydantic import ValidationError

from graph.condition import ConditionData, compile_condition
from graph.errors import NodeError
from graph.variable_pool import FILE_MARK, FILE_MARK_VALUE, VariablePool

FILE = {FILE_MARK: FILE_MARK_VALUE, "type": "image", "filename": "a.png", "extension": ".png", "size": 5}
NO_LIST = "'in' cannot compare str: the expected value must be a list"
MIXED = "'all of' cannot compare list: the expected list must hold only text or only booleans"


def compare(actual: Any, operator: str, value: Any = None, **more: Any):
    """Return what one comparison of a variable with the value ``actual`` saw."""
    pool = VariablePool()
    pool.put("n", {"x": actual, "ref": "hello"})
    data = {"variable_selector": ["n", "x"], "comparison_operator": operator, "value": value, **more}
    return compile_condition(ConditionData.model_validate(data))(pool)


def by_files(key: str, operator: str, value: Any) -> dict[str, Any]:
    """Return the sub condition of a file list."""
    return {"sub_variable_condition": {"conditions": [{"key": key, "comparison_operator": operator, "value": value}]}}


@pytest.mark.parametrize(
    ("actual", "operator", "value", "sentence", "error_type"),
    [
        (5, "contains", "5", "'contains' cannot compare int: the variable must be text or a list", "ValueError"),
        (5, "start with", "5", "'start with' cannot compare int: the variable must be text", "ValueError"),
        ("a", "start with", ["a"], "'start with' cannot compare str: the expected value must be text", "ValueError"),
        (5, "end with", "5", "'end with' cannot compare int: the variable must be text", "ValueError"),
        ("a", "end with", ["a"], "'end with' cannot compare str: the expected value must be text", "ValueError"),
        (5, "is", "5", "'is' cannot compare int: the variable must be text or a boolean", "ValueError"),
        ("a", "in", "abc", NO_LIST, "ValueError"),
        ("5", "=", "5", "'=' cannot compare str: the variable must be a number or a boolean", "ValueError"),
        (5, "=", ["5"], "", "TypeError"),
        ("5", ">", "4", "'>' cannot compare str: the variable must be a number", "ValueError"),
        (5, "≤", None, "'≤' cannot compare int: the expected value must be a number", "ValueError"),
        (True, "is", "yes", "'yes' is no boolean; write true or false", "TypeError"),
        (5, "all of", ["5"], "", "TypeError"),
        ([FILE], "contains", "a", "Sub variable is required", "ValueError"),
    ],
)
def test_failure_says_what_was_compared(actual: Any, operator: str, value: Any, sentence: str, error_type: str) -> None:
    """The sentence names operator, type and reason, "" where the reason is Python's; a fail branch sees the type."""
    with pytest.raises(NodeError) as failed:
        compare(actual, operator, value)
    assert not sentence or failed.value.message == sentence
    assert failed.value.error_type == error_type


def test_missing_variable_is_a_value_error() -> None:
    """The selector is named as the file writes it."""
    condition = compile_condition(ConditionData(variable_selector=["gone", "x"], comparison_operator="exists"))
    with pytest.raises(NodeError) as failed:
        condition(VariablePool())
    assert failed.value.message == "Variable ['gone', 'x'] not found"
    assert failed.value.error_type == "ValueError"


def test_list_of_expected_values_is_of_one_type() -> None:
    """Text and booleans are not mixed; the data model lets no other list in."""
    data = ConditionData(variable_selector=["n", "x"], comparison_operator="all of", value=["a"])
    data.value = ["a", True]  # type: ignore[list-item]
    pool = VariablePool()
    pool.put("n", {"x": ["a"]})
    with pytest.raises(NodeError) as failed:
        compile_condition(data)(pool)
    assert (failed.value.message, failed.value.error_type) == (MIXED, "ValueError")


@pytest.mark.parametrize(
    ("key", "operator", "value", "sentence", "error_type"),
    [
        ("extension", "in", ["png"], "the expected value of a file extension must be text", "TypeError"),
        ("colour", "is", "red", "'colour' is no attribute of a file", "ValueError"),
        ("size", "contains", "5", "'contains' cannot compare int: the variable must be text or a list", "ValueError"),
    ],
)
def test_failure_of_a_file_comparison_says_why(
    key: str, operator: str, value: Any, sentence: str, error_type: str
) -> None:
    """Comparisons of files fail with sentences of their own."""
    with pytest.raises(NodeError) as failed:
        compare([FILE], "contains", None, **by_files(key, operator, value))
    assert (failed.value.message, failed.value.error_type) == (sentence, error_type)


def test_unknown_operator_is_told_with_the_known_ones() -> None:
    """The text lists every operator."""
    with pytest.raises(
        ValidationError, match="'like' is no comparison operator; known are contains, not contains, start"
    ):
        ConditionData(variable_selector=["n", "x"], comparison_operator="like", value="a")


def test_comparison_shows_the_values_it_saw() -> None:
    """The expected value is shown rendered, or converted to the type of the variable; of files as it was written."""
    seen = compare("say hello", "contains", "{{#n.ref#}}")
    assert (seen.holds, seen.actual, seen.expected) == (True, "say hello", "hello")
    seen = compare(True, "is", "true")
    assert (seen.actual, seen.expected) == (True, True)
    seen = compare([FILE], "contains", "a", **by_files("type", "is", "image"))
    assert (seen.holds, seen.actual, seen.expected) == (True, [FILE], "a")


def test_empty_list_with_file_comparisons_is_a_list_of_files() -> None:
    """An operator with "not" holds for all of no files, any other for none of them."""
    assert compare([], "contains", None, **by_files("type", "not in", ["image"])).holds is True
    assert compare([], "not contains", None, **by_files("type", "in", ["image"])).holds is False


def test_expected_values_of_a_list_of_booleans_are_booleans() -> None:
    """Text is read as booleans item by item."""
    assert compare([True, True], "all of", ["true"]).holds is True
    assert compare([True], "all of", ["false"]).holds is False


def test_text_contains_other_values_as_text() -> None:
    """An expected boolean is searched as Python writes it."""
    assert compare("it is True", "contains", True).holds is True
    assert compare("it is None", "contains", True).holds is False
