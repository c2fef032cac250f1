"""Who calls ``/openapi/v1``: the account of a bearer token, in any workspace that it belongs to; and how errors look.

Source: spec/http.md 1.4 and 2.5, spec/hitl.md 1.8 ("OpenAPI / CLI").
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from fastapi import Request, Response

from actors.run_order import Starter
from graph.errors import GreenroomError
from hitl.errors import FormNotFoundError, RecipientSurfaceMismatchError
from store.account_record import Account
from store.app_record import AppRecord
from store.bearer_record import ACCOUNT_PREFIX, USED_EVERY_S, BearerToken, hash_secret
from store.file_record import FileOwner
from surfaces.error_table import UNKNOWN, answer_for, domain_error
from surfaces.errors import (
    ExternalSsoError,
    FilenameMissingError,
    InvalidBodyError,
    RateLimitError,
    ResourceNotFoundError,
    UnauthorizedError,
)
from surfaces.ports import SurfacePorts
from surfaces.routes import Endpoint
from surfaces.run_endpoints import canonical_id
from surfaces.schemas import reply

_EXTERNAL_PREFIX: Final = "dfoe_"
_WINDOW_S: Final = 60
_STATUS: Final[Mapping[str, int]] = {"invalid_param": 422}
_CODES: Final[Mapping[type[GreenroomError], str]] = {
    FormNotFoundError: "form_not_found",
    FilenameMissingError: "filename_not_exists",
}
"""What is called otherwise here than on other surfaces."""
_UNFRAMED: Final = {"X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'"}


@dataclass(frozen=True, slots=True)
class BearerCaller:
    """Who calls."""

    bearer: BearerToken
    account: Account

    @property
    def starter(self) -> Starter:
        """The account, as somebody who starts runs."""
        return Starter("account", self.account.account_id, "", "openapi")

    def owner_in(self, app: AppRecord) -> FileOwner:
        """Return the account as the owner of files of ``app``."""
        return FileOwner(app.workspace_id, app.app_id, "account", self.account.account_id)


async def calling_bearer(request: Request, ports: SurfacePorts) -> BearerCaller:
    """Return whose bearer token the request carries.

    Raises:
        UnauthorizedError: there is none, or none that counts (any more).
        ExternalSsoError: it is one of an identity provider outside.
        RateLimitError: it has made too many requests.
    """
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    shown = shown.strip()
    if scheme.lower() != "bearer" or not shown:
        raise UnauthorizedError("bearer required")
    if shown.startswith(_EXTERNAL_PREFIX):
        raise ExternalSsoError("Tokens of an external identity provider are not taken here; use one of an account.")
    now = ports.clock.now()
    found = await ports.bearers.bearer(hash_secret(shown), now) if shown.startswith(ACCOUNT_PREFIX) else None
    if found is None:
        raise UnauthorizedError("The bearer token is invalid, has expired or was revoked.")
    token, account = found
    if ports.bearer_rate_limit:
        name = f"bearer:{token.token_id}"
        retry_after_s = await ports.form_limits.counter.take(name, ports.bearer_rate_limit, _WINDOW_S)
        if retry_after_s is not None:
            raise RateLimitError(retry_after_s)
    if token.last_used_at is None or token.last_used_at < now - USED_EVERY_S:
        await ports.bearers.used(token.token_id, now)
    return BearerCaller(token, account)


async def bearer_on_app(request: Request, ports: SurfacePorts) -> tuple[BearerCaller, AppRecord]:
    """Return who calls, and the app that the path names.

    Raises:
        UnauthorizedError, ExternalSsoError, RateLimitError: see ``calling_bearer``.
        ResourceNotFoundError: no workspace of the account has this app.
    """
    caller = await calling_bearer(request, ports)
    app_id = canonical_id(request.path_params["app_id"])
    app = await ports.apps.app(app_id) if app_id else None
    of_account = await ports.accounts.memberships(caller.account.account_id) if app else []
    if app is None or app.workspace_id not in [each.workspace.workspace_id for each in of_account]:
        raise ResourceNotFoundError("app not found")
    return caller, app


def told_openly(endpoint: Endpoint) -> Endpoint:
    """Return ``endpoint`` with its errors told as this surface tells them, and never inside a page of others."""

    @functools.wraps(endpoint)
    async def told(request: Request) -> Response:
        try:
            response = await endpoint(request)
        except GreenroomError as error:
            response = _error_reply(error)
        response.headers.update(_UNFRAMED)
        return response

    return told


def _error_reply(error: GreenroomError) -> Response:
    answer, cause = answer_for(error), domain_error(error)
    if answer is UNKNOWN:
        # Not an answer to the client: the edge logs it and answers.
        raise error
    code = next((code for kind, code in _CODES.items() if isinstance(cause, kind)), answer.code)
    status = _STATUS.get(code, answer.status)
    message = "Internal Server Error" if status >= 500 else answer.message
    more: dict[str, Any] = {}
    if isinstance(cause, RecipientSurfaceMismatchError):
        more["hint"] = cause.hint
    elif isinstance(cause, InvalidBodyError):
        message, more["details"] = "Request validation failed", list(cause.details)
    response = reply({**replace(answer, status=status, code=code, message=message).envelope(), **more}, status)
    response.headers.update(answer.headers)
    return response
