"""An answer, checked against the form as it was opened. A refused answer leaves the form as it was."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from graph.nodes import human_input
from graph.variable_pool import FILE_MARK, FILE_MARK_VALUE
from hitl.answer_file import OwnedFiles, resolve_file, where_of
from hitl.errors import InvalidSubmissionError
from hitl.form import FormDefinition


@dataclass(frozen=True, slots=True)
class Submission:
    """An accepted answer.

    ``values``: what was submitted by input name, files as file objects. Names that the form does not declare are
    kept here and never become outputs of the node.
    """

    action_id: str
    action_title: str
    values: dict[str, Any] = field(default_factory=dict)


def validate_submission(
    definition: FormDefinition, action: str, inputs: Mapping[str, Any], files: OwnedFiles
) -> Submission:
    """Return the answer in the form in which it is stored.

    Checked in this order: the values of the inputs that are there, the action, the inputs that are missing.

    Args:
        definition: the form as it was opened.
        action: id of the chosen action.
        inputs: input name -> JSON value.
        files: what this submitter may put into the answer.

    Raises:
        InvalidSubmissionError: a value does not fit its input, the action is not one of the form, or a declared
            input is missing.

    Source: spec/hitl.md 3.5 and spec/http.md 3.7. Stricter than the original: paragraphs must be strings, selects
    are checked also where a variable supplied the options, uploads must belong to the submitter.
    """
    _check_storable(action, inputs)
    values = dict(inputs)
    for declared in definition.inputs:
        name = declared["output_variable_name"]
        if name in values:
            values[name] = _checked_value(declared, name, values[name], files)
    titles = {each["id"]: each.get("title", "") for each in definition.actions}
    if action not in titles:
        raise InvalidSubmissionError(f"Invalid action: {action}")
    names = [declared["output_variable_name"] for declared in definition.inputs]
    missing = [name for name in names if name not in values]
    if missing:
        raise InvalidSubmissionError(f"Missing required inputs: {', '.join(missing)}")
    return Submission(action, titles[action], values)


def is_same_answer(one: Submission, other: Submission) -> bool:
    """Whether two answers to one form say the same.

    An uploaded file is the same whatever link it was named with, one elsewhere by its address, whatever lay there.
    """
    return (one.action_id, _as_named(one.values)) == (other.action_id, _as_named(other.values))


def rendered_content(definition: FormDefinition, values: Mapping[str, Any]) -> str:
    """Return the form's content with its input placeholders filled in from ``values`` (input name -> value)."""
    return human_input.rendered_content(definition.form_content, definition.inputs, values)


def resolved_for_get(definition: FormDefinition) -> dict[str, str]:
    """Return the form's resolved defaults as text: null as "", objects and lists as JSON, others as they print.

    Source: spec/http.md 3.7; events carry the raw values instead.
    """
    return {name: _as_text(value) for name, value in definition.resolved_default_values.items()}


def _as_named(value: Any) -> Any:
    """Return a value whose files are what the submitter said of them: an upload or an address."""
    if isinstance(value, dict):
        if value.get(FILE_MARK) == FILE_MARK_VALUE:
            named = "remote_url" if value.get("transfer_method") == "remote_url" else "related_id"
            return {named: value.get(named)}
        return {name: _as_named(each) for name, each in value.items()}
    return [_as_named(each) for each in value] if isinstance(value, list) else value


def _check_storable(action: str, inputs: Mapping[str, Any]) -> None:
    """Refuse what JSON lets through and no store can keep: lone surrogates, huge integers, endless nesting."""
    try:
        orjson.dumps([action, dict(inputs)])
    except orjson.JSONEncodeError as error:
        raise InvalidSubmissionError(f"Invalid inputs: {error}") from error


def _checked_value(declared: Mapping[str, Any], name: str, value: Any, files: OwnedFiles) -> Any:
    match declared.get("type"):
        case "select":
            # Options were resolved when the form was opened, whether they are constant or come from a variable.
            options = (declared.get("option_source") or {}).get("value") or []
            if not isinstance(value, str) or value not in options:
                raise InvalidSubmissionError(f"Invalid value for select input '{name}': must be one of the options")
            return value
        case "file":
            return resolve_file(value, declared, files, where_of(declared))
        case "file-list":
            return _checked_files(declared, value, files)
        case _:
            if not isinstance(value, str):
                raise InvalidSubmissionError(f"Invalid value for paragraph input '{name}': must be a string")
            return value


def _checked_files(declared: Mapping[str, Any], value: Any, files: OwnedFiles) -> list[dict[str, Any]]:
    where = where_of(declared)
    if not isinstance(value, list):
        raise InvalidSubmissionError(f"Invalid value for {where}: must be a list of file mappings")
    limit = declared.get("number_limits") or 0
    if 0 < limit < len(value):
        raise InvalidSubmissionError(f"Invalid value for {where}: at most {limit} files are allowed")
    return [resolve_file(each, declared, files, where) for each in value]


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
