"""``greenroom archive``: lists the bundles of ended runs, restores from them, and does the work of the day now."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from actors.upkeep import Upkeep
from cli.installation import database_sentences, read_settings
from store.database import open_database

DAY_S = 86_400.0

Result = TypeVar("Result")

archive = typer.Typer(help="Ended runs that have left the tables.", no_args_is_help=True)


@archive.command("list")
def list_bundles() -> None:
    """List the bundles: id, when it was made, how many runs, how large."""
    bundles = with_upkeep(lambda upkeep: upkeep.archive.bundles())
    console = Console(soft_wrap=True, highlight=False)
    for bundle in bundles:
        made_at = datetime.fromtimestamp(bundle.created_at, UTC).strftime("%Y-%m-%d %H:%M")
        console.print(
            f"{bundle.bundle_id}  {made_at}  {bundle.run_count} runs  {bundle.size_bytes} bytes", markup=False
        )
    if not bundles:
        console.print("the archive is empty")


@archive.command("restore")
def restore(
    name: Annotated[str, typer.Argument(metavar="ID", help="A bundle id, or the id of one run.")],
) -> None:
    """Put the runs of a bundle, or one run, back into the tables; retention counts for them from now on."""
    restored = with_upkeep(lambda upkeep: upkeep.archive.restore(name, time.time()))
    Console(highlight=False).print(f"{len(restored)} runs are back in the tables")


@archive.command("now")
def archive_now(
    days: Annotated[
        float | None, typer.Option("--days", min=0.0, help="Instead of GREENROOM_RETENTION_DAYS; 0: none go.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Do now what is done daily: archive old runs, drop what ended runs need no more, delete unused values."""
    settings = read_settings()
    kept_days = settings.retention_days if days is None else days
    now = time.time()
    before = now - kept_days * DAY_S if kept_days else None
    lines = with_upkeep(lambda upkeep: _report(upkeep, before, now, dry_run))
    console = Console(soft_wrap=True, highlight=False)
    console.print("this would be done:" if dry_run else "done:")
    for line in lines:
        console.print(f"  {line}", markup=False)


async def _report(upkeep: Upkeep, before: float | None, now: float, is_dry: bool) -> list[str]:
    """Do the work, or plan it, and return a line for each part of it."""
    planned = await upkeep.retention.plan(before)
    archived = planned.runs
    if not is_dry:
        planned = await upkeep.retention.compact()
        archived = 0 if before is None else (await upkeep.retention.archive_runs(before, now)).runs
    swept = await upkeep.blob_sweep.sweep(now, is_dry=is_dry)
    return [
        f"{archived} runs to the archive",
        f"{planned.snapshots} snapshots and {planned.inbox_items} inbox items of ended runs deleted",
        f"{swept.set_aside} unused values set aside, {swept.put_back} put back, {swept.deleted} deleted",
        f"{swept.bundles_deleted} unlisted bundles deleted",
    ]


def with_upkeep(work: Callable[[Upkeep], Awaitable[Result]]) -> Result:
    """Return what ``work`` gives over the database of the settings, which is closed afterwards.

    Raises:
        DatabaseUnusableError: the database cannot be used.
    """
    settings = read_settings()

    async def run() -> Result:
        database = open_database(settings.database_url_to_open())
        try:
            return await work(Upkeep.of(database, settings))
        finally:
            await database.close()

    with database_sentences(settings):
        return asyncio.run(run())
