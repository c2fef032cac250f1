"""``greenroom archive``, ``forget`` and ``backup`` from outside."""

import asyncio
from pathlib import Path

import pytest

from store.blobs import MemoryBlobs
from store.database import open_database
from store.journal import SqlJournal
from store_world import finished, first_write, new_run, write
from test_cli_commands import greenroom


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder with a run that ended long ago, and one that still executes."""
    folder = tmp_path / "data"
    assert greenroom(folder, "migrate").exit_code == 0
    asyncio.run(fill(folder))
    return folder


async def fill(folder: Path) -> None:
    """Put two runs of one person into the database."""
    database = open_database(f"sqlite:///{folder}/greenroom.db")
    journal = SqlJournal(database, MemoryBlobs())
    old = new_run("old", created_by_id="somebody")
    await journal.append(first_write(old))
    await journal.append(write([finished()], 1, run=old))
    await journal.append(first_write(new_run("executes")))
    await database.close()


def test_old_runs_are_archived_listed_and_restored(data_dir: Path) -> None:
    """A dry run changes nothing; then the run goes, is listed, and comes back by its id."""
    run_id = new_run("old").run_id
    assert "the archive is empty" in greenroom(data_dir, "archive", "list").text
    assert "0 runs to the archive" in greenroom(data_dir, "archive", "now").text
    planned = greenroom(data_dir, "archive", "now", "--dry-run", GREENROOM_RETENTION_DAYS="30")
    assert "this would be done:\n  1 runs to the archive" in planned.text
    assert "the archive is empty" in greenroom(data_dir, "archive", "list").text
    assert "done:\n  1 runs to the archive" in greenroom(data_dir, "archive", "now", "--days", "30").text
    assert "1 runs" in greenroom(data_dir, "archive", "list").text
    assert "1 runs are back" in greenroom(data_dir, "archive", "restore", run_id).text
    assert "0 runs are back" in greenroom(data_dir, "archive", "restore", run_id).text
    unknown = greenroom(data_dir, "archive", "restore", "nothing")
    assert unknown.exit_code == 2 and "greenroom archive list" in unknown.text


def test_forget_needs_an_app_that_exists(data_dir: Path) -> None:
    """A person nobody knows is no error; an app nobody knows is."""
    assert "0 runs" in greenroom(data_dir, "forget", "--user", "nobody").text
    assert "would be deleted" in greenroom(data_dir, "forget", "--user", "nobody", "--dry-run").text
    refused = greenroom(data_dir, "forget", "--user", "nobody", "--app", "nothing")
    assert refused.exit_code == 2 and "no app is known" in refused.text


def test_backup_says_what_it_copied(data_dir: Path, tmp_path: Path) -> None:
    """The copy is a data folder that works; a second backup does not overwrite it."""
    done = greenroom(data_dir, "backup", str(tmp_path / "copy"))
    assert done.exit_code == 0 and "copied: the database" in done.text
    assert "there is no secrets file" in done.text
    assert "1 runs to the archive" in greenroom(tmp_path / "copy", "archive", "now", "--days", "30").text
    again = greenroom(data_dir, "backup", str(tmp_path / "copy"))
    assert again.exit_code == 2 and "not empty" in again.text
