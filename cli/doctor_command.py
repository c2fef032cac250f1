"""``greenroom doctor``: shows what an operator asks first when something is odd. Changes nothing."""

import asyncio
import sys
from importlib.metadata import version

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from actors.settings import Settings
from cli.installation import read_settings
from effects.code_sandbox.errors import MEND
from effects.code_sandbox.image import is_built
from graph.errors import GreenroomError
from store.database import open_database

SQLITE_COMMITS_PER_S = 400
"""Over all processes; above that the slowest hundredth of commits takes a tenth of a second and more."""


def doctor() -> None:
    """Show the settings (no secret), the schema and what stands out; exit code 1 if something must be done."""
    settings = read_settings()
    console = Console(soft_wrap=True, highlight=False)
    table = Table("setting", "value", box=None)
    for name, value in shown_settings(settings):
        table.add_row(f"GREENROOM_{name.upper()}", value)
    console.print(table)
    console.print(f"\nPython {sys.version.split()[0]}, Greenroom {version('greenroom')}, Ray {version('ray')}")
    faults = findings(settings)
    for fault in faults:
        console.print(f"! {fault}", markup=False)
    if settings.database_url.startswith("sqlite"):
        console.print(
            f"note: SQLite carries about {SQLITE_COMMITS_PER_S} commits a second over all processes of one machine; "
            "above that, or with more than one machine, use PostgreSQL (GREENROOM_DATABASE_URL)."
        )
    if faults:
        raise typer.Exit(1)


def shown_settings(settings: Settings) -> list[tuple[str, str]]:
    """Return each setting with its value as text; of a secret only whether it is set."""
    shown = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = "(set)"
        shown.append((name, "" if value is None else str(value)))
    return shown


def findings(settings: Settings) -> list[str]:
    """Return what an operator must do something about."""
    faults = []
    try:
        asyncio.run(reach_database(settings))
    except GreenroomError as error:
        faults.append(str(error))
    if not is_built():
        faults.append(f"the code sandbox is not built; code nodes fail: {MEND}")
    secrets_file = settings.secrets_file
    if secrets_file is not None and secrets_file.exists() and secrets_file.stat().st_mode & 0o077:
        faults.append(f"others may read the secrets file {secrets_file}: run `chmod 600` on it")
    return faults


async def reach_database(settings: Settings) -> None:
    """Return if the database answers and has the schema that this version needs.

    Raises:
        SchemaOutdatedError: it has another one.
        StoreUnavailableError: it does not answer.
    """
    database = open_database(settings.database_url_to_open())
    try:
        await database.read(lambda _connection: None)
    finally:
        await database.close()
