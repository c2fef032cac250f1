"""Logging in to the console, staying logged in, logging out; and the first password.

A login is a row with the hash of a refresh token. What a request shows is an access token that names the row; both
come as cookies and never in a body. Each login is a new row, whatever cookies came with it.

Source: spec/http.md 1.3.
"""

import base64
import binascii
import json
import secrets
from datetime import UTC, datetime
from typing import Final

import uuid_utils
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from store.account_record import Account
from store.login_record import Login, hash_refresh
from surfaces.console_auth import REFRESH_LIFETIME_S, ConsoleCookies, calling_account
from surfaces.console_tokens import Bearer, ConsoleTokens
from surfaces.credentials import check_password, checked_email
from surfaces.errors import (
    AlreadySetUpError,
    InvalidParamError,
    LoginFailedError,
    LoginRequiredError,
    NotSetUpError,
    TooManyLoginsError,
)
from surfaces.ports import SurfacePorts
from surfaces.schemas import checked, read_object, reply

MAX_TRIES: Final = 10
TRIES_WINDOW_S: Final = TooManyLoginsError.retry_after_s
"""So many tries for one address within so many seconds; then all are refused until the window is over."""
_REFRESH_BYTES: Final = 32
_LONGEST_NAME: Final = 100
_BODY_BYTES: Final = 16 * 1024
_NO_WORKSPACE: Final = "workspace not found, please contact system admin to invite you to join in a workspace"


class LoginPayload(BaseModel):
    """The body of a login. ``password``: Base64 of the password."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    email: str
    password: str = Field(repr=False)


class SetupPayload(BaseModel):
    """The body of the first start. ``password``: as it is."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    email: str
    name: str
    password: str = Field(repr=False)


class Doorkeeper:
    """Checks passwords and gives out logins."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports
        self._console = ports.console
        self.tokens = ConsoleTokens(ports.token_key, ports.clock)
        self.cookies = ConsoleCookies(ports.public_url)

    async def admitted(self, email: str, password: str) -> Account:
        """Return the account that has this address and password.

        Raises:
            NotSetUpError: no account has a password.
            TooManyLoginsError: the password of this address was tried too often.
            LoginFailedError: they do not belong together; told alike whether the address is known or not.
        """
        if await self._console.logins.setup_at() is None:
            raise NotSetUpError("Greenroom has not been initialized and set up yet.")
        # Counted before it is checked: tries at once do not slip past each other.
        now = self._ports.clock.now()
        if await self._console.logins.count_attempt(email, now, TRIES_WINDOW_S, MAX_TRIES) > MAX_TRIES:
            raise TooManyLoginsError()
        found = await self._console.logins.credential(email)
        if not await self._console.passwords.fits(password, found.password_hash if found else None) or found is None:
            raise LoginFailedError("Invalid email or password.")
        await self._console.logins.forget_attempts(email)
        return found.account

    async def begun(self, account: Account, workspace_id: str) -> tuple[Bearer, str]:
        """Begin a login; return whom its tokens name, and its refresh token."""
        refresh_token, now = secrets.token_urlsafe(_REFRESH_BYTES), self._ports.clock.now()
        login = Login(
            str(uuid_utils.uuid7()),
            account.account_id,
            workspace_id,
            hash_refresh(refresh_token),
            None,
            now,
            now + REFRESH_LIFETIME_S,
        )
        await self._console.logins.begin(login)
        return Bearer(login.login_id, account.account_id), refresh_token

    async def renewed(self, request: Request) -> tuple[Bearer, str] | None:
        """Replace the refresh token in a request's cookies; None if it is worth nothing (any more)."""
        shown = request.cookies.get(self.cookies.refresh, "")
        if not shown:
            return None
        refresh_token, now = secrets.token_urlsafe(_REFRESH_BYTES), self._ports.clock.now()
        login_id = await self._console.logins.refresh(
            hash_refresh(shown), hash_refresh(refresh_token), now, now + REFRESH_LIFETIME_S
        )
        login = await self._console.logins.logged_in(login_id, now) if login_id else None
        return None if login is None else (Bearer(login.login_id, login.account.account_id), refresh_token)


