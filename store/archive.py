"""The archive: moves ended runs out of the tables into bundles, and back.

A run is deleted only when the bundle that has it is durable and was read back whole, and only if its rows are still
those in the bundle; deleting and listing it in the archive are one transaction. So a crash at any moment leaves the
run in the tables, or in the archive, and what was begun can be begun again. A bundle that a crash left behind is
swept (``store.blob_sweep``).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, or_, select, update

from store.archive_tables import archived_runs, archives
from store.bundle import Bundle, pack_bundle, path_of, unpack_bundle
from store.database import AnyRow, Database
from store.errors import ArchiveNotFoundError, StoreUnavailableError
from store.insert_once import insert_once
from store.kept_objects import KeptObjects
from store.run_tables import RowsOfRun, check_tables, chunks, delete_runs, ids_of, put_back, read_runs

RESTORED_AT_ONCE = 25
"""How many runs one transaction puts back."""

_LISTED = select(archives.c.bundle_id, archives.c.run_count, archives.c.size_bytes, archives.c.created_at).order_by(
    archives.c.created_at, archives.c.bundle_id
)
_FOUND = (
    select(archives.c.bundle_id)
    .join(archived_runs, archived_runs.c.bundle_id == archives.c.bundle_id)
    .where(or_(archives.c.bundle_id == bindparam("key_name"), archived_runs.c.run_id == bindparam("key_name")))
    .order_by(archives.c.created_at.desc())
    .limit(1)
)
_OF_BUNDLE = select(archived_runs).where(archived_runs.c.bundle_id == bindparam("key_bundle_id"))


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """What the archive says of a bundle. ``created_at``: Unix seconds."""

    bundle_id: str
    run_count: int
    size_bytes: int
    created_at: float


class Archive:
    """Bundles of ended runs, listed in the database. Every operation may be repeated."""

    def __init__(self, database: Database, objects: KeptObjects) -> None:
        self._database = database
        self._objects = objects

    async def store(self, run_ids: Sequence[str], now: float) -> int:
        """Move ended runs from the tables into one bundle.

        Args:
            run_ids: ended runs, as many as one transaction may delete.
            now: Unix seconds.

        Returns:
            How many were moved; 0 where a row of one of them changed meanwhile: then all stay.

        Raises:
            StoreUnavailableError: the bundle could not be kept or read back; nothing was deleted.
            UnknownTablesError: the database has more than this version knows; nothing was deleted.
        """
        rows = await self._database.read(_reading(run_ids))
        if not rows:
            return 0
        bundle = await self._kept(rows)

        def work(connection: Connection) -> bool:
            ids = ids_of(connection, run_ids, is_locking=True)
            if read_runs(connection, ids) != rows:
                return False
            _list_bundle(connection, bundle, now)
            for run_id, of_run in rows.items():
                insert_once(connection, archived_runs, _listed_run(run_id, bundle.bundle_id, of_run))
            delete_runs(connection, ids)
            return True

        return bundle.run_count if await self._database.write(work) else 0

    async def bundles(self) -> list[ArchiveRecord]:
        """Return every bundle, the oldest first."""
        rows = await self._database.read(lambda connection: connection.execute(_LISTED).all())
        return [ArchiveRecord(**row._asdict()) for row in rows]

    async def restore(self, name: str, now: float) -> list[str]:
        """Put the runs of a bundle, or one run, back into the tables; what is there stays as it is.

        Args:
            name: a bundle id or a run id.
            now: Unix seconds; retention counts from then on.

        Returns:
            The ids of the runs that were not there.

        Raises:
            ArchiveNotFoundError: neither a bundle nor a run in one has the id.
            ArchiveDamagedError: the bundle is not there or damaged.
        """
        key = {"key_name": name}
        bundle_id = await self._database.read(lambda connection: connection.execute(_FOUND, key).scalar())
        if bundle_id is None:
            raise ArchiveNotFoundError(name)
        runs = await self.read(bundle_id)
        wanted = [name] if name in runs else list(runs)
        restored: list[str] = []
        for some in chunks(wanted, RESTORED_AT_ONCE):
            restored += await self._database.write(_restoring(bundle_id, {each: runs[each] for each in some}, now))
        return restored

    async def read(self, bundle_id: str) -> dict[str, RowsOfRun]:
        """Return run id -> its rows in a bundle.

        Raises:
            ArchiveDamagedError: the bundle is not there or damaged.
        """
        content = await self._objects.get(path_of(bundle_id))
        return await asyncio.to_thread(unpack_bundle, bundle_id, content)

    async def rewrite(self, bundle_id: str, change: Callable[[str, RowsOfRun], RowsOfRun | None], now: float) -> int:
        """Replace a bundle by one whose runs are as ``change`` gives them, None for a run that goes.

        Returns:
            How many runs changed or went; 0: the bundle stays.

        Raises:
            ArchiveDamagedError: the bundle is not there or damaged.
            StoreUnavailableError: the new bundle could not be kept; the old one stays.
        """
        runs = await self.read(bundle_id)
        changed = {run_id: change(run_id, rows) for run_id, rows in runs.items()}
        count = sum(changed[run_id] != runs[run_id] for run_id in runs)
        if not count:
            return 0
        left = {run_id: rows for run_id, rows in changed.items() if rows is not None}
        bundle = await self._kept(left) if left else None
        await self._database.write(_replacing(bundle_id, bundle, left, now))
        await self._objects.delete(path_of(bundle_id))
        return count

    async def _kept(self, runs: Mapping[str, RowsOfRun]) -> Bundle:
        """Return the bundle of ``runs``, durable and read back whole."""
        bundle = await asyncio.to_thread(pack_bundle, runs)
        path = path_of(bundle.bundle_id)
        await self._objects.put(path, bundle.content)
        if await self._objects.get(path) != bundle.content:
            raise StoreUnavailableError(f"the bundle {bundle.bundle_id} was not kept as it was written")
        return bundle


def _reading(run_ids: Sequence[str]) -> Callable[[Connection], dict[str, RowsOfRun]]:
    def work(connection: Connection) -> dict[str, RowsOfRun]:
        check_tables(connection)
        return read_runs(connection, ids_of(connection, run_ids))

    return work


def _list_bundle(connection: Connection, bundle: Bundle, now: float) -> None:
    row = {
        "bundle_id": bundle.bundle_id,
        "run_count": bundle.run_count,
        "size_bytes": len(bundle.content),
        "created_at": now,
        "blobs": bundle.blobs,
    }
    insert_once(connection, archives, row)


def _listed_run(run_id: str, bundle_id: str, rows: RowsOfRun) -> dict[str, Any]:
    run = rows["runs"][0]
    named = {name: run[name] for name in ("app_id", "created_by_id", "finished_at")}
    return {"run_id": run_id, "bundle_id": bundle_id, "restored_at": None, **named}


def _restoring(bundle_id: str, runs: Mapping[str, RowsOfRun], now: float) -> Callable[[Connection], list[str]]:
    def work(connection: Connection) -> list[str]:
        restored = [run_id for run_id, rows in runs.items() if put_back(connection, rows)]
        noted = update(archived_runs).where(archived_runs.c.run_id.in_(list(runs)))
        connection.execute(noted.values(restored_at=now))
        return restored

    return work


def _replacing(
    bundle_id: str, bundle: Bundle | None, left: Mapping[str, RowsOfRun], now: float
) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        rows: Sequence[AnyRow] = connection.execute(_OF_BUNDLE, {"key_bundle_id": bundle_id}).all()
        if bundle is not None:
            _list_bundle(connection, bundle, now)
            for row in rows:
                if row.run_id in left:
                    listed = _listed_run(row.run_id, bundle.bundle_id, left[row.run_id])
                    insert_once(connection, archived_runs, {**listed, "restored_at": row.restored_at})
        if bundle is None or bundle.bundle_id != bundle_id:
            for table in (archived_runs, archives):
                connection.execute(_of_bundle(table, bundle_id))

    return work


def _of_bundle(table: Table, bundle_id: str) -> Any:
    return delete(table).where(table.c.bundle_id == bundle_id)
