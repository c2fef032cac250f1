"""The HTTP bodies of ``/v1``: how they are read and checked, and in which JSON dress replies go out.

Source: spec/http.md 1.0, 2.2, 3.1 and 3.7.
"""

import json
from typing import Any, Final, Literal, TypeVar

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from surfaces.errors import (
    BadRequestError,
    BodyTooLargeError,
    InvalidBodyError,
    InvalidParamError,
    UnsupportedMediaTypeError,
)

Body = TypeVar("Body", bound=BaseModel)

MAX_DEPTH: Final = 100
"""How deep the JSON of a body may be nested. What is deeper than twice that cannot be written again by every writer of
the journal, so a run could begin with it and never say so."""


class WorkflowRunPayload(BaseModel):
    """The body of a run. ``files``: sys.files as file mappings; ``response_mode`` absent or null means blocking."""

    model_config = ConfigDict(extra="ignore")

    inputs: dict[str, Any]
    response_mode: Literal["blocking", "streaming"] | None = None
    files: list[dict[str, Any]] | None = None
    trace_session_id: str | None = None


class HumanInputFormSubmitPayload(BaseModel):
    """The body of an answer to a form. ``action``: the id of an action; ``inputs``: input name -> value.

    ``form_digest``: of the form that was shown; without it the answer counts for whatever is asked.
    """

    model_config = ConfigDict(extra="ignore")

    inputs: dict[str, Any]
    action: str
    form_digest: str | None = None


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Return the request's body.

    Raises:
        BodyTooLargeError: it has more than ``limit_bytes``.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise BodyTooLargeError(limit_bytes)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise BodyTooLargeError(limit_bytes)
    return bytes(body)


async def read_object(request: Request, limit_bytes: int) -> dict[str, Any]:
    """Return the JSON object in the request's body.

    Raises:
        UnsupportedMediaTypeError: the content type is not JSON.
        BodyTooLargeError: it is too large.
        BadRequestError: it is no JSON, or nested deeper than ``MAX_DEPTH``.
        InvalidParamError: it is JSON, but not an object.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not (
        content_type.startswith("application/") and content_type.endswith("+json")
    ):
        raise UnsupportedMediaTypeError("application/json")
    return object_in(await read_body(request, limit_bytes))


def object_in(body: bytes) -> dict[str, Any]:
    """Return the JSON object that ``body`` holds.

    Raises:
        BadRequestError: it is no JSON, or nested deeper than ``MAX_DEPTH``.
        InvalidParamError: it is JSON, but not an object.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"Invalid JSON payload received or JSON payload is empty: {error}") from error
    if not isinstance(value, dict):
        raise InvalidParamError("The JSON payload must be an object.")
    # Counting first: nearly every body has too few brackets to be looked at any closer.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise BadRequestError(f"The JSON payload must not be nested deeper than {MAX_DEPTH} levels.")
    return value


def _is_deeper(value: dict[str, Any], levels: int) -> bool:
    """Whether ``value`` has objects and lists within each other on more than ``levels`` levels, itself the first."""
    level: list[Any] = [value]
    for _ in range(levels):
        parts = (each.values() if isinstance(each, dict) else each for each in level)
        level = [part for each in parts for part in each if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def checked(model: type[Body], value: dict[str, Any]) -> Body:
    """Return ``value`` as ``model``.

    Raises:
        InvalidBodyError: it does not fit; the text names each field and what is wrong with it.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        lines = [f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} for {model.__name__}"]
        for problem in problems:
            place = ".".join(str(step) for step in problem["loc"])
            lines.append(f"{place}\n  {problem['msg']} [type={problem['type']}]")
        details = tuple({name: problem[name] for name in ("type", "loc", "msg")} for problem in problems)
        raise InvalidBodyError("\n".join(lines), details) from error


def reply(body: Any, status: int = 200) -> Response:
    """Return an ordinary JSON reply."""
    return Response(json.dumps(body) + "\n", status, media_type="application/json")


def run_reply(body: Any) -> Response:
    """Return the JSON reply of a run: ASCII, spaced, with its charset named."""
    return Response(json.dumps(body), headers={"content-type": "application/json; charset=utf-8"})
