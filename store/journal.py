"""The journal: what happened to each run, fact by fact, who may write the next one, and what came in from outside.

``Journal`` says the rules; ``SqlJournal`` keeps them in SQL (the statements: ``store.run_rows``), the memory twin is
``store.memory_journal``. One append is one transaction; a writer whose epoch or head is not the run's stores nothing.
"""

from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import Protocol

from sqlalchemy import Connection, bindparam, func, select

from graph.events import Fact
from graph.ports import InboxItem
from store.blobs import Blobs
from store.chat_rows import pack_chat, store_chat
from store.compression import compress, decompress
from store.database import AnyRow, Database
from store.driver import fetch, fetch_one
from store.errors import RunNotFoundError
from store.form_rows import expire_forms
from store.packing import pack_facts, pack_value, unpack_facts, unpack_value
from store.run_record import (
    TERMINAL,
    JournalWrite,
    NewRun,
    RunRecord,
    StoredRun,
    as_numbered,
    owner_changes,
    record_of,
    run_changes,
    stop_item_id,
)
from store.run_rows import PackedWrite, add_item, append_facts, append_pause, lock_run, read_untaken
from store.tables import is_running, is_untaken, journal, run_inbox, runs, snapshots

__all__ = ["Journal", "JournalWrite", "NewRun", "RunRecord", "SqlJournal", "StoredRun"]


class Journal(Protocol):
    """Stores the facts of runs. Every operation is one transaction, durable when it returns."""

    async def append(self, write: JournalWrite) -> int:
        """Store the facts of ``write``, its changes to the run, and that its inbox items are taken.

        Of a run that is a message of a conversation, the message and the conversation's variables change with it.

        The same write again (its answer was lost) succeeds without storing anything twice. A fact that ends the
        run takes up every item left.

        Returns:
            The number of the last fact.

        Raises:
            FencedError: another writer has raised the epoch or the head, or an item is taken already; final.
            RunExistsError: ``write.new_run`` has begun before, by another write.
            StoreUnavailableError: the store stays away; whether the facts are stored is unknown, the same write
                may be given again.
        """
        ...

    async def pause(self, write: JournalWrite, snapshot: bytes) -> list[InboxItem]:
        """Store facts of which the last is RunPaused, with the state they lead to, if no inbox item is left.

        Returns:
            Nothing, and the pause is durable; or the un-taken items beyond ``write.taken``, and nothing is stored.

        Raises:
            FencedError: as in ``append``.
            RunExistsError: as in ``append``.
            StoreUnavailableError: as in ``append``.
        """
        ...

    async def load(self, run_id: str) -> StoredRun:
        """Return all of a run that a successor needs, as of one moment.

        Raises:
            RunNotFoundError: there is no such run.
        """
        ...

    async def read(self, run_id: str, after: int = 0) -> list[tuple[int, Fact]]:
        """Return the facts with a number above ``after``, in order, with their numbers; empty for an unknown run."""
        ...

    async def get(self, run_id: str) -> RunRecord | None:
        """Return the record of a run, or None."""
        ...

    async def inbox(self, run_id: str) -> list[InboxItem]:
        """Return the items that no fact has taken up, oldest first."""
        ...

    async def request_stop(self, run_id: str, reason: str, now: float) -> RunRecord:
        """Ask a run to stop: put a stop item into its inbox, once, unless the run has ended.

        The waiting forms of a paused run expire with it.

        Args:
            run_id: the run.
            reason: the run's error text.
            now: Unix seconds.

        Returns:
            The record as it was before.

        Raises:
            RunNotFoundError: there is no such run.
        """
        ...

    async def runs_of_actor(self, actor: str) -> list[str]:
        """Return the ids of the runs that ``actor`` is executing."""
        ...

    async def running_runs(self) -> list[tuple[str, str]]:
        """Return (run id, actor) of every run that is executing."""
        ...

    async def untaken(self) -> list[tuple[str, str, str, float]]:
        """Return (run id, status, actor, since when) of every run with items that no fact has taken up."""
        ...


_RECORD = select(runs).where(runs.c.run_id == bindparam("key_run_id"))
_RECORD_WITH_SNAPSHOT = (
    select(runs, snapshots.c.head.label("snapshot_head"), snapshots.c.state)
    .outerjoin(snapshots, snapshots.c.run_id == runs.c.run_id)
    .where(runs.c.run_id == bindparam("key_run_id"))
)
_FACTS_AFTER = (
    select(journal.c.last_number, journal.c.facts)
    .where(journal.c.run_id == bindparam("key_run_id"), journal.c.last_number > bindparam("key_after"))
    .order_by(journal.c.last_number)
)
_RUNNING = select(runs.c.run_id, runs.c.actor).where(is_running)
_RUNS_OF_ACTOR = select(runs.c.run_id).where(is_running, runs.c.actor == bindparam("key_actor"))
_UNTAKEN_RUNS = (
    select(runs.c.run_id, runs.c.status, runs.c.actor, func.min(run_inbox.c.created_at).label("since"))
    .join(run_inbox, run_inbox.c.run_id == runs.c.run_id)
    .where(is_untaken)
    .group_by(runs.c.run_id, runs.c.status, runs.c.actor)
)
_NEW_RUN_FIELDS = tuple(part.name for part in fields(NewRun))
_NO_FACTS_YET = {
    part.name: part.default for part in fields(RunRecord) if part.name not in (*_NEW_RUN_FIELDS, "outputs")
}


