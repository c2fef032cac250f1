"""Large values and files whose last reference goes are deleted, beside writers who know nothing of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore
from sqlalchemy import delete

from store.archive import Archive
from store.blob_sweep import GRACE_S, BlobSweep, SweepReport
from store.blobs import ObjectBlobs, aside_path, blob_path, digest_of, open_blobs
from store.errors import BlobMissingError
from store.file_record import FileOwner, FileRecord
from store.kept_objects import KeptObjects, open_objects
from store.retention import Retention
from store.tables import journal, runs
from store_world import NOW, StoreWorld, finished, new_run, node_finished, sql_world, start, write

OWNER = FileOwner("workspace", "app", "end_user", "somebody")


class AgedObjects(KeptObjects):
    """Objects over a store in memory whose clock the test moves."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(lambda: store)
        self.now = NOW
        self.written: dict[str, float] = {}

    async def put(self, path: str, content: bytes) -> None:
        """Keep ``content`` and when that was."""
        await super().put(path, content)
        self.written[path] = self.now

    async def listed(self, folder: str) -> Any:
        """Yield paths with the times of the test's clock."""
        async for path, _ in super().listed(folder):
            yield path, self.written.setdefault(path, self.now)


@dataclass
class Yard:
    """A database, its large values, and the sweep over both."""

    world: StoreWorld
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.blobs = ObjectBlobs(lambda: self.store)
        self.world.journal._blobs = self.blobs
        self.objects = AgedObjects(self.store)
        self.sweeper = BlobSweep(self.world.database, self.objects)

    async def sweep(self, days: float = 0.0, *, is_dry: bool = False) -> SweepReport:
        """Let time pass, then sweep."""
        self.objects.now += days * GRACE_S
        # Whatever was written until now is as old as this moment, unless it is older.
        async for _ in self.objects.listed("blobs"):
            pass
        return await self.sweeper.sweep(self.objects.now, is_dry=is_dry)


@pytest.fixture
async def yard(database_url: str) -> Any:
    """An empty database of each kind with values in memory."""
    world = sql_world(database_url)
    made = Yard(world)
    yield made
    assert world.database is not None
    await world.database.close()


async def test_unused_value_goes_in_two_steps(yard: Yard) -> None:
    """A value without a reference is set aside after a day, found there still, and deleted a day later."""
    digest = await yard.blobs.put(b"unused")
    assert await yard.sweep() == SweepReport()
    assert await yard.sweep(0.9) == SweepReport()
    assert await yard.sweep(0.2, is_dry=True) == SweepReport(set_aside=1)
    assert await yard.sweep() == SweepReport(set_aside=1)
    assert await yard.objects.get(blob_path(digest)) is None
    assert await yard.blobs.get(digest) == b"unused"
    assert await yard.sweep(0.9) == SweepReport()
    assert await yard.sweep(0.2) == SweepReport(deleted=1)
    with pytest.raises(BlobMissingError):
        await yard.blobs.get(digest)


async def test_used_values_stay(yard: Yard) -> None:
    """What facts, inputs, outputs and files refer to stays, also from rows that are long themselves."""
    run = new_run(inputs={"topic": "i" * 70_000})
    await start(yard.world, run)
    # Several kilobytes of the row are left beside what was moved out of it.
    small = {f"part{number}": f"{number} " * 100 for number in range(20)}
    await yard.world.journal.append(write([node_finished(1, large="x" * 70_000, **small)], 1, run=run))
    await yard.world.journal.append(write([finished(answer="o" * 70_000)], 2, run=run))
    content = b"a file"
    digest = await yard.blobs.put(content)
    record = FileRecord("file", OWNER, "a.txt", "text/plain", ".txt", len(content), digest, NOW)
    await yard.world.files.add(record)
    before = await yard.world.journal.load(run.run_id)
    for _ in range(3):
        assert await yard.sweep(2) == SweepReport()
    assert await yard.world.journal.load(run.run_id) == before
    assert await yard.blobs.get(digest) == content


async def test_values_of_archived_runs_stay_until_the_run_goes(yard: Yard) -> None:
    """A bundle holds on to the values of its runs; without run and bundle they go, and so does an unlisted bundle."""
    run = await start(yard.world)
    await yard.world.journal.append(write([node_finished(1, large="x" * 70_000), finished()], 1, run=run))
    archive = Archive(yard.world.database, yard.objects)
    await Retention(yard.world.database, archive).archive_runs(NOW + 100, NOW + 200)
    for _ in range(3):
        assert await yard.sweep(2) == SweepReport()
    assert await archive.restore(run.run_id, NOW + 300) == [run.run_id]
    assert len((await yard.world.journal.read(run.run_id))[1][1].outputs["large"]) == 70_000
    (record,) = await archive.bundles()
    await yard.world.database.write(lambda connection: connection.execute(delete(runs)).rowcount)
    await yard.world.database.write(lambda connection: connection.execute(delete(journal)).rowcount)
    await archive.rewrite(record.bundle_id, lambda run_id, rows: None, NOW + 400)
    await yard.objects.put("archives/ab/left-by-a-crash.jsonl.gz", b"half")
    assert await yard.sweep(0.5) == SweepReport(set_aside=1)
    assert await yard.sweep(2) == SweepReport(deleted=1, bundles_deleted=1)


async def test_value_that_comes_into_use_meanwhile_is_put_back(yard: Yard) -> None:
    """A writer whose value was set aside between its writing and its reference loses nothing."""
    value = "x" * 70_000
    content = f'"{value}"'.encode()
    digest = await yard.blobs.put(content)
    await yard.sweep()
    assert await yard.sweep(2) == SweepReport(set_aside=1)
    # The reference comes only now: as of a writer that was suspended for days.
    run = await start(yard.world)
    yard.world.journal._blobs = Suspended(yard.store)
    await yard.world.journal.append(write([node_finished(1, large=value)], 1, run=run))
    assert digest_of(content) == digest and await yard.objects.get(blob_path(digest)) is None
    yard.world.journal._blobs = yard.blobs
    assert (await yard.world.journal.read(run.run_id))[1][1].outputs["large"] == value
    assert await yard.sweep(2) == SweepReport(put_back=1)
    assert await yard.objects.get(aside_path(digest)) is None
    assert (await yard.world.journal.read(run.run_id))[1][1].outputs["large"] == value


class Suspended(ObjectBlobs):
    """Values whose writing was done long ago."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(lambda: store)

    async def put(self, content: bytes) -> str:
        """Write nothing: it was written before."""
        return digest_of(content)


async def test_sweep_of_a_folder_goes_by_the_times_of_files(database_url: str, tmp_path: Path) -> None:
    """In a folder the age of a value is the time of its file, and a folder without values is no error."""
    world = sql_world(database_url)
    sweeper = BlobSweep(world.database, open_objects("", tmp_path))
    at = NOW
    assert await sweeper.sweep(at) == SweepReport()
    digest = await open_blobs("", tmp_path).put(b"unused")
    at = (tmp_path / blob_path(digest)).stat().st_mtime
    assert await sweeper.sweep(at + GRACE_S - 1) == SweepReport()
    assert await sweeper.sweep(at + GRACE_S + 60) == SweepReport(set_aside=1)
    assert await open_blobs("", tmp_path).get(digest) == b"unused"
    aside_at = (tmp_path / aside_path(digest)).stat().st_mtime
    assert await sweeper.sweep(aside_at + GRACE_S + 60) == SweepReport(deleted=1)
    assert world.database is not None
    await world.database.close()
