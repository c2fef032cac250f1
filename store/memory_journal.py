"""The journal's memory twin: the rules of ``store.journal.Journal`` over dictionaries."""

from dataclasses import fields, replace

from graph.events import Fact
from graph.ports import InboxItem
from store.chat_record import message_change
from store.errors import FencedError, RunExistsError, RunNotFoundError
from store.memory_chats import begin_message, change_message
from store.memory_store import MemoryRow, MemoryStore
from store.packing import pack_facts, unpack_facts
from store.run_record import (
    JournalWrite,
    NewRun,
    RunRecord,
    StoredRun,
    as_numbered,
    owner_changes,
    run_changes,
    stop_item_id,
)

_NEW_RUN_FIELDS = tuple(part.name for part in fields(NewRun))


class MemoryJournal:
    """Implements Journal in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def append(self, write: JournalWrite) -> int:
        """Store the facts of ``write``; see Journal."""
        data = await pack_facts(write.facts, self._store.blobs)
        return self._append(write, data)

    async def pause(self, write: JournalWrite, snapshot: bytes) -> list[InboxItem]:
        """Store the facts and the snapshot unless an inbox item is left; see Journal."""
        data = await pack_facts(write.facts, self._store.blobs)
        if self._is_stored(write, data):
            return []
        self._check_owner(write)
        left = [item for item in self._store.untaken(write.run_id) if item.item_id not in write.taken]
        if left:
            return left
        head = self._append(write, data)
        self._store.snapshots[write.run_id] = (head, snapshot)
        return []

    async def load(self, run_id: str) -> StoredRun:
        """Return what a successor needs; see Journal."""
        record = self._record(run_id)
        head, snapshot = self._store.snapshots.get(run_id, (0, None))
        inbox = self._store.untaken(run_id)
        return StoredRun(record, snapshot, head, await self.read(run_id, head), inbox)

    async def read(self, run_id: str, after: int = 0) -> list[tuple[int, Fact]]:
        """Return the numbered facts after number ``after``; see Journal."""
        numbered: list[tuple[int, Fact]] = []
        for row in list(self._store.journal.get(run_id, [])):
            if row.last_number > after:
                numbered += as_numbered(row.last_number, await unpack_facts(row.facts, self._store.blobs))
        return [(number, fact) for number, fact in numbered if number > after]

    async def get(self, run_id: str) -> RunRecord | None:
        """Return the record of a run, or None; see Journal."""
        return self._store.runs.get(run_id)

    async def inbox(self, run_id: str) -> list[InboxItem]:
        """Return the un-taken items of a run, oldest first; see Journal."""
        return self._store.untaken(run_id)

    async def request_stop(self, run_id: str, reason: str, now: float) -> RunRecord:
        """Ask a run to stop; see Journal."""
        record = self._record(run_id)
        if record.is_terminal:
            return record
        self._store.add_item(run_id, InboxItem(stop_item_id(run_id), "stop", reason=reason), now)
        if record.status == "paused":
            self._store.expire_forms(run_id, now, reason)
        return record

    async def runs_of_actor(self, actor: str) -> list[str]:
        """Return the ids of the runs that ``actor`` executes; see Journal."""
        return [run.run_id for run in self._store.runs.values() if run.status == "running" and run.actor == actor]

    async def running_runs(self) -> list[tuple[str, str]]:
        """Return id and actor of every executing run; see Journal."""
        return [(run.run_id, run.actor) for run in self._store.runs.values() if run.status == "running"]

    async def untaken(self) -> list[tuple[str, str, str, float]]:
        """Return id, status and actor of the runs with un-taken items, and since when; see Journal."""
        since: dict[str, float] = {}
        for row in self._store.inbox.values():
            if row.taken_number is None:
                since[row.run_id] = min(row.created_at, since.get(row.run_id, row.created_at))
        found = [(self._store.runs[run_id], at) for run_id, at in since.items() if run_id in self._store.runs]
        return [(run.run_id, run.status, run.actor, at) for run, at in found]

    def _record(self, run_id: str) -> RunRecord:
        record = self._store.runs.get(run_id)
        if record is None:
            raise RunNotFoundError(run_id)
        return record

    def _check_owner(self, write: JournalWrite) -> None:
        record = self._store.runs.get(write.run_id)
        if write.new_run is not None:
            if record is not None:
                raise RunExistsError(write.run_id)
        elif record is None or record.epoch != write.found_epoch or record.head != write.head:
            raise FencedError(write.run_id)

    def _is_stored(self, write: JournalWrite, data: bytes) -> bool:
        record = self._store.runs.get(write.run_id)
        rows = self._store.journal.get(write.run_id)
        if record is None or not rows or not write.facts:
            return False
        if (write.actor or record.actor, write.lease_id or record.lease_id) != (record.actor, record.lease_id):
            return False
        is_last = (rows[-1].first_number, rows[-1].last_number) == (write.head + 1, write.new_head)
        return is_last and (record.epoch, record.head, rows[-1].facts) == (write.epoch, write.new_head, data)

    def _append(self, write: JournalWrite, data: bytes) -> int:
        store, head = self._store, write.new_head
        if self._is_stored(write, data):
            return head
        self._check_owner(write)
        if write.new_run is not None:
            record = RunRecord(**{name: getattr(write.new_run, name) for name in _NEW_RUN_FIELDS})
        else:
            record = store.runs[write.run_id]
        taken = [store.inbox[item_id] for item_id in write.taken if item_id in store.inbox]
        is_mine = all(row.run_id == write.run_id and row.taken_number is None for row in taken)
        if len(taken) < len(write.taken) or not is_mine:
            raise FencedError(write.run_id)
        changes = run_changes(write.facts) | owner_changes(write)
        record = replace(record, **changes, epoch=write.epoch, head=head)
        store.runs[write.run_id] = record
        if write.facts:
            store.journal.setdefault(write.run_id, []).append(MemoryRow(write.head + 1, head, data))
        for row in taken:
            row.taken_number = head
        store.cut |= dict.fromkeys(write.cut, write.run_id)
        store.add_entries(write.outbox)
        if record.is_terminal:
            for row in store.inbox.values():
                if row.run_id == write.run_id and row.taken_number is None:
                    row.taken_number = head
        if write.message is not None:
            begin_message(store, write.message)
        if write.is_message:
            change_message(store, write.run_id, message_change(write.facts))
        return head
