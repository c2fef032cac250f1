"""``greenroom import FILE``: reads a Dify workflow file, lists its faults with their places, stores it as an app."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from actors.settings import Settings
from cli.errors import UnreadableFileError
from cli.installation import database_sentences, ensure_owner, harmless, read_settings
from graph.errors import InvalidWorkflowError
from graph.parse_workflow import parse_workflow
from graph.workflow import ParsedFile, Workflow
from store.apps import SqlApps
from store.database import open_database
from store.sites import SqlSites

LARGEST_FILE_BYTES = 10 * 1024 * 1024

LONGEST_NAME = 100
"""How much of an app's name is shown."""

WEIGHT = {"publish": "cannot run", "nothing": "warning"}
"""What a fault means to the author, by what it blocks."""


def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow file exported by Dify.")],
) -> None:
    """Import a workflow file: list its faults, print the app and a new API key."""
    parsed = parse_workflow(read_file(file))
    console = Console(soft_wrap=True, highlight=False)
    for fault in parsed.faults:
        if fault.blocks != "import":
            console.print(f"{WEIGHT[fault.blocks]}: {harmless(str(fault))}", markup=False)
    if parsed.workflow is None:
        raise InvalidWorkflowError(tuple(str(fault) for fault in parsed.faults if fault.blocks == "import"))
    settings = read_settings()
    console.print(f"into {settings.database_url}", markup=False)
    with database_sentences(settings):
        app_id, version_id, key, site_code = asyncio.run(store_app(settings, parsed.workflow))
    name = harmless(" ".join(parsed.workflow.name.split())[:LONGEST_NAME])
    console.print(f"app {app_id} ({name}), version {version_id}", markup=False)
    if is_runnable(parsed):
        console.print("published: it can be run", markup=False)
    else:
        console.print("saved as a draft: it can be run when the faults marked 'cannot run' are gone", markup=False)
    console.print(f"web app: X-App-Code {site_code} at {settings.public_url.rstrip('/')}/api", markup=False)
    console.print(f"API key, shown only now: {key}", markup=False)


def is_runnable(parsed: ParsedFile) -> bool:
    """Return whether no fault keeps the file from being published."""
    return all(fault.blocks == "nothing" for fault in parsed.faults)


def read_file(path: Path) -> bytes:
    """Return the content of ``path``.

    Raises:
        UnreadableFileError: it does not exist, is no file, may not be read, or is larger than 10 MB.
    """
    try:
        with path.open("rb") as file:
            # No more than that is ever read: a device or a pipe has no size and perhaps no end.
            content = file.read(LARGEST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UnreadableFileError(str(path), getattr(error, "strerror", None) or str(error)) from error
    if len(content) > LARGEST_FILE_BYTES:
        raise UnreadableFileError(str(path), "it is larger than 10 MB")
    return content


async def store_app(settings: Settings, workflow: Workflow) -> tuple[str, str, str, str]:
    """Store ``workflow`` as an app of the command line's workspace.

    Returns:
        The app id, the id of its version, a new API key in clear, and the code of its site.

    Raises:
        SchemaOutdatedError: the database has an older schema; ``greenroom migrate`` first.
    """
    database = open_database(settings.database_url_to_open())
    try:
        owner = await ensure_owner(settings, database)
        apps = SqlApps(database)
        app_id, version_id = await apps.import_app(owner.workspace_id, workflow, owner.account_id)
        _, key = await apps.create_key(app_id)
        site = await SqlSites(database).site(app_id)
        return app_id, version_id, key, site.code if site else ""
    finally:
        await database.close()
