"""``greenroom account``: the people who may log in to the console, and the bearer tokens of their programs.

Passwords are asked for, never arguments; a token is shown once, when it is made.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, TypeVar

import typer
import uuid_utils
from rich.console import Console

from actors.settings import Settings
from cli.errors import UnknownAccountError, UnknownTokenError
from cli.installation import database_sentences, ensure_owner, harmless, read_settings
from store.accounts import SqlAccounts
from store.bearer_record import BearerToken, new_bearer
from store.bearers import SqlBearers
from store.database import Database, open_database
from store.logins import SqlLogins
from surfaces.credentials import Passwords, check_password, checked_email

Role = Literal["owner", "admin", "editor", "normal"]
_DAY_S: Final = 86_400.0
_CLIENT: Final = "greenroom"
T = TypeVar("T")

account = typer.Typer(
    name="account", help="The people who may log in to the console, and their tokens.", no_args_is_help=True
)

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The e-mail address of the account.")]


@account.command("password")
def set_account_password(email: Email) -> None:
    """Set or reset the password of an account; it is logged out everywhere. The password is asked for."""
    settings = read_settings()
    address = checked_email(email)
    _run(settings, lambda database: _known(settings, database, address))
    password = typer.prompt("New password", hide_input=True, confirmation_prompt=True)
    check_password(password)
    _run(settings, lambda database: _set_password(settings, database, address, password))
    _say(f"{address} can log in at {settings.public_url.rstrip('/')}/inbox")


@account.command("add")
def add_account(
    email: Email,
    name: Annotated[str, typer.Option(help="What others see; the address if not given.")] = "",
    role: Annotated[Role, typer.Option(help="What the account may do in the workspace.")] = "normal",
) -> None:
    """Add an account to the workspace; give it a password with `greenroom account password`."""
    settings = read_settings()
    address = checked_email(email)
    _run(settings, lambda database: _add(settings, database, address, name or address, role))
    _say(f"{address} is a member of {settings.workspace_name}")


@account.command("token")
def make_token(
    email: Email,
    label: Annotated[str, typer.Option(help="What the token is for; shown where tokens are listed.")] = "",
    days: Annotated[float, typer.Option(min=0.01, max=3650, help="How long it counts.")] = 14,
) -> None:
    """Make a bearer token for programs of an account, which call /openapi/v1 with it."""
    settings = read_settings()
    address = checked_email(email)
    token = _run(settings, lambda database: _new_token(settings, database, address, harmless(label), days * _DAY_S))
    _say(f"Bearer token, shown only now: {token}")


@account.command("tokens")
def list_tokens(email: Email) -> None:
    """List the bearer tokens of an account that count, the newest first."""
    settings = read_settings()
    address = checked_email(email)
    for each in _run(settings, lambda database: _tokens(settings, database, address)):
        used = "never used" if each.last_used_at is None else f"used {_date(each.last_used_at)}"
        label = harmless(each.device_label) or each.client_id
        _say(f"{each.token_id}  {each.prefix}…  until {_date(each.expires_at)}, {used}  {label}")


@account.command("revoke")
def revoke_token(
    email: Email, token_id: Annotated[str, typer.Argument(metavar="ID", help="As `greenroom account tokens` shows it.")]
) -> None:
    """End a bearer token of an account at once."""
    settings = read_settings()
    address = checked_email(email)
    _run(settings, lambda database: _revoke(settings, database, address, token_id))
    _say(f"{token_id} counts for nothing any more")


async def _known(settings: Settings, database: Database, address: str) -> str:
    """Return the id of the account with this address; the one of the settings is made if need be.

    Raises:
        UnknownAccountError: there is none.
    """
    await ensure_owner(settings, database)
    found = await SqlAccounts(database).account_by_email(address)
    if found is None:
        raise UnknownAccountError(address)
    return found.account_id


async def _set_password(settings: Settings, database: Database, address: str, password: str) -> None:
    account_id = await _known(settings, database, address)
    await SqlLogins(database).set_password(account_id, await Passwords().hashed(password))
    await SqlLogins(database).forget_attempts(address)


async def _add(settings: Settings, database: Database, address: str, name: str, role: str) -> None:
    owner = await ensure_owner(settings, database)
    await SqlAccounts(database).ensure_account(address, name, owner.workspace_id, role)


async def _new_token(settings: Settings, database: Database, address: str, label: str, lifetime_s: float) -> str:
    account_id = await _known(settings, database, address)
    token, new = new_bearer(str(uuid_utils.uuid7()), time.time(), lifetime_s)
    await SqlBearers(database).add(new.of(account_id, _CLIENT, label))
    return token


async def _tokens(settings: Settings, database: Database, address: str) -> list[BearerToken]:
    return await SqlBearers(database).of_account(await _known(settings, database, address), time.time())


async def _revoke(settings: Settings, database: Database, address: str, token_id: str) -> None:
    if not await SqlBearers(database).revoke(await _known(settings, database, address), token_id):
        raise UnknownTokenError(token_id)


def _date(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _run(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    async def with_database() -> T:
        database = open_database(settings.database_url_to_open())
        try:
            return await work(database)
        finally:
            await database.close()

    with database_sentences(settings):
        return asyncio.run(with_database())


def _say(text: str) -> None:
    Console(soft_wrap=True, highlight=False).print(text, markup=False)