class SqlJournal:
    """Implements Journal over a database; large values go to ``blobs`` first."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    async def append(self, write: JournalWrite) -> int:
        """Store the facts of ``write``; see Journal."""
        packed = await self._pack(write)
        return await self._database.write(lambda connection: append_facts(connection, packed))

    async def pause(self, write: JournalWrite, snapshot: bytes) -> list[InboxItem]:
        """Store the facts and the snapshot unless an inbox item is left; see Journal."""
        packed, state = await self._pack(write), compress(snapshot)
        return await self._database.write(lambda connection: append_pause(connection, packed, state))

    async def load(self, run_id: str) -> StoredRun:
        """Return what a successor needs; see Journal."""

        def work(connection: Connection) -> tuple[AnyRow, Sequence[AnyRow], list[InboxItem]]:
            key = {"key_run_id": run_id}
            run = fetch_one(connection, _RECORD_WITH_SNAPSHOT, key)
            if run is None:
                raise RunNotFoundError(run_id)
            after = run.snapshot_head or 0
            # A paused run has no facts behind its snapshot.
            rows = fetch(connection, _FACTS_AFTER, {**key, "key_after": after}) if after < run.head else ()
            return run, rows, read_untaken(connection, run_id)

        run, rows, inbox = await self._database.read(work)
        head, state = run.snapshot_head or 0, decompress(run.state) if run.state is not None else None
        return StoredRun(await self._record(run), state, head, await self._numbered(rows, head), inbox)

    async def read(self, run_id: str, after: int = 0) -> list[tuple[int, Fact]]:
        """Return the numbered facts after number ``after``; see Journal."""
        key = {"key_run_id": run_id, "key_after": after}
        rows = await self._database.read(lambda connection: connection.execute(_FACTS_AFTER, key).all())
        return await self._numbered(rows, after)

    async def get(self, run_id: str) -> RunRecord | None:
        """Return the record of a run, or None; see Journal."""
        key = {"key_run_id": run_id}
        row = await self._database.read(lambda connection: connection.execute(_RECORD, key).one_or_none())
        return None if row is None else await self._record(row)

    async def inbox(self, run_id: str) -> list[InboxItem]:
        """Return the un-taken items of a run, oldest first; see Journal."""
        return await self._database.read(lambda connection: read_untaken(connection, run_id))

    async def request_stop(self, run_id: str, reason: str, now: float) -> RunRecord:
        """Ask a run to stop; see Journal."""

        def work(connection: Connection) -> AnyRow:
            if lock_run(connection, run_id) is None:
                raise RunNotFoundError(run_id)
            row = connection.execute(_RECORD, {"key_run_id": run_id}).one()
            if row.status not in TERMINAL:
                add_item(connection, run_id, InboxItem(stop_item_id(run_id), "stop", reason=reason), now)
            if row.status == "paused":
                expire_forms(connection, run_id, now, reason)
            return row

        return await self._record(await self._database.write(work))

    async def runs_of_actor(self, actor: str) -> list[str]:
        """Return the ids of the runs that ``actor`` executes; see Journal."""
        key = {"key_actor": actor}
        rows = await self._database.read(lambda connection: connection.execute(_RUNS_OF_ACTOR, key).all())
        return [row.run_id for row in rows]

    async def running_runs(self) -> list[tuple[str, str]]:
        """Return id and actor of every executing run; see Journal."""
        rows = await self._database.read(lambda connection: connection.execute(_RUNNING).all())
        return [(row.run_id, row.actor) for row in rows]

    async def untaken(self) -> list[tuple[str, str, str, float]]:
        """Return id, status and actor of the runs with un-taken items, and since when; see Journal."""
        rows = await self._database.read(lambda connection: connection.execute(_UNTAKEN_RUNS).all())
        return [(row.run_id, row.status, row.actor, row.since) for row in rows]

    async def _pack(self, write: JournalWrite) -> PackedWrite:
        facts = await pack_facts(write.facts, self._blobs)
        changes = run_changes(write.facts) | owner_changes(write)
        if "outputs" in changes:
            changes["outputs"] = await pack_value(changes["outputs"], self._blobs)
        chat = await pack_chat(write, self._blobs)
        also = None if chat is None else partial(store_chat, run_id=write.run_id, chat=chat)
        if write.new_run is None:
            return PackedWrite(write, facts, changes, None, also)
        given = {name: getattr(write.new_run, name) for name in _NEW_RUN_FIELDS}
        row = _NO_FACTS_YET | {"outputs": b"{}"} | given | changes
        row |= {"inputs": await pack_value(write.new_run.inputs, self._blobs)}
        return PackedWrite(write, facts, changes, row | {"epoch": write.epoch, "head": write.new_head}, also)

    async def _record(self, row: AnyRow) -> RunRecord:
        inputs = await unpack_value(row.inputs, self._blobs)
        return record_of(row._asdict(), inputs, await unpack_value(row.outputs, self._blobs))

    async def _numbered(self, rows: Sequence[AnyRow], after: int) -> list[tuple[int, Fact]]:
        numbered: list[tuple[int, Fact]] = []
        for row in rows:
            numbered += as_numbered(row.last_number, await unpack_facts(row.facts, self._blobs))
        return [(number, fact) for number, fact in numbered if number > after]
