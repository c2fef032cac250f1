"""Passports: what shows that a browser is one end user of one web app. A JWT, signed with a key of this installation.

A passport does not expire; it ends when the code of the site changes or the site is closed. As in Dify a ``user_id`` is
not proven by anybody, so it only ever leads to end users of web apps, never to those of an API key.

Source: spec/http.md 1.2.
"""

from dataclasses import dataclass
from typing import Any, Final

import uuid_utils
from fastapi import Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from hitl.form_token import TokenKey
from store.account_record import EndUser
from store.app_record import AppRecord
from surfaces.errors import BadRequestError, ResourceNotFoundError, UnauthorizedError
from surfaces.ports import SurfacePorts

BROWSER: Final = "browser"
"""The type of end users who come with a passport."""
_KEY_VERSION: Final = b"greenroom passport key 1"
_ALGORITHM: Final = "HS256"
_SUBJECT: Final = "Web API Passport"
_USER_ID_LENGTH: Final = 255
_MAX_LENGTH: Final = 4096
_CODE_HEADER: Final = "x-app-code"
_PASSPORT_HEADER: Final = "x-app-passport"


@dataclass(frozen=True, slots=True)
class WebCaller:
    """Who calls: an end user of an app."""

    app: AppRecord
    user: EndUser


async def issued(request: Request, ports: SurfacePorts) -> str:
    """Return a passport for the web app whose code the request names, and for whom it names, or somebody new.

    Raises:
        UnauthorizedError: no code is named.
        ResourceNotFoundError: there is no such site, or it is closed.
        BadRequestError: the ``user_id`` is too long.
        RateLimitError: too many passports were asked for.
    """
    code = request.headers.get(_CODE_HEADER, "")
    if not code:
        raise UnauthorizedError("X-App-Code header is missing.")
    await ports.form_limits.take_of_stranger("passport", request)
    site = await ports.sites.site_by_code(code)
    app = await ports.apps.app(site.app_id) if site is not None and site.is_open else None
    if app is None:
        raise ResourceNotFoundError("The requested web app was not found.")
    named = request.query_params.get("user_id", "")
    if len(named) > _USER_ID_LENGTH:
        raise BadRequestError(f"user_id must have at most {_USER_ID_LENGTH} characters.")
    session_id, is_new = named or str(uuid_utils.uuid7()), not named
    user = await ports.accounts.end_user(app.workspace_id, app.app_id, session_id, BROWSER, is_new)
    claims = {
        "iss": app.app_id,
        "sub": _SUBJECT,
        "app_id": app.app_id,
        "app_code": code,
        "end_user_id": user.end_user_id,
    }
    return jwt.encode({"alg": _ALGORITHM}, claims, _key(ports.token_key), algorithms=[_ALGORITHM])


async def web_caller(request: Request, ports: SurfacePorts) -> WebCaller:
    """Return who calls, by the passport in the header ``X-App-Passport``, else in the cookie of the named code.

    A cookie counts only with ``X-App-Code``, which no page of another origin can send unasked.

    Raises:
        UnauthorizedError: there is no passport, or none of ours.
        BadRequestError: the code has changed since, or the site is closed.
        ResourceNotFoundError: the app or the end user is gone.
    """
    claims = _claims(_passport_of(request, ports), ports)
    app_id, code, user_id = (claims.get(name) for name in ("app_id", "app_code", "end_user_id"))
    app = await ports.apps.app(str(app_id))
    user = await ports.accounts.end_user_by_id(str(user_id))
    if app is None or user is None or user.app_id != app.app_id:
        raise ResourceNotFoundError("The app or its user was not found.")
    site = await ports.sites.site(app.app_id)
    if site is None or site.code != code:
        raise BadRequestError("Site URL is no longer valid.")
    if not site.is_open:
        raise BadRequestError("Site is disabled.")
    return WebCaller(app, user)


def _passport_of(request: Request, ports: SurfacePorts) -> str:
    passport = request.headers.get(_PASSPORT_HEADER, "")
    code = request.headers.get(_CODE_HEADER, "")
    if not passport and code:
        prefix = "__Host-" if ports.public_url.startswith("https:") else ""
        passport = request.cookies.get(f"{prefix}passport-{code}", "")
    if not passport:
        raise UnauthorizedError("App token is missing.")
    return passport


def _claims(passport: str, ports: SurfacePorts) -> dict[str, Any]:
    try:
        if len(passport) > _MAX_LENGTH:
            raise ValueError("too long")
        return jwt.decode(passport, _key(ports.token_key), algorithms=[_ALGORITHM]).claims
    except (JoseError, ValueError, TypeError) as error:
        # Not the library's text: it could quote the passport.
        raise UnauthorizedError("Invalid token.") from error


def _key(key: TokenKey) -> OctKey:
    return OctKey.import_key(key.sign(_KEY_VERSION))
