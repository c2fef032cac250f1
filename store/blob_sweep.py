"""Deletes large values and files that nothing refers to any more, beside writers who know nothing of it.

A writer puts a value first and stores the reference to it afterwards; a value that is there already is written anew,
which makes it young. So nothing young is touched, and what is old and unused goes in two steps: it is set aside, where
readers still find it, and is deleted in a later sweep, unless a reference to it has come meanwhile; then it is put
back. A reference would have to follow its value by more than ``GRACE_S`` to miss it, and every write gives up long
before that. Bundles of the archive that no row lists (a crash left them) are deleted once they are old.

What is used is read from the database: every column of bytes of every table, and the lists of the bundles.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Connection, LargeBinary, Table, func, select, tuple_

from store.archive_tables import archives
from store.blobs import ASIDE, aside_path, blob_path, digest_of
from store.bundle import FOLDER, digests_of_bundle, path_of
from store.database import AnyRow, Database
from store.kept_objects import KeptObjects
from store.run_tables import STORAGE_KEY, check_tables, digests_of_value
from store.tables import metadata

GRACE_S: Final = 86_400.0
"""How long a value may be there without a reference, and how long it lies aside."""

_ROWS_AT_ONCE = 1000
_BLOBS: Final = "blobs"
_PLAIN_JSON: Final = (b"{", b"[", b'"')
"""What columns without a reference begin with; the rest is read."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep did, or would do, as counts of objects."""

    set_aside: int = 0
    put_back: int = 0
    deleted: int = 0
    bundles_deleted: int = 0


class BlobSweep:
    """Sweeps the store of files. May be repeated and broken off; several at once do no harm."""

    def __init__(self, database: Database, objects: KeptObjects, grace_s: float = GRACE_S) -> None:
        self._database = database
        self._objects = objects
        self._grace_s = grace_s

    async def sweep(self, now: float, *, is_dry: bool = False) -> SweepReport:
        """Set aside, put back and delete what is to be; ``is_dry``: only count.

        Args:
            now: Unix seconds, by the clock of the store of files.
            is_dry: change nothing.

        Raises:
            StoreUnavailableError: database or files are away; what was done is done.
            UnknownTablesError: the database has more than this version knows; nothing was touched.
        """
        await self._database.read(check_tables)
        until = now - self._grace_s
        # Listed before the references are read: a value whose reference comes later than that is young.
        kept = [_digest(path) async for path, at in self._objects.listed(_BLOBS) if at < until]
        aside = {_digest(path): at async for path, at in self._objects.listed(ASIDE)}
        bundles = [path async for path, at in self._objects.listed(FOLDER) if at < until]
        used = await self._used() if kept or aside else set()
        unused = [digest for digest in kept if digest not in used]
        returning = [digest for digest in aside if digest in used]
        leaving = [digest for digest, at in aside.items() if digest not in used and at < until]
        listed = await self._listed_bundles() if bundles else set()
        orphans = [path for path in bundles if path not in listed]
        if not is_dry:
            await self._move(unused, to_aside=True)
            await self._move(returning, to_aside=False)
            for path in (*map(aside_path, leaving), *orphans):
                await self._objects.delete(path)
        return SweepReport(len(unused), len(returning), len(leaving), len(orphans))

    async def _move(self, digests: Iterable[str], *, to_aside: bool) -> None:
        source, target = (blob_path, aside_path) if to_aside else (aside_path, blob_path)
        for digest in digests:
            content = await self._objects.get(source(digest))
            if content is None:
                continue
            if digest_of(content) == digest:
                # Written, not renamed: what lies aside is as old as its being there.
                await self._objects.put(target(digest), content)
            await self._objects.delete(source(digest))

    async def _listed_bundles(self) -> set[str]:
        rows = await self._database.read(lambda connection: connection.execute(select(archives.c.bundle_id)).all())
        return {path_of(row.bundle_id) for row in rows}

    async def _used(self) -> set[str]:
        used: set[str] = set()
        for table in metadata.tables.values():
            for column in table.c:
                if table is not archives and _may_refer(column):
                    used |= await self._used_in(table, column)
        rows = await self._database.read(lambda connection: connection.execute(select(archives.c.blobs)).all())
        for row in rows:
            used.update(digests_of_bundle(row.blobs))
        return used

    async def _used_in(self, table: Table, column: Column[Any]) -> set[str]:
        """Return the digests that one column refers to, read some rows at a time in the order of their keys."""
        keys = list(table.primary_key)
        statement = select(*keys, column).order_by(*keys).limit(_ROWS_AT_ONCE)
        if column.name != STORAGE_KEY:
            statement = statement.where(func.substr(column, 1, 1).not_in(_PLAIN_JSON))
        found: set[str] = set()
        after: tuple[Any, ...] | None = None
        while True:
            following = statement if after is None else statement.where(tuple_(*keys) > tuple_(*after))
            rows: list[AnyRow] = await self._database.read(_all_of(following))
            for row in rows:
                found |= digests_of_value(column.name, row[-1])
            if len(rows) < _ROWS_AT_ONCE:
                return found
            after = tuple(rows[-1][: len(keys)])


def _may_refer(column: Column[Any]) -> bool:
    is_json = isinstance(column.type, LargeBinary) and not column.name.endswith("_hash")
    return is_json or column.name == STORAGE_KEY


def _all_of(statement: Any) -> Any:
    def work(connection: Connection) -> Any:
        return connection.execute(statement).all()

    return work


def _digest(path: str) -> str:
    return path.rpartition("/")[2]
