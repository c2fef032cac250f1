"""``greenroom account``: the people who may log in to the console. Passwords are asked for, never arguments."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar

import typer
from rich.console import Console

from actors.settings import Settings
from cli.errors import UnknownAccountError
from cli.installation import database_sentences, ensure_owner, read_settings
from store.accounts import SqlAccounts
from store.database import Database, open_database
from store.logins import SqlLogins
from surfaces.credentials import Passwords, check_password, checked_email

Role = Literal["owner", "admin", "editor", "normal"]
T = TypeVar("T")

account = typer.Typer(name="account", help="The people who may log in to the console.", no_args_is_help=True)

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
