"""What a simulated run begins with: start inputs, their files, conversation variables; checked as the server does."""

import mimetypes
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from graph.errors import InvalidInputError
from graph.file_value import extension_of
from graph.plan import Plan
from graph.start_form import check_inputs
from graph.value_types import is_valid
from graph.workflow import Workflow
from store.file_record import FileOwner, FileRecord
from surfaces.input_files import Uploads, with_file_values

SIMULATED = "simulated"
"""The id of everything around a simulated run: its user, app and conversation."""
_OWNER = FileOwner(SIMULATED, SIMULATED, "end_user", SIMULATED)
_UPLOAD_BYTES = 1024


def json_object(text: str, option: str) -> dict[str, Any]:
    """Return the JSON object that the command line gives as ``option``.

    Raises:
        InvalidInputError: it is none.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(f"{option} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidInputError(f"{option} must be a JSON object")
    return value


def checked_inputs(plan: Plan, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs that a run of ``plan`` starts with. An entry without a form hands on what it is given.

    Raises:
        InvalidInputError: they do not fit the start form.
    """
    if plan.top.nodes[plan.top.root].type != "start":
        return inputs
    checked = check_inputs(plan.start_form, inputs)
    records = {file_id: _record(file_id) for file_id in _uploads_in(checked.values())}
    links = {file_id: f"/files/{file_id}/file-preview" for file_id in records}
    return with_file_values(plan.start_form, checked, Uploads(records, links))


def check_conversation(workflow: Workflow, conversation: Mapping[str, Any]) -> None:
    """Hold given conversation variables against those that ``workflow`` declares.

    Raises:
        InvalidInputError: one is not declared, or has another type.
    """
    declared = {variable.name: variable.value_type for variable in workflow.conversation}
    for name, value in conversation.items():
        if name not in declared:
            listed = ", ".join(declared) or "none"
            raise InvalidInputError(f"--conversation: there is no conversation variable {name!r}; there is {listed}")
        is_number = declared[name] in ("integer", "float")  # a file declares numbers by their first value
        if not is_valid(value, "number" if is_number else declared[name]):
            raise InvalidInputError(f"--conversation: {name!r} must be of type {declared[name]}")


def _record(file_id: str) -> FileRecord:
    """Return what is known of an upload: its id counts as its name."""
    mime_type = mimetypes.guess_type(file_id)[0] or "application/octet-stream"
    return FileRecord(file_id, _OWNER, file_id, mime_type, extension_of(file_id), _UPLOAD_BYTES, "", 0.0)


def _uploads_in(values: Any) -> Iterator[str]:
    for value in values:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                yield from (
                    str(each[name]) for name in ("upload_file_id", "tool_file_id", "related_id") if each.get(name)
                )
