"""Ended runs leave the tables for the archive and come back, on SQLite and PostgreSQL, whatever dies meanwhile."""

import asyncio
import gzip
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, func, select, text

from actors.housekeeping import Housekeeping
from actors.settings import Settings
from actors.upkeep import Upkeep
from store.archive import Archive
from store.archive_tables import archived_runs, archives
from store.blob_sweep import BlobSweep
from store.blobs import open_blobs
from store.bundle import FOLDER, path_of
from store.errors import ArchiveDamagedError, ArchiveNotFoundError, RunNotFoundError, UnknownTablesError
from store.kept_objects import KeptObjects, open_objects
from store.retention import RUNS_PER_BUNDLE, Retention
from store.run_tables import ids_of, read_runs, tables_of_runs
from store.tables import audit, files, form_tokens, forms, journal, run_inbox, runs, snapshots, submissions
from store_world import (
    ANSWER,
    NOW,
    PERSON,
    StoreWorld,
    finished,
    given,
    make_id,
    new_run,
    node_finished,
    pause_with_form,
    sql_world,
    start,
    write,
)

ROOT = Path(__file__).resolve().parents[2]
DAY = 86_400.0
LATER = NOW + 40 * DAY
BEFORE = NOW + 10 * DAY


@dataclass(slots=True)
class Place:
    """A database with its folder of files."""

    url: str
    folder: Path
    world: StoreWorld
    objects: KeptObjects

    @property
    def archive(self) -> Archive:
        """The archive of the database."""
        return Archive(self.world.database, self.objects)

    @property
    def retention(self) -> Retention:
        """Retention over the database."""
        return Retention(self.world.database, self.archive)

    async def count(self, *tables: Any) -> list[int]:
        """Return how many rows each table has."""

        def work(connection: Connection) -> list[int]:
            return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]

        return await self.world.database.read(work)

    def bundle_files(self) -> list[Path]:
        """Return the files of bundles."""
        return sorted((self.folder / FOLDER).rglob("*.gz"))


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    """An empty database of each kind with an empty folder of files."""
    folder = tmp_path / "files"
    world = sql_world(database_url)
    # Large values lie in the folder too.
    world.journal._blobs = world.blobs = open_blobs("", folder)
    yield Place(database_url, folder, world, open_objects("", folder))
    assert world.database is not None
    await world.database.close()


async def answered_run(world: StoreWorld, name: str) -> str:
    """Make a run that asked a person, was answered and ended; return its id."""
    run, form, recipient = await pause_with_form(world, name)
    await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW + 6)
    facts = [node_finished(1, text="fine"), finished(answer="fine")]
    taken = {"taken": [form.form_id], "epoch": 2, "found_epoch": 1, "actor": "actor-2"}
    await world.journal.append(write(facts, 3, run=run, **taken))
    return run.run_id


ALL = (runs, journal, snapshots, run_inbox, forms, form_tokens, submissions, audit)


async def test_ended_runs_leave_the_tables_and_come_back_whole(place: Place) -> None:
    """Nothing of an archived run is left in a table; restored, every row is as it was, its token hashes excepted."""
    ids = [await answered_run(place.world, f"run-{number}") for number in range(3)]
    await place.retention.compact()
    before = await place.world.database.read(lambda connection: read_runs(connection, ids_of(connection, ids)))
    facts = [await place.world.journal.read(run_id) for run_id in ids]
    assert (await place.retention.archive_runs(BEFORE, LATER)).runs == 3
    assert await place.count(*ALL) == [0] * len(ALL)
    assert await place.world.journal.get(ids[0]) is None
    (record,) = await place.archive.bundles()
    assert record.run_count == 3 and record.size_bytes == place.bundle_files()[0].stat().st_size
    assert sorted(await place.archive.restore(record.bundle_id, LATER)) == sorted(ids)
    after = await place.world.database.read(lambda connection: read_runs(connection, ids_of(connection, ids)))
    assert after == before
    assert [await place.world.journal.read(run_id) for run_id in ids] == facts
    assert (await place.count(form_tokens)) == [0]
    assert await place.archive.restore(record.bundle_id, LATER) == []


