"""Who calls the console: the account of a login, by cookie or bearer token, and whether a change is really its own.

Cookies go along with whatever a browser sends, so a change that comes with them must also show the CSRF token, which
other sites cannot read. A bearer token is sent by a program on purpose and needs none.

Source: spec/http.md 1.3, spec/beyond.md 2.
"""

import hmac
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request, Response

from store.login_record import LoggedIn
from surfaces.console_tokens import ACCESS_LIFETIME_S, Bearer, ConsoleTokens
from surfaces.errors import CsrfError, LoginRequiredError, RoleError
from surfaces.ports import SurfacePorts

REFRESH_LIFETIME_S: Final = 30 * 86_400
CSRF_HEADER: Final = "x-csrf-token"
EDITORS: Final = frozenset({"owner", "admin", "editor"})
"""Roles that may change apps and try them out."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class ConsoleCookies:
    """The three cookies of a login."""

    def __init__(self, public_url: str) -> None:
        """Name them; with the prefix on HTTPS a browser takes them from this host alone."""
        self._is_https = urlsplit(public_url).scheme == "https"
        prefix = "__Host-" if self._is_https else ""
        self.access, self.refresh, self.csrf = (
            f"{prefix}{name}" for name in ("access_token", "refresh_token", "csrf_token")
        )

    def set(self, response: Response, tokens: ConsoleTokens, bearer: Bearer, refresh_token: str) -> None:
        """Let ``response`` give the cookies of a login."""
        for name, value, lifetime_s, is_hidden in (
            (self.access, tokens.access(bearer), ACCESS_LIFETIME_S, True),
            (self.refresh, refresh_token, REFRESH_LIFETIME_S, True),
            (self.csrf, tokens.csrf(bearer), ACCESS_LIFETIME_S, False),
        ):
            response.set_cookie(
                name, value, max_age=lifetime_s, path="/", secure=self._is_https, httponly=is_hidden, samesite="lax"
            )

    def clear(self, response: Response) -> None:
        """Let ``response`` take the cookies away."""
        for name in (self.access, self.refresh, self.csrf):
            response.delete_cookie(name, path="/", secure=self._is_https, samesite="lax")


def bearer_of(request: Request, ports: SurfacePorts) -> tuple[Bearer | None, bool]:
    """Return whom the access token of a request names, and whether it came as a cookie.

    An ``Authorization`` header counts alone: what goes along with it by itself does not.
    """
    tokens = ConsoleTokens(ports.token_key, ports.clock)
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        return (tokens.read_access(token.strip()) if scheme.lower() == "bearer" else None), False
    return tokens.read_access(request.cookies.get(ConsoleCookies(ports.public_url).access, "")), True


async def login_of(bearer: Bearer | None, ports: SurfacePorts) -> LoggedIn | None:
    """Return who acts by the login that ``bearer`` names; None if there is none, or it has ended."""
    login = await ports.console.logins.logged_in(bearer.login_id, ports.clock.now()) if bearer else None
    return login if login is not None and bearer is not None and login.account.account_id == bearer.account_id else None


async def calling_account(
    request: Request, ports: SurfacePorts, *, is_own_origin_enough: bool = False, is_change: bool = False
) -> LoggedIn:
    """Return the account that calls.

    Args:
        request: what it calls with.
        ports: where logins are looked up.
        is_own_origin_enough: whether a page of our own address needs no CSRF token: a browser that closes a page can
            send a last request, but no header with it.
        is_change: whether this is a change, though its method is one that only reads.

    Raises:
        LoginRequiredError: nobody is logged in.
        CsrfError: it is a change, and not shown to be the account's own.
    """
    bearer, is_cookie = bearer_of(request, ports)
    login = await login_of(bearer, ports)
    if login is None or bearer is None:
        raise LoginRequiredError()
    if is_cookie and (is_change or request.method not in _SAFE):
        is_own = is_own_origin_enough and _is_own_origin(request, ports)
        if not is_own and not _shows_csrf_token(request, bearer, ports):
            raise CsrfError("CSRF token is missing or invalid.")
    return login


def require_role(login: LoggedIn, roles: Iterable[str] = EDITORS) -> None:
    """Return when the account has one of ``roles`` in its workspace.

    Raises:
        RoleError: it has another.
    """
    if login.role not in roles:
        raise RoleError("You don't have the permission to access the requested resource.")


def _shows_csrf_token(request: Request, bearer: Bearer, ports: SurfacePorts) -> bool:
    shown = request.headers.get(CSRF_HEADER, "")
    kept = request.cookies.get(ConsoleCookies(ports.public_url).csrf, "")
    is_same = hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), kept.encode("utf-8", "surrogatepass"))
    return is_same and ConsoleTokens(ports.token_key, ports.clock).is_csrf(shown, bearer)


def _is_own_origin(request: Request, ports: SurfacePorts) -> bool:
    public = urlsplit(ports.public_url)
    return request.headers.get("origin") == f"{public.scheme}://{public.netloc}"
