"""Runs, journal, snapshots and inbox as rows: each operation one function over a connection.

The caller holds the transaction. A run's row is locked first, then whatever hangs on it. A form may be opened, and
answered, before the first commit of its run: where the row does not exist yet, PostgreSQL takes an advisory lock in
its stead (SQLite has one writer anyway).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Connection, Update, and_, bindparam, func, select, update

from graph.ports import InboxItem
from store.database import AnyRow
from store.driver import change, fetch, fetch_one
from store.errors import FencedError, RunExistsError
from store.human_time_tables import cut_executions
from store.insert_once import insert_once, insert_rows
from store.outbox_rows import add_entries
from store.run_record import TERMINAL, JournalWrite
from store.tables import is_untaken, journal, run_inbox, runs, snapshots

_LOCK_RUN = (
    select(runs.c.status, runs.c.epoch, runs.c.head, runs.c.actor, runs.c.lease_id)
    .where(runs.c.run_id == bindparam("key_run_id"))
    .with_for_update()
)
_ADVISORY_LOCK = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("key_run_id"), 0)))
_LAST_FACTS = select(journal.c.first_number, journal.c.facts).where(
    journal.c.run_id == bindparam("key_run_id"), journal.c.last_number == bindparam("key_last_number")
)
_UNTAKEN = (
    select(
        run_inbox.c.item_id,
        run_inbox.c.kind,
        run_inbox.c.form_id,
        run_inbox.c.action_id,
        run_inbox.c.field_values,
        run_inbox.c.reason,
    )
    .where(run_inbox.c.run_id == bindparam("key_run_id"), is_untaken)
    .order_by(run_inbox.c.created_at, run_inbox.c.item_id)
)
_TAKE = (
    update(run_inbox)
    .where(
        run_inbox.c.item_id == bindparam("key_item_id"),
        run_inbox.c.run_id == bindparam("key_run_id"),
        is_untaken,
    )
    .values(taken_number=bindparam("new_taken_number"))
)
_TAKE_ALL = (
    update(run_inbox)
    .where(run_inbox.c.run_id == bindparam("key_run_id"), is_untaken)
    .values(taken_number=bindparam("new_taken_number"))
)
_TAKE_ALL_TELLING = _TAKE_ALL.returning(run_inbox.c.item_id)
_UPDATE_SNAPSHOT = (
    update(snapshots)
    .where(snapshots.c.run_id == bindparam("key_run_id"))
    .values(head=bindparam("new_head"), state=bindparam("new_state"))
)


@dataclass(frozen=True, slots=True)
class PackedWrite:
    """A JournalWrite as the database stores it.

    ``facts``: packed bytes of its facts; ``changes``: column of runs -> new value; ``run_row``: the new row where
    the run begins with this write. ``also``: done in the same transaction, unless the write is stored already.
    """

    write: JournalWrite
    facts: bytes
    changes: dict[str, Any]
    run_row: dict[str, Any] | None
    also: Callable[[Connection], None] | None = None


@cache
def _update_owned(names: tuple[str, ...]) -> Update:
    """Return the fenced update of a run that also sets the columns ``names``."""
    return (
        update(runs)
        .where(
            and_(
                runs.c.run_id == bindparam("key_run_id"),
                runs.c.epoch == bindparam("key_epoch"),
                runs.c.head == bindparam("key_head"),
            )
        )
        .values({name: bindparam(f"new_{name}") for name in ("epoch", "head", *names)})
    )


def lock_run(connection: Connection, run_id: str) -> AnyRow | None:
    """Lock the run and return (status, epoch, head, actor, lease_id), or None where it has no row yet.

    In either case no other transaction can change the run, begin it, or lock it before this one ends.
    """
    row = fetch_one(connection, _LOCK_RUN, {"key_run_id": run_id})
    if row is None and connection.dialect.name == "postgresql":
        connection.execute(_ADVISORY_LOCK, {"key_run_id": run_id})
        row = connection.execute(_LOCK_RUN, {"key_run_id": run_id}).one_or_none()
    return row


def read_untaken(connection: Connection, run_id: str) -> list[InboxItem]:
    """Return the inbox items of a run that no fact has taken up, oldest first."""
    return [
        InboxItem(row.item_id, row.kind, row.form_id, row.action_id, orjson.loads(row.field_values), row.reason)
        for row in fetch(connection, _UNTAKEN, {"key_run_id": run_id})
    ]


def add_item(connection: Connection, run_id: str, item: InboxItem, now: float) -> bool:
    """Put ``item`` into the inbox of a run; return False where it was put there before."""
    row = {
        "item_id": item.item_id,
        "run_id": run_id,
        "kind": item.kind,
        "form_id": item.form_id,
        "action_id": item.action_id,
        "field_values": orjson.dumps(item.values, option=orjson.OPT_NON_STR_KEYS),
        "reason": item.reason,
        "created_at": now,
    }
    return insert_once(connection, run_inbox, row)


def append_facts(connection: Connection, packed: PackedWrite) -> int:
    """Store a write behind its fence and return the new head; a write that is stored already changes nothing.

    Raises:
        FencedError: the run is not where the writer believes it to be, or an item is taken already.
        RunExistsError: the run that should begin has begun before.
    """
    write, head = packed.write, packed.write.new_head
    if packed.run_row is not None:
        if connection.dialect.name == "postgresql":
            connection.execute(_ADVISORY_LOCK, {"key_run_id": write.run_id})
        if not insert_once(connection, runs, packed.run_row):
            if _is_stored(connection, packed):
                return head
            raise RunExistsError(write.run_id)
    else:
        values = {f"new_{name}": value for name, value in packed.changes.items()}
        values |= {"new_epoch": write.epoch, "new_head": head}
        values |= {"key_run_id": write.run_id, "key_epoch": write.found_epoch, "key_head": write.head}
        if change(connection, _update_owned(tuple(packed.changes)), values) != 1:
            if _is_stored(connection, packed):
                return head
            raise FencedError(write.run_id)
    if write.facts:
        row = {"run_id": write.run_id, "first_number": write.head + 1, "last_number": head, "facts": packed.facts}
        insert_rows(connection, journal, [row])
    if packed.changes.get("status") in TERMINAL:
        _take_all(connection, write.run_id, write.taken, head)
    else:
        _take(connection, write.run_id, write.taken, head)
    for execution_id in write.cut:
        insert_once(connection, cut_executions, {"execution_id": execution_id, "run_id": write.run_id})
    add_entries(connection, write.outbox)
    if packed.also is not None:
        packed.also(connection)
    return head


def append_pause(connection: Connection, packed: PackedWrite, snapshot: bytes) -> list[InboxItem]:
    """Store a pause and its snapshot and return nothing, or return the items to take up first and store nothing.

    Raises:
        FencedError: the run is not where the writer believes it to be.
        RunExistsError: the run that should begin has begun before.
    """
    write = packed.write
    row = lock_run(connection, write.run_id)
    if row is not None and (row.epoch, row.head) != (write.found_epoch, write.head):
        # Stored before (then an item that came since is for the paused run), or fenced: both decided there.
        append_facts(connection, packed)
        return []
    left = [item for item in read_untaken(connection, write.run_id) if item.item_id not in write.taken]
    if left:
        return left
    head = append_facts(connection, packed)
    values = {"key_run_id": write.run_id, "new_head": head, "new_state": snapshot}
    if packed.run_row is not None or change(connection, _UPDATE_SNAPSHOT, values) == 0:
        insert_rows(connection, snapshots, [{"run_id": write.run_id, "head": head, "state": snapshot}])
    return []


def _is_stored(connection: Connection, packed: PackedWrite) -> bool:
    """Whether exactly this write was committed before, its answer having been lost."""
    write = packed.write
    run = lock_run(connection, write.run_id)
    if run is None or not write.facts or (run.epoch, run.head) != (write.epoch, write.new_head):
        return False
    if (write.actor or run.actor, write.lease_id or run.lease_id) != (run.actor, run.lease_id):
        return False
    key = {"key_run_id": write.run_id, "key_last_number": write.new_head}
    row = connection.execute(_LAST_FACTS, key).one_or_none()
    return row is not None and (row.first_number, row.facts) == (write.head + 1, packed.facts)


def _take(connection: Connection, run_id: str, item_ids: Sequence[str], number: int) -> None:
    for item_id in item_ids:
        key = {"key_item_id": item_id, "key_run_id": run_id, "new_taken_number": number}
        if change(connection, _TAKE, key) != 1:
            raise FencedError(run_id)


def _take_all(connection: Connection, run_id: str, least: Sequence[str], number: int) -> None:
    """Take every item that is left, ``least`` among them."""
    key = {"key_run_id": run_id, "new_taken_number": number}
    if not least:
        change(connection, _TAKE_ALL, key)
    elif not {row.item_id for row in fetch(connection, _TAKE_ALL_TELLING, key)}.issuperset(least):
        raise FencedError(run_id)
