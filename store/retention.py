"""Retention: which ended runs leave the tables, and what ended runs need no more.

A run that waits or executes is never touched, nor one with an item in its inbox or a form that waits. What a pass does
is done in batches, each one bounded transaction, and may be broken off and repeated at any point.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, exists, func, select

from store.archive import Archive
from store.archive_tables import archived_runs
from store.database import Database
from store.run_record import TERMINAL
from store.run_tables import chunks
from store.tables import forms, is_untaken, is_waiting, run_inbox, runs, snapshots

RUNS_PER_BUNDLE = 100
"""Runs in one bundle, and deleted in one transaction: SQLite lets nobody else write meanwhile."""
_COMPACTED_AT_ONCE = 500

_HAS_ENDED = runs.c.status.in_(sorted(TERMINAL))
_IS_OLD = and_(
    _HAS_ENDED,
    runs.c.finished_at < bindparam("key_before"),
    ~exists().where(run_inbox.c.run_id == runs.c.run_id, is_untaken),
    ~exists().where(forms.c.run_id == runs.c.run_id, is_waiting),
    ~exists().where(archived_runs.c.run_id == runs.c.run_id, archived_runs.c.restored_at >= bindparam("key_before")),
)
_OLD_RUNS = (
    select(runs.c.run_id)
    .where(runs.c.run_id > bindparam("key_after"), _IS_OLD)
    .order_by(runs.c.run_id)
    .limit(RUNS_PER_BUNDLE)
)
_OLD_COUNT = select(func.count()).select_from(runs).where(_IS_OLD)
_KEPT_STATES = select(snapshots.c.run_id).join(runs, runs.c.run_id == snapshots.c.run_id).where(_HAS_ENDED)
_TAKEN_ITEMS = (
    select(run_inbox.c.item_id)
    .join(runs, runs.c.run_id == run_inbox.c.run_id)
    .where(_HAS_ENDED, run_inbox.c.taken_number.is_not(None))
)


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What a pass did, or would do. ``runs``: archived; ``snapshots``, ``inbox_items``: of ended runs, deleted."""

    runs: int = 0
    snapshots: int = 0
    inbox_items: int = 0


class Retention:
    """Passes over the ended runs of a database."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive

    async def plan(self, before: float | None) -> RetentionReport:
        """Return what ``compact`` and ``archive_runs`` would do now, without doing it.

        Args:
            before: runs that ended before this are old, in Unix seconds; None: none is.
        """

        def work(connection: Connection) -> RetentionReport:
            old = 0 if before is None else connection.execute(_OLD_COUNT, {"key_before": before}).scalar_one()
            counts = [select(func.count()).select_from(each.subquery()) for each in (_KEPT_STATES, _TAKEN_ITEMS)]
            return RetentionReport(old, *(connection.execute(count).scalar_one() for count in counts))

        return await self._database.read(work)

    async def compact(self) -> RetentionReport:
        """Delete the snapshots and the taken inbox items of ended runs: nothing reads them any more."""
        kept_states = await self._delete(_KEPT_STATES, snapshots.c.run_id)
        return RetentionReport(0, kept_states, await self._delete(_TAKEN_ITEMS, run_inbox.c.item_id))

    async def archive_runs(
        self, before: float, now: float, rest: Callable[[], Awaitable[None]] | None = None
    ) -> RetentionReport:
        """Move every run that ended before ``before`` (Unix seconds) into bundles, and return how many.

        Args:
            before: which runs are old.
            now: Unix seconds.
            rest: awaited between two bundles, so that others come to write.
        """
        count, after = 0, ""
        while True:
            key = {"key_before": before, "key_after": after}
            found = await self._database.read(lambda connection, key=key: connection.execute(_OLD_RUNS, key).all())
            if not found:
                return RetentionReport(count)
            run_ids = [row.run_id for row in found]
            count += await self._archive.store(run_ids, now)
            after = run_ids[-1]
            if rest is not None:
                await rest()

    async def _delete(self, statement: Any, column: Any) -> int:
        """Delete the rows of the table of ``column`` that ``statement`` names, some at a time."""
        found = await self._database.read(lambda connection: connection.execute(statement).scalars().all())
        for some in chunks(found, _COMPACTED_AT_ONCE):
            statement = delete(column.table).where(column.in_(some))
            await self._database.write(lambda connection, statement=statement: connection.execute(statement).rowcount)
        return len(found)
