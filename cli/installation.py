"""What commands share: the settings, and the workspace and account that the command line acts as."""

from dataclasses import dataclass

from pydantic import ValidationError

from actors.settings import Settings
from cli.errors import InvalidSettingsError
from store.accounts import SqlAccounts
from store.database import Database


@dataclass(frozen=True, slots=True)
class Owner:
    """The account that commands act as, and its workspace."""

    workspace_id: str
    account_id: str


def read_settings() -> Settings:
    """Return the settings of the environment.

    Raises:
        InvalidSettingsError: a variable has a value that cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        # Not chained, and without the input: a value may be a password.
        faults = [f"GREENROOM_{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()]
        raise InvalidSettingsError(tuple(faults)) from None


async def ensure_owner(settings: Settings, database: Database) -> Owner:
    """Return the workspace and account that the settings name; they are made if they do not exist."""
    accounts = SqlAccounts(database)
    workspace = await accounts.ensure_workspace(settings.workspace_name)
    account = await accounts.ensure_account(
        settings.account_email, settings.account_name, workspace.workspace_id, role="owner"
    )
    return Owner(workspace.workspace_id, account.account_id)