async def test_one_run_is_restored_and_kept_for_the_whole_time_again(place: Place) -> None:
    """A run is restored by its own id; the next pass leaves it alone, a pass after the retention archives it again."""
    ids = [await answered_run(place.world, f"run-{number}") for number in range(2)]
    await place.retention.archive_runs(BEFORE, LATER)
    assert await place.archive.restore(ids[0], LATER) == [ids[0]]
    assert await place.count(runs) == [1]
    assert (await place.retention.archive_runs(BEFORE, LATER)).runs == 0
    assert (await place.retention.archive_runs(LATER + 1, LATER + 9)).runs == 1
    assert await place.count(runs, archives, archived_runs) == [0, 2, 3]
    assert await place.archive.restore(ids[0], LATER + 10) == [ids[0]]


async def test_runs_that_wait_execute_or_are_young_stay(place: Place) -> None:
    """Only what ended long enough ago goes: not what waits, executes, has an item left, or ended lately."""
    world = place.world
    await pause_with_form(world, "waits")
    await start(world, new_run("executes"))
    asked, form, recipient = await pause_with_form(world, "answered but not resumed")
    await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW + 6)
    young = await start(world, new_run("young"))
    await world.journal.append(write([finished()], 1, run=young))
    old = await answered_run(world, "old")
    kept = await place.count(runs)
    assert (await place.retention.plan(NOW + 9)).runs == 0
    assert (await place.retention.archive_runs(NOW + 9, LATER)).runs == 0
    assert await place.count(runs) == kept
    assert (await place.retention.plan(BEFORE)).runs == 2
    assert (await place.retention.archive_runs(BEFORE, LATER)).runs == 2
    assert await world.journal.get(old) is None and await world.journal.get(young.run_id) is None
    assert await place.count(runs) == [3]
    assert (await world.journal.load(asked.run_id)).snapshot == b"state"


async def test_many_runs_go_into_bundles_of_bounded_size(place: Place) -> None:
    """No bundle, and so no transaction, has more than its share of runs; between two of them others may write."""
    for number in range(RUNS_PER_BUNDLE + 5):
        run = await start(place.world, new_run(f"run-{number}"))
        await place.world.journal.append(write([finished()], 1, run=run))
    rests = []

    async def rest() -> None:
        rests.append(await place.count(runs))

    assert (await place.retention.archive_runs(BEFORE, LATER, rest)).runs == RUNS_PER_BUNDLE + 5
    assert [record.run_count for record in await place.archive.bundles()] in (
        [RUNS_PER_BUNDLE, 5],
        [5, RUNS_PER_BUNDLE],
    )
    assert rests == [[5], [0]]


async def test_bundle_is_json_lines_without_hashes(place: Place) -> None:
    """A bundle can be read with zcat: a header, then one run a line; no token hash is in it."""
    run_id = await answered_run(place.world, "run")
    hashes = await place.world.database.read(lambda connection: connection.execute(select(form_tokens)).all())
    await place.retention.archive_runs(BEFORE, LATER)
    content = gzip.decompress(place.bundle_files()[0].read_bytes())
    header, line = map(orjson.loads, content.splitlines())
    assert header == {"format": 1, "schema": "0002", "run_count": 1}
    assert line["run_id"] == run_id and line["rows"]["submissions"][0]["action_id"] == "approve"
    assert "form_tokens" not in line["rows"]
    assert hashes and all(row.token_hash not in content for row in hashes)


