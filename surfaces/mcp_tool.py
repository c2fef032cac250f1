"""What an agent sees of an app: one tool, with the start form as its parameters, and what a call gives.

Source: spec/http.md 1.6, spec/beyond.md 2.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from store.app_record import AppRecord
from store.mcp_record import McpServer

QUERY: Final = "query"
"""The parameter of a chatflow that is the message."""
_NO_PARAMETERS: Final = frozenset({"file", "file-list", "external_data_tool"})
"""Types of start inputs that an agent is not offered."""
_TYPES: Final[Mapping[str, str]] = {
    "text-input": "string",
    "paragraph": "string",
    "select": "string",
    "number": "number",
    "checkbox": "boolean",
    "json_object": "object",
}


def tool_of(app: AppRecord, server: McpServer, variables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the tool that ``app`` is.

    Args:
        app: the app; the tool bears its name.
        server: what agents are told of the app and of its inputs.
        variables: the start form of the published workflow.
    """
    offered = [each for each in variables if each.get("type") not in _NO_PARAMETERS]
    properties = {str(each.get("variable", "")): _property(each, server.parameters) for each in offered}
    required = [str(each.get("variable", "")) for each in offered if each.get("required")]
    if app.mode == "advanced-chat":
        properties = {QUERY: {"type": "string", "description": "User Input/Question content"}, **properties}
        required = [QUERY, *(name for name in required if name != QUERY)]
    schema = {"type": "object", "properties": properties, "required": required}
    return {"name": app.name, "description": server.description, "inputSchema": schema}


def result_of_workflow(told: Mapping[str, Any], public_url: str) -> dict[str, Any]:
    """Return the result of a call, from the blocking reply of a run: its outputs, what it waits for, or its error."""
    data = told["data"]
    if data["status"] == "paused":
        return _text(_waiting(told["workflow_run_id"], data["reasons"], public_url))
    if data["status"] in ("failed", "stopped"):
        return _text(data["error"] or f"The run was {data['status']}.", is_error=True)
    return _text(_json(data["outputs"]))


def result_of_message(told: Mapping[str, Any], public_url: str) -> dict[str, Any]:
    """Return the result of a call, from the blocking reply of a message: its answer, behind it what it waits for."""
    if told["event"] != "workflow_paused":
        return _text(told["answer"])
    texts = [told["answer"], _waiting(told["workflow_run_id"], told["data"]["reasons"], public_url)]
    return {"content": [{"type": "text", "text": text} for text in texts if text], "isError": False}


def error_result(text: str) -> dict[str, Any]:
    """Return the result of a call that failed for the reason in ``text``, which the agent reads."""
    return _text(text, is_error=True)


def _property(variable: Mapping[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    name, kind = str(variable.get("variable", "")), variable.get("type")
    found: dict[str, Any] = {"description": told.get(name) or str(variable.get("label") or "")}
    if kind in _TYPES:
        found["type"] = _TYPES[kind]
    if kind == "select":
        found["enum"] = list(variable.get("options") or [])
    if kind in ("text-input", "paragraph") and variable.get("max_length"):
        found["maxLength"] = int(variable["max_length"])
    return found


def _waiting(run_id: str, reasons: Sequence[Mapping[str, Any]], public_url: str) -> str:
    """Return in JSON for what a run waits. A form is named by its link where agents may have it, never by its token."""
    told = []
    for reason in reasons:
        shown = dict(reason)
        token = shown.pop("form_token", None)
        if shown.get("TYPE") == "human_input_required":
            shown["form_url"] = f"{public_url.rstrip('/')}/form/{token}" if token else None
        told.append(shown)
    return _json({"status": "paused", "workflow_run_id": run_id, "reasons": told})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _text(text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}
