"""Types of values, and how values read as text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.value_types import (
    ValueType,
    ValueTypeError,
    check_declared,
    files_in,
    infer_type,
    is_valid,
    log_of,
    markdown_of,
    text_of,
)
from graph.variable_pool import FILE_MARK, FILE_MARK_VALUE

FILE = {
    FILE_MARK: FILE_MARK_VALUE,
    "type": "document",
    "filename": "a.pdf",
    "url": "https://x.test/a",
    "extension": ".pdf",
}
IMAGE = {**FILE, "type": "image", "filename": "b.png", "url": "https://x.test/b"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "none"), ("a", "string"), (True, "boolean"), (1, "integer"), (1.0, "float"), ({"a": 1}, "object"),
        (FILE, "file"), ([], "array[any]"), (["a"], "array[string]"), ([1, 2.5], "array[number]"),
        ([True, False], "array[boolean]"), ([True, 1], "array[any]"), ([{"a": 1}], "array[object]"),
        ([FILE], "array[file]"), ([FILE, {"a": 1}], "array[any]"), ([["a"]], "array[any]"), ([None], "array[any]"),
        (["a", None], "array[any]"), (["a", 1], "array[any]"),
    ],
)  # fmt: skip
def test_type_is_inferred_from_the_value(value, expected):
    """A list has an element type only when all its elements share one."""
    assert infer_type(value) == expected


def test_unknown_python_values_have_no_type():
    """A value that JSON does not know is refused."""
    with pytest.raises(ValueTypeError, match="not supported value of type set"):
        infer_type({1})


@pytest.mark.parametrize(
    ("value", "declared", "expected"),
    [
        ([], "array[file]", "array[file]"), (1, "number", "integer"), (1.5, "number", "float"),
        ("s", "secret", "secret"), (["a"], "array[string]", "array[string]"), (None, "none", "none"),
    ],
)  # fmt: skip
def test_declared_type_is_taken(value, declared, expected):
    """An empty list takes the declared array type and a number keeps its own kind."""
    assert check_declared(value, declared) == expected


@pytest.mark.parametrize(
    ("value", "declared"),
    [(["a", 1], "array[string]"), (["a"], "array[any]"), ("1", "number"), (True, "number"), ([], "string"), (1, "odd")],
)
def test_other_types_than_declared_are_refused(value, declared):
    """Everything but the declared type is an error."""
    with pytest.raises(ValueTypeError, match="expected"):
        check_declared(value, declared)


def test_numbers_are_valid_as_python_takes_them():
    """The validity check takes booleans as numbers and looks at every element."""
    assert is_valid(True, "number") and is_valid(3, "float")
    assert is_valid([1, True], "array[number]") and not is_valid([1, "a"], "array[number]")
    assert is_valid(["a", 1], "array[any]") and not is_valid("a", "array[any]") and not is_valid("a", "odd")


@pytest.mark.parametrize(
    ("value", "text", "log", "markdown"),
    [
        (None, "", "", ""), ("é", "é", "é", "é"), (True, "True", "True", "True"), (1.0, "1.0", "1.0", "1.0"),
        ({"a": "é"}, '{"a": "é"}', '{\n  "a": "é"\n}', '{\n  "a": "é"\n}'),
        ([], "", "[]", ""), (["a", "é"], '["a", "é"]', "['a', 'é']", "- a\n- é"),
        ([1, 2], "[1, 2]", "[1, 2]", "- 1\n- 2"), ([{"a": 1}], "[{'a': 1}]", "[{'a': 1}]", "- {'a': 1}"),
        (FILE, "", "", "[a.pdf](https://x.test/a)"), (IMAGE, "", "", "![b.png](https://x.test/b)"),
        ([FILE, IMAGE], "", "", "[a.pdf](https://x.test/a)\n![b.png](https://x.test/b)"),
    ],
)  # fmt: skip
def test_values_render_in_three_forms(value, text, log, markdown):
    """Files show in markdown only, lists as lines there, and an empty list as nothing in text."""
    assert (text_of(value), log_of(value), markdown_of(value)) == (text, log, markdown)


@given(json_values)
def test_every_json_value_has_a_type_and_renders(value):
    """No JSON value makes inference or rendering fail, and an object's text is the object again."""
    assert infer_type(value) in ValueType
    assert isinstance(markdown_of(value), str) and isinstance(log_of(value), str)
    if isinstance(value, dict):
        assert json.loads(text_of(value)) == value


def test_files_are_found_in_order():
    """Files and the files of file lists come out in the order of the values."""
    assert files_in(["a", IMAGE, [FILE, IMAGE], [FILE, "a"], None]) == [IMAGE, FILE, IMAGE]
