"""``greenroom forget``: deletes what the installation knows of one person."""

import asyncio
import time
from typing import Annotated

import typer
from rich.console import Console

from actors.settings import Settings
from actors.upkeep import Upkeep
from cli.installation import database_sentences, read_settings
from store.apps import SqlApps
from store.database import open_database
from store.forget import Forgetting, ForgottenReport


def forget(
    user: Annotated[str, typer.Option("--user", help="Their name in API calls, an end user id, or a mail address.")],
    app: Annotated[str | None, typer.Option("--app", help="Only in this app, by id or name.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> None:
    """Delete a person's runs, files, conversations and answers, and put a pseudonym for them everywhere else.

    Exit code 1 if runs of theirs have not ended: stop them, then forget again.
    """
    settings = read_settings()
    with database_sentences(settings):
        report = asyncio.run(_forget(settings, user, app, dry_run))
    console = Console(soft_wrap=True, highlight=False)
    console.print("this would be deleted:" if dry_run else "deleted:")
    console.print(f"  {report.runs} runs, {report.archived_runs} archived runs")
    console.print(f"  {report.files} files, {report.conversations} conversations, {report.end_users} end users")
    if not dry_run:
        console.print(f"{report.rewritten_rows} rows of other runs have a pseudonym instead")
        console.print("contents of files go with the next sweeps, within three days")
    for run_id in report.left_runs:
        console.print(f"left, because it has not ended: run {run_id}", markup=False)
    if report.left_runs:
        raise typer.Exit(1)


async def _forget(settings: Settings, user: str, app: str | None, is_dry: bool) -> ForgottenReport:
    database = open_database(settings.database_url_to_open())
    try:
        app_id = (await SqlApps(database).find_app(app)).app_id if app else None
        archive = Upkeep.of(database, settings).archive
        return await Forgetting(database, archive).forget(user, app_id, time.time(), is_dry=is_dry)
    finally:
        await database.close()
