"""Errors -> HTTP: the one table from error code to status and wire code, and the envelope around it.

Below ``surfaces/`` nothing knows of HTTP. A RefusedError without a row is a 400, an UnavailableError a 503 with
``Retry-After``, anything else a 500 that says nothing.

Source: spec/http.md 2.1, 2.4 and 4.6.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Request, Response

from graph.errors import GreenroomError, RefusedError, UnavailableError
from store.errors import StoreUnavailableError
from surfaces.errors import UploadTokenError

_STATUS: Final[Mapping[str, int]] = {
    "invalid_param": 400,
    "bad_request": 400,
    "not_workflow_app": 400,
    "not_chat_app": 400,
    "app_unavailable": 400,
    "invalid_form_data": 400,
    "no_file_uploaded": 400,
    "file_extension_blocked": 400,
    "remote_file_upload_error": 400,
    "too_many_files": 400,
    "filename_not_exists_error": 400,
    "unauthorized": 401,
    "authentication_failed": 401,
    "not_setup": 401,
    "already_setup": 403,
    "forbidden": 403,
    "external_sso_requires_ee": 403,
    "recipient_surface_mismatch": 403,
    "self_approval_forbidden": 403,
    "file_access_denied": 403,
    "not_an_approver": 403,
    "transfer_refused": 403,
    "not_found": 404,
    "run_not_found": 404,
    "app_not_found": 404,
    "mcp_server_not_found": 404,
    "draft_workflow_not_exist": 404,
    "draft_workflow_not_sync": 409,
    "file_not_found": 404,
    "form_changed": 409,
    "idempotency_key_reused": 409,
    "already_voted": 412,
    "form_claimed": 409,
    "human_input_form_submitted": 412,
    "human_input_form_expired": 412,
    "request_entity_too_large": 413,
    "file_too_large": 413,
    "unsupported_media_type": 415,
    "unsupported_file_type": 415,
    "too_many_requests": 429,
    "email_code_login_limit": 429,
    "web_form_rate_limit_exceeded": 429,
    "schema_outdated": 503,
    "code_version": 503,
    "key_mismatch": 503,
    "single_node_database": 503,
}
"""Error code -> HTTP status. The last four are faults of the installation, not of a request."""

_PLAIN_CODES: Final[Mapping[int, str]] = {404: "not_found", 405: "method_not_allowed"}
_PLAIN_TEXTS: Final[Mapping[int, str]] = {
    404: "The requested URL was not found on the server.",
    405: "The method is not allowed for the requested URL.",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An error as a client gets it."""

    status: int
    code: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)

    def envelope(self) -> dict[str, Any]:
        """Return the body of the error answer."""
        return {"code": self.code, "message": self.message, "status": self.status}


MESSAGE_LENGTH: Final = 2000
"""Characters of a message that are told: some quote what the client has sent, which may be megabytes."""

STORE_AWAY: Final = "The store is not available now; try again later."

UNKNOWN: Final = Answer(500, "unknown", "Internal Server Error")
"""For whatever is a fault of ours: its text stays inside."""
INTERNAL: Final = Answer(500, "internal_server_error", "Internal Server Error")
"""The same where the surface has another word for it."""


def domain_error(error: BaseException) -> BaseException:
    """Return the error that was raised in the other process, where ``error`` wraps one.

    Ray's wrapper is an instance of the same class, but its text is the remote traceback.
    """
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, GreenroomError) else error


def answer_for(error: BaseException) -> Answer:
    """Return what a client is told of ``error``."""
    error = domain_error(error)
    if isinstance(error, UnavailableError):
        retry = {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
        return Answer(_STATUS.get(error.code, 503), error.code, _message(error), retry)
    if isinstance(error, RefusedError):
        status = error.status if isinstance(error, UploadTokenError) else _STATUS.get(error.code, 400)
        headers = {"WWW-Authenticate": 'Bearer realm="api"'} if status == 401 else {}
        return Answer(status, error.code, _message(error), headers)
    return UNKNOWN


def _message(error: GreenroomError) -> str:
    # What a driver says names hosts, sockets and folders: for the logs and `greenroom doctor`, not for clients.
    text = STORE_AWAY if isinstance(error, StoreUnavailableError) else str(error)
    return text if len(text) <= MESSAGE_LENGTH else f"{text[:MESSAGE_LENGTH]}…"


def error_event(error: BaseException, run_id: str | None, message: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the last event of a stream that ``error`` ends.

    Args:
        error: what went wrong.
        run_id: the run, None before it has started.
        message: which message the stream is of, where it is one; it then stands in the place of the run.
    """
    answer = answer_for(error)
    if answer is UNKNOWN:
        answer = Answer(500, "internal_server_error", "Internal Server Error, please contact support.")
    return {"event": "error", **(message or {"workflow_run_id": run_id}), **answer.envelope()}


def error_response(answer: Answer) -> Response:
    """Return the JSON response of ``answer``."""
    body = json.dumps(answer.envelope()) + "\n"
    return Response(body, answer.status, answer.headers, media_type="application/json")


async def on_domain_error(request: Request, error: Exception) -> Response:
    """Answer a GreenroomError that an endpoint raised."""
    answer = answer_for(error)
    if answer is UNKNOWN:
        # Not an answer to the client: the edge logs it and answers.
        raise error
    return error_response(answer)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: an unknown path (404), a wrong method (405)."""
    status = getattr(error, "status_code", 404)
    headers = dict(getattr(error, "headers", None) or {})
    return error_response(Answer(status, _PLAIN_CODES[status], _PLAIN_TEXTS[status], headers))
