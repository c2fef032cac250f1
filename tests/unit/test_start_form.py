"""Start inputs checked against the start form."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import InvalidInputError
from graph.start_form import check_inputs

FILE = {"type": "image", "transfer_method": "remote_url", "url": "https://x.test/a.png"}
TYPES = [
    "text-input",
    "select",
    "paragraph",
    "number",
    "external_data_tool",
    "file",
    "file-list",
    "checkbox",
    "json_object",
]


def check(value: Any, kind: str = "text-input", **more: Any) -> Any:
    """Return what one field of the form makes of ``value``."""
    return check_inputs([{"variable": "x", "type": kind, **more}], {"x": value})["x"]


@pytest.mark.parametrize(
    ("kind", "value", "more", "expected"),
    [
        ("text-input", "tea", {}, "tea"), ("text-input", "a\0b", {}, "ab"), ("paragraph", "", {"required": True}, ""),
        ("text-input", None, {}, None), ("text-input", None, {"default": "d"}, "d"),
        ("text-input", "12345", {"max_length": 5}, "12345"),
        ("paragraph", "123456", {"max_length": None}, "123456"), ("paragraph", "123456", {"max_length": ""}, "123456"),
        ("select", "a", {"options": ["a", "b"]}, "a"), ("select", None, {"options": ["a"], "default": ""}, None),
        ("number", 3, {}, 3), ("number", 2.5, {}, 2.5), ("number", "3", {}, 3), ("number", "2.50", {}, 2.5),
        ("number", " ", {}, None), ("number", None, {"default": "7"}, 7), ("number", "-1", {"required": True}, -1),
        ("number", "99999999999999999999", {}, 1e20),
        ("checkbox", "Yes", {}, True), ("checkbox", "off", {}, False), ("checkbox", 1, {}, True),
        ("checkbox", 0, {}, False),
        ("checkbox", True, {}, True), ("checkbox", "maybe", {}, "maybe"), ("checkbox", None, {"default": "1"}, True),
        ("file", FILE, {}, FILE), ("file", "", {}, None), ("file-list", "", {}, None),
        ("file-list", [FILE], {}, [FILE]),
        ("file-list", [], {"required": True}, []), ("json_object", {"a": 1}, {}, {"a": 1}), ("json_object", {}, {}, {}),
        ("external_data_tool", "x", {}, "x"),
    ],
)  # fmt: skip
def test_input_fits_its_field(kind, value, more, expected):
    """Values are taken over, converted where the field says so, and defaults fill in."""
    found = check(value, kind, **more)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "more", "message"),
    [
        ("text-input", None, {"required": True, "default": "d"}, "x is required in input form"),
        ("text-input", 5, {}, "(type 'text-input') x in input form must be a string"),
        ("select", ["a"], {}, "(type 'select') x in input form must be a string"),
        ("select", "c", {"options": ["a", "b"]}, "x in input form must be one of the following: ['a', 'b']"),
        ("text-input", "123456", {"max_length": 5}, "x in input form must be less than 5 characters"),
        ("number", "1,5", {}, "x in input form must be a valid number"),
        ("number", "nan", {}, "x in input form must be a valid number"),
        ("number", "1.e999", {}, "x in input form must be a valid number"),
        ("number", "9" * 5000, {}, "x in input form must be a valid number"),
        ("number", [1], {}, "x in input form must be a valid number"),
        ("file", "a.png", {}, "x in input form must be a file"),
        ("file", "", {"required": True}, "x in input form must be a file"),
        ("file-list", FILE, {}, "x in input form must be a list of files"),
        ("file-list", ["a"], {}, "x in input form must be a list of files"),
        ("file-list", [FILE, FILE], {"max_length": 1}, "x in input form must be less than 1 files"),
        ("json_object", "{}", {}, "x in input form must be a dict"),
        ("external_data_tool", {"a": 1}, {}, "Invalid input type for ['x']"),
        ("json_object", [{"a": 1}], {}, "x in input form must be a dict"),
        ("checkbox", [{"a": 1}], {}, "Invalid input type for ['x']"),
    ],
)  # fmt: skip
def test_input_that_does_not_fit_is_refused(kind, value, more, message):
    """The message names the field and what it wants."""
    with pytest.raises(InvalidInputError) as caught:
        check(value, kind, **more)
    assert str(caught.value) == message


def test_undeclared_inputs_are_dropped():
    """Only declared inputs reach the run, each one exactly once."""
    form = [{"variable": "a", "type": "text-input"}, {"variable": "b", "type": "number"}]
    assert check_inputs(form, {"a": "1", "c": 2}) == {"a": "1", "b": None}


@given(st.sampled_from(TYPES), st.booleans(), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=6,
))  # fmt: skip
def test_any_json_is_taken_or_refused(kind, required, value):
    """Whatever JSON a caller sends, the check gives a value or a message."""
    try:
        check(value, kind, required=required, options=["a"])
    except InvalidInputError:
        pass
