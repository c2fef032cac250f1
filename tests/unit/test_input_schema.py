"""What an app takes, as a JSON Schema."""

import pytest

from surfaces.input_schema import input_schema


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        ({"type": "text-input", "max_length": 48}, {"type": "string", "maxLength": 48}),
        ({"type": "paragraph", "max_length": 0}, {"type": "string"}),
        ({"type": "select", "options": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}),
        ({"type": "number"}, {"type": "number"}),
    ],
)
def test_variable_becomes_a_field(declared: dict[str, object], field: dict[str, object]) -> None:
    """Each kind of variable has its type and limits, and the title that people see."""
    schema = input_schema([{"variable": "x", "label": "X", "required": True, **declared}], is_chat=False)
    inputs = schema["properties"]["inputs"]
    assert inputs["properties"] == {"x": {**field, "title": "X"}} and inputs["required"] == ["x"]
    assert inputs["additionalProperties"] is False


def test_files_are_open_objects() -> None:
    """A file is an object that may have more, several are an array of those; without a label the name is the title."""
    schema = input_schema([{"variable": "f", "type": "file"}, {"variable": "l", "type": "file-list"}], is_chat=False)
    fields = schema["properties"]["inputs"]["properties"]
    assert fields["f"]["additionalProperties"] is True and fields["f"]["title"] == "f"
    assert fields["l"]["items"]["properties"].keys() == {"type", "transfer_method", "url", "upload_file_id"}


def test_other_variables_are_left_out() -> None:
    """Checkboxes and JSON objects are not described, and so not required either."""
    declared = [{"variable": name, "type": name, "required": True} for name in ("checkbox", "json_object")]
    inputs = input_schema(declared, is_chat=False)["properties"]["inputs"]
    assert (inputs["properties"], inputs["required"]) == ({}, [])


def test_chatflow_takes_a_query() -> None:
    """Of a chatflow the query is required and not empty."""
    schema = input_schema([], is_chat=True)
    assert schema["required"] == ["query", "inputs"]
    assert schema["properties"]["query"] == {"type": "string", "minLength": 1}
