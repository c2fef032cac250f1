"""What commands share: the settings, the workspace and account they act as, and how they show text of others."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_settings import SettingsError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from actors.settings import Settings
from cli.errors import DatabaseUnusableError, InvalidSettingsError
from store.accounts import SqlAccounts
from store.database import Database


@dataclass(frozen=True, slots=True)
class Owner:
    """The account that commands act as, and its workspace."""

    workspace_id: str
    account_id: str


def read_settings() -> Settings:
    """Return the settings of the environment; the public address follows the port unless it is set.

    Raises:
        InvalidSettingsError: a variable has a value that cannot be used.
    """
    # Nothing here is chained, and no input quoted: a value may be a password.
    try:
        settings = Settings()
        if "public_url" not in settings.model_fields_set:
            settings = Settings(public_url=local_address(settings))
    except ValidationError as error:
        raise InvalidSettingsError(
            tuple(f"{_variable(fault['loc'])}: {fault['msg']}" for fault in error.errors())
        ) from None
    except SettingsError:
        raise InvalidSettingsError(("GREENROOM_MODELS: is no JSON object",)) from None
    if faults := address_faults(settings):
        raise InvalidSettingsError(faults)
    return settings


def local_address(settings: Settings) -> str:
    """Return the address under which this machine reaches the HTTP port."""
    host = "127.0.0.1" if settings.http_host in ("", "0.0.0.0") else settings.http_host
    return f"http://{host}:{settings.http_port}"


def address_faults(settings: Settings) -> tuple[str, ...]:
    """Return what is wrong with the addresses in ``settings``, one "<variable>: <what>" each."""
    faults = []
    if not 1 <= settings.http_port <= 65_535:
        faults.append("GREENROOM_HTTP_PORT: must be between 1 and 65535")
    try:
        public = urlsplit(settings.public_url)
        is_address = public.scheme in ("http", "https") and bool(public.hostname)
    except ValueError:
        is_address = False
    if not is_address:
        faults.append("GREENROOM_PUBLIC_URL: must be an http or https address")
    return tuple(faults)


@contextmanager
def database_sentences(settings: Settings) -> Iterator[None]:
    """Turn what the database driver raises into one sentence.

    Raises:
        DatabaseUnusableError: with the first line of what the driver says.
    """
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        lines = str(cause).splitlines() or [type(cause).__name__]
        # Not chained: what SQLAlchemy says besides may quote the URL.
        raise DatabaseUnusableError(settings.database_url, lines[0]) from None


def harmless(text: str) -> str:
    """Return ``text`` that others wrote without what a terminal would act on; line breaks stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)


def _variable(place: tuple[int | str, ...]) -> str:
    """Return the variable that a fault belongs to; the addresses with passwords are taken apart before the rest."""
    if not place:
        return "GREENROOM_DATABASE_URL or GREENROOM_REDIS_URL"
    return f"GREENROOM_{'_'.join(map(str, place)).upper()}"


async def ensure_owner(settings: Settings, database: Database) -> Owner:
    """Return the workspace and account that the settings name; they are made if they do not exist."""
    accounts = SqlAccounts(database)
    workspace = await accounts.ensure_workspace(settings.workspace_name)
    account = await accounts.ensure_account(
        settings.account_email, settings.account_name, workspace.workspace_id, role="owner"
    )
    return Owner(workspace.workspace_id, account.account_id)
