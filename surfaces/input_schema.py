"""The JSON Schema of what a run of an app takes, for programs that describe it to somebody else.

Source: spec/http.md 8.2.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_FILE: Final = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("type", "transfer_method", "url", "upload_file_id")},
    "additionalProperties": True,
}


def input_schema(variables: Sequence[Mapping[str, Any]], *, is_chat: bool) -> dict[str, Any]:
    """Return the schema of ``query`` (of a chatflow) and ``inputs``.

    Args:
        variables: the start node's declarations as in the file; checkboxes and JSON objects are left out, as in Dify.
        is_chat: whether the app is a chatflow.
    """
    fields = {str(each.get("variable", "")): (each, _field(each)) for each in variables}
    known = {name: (declared, field) for name, (declared, field) in fields.items() if field is not None}
    inputs = {
        "type": "object",
        "properties": {
            name: {**field, "title": str(declared.get("label") or name)} for name, (declared, field) in known.items()
        },
        "required": [name for name, (declared, _) in known.items() if declared.get("required")],
        "additionalProperties": False,
    }
    query = {"query": {"type": "string", "minLength": 1}} if is_chat else {}
    return {
        "$schema": _DIALECT,
        "type": "object",
        "properties": {**query, "inputs": inputs},
        "required": [*query, "inputs"],
    }


def _field(declared: Mapping[str, Any]) -> dict[str, Any] | None:
    match declared.get("type"):
        case "text-input" | "paragraph":
            limit = declared.get("max_length")
            return {"type": "string", **({"maxLength": int(limit)} if limit else {})}
        case "select":
            return {"type": "string", "enum": list(declared.get("options") or [])}
        case "number":
            return {"type": "number"}
        case "file":
            return dict(_FILE)
        case "file-list":
            return {"type": "array", "items": dict(_FILE)}
        case _:
            return None