async def test_run_that_changes_meanwhile_stays(place: Place) -> None:
    """A row that changes between the copy and the deletion keeps the run in the tables."""
    run_id = await answered_run(place.world, "run")
    world = place.world

    class Meddling(KeptObjects):
        async def get(self, path: str) -> bytes | None:
            content = await super().get(path)
            (form,) = await world.forms.by_run(run_id)
            recipients = (await world.forms.recipients([form.form_id]))[form.form_id]
            await world.forms.revoke(recipients[0].recipient_id, NOW + 20)
            return content

    meddling = Archive(world.database, Meddling(place.objects._open))
    assert await meddling.store([run_id], LATER) == 0
    assert await place.count(runs, archives, archived_runs) == [1, 0, 0]
    assert await place.archive.store([run_id], LATER) == 1


async def test_archivers_at_once_do_not_meet(place: Place) -> None:
    """Several that archive the same runs at once archive each of them once; a run is whole in one place."""
    ids = [await answered_run(place.world, f"run-{number}") for number in range(4)]
    other = sql_world(place.url)
    there = Archive(other.database, place.objects)
    moved = await asyncio.gather(place.archive.store(ids, LATER), there.store(ids, LATER), there.store(ids[:2], LATER))
    await other.database.close()
    assert await place.count(runs, archived_runs) == [4 - sum(moved), sum(moved)]
    assert sum(moved) in (2, 4)
    await place.retention.archive_runs(BEFORE, LATER)
    assert await place.count(*ALL, archived_runs) == [*[0] * len(ALL), 4]
    assert sorted([each for run_id in ids for each in await place.archive.restore(run_id, LATER)]) == sorted(ids)


async def test_damaged_or_missing_bundle_is_named(place: Place) -> None:
    """What is not as it was written is not restored, and nothing half of it is put back."""
    await answered_run(place.world, "run")
    await place.retention.archive_runs(BEFORE, LATER)
    (record,) = await place.archive.bundles()
    (path,) = place.bundle_files()
    path.write_bytes(path.read_bytes()[:-9] + b"wrong")
    with pytest.raises(ArchiveDamagedError, match=record.bundle_id):
        await place.archive.restore(record.bundle_id, LATER)
    path.unlink()
    with pytest.raises(ArchiveDamagedError):
        await place.archive.restore(record.bundle_id, LATER)
    with pytest.raises(ArchiveNotFoundError, match="greenroom archive list"):
        await place.archive.restore(make_id("unknown"), LATER)
    assert await place.count(runs) == [0]


async def test_compaction_takes_nothing_that_a_reader_asks(place: Place) -> None:
    """Of ended runs only snapshot and taken items go: facts, forms, answers and audit read as before."""
    world = place.world
    run_id = await answered_run(world, "run")
    await pause_with_form(world, "waits")
    (form,) = await world.forms.by_run(run_id)

    async def read() -> list[Any]:
        facts = [await world.journal.read(run_id, after) for after in range(6)]
        stored = await world.journal.load(run_id)
        answer = await world.forms.submission(form.form_id)
        return [facts, stored.record, stored.inbox, answer, await world.forms.audit(form.form_id)]

    before = await read()
    planned = await place.retention.plan(None)
    assert (planned.runs, planned.snapshots, planned.inbox_items) == (0, 1, 1)
    assert await place.retention.compact() == planned
    assert await read() == before
    assert await place.count(snapshots, run_inbox) == [1, 0]
    assert (await place.retention.compact()).snapshots == 0
    assert (await world.journal.request_stop(run_id, "late", LATER)).is_terminal
    assert await place.count(run_inbox) == [0]


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from store.archive import Archive
from store.kept_objects import KeptObjects, open_objects
from store import archive
from store_world import sql_world

url, folder, moment, run_id = sys.argv[1:]

class Killing(KeptObjects):
    async def put(self, path, content):
        await super().put(path, content)
        if moment == "bundled":
            os.kill(os.getpid(), signal.SIGKILL)

def delete_and_die(connection, ids):
    delete_runs(connection, ids)
    os.kill(os.getpid(), signal.SIGKILL)

delete_runs = archive.delete_runs
if moment == "deleting":
    archive.delete_runs = delete_and_die

