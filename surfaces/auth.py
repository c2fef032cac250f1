"""Who calls ``/v1``: the app of the key, and the end user the caller names. The order of checks is part of the API.

Source: spec/http.md 1.1.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from store.account_record import EndUser
from store.app_record import AppRecord
from surfaces.errors import InvalidParamError, NotChatAppError, UnauthorizedError, WrongAppModeError
from surfaces.ports import SurfacePorts

END_USER_TYPE = "service-api"
DEFAULT_USER = "DEFAULT-USER"
"""The end user of callers that name nobody."""
_USER_LENGTH = 255
_KEY_LENGTH = 255


async def calling_app(request: Request, ports: SurfacePorts) -> AppRecord:
    """Return the app whose key the request carries.

    Raises:
        UnauthorizedError: there is no bearer key, or none that is known.
    """
    app = await ports.apps.app_by_key(_bearer_of(request))
    if app is None:
        raise UnauthorizedError("Access token is invalid")
    return app


async def calling_key_id(request: Request, ports: SurfacePorts) -> str | None:
    """Return the id of the key that the request carries, by which it is named where the key must not be.

    Raises:
        UnauthorizedError: there is no bearer key.
    """
    return await ports.apps.key_id(_bearer_of(request))


def _bearer_of(request: Request) -> str:
    header = request.headers.get("authorization", "")
    scheme, has_space, key = header.partition(" ")
    if not has_space:
        raise UnauthorizedError("Authorization header must be provided and start with 'Bearer'")
    if scheme.lower() != "bearer":
        raise UnauthorizedError("Authorization scheme must be 'Bearer'")
    return key.strip()


def idempotency_key_hash(request: Request) -> bytes | None:
    """Return the SHA-256 of the request's ``Idempotency-Key``, None where it has none.

    Raises:
        InvalidParamError: the key is empty or longer than 255 characters.

    Source: spec/beyond.md 1, row 11.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key.strip()) <= _KEY_LENGTH:
        raise InvalidParamError(f"The Idempotency-Key must have 1 to {_KEY_LENGTH} characters.")
    return hashlib.sha256(key.strip().encode()).digest()


def named_user(values: Mapping[str, Any]) -> str:
    """Return the ``user`` of a body or query; a value that is no string is turned into one.

    Raises:
        InvalidParamError: it is missing, empty or longer than 255 characters.
    """
    user = values.get("user")
    if not user:
        raise InvalidParamError("Arg user must be provided.")
    name = str(user)
    if len(name) > _USER_LENGTH:
        raise InvalidParamError(f"Arg user must have at most {_USER_LENGTH} characters.")
    return name


def user_or_nobody(values: Mapping[str, Any]) -> str:
    """Return the ``user`` of a body or query, "" where it names nobody.

    Raises:
        InvalidParamError: it is longer than 255 characters.
    """
    return named_user(values) if values.get("user") else ""


async def calling_user(app: AppRecord, user: str, ports: SurfacePorts, type: str = END_USER_TYPE) -> EndUser:
    """Return the end user of ``app`` whom its callers of this ``type`` know as ``user``."""
    return await ports.accounts.end_user(app.workspace_id, app.app_id, user, type)


async def calling_user_or_default(app: AppRecord, user: str, ports: SurfacePorts) -> EndUser:
    """Return the end user whom a caller names, or the one that all share who name nobody ("")."""
    if user:
        return await calling_user(app, user, ports)
    return await ports.accounts.end_user(app.workspace_id, app.app_id, DEFAULT_USER, END_USER_TYPE, True)


def require_mode(app: AppRecord, *modes: str) -> None:
    """Return when the app's mode is one of ``modes``.

    Raises:
        WrongAppModeError: it is another.
    """
    if app.mode not in modes:
        raise WrongAppModeError()


def require_chat(app: AppRecord) -> None:
    """Return when the app is a chatflow.

    Raises:
        NotChatAppError: it has no conversations.
    """
    if app.mode != "advanced-chat":
        raise NotChatAppError()