class LoginEndpoints:
    """The endpoints that need no login."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports
        self._door = Doorkeeper(ports)

    async def login(self, request: Request) -> Response:
        """Log in; the tokens come as cookies."""
        body = checked(LoginPayload, await read_object(request, _BODY_BYTES))
        account = await self._door.admitted(body.email, _plain(body.password))
        workspace_id = await self._ports.console.logins.workspace_of(account.account_id)
        if workspace_id is None:
            return reply({"result": "fail", "data": _NO_WORKSPACE})
        return self._with_cookies(*await self._door.begun(account, workspace_id))

    async def refresh(self, request: Request) -> Response:
        """Give new tokens to whoever holds a refresh token."""
        renewed = await self._door.renewed(request)
        if renewed is None:
            response = _no_store(reply({"result": "fail", "message": "Invalid refresh token"}, 401))
            self._door.cookies.clear(response)
            return response
        return self._with_cookies(*renewed)

    async def logout(self, request: Request) -> Response:
        """End the login, if there is one."""
        try:
            login_id: str | None = (await calling_account(request, self._ports)).login_id
        except LoginRequiredError:
            # The hour of its access token may be over; the refresh token would let it go on.
            shown = request.cookies.get(self._door.cookies.refresh, "")
            login_id = await self._ports.console.logins.of_refresh(hash_refresh(shown), self._ports.clock.now())
        if login_id is not None:
            await self._ports.console.logins.end(login_id)
        response = _no_store(reply({"result": "success"}))
        self._door.cookies.clear(response)
        return response

    async def setup(self, request: Request) -> Response:
        """Say whether there is a password (GET), or set the first one (POST)."""
        if request.method == "POST":
            return await self._set_up(request)
        at = await self._ports.console.logins.setup_at()
        setup_at = None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
        return reply({"step": "not_started" if at is None else "finished", "setup_at": setup_at})

    async def ping(self, request: Request) -> Response:
        """Answer."""
        return reply({"result": "pong"})

    async def _set_up(self, request: Request) -> Response:
        console = self._ports.console
        body = checked(SetupPayload, await read_object(request, _BODY_BYTES))
        if await console.logins.setup_at() is not None:
            raise AlreadySetUpError("Greenroom has been set up already.")
        name = _checked_name(body.name)
        email = checked_email(body.email)
        check_password(body.password)
        workspace = await console.accounts.ensure_workspace(console.workspace_name)
        account = await console.accounts.ensure_account(email, name, workspace.workspace_id, "owner")
        password_hash = await console.passwords.hashed(body.password)
        if not await console.logins.set_password(account.account_id, password_hash, only_first=True):
            raise AlreadySetUpError("Greenroom has been set up already.")
        return reply({"result": "success"}, 201)

    def _with_cookies(self, bearer: Bearer, refresh_token: str) -> Response:
        response = _no_store(reply({"result": "success"}))
        self._door.cookies.set(response, self._door.tokens, bearer, refresh_token)
        return response


def login_required(error: LoginRequiredError) -> Response:
    """Return the answer to somebody who is not logged in; unlike other errors it names no status."""
    body = json.dumps({"code": error.code, "message": str(error)}) + "\n"
    return Response(body, 401, {"WWW-Authenticate": 'Bearer realm="api"'}, media_type="application/json")


def _checked_name(name: str) -> str:
    text = " ".join(name.split())
    if not text or len(text) > _LONGEST_NAME:
        raise InvalidParamError(f"The name must have 1 to {_LONGEST_NAME} characters.")
    return text


def _plain(encoded: str) -> str:
    """Return a password that came as Base64; one that did not fits nothing."""
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        raise LoginFailedError("Invalid email or password.") from None


def _no_store(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