async def main():
    world = sql_world(url)
    count = await Archive(world.database, Killing(open_objects("", Path(folder))._open)).store([run_id], 1.0)
    if moment == "done" and count == 1:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.parametrize(("moment", "left"), [("bundled", 1), ("deleting", 1), ("done", 0)])
async def test_killed_archiver_loses_nothing(moment: str, left: int, place: Place) -> None:
    """Killed between bundle and deletion, within the deletion or after it: tables or archive have the run whole."""
    run_id = await answered_run(place.world, "run")
    before = await place.world.database.read(lambda connection: read_runs(connection, ids_of(connection, [run_id])))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-c", KILLED, place.url, str(place.folder), moment, run_id]
    killed = await asyncio.create_subprocess_exec(*command, env=environment)
    assert await killed.wait() == -signal.SIGKILL
    assert len(place.bundle_files()) == 1
    assert await place.count(runs, archives, archived_runs) == [left, 1 - left, 1 - left]
    # The next pass goes on from there, into the very same bundle.
    assert (await place.retention.archive_runs(BEFORE, LATER)).runs == left
    (record,) = await place.archive.bundles()
    assert place.bundle_files() == [place.folder / path_of(record.bundle_id)]
    assert await place.archive.restore(run_id, LATER) == [run_id]
    after = await place.world.database.read(lambda connection: read_runs(connection, ids_of(connection, [run_id])))
    assert after == before


async def test_run_that_was_archived_is_unknown(place: Place) -> None:
    """Until it is restored, an archived run is as good as absent."""
    run_id = await answered_run(place.world, "run")
    await place.retention.archive_runs(BEFORE, LATER)
    with pytest.raises(RunNotFoundError):
        await place.world.journal.load(run_id)


async def test_database_of_a_newer_version_is_left_alone(place: Place) -> None:
    """What this version does not know it may not lose: with an unknown table or column nothing is moved or swept."""
    run_id = await answered_run(place.world, "run")
    sweeper = BlobSweep(place.world.database, place.objects)
    for statement in ("CREATE TABLE from_the_future (run_id TEXT)", "ALTER TABLE runs ADD COLUMN later TEXT"):
        await place.world.database.write(lambda connection, sql=statement: connection.execute(text(sql)).rowcount)
        with pytest.raises(UnknownTablesError) as refused:
            await place.archive.store([run_id], LATER)
        with pytest.raises(UnknownTablesError):
            await sweeper.sweep(LATER)
    assert refused.value.names == ("from_the_future", "runs.later")
    assert await place.count(runs) == [1] and place.bundle_files() == []


async def test_housekeeping_does_the_work_of_a_day_once(place: Place) -> None:
    """Of several processes one does it, and again a day later; without a retention no run goes."""
    await answered_run(place.world, "run")
    settings = Settings(data_dir=place.folder.parent, retention_days=5)
    upkeep = Upkeep.of(place.world.database, settings)
    now = NOW + DAY
    here = Housekeeping(upkeep, place.world.installation, settings, lambda: now)
    there = Housekeeping(upkeep, place.world.installation, settings, lambda: now)
    assert sorted(await asyncio.gather(here.look(), there.look())) == [False, True]
    assert await place.count(runs, snapshots) == [1, 0]
    now += DAY - 1
    assert not await here.look()
    now = LATER
    forever = Housekeeping(upkeep, place.world.installation, Settings(data_dir=place.folder.parent), lambda: now)
    assert await forever.look() and await place.count(runs) == [1]
    now += DAY
    assert await there.look() and await place.count(runs) == [0]


def test_every_table_with_rows_of_runs_is_archived_or_only_deleted() -> None:
    """Tables are found by their columns; only those of token hashes are not copied."""
    found = {each.table.name: each for each in tables_of_runs()}
    named = {"runs", "journal", "snapshots", "run_inbox", "forms", "form_recipients", "submissions", "audit", "files"}
    assert named <= set(found) and "archived_runs" not in found
    assert [name for name, each in found.items() if not each.is_copied] == ["form_tokens"]
    assert found["files"].keys == ("form_id",) and files.c.form_id.nullable
