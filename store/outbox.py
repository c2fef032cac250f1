"""The outbox: what is to be sent, who sends it now, and what came of it.

``Outbox`` says the rules; ``SqlOutbox`` keeps them in SQL, the memory twin is ``store.memory_outbox``. Entries
come in with the transactions that decide them (``store.outbox_rows``); the courier alone takes them out. A claim moves
the next try into the future, so that nobody else tries meanwhile and a courier that dies leaves the entry to the next.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Protocol

import orjson
from sqlalchemy import Connection, bindparam, func, null, select, update

from store.database import AnyRow, Database
from store.outbox_record import DeliveryState, OutboxEntry
from store.outbox_tables import is_pending, outbox
from store.tables import form_recipients


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt of an entry.

    ``state``: pending where it is to be tried again at ``next_at``. ``error``: why it was not sent, without a secret.
    """

    state: DeliveryState
    at: float
    error: str = ""
    next_at: float | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """How something to send fares, for whoever wrote the workflow. ``to``: an address or a webhook's URL.

    ``next_at``: when it is tried next, None where it is not any more. Times are Unix seconds.
    """

    entry_id: str
    kind: Literal["mail", "webhook"]
    occasion: str
    to: str
    state: DeliveryState
    attempts: int
    last_error: str
    due_at: float
    next_at: float | None
    sent_at: float | None
    recipient_id: str | None


class Outbox(Protocol):
    """Lends entries to couriers. Every operation is one transaction, durable when it returns."""

    async def claim(self, now: float, until: float, limit: int) -> list[OutboxEntry]:
        """Return due entries, longest due first, which no other caller gets before ``until``.

        ``attempts`` of each is one more than before, and names this claim.
        """
        ...

    async def record(self, entry: OutboxEntry, attempt: Attempt) -> None:
        """Store what came of a claimed entry.

        Nothing is stored where it was claimed anew since, unless it was sent, which is so whoever claimed it.
        """
        ...

    async def resend(self, form_id: str, now: float) -> int:
        """Make the failed mails and events of a form due again, with all their attempts; return how many."""
        ...

    async def next_at(self) -> float | None:
        """Return when the next entry is due, None where nothing is left to send."""
        ...

    async def deliveries(self, form_id: str) -> list[Delivery]:
        """Return how the mails and events of a form fare, in the order in which they were due."""
        ...

    async def deliveries_of_run(self, run_id: str) -> list[Delivery]:
        """Return how the events of a run fare, those of its forms included, in the order in which they were due."""
        ...

    async def counts(self) -> dict[tuple[str, str], int]:
        """Return (kind, state) -> how many entries; absent where there is none."""
        ...


_DUE = (
    select(outbox)
    .where(is_pending, outbox.c.next_at <= bindparam("key_now"))
    .order_by(outbox.c.next_at)
    .limit(bindparam("key_limit"))
    .with_for_update(skip_locked=True)
)
_OPEN = update(outbox).where(outbox.c.entry_id == bindparam("key_entry_id"), is_pending)
_CLAIMED = _OPEN.where(outbox.c.attempts == bindparam("key_attempts"))
_CLAIM = _CLAIMED.values(attempts=bindparam("new_attempts"), next_at=bindparam("new_next_at"))
_RECORDED = {name: bindparam(f"new_{name}") for name in ("state", "last_error", "next_at", "message_id", "sent_at")}
_RECORD = _CLAIMED.values(_RECORDED)
_RECORD_SENT = _OPEN.values(_RECORDED)
_RESEND = (
    update(outbox)
    .where(outbox.c.form_id == bindparam("key_form_id"), outbox.c.state == "failed")
    .values(state="pending", attempts=0, next_at=bindparam("new_next_at"))
)
_NEXT_AT = select(func.min(outbox.c.next_at)).where(is_pending)
_OF_FORM = (
    select(outbox, form_recipients.c.payload)
    .outerjoin(form_recipients, form_recipients.c.recipient_id == outbox.c.recipient_id)
    .where(outbox.c.form_id == bindparam("key_id"))
    .order_by(outbox.c.due_at, outbox.c.entry_id)
)
_OF_RUN = (
    select(outbox, null().label("payload"))
    .where(outbox.c.run_id == bindparam("key_id"))
    .order_by(outbox.c.due_at, outbox.c.entry_id)
)
_COUNTS = select(outbox.c.kind, outbox.c.state, func.count().label("entries")).group_by(outbox.c.kind, outbox.c.state)
_ENTRY_FIELDS = tuple(part.name for part in fields(OutboxEntry))


class SqlOutbox:
    """Implements Outbox over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, now: float, until: float, limit: int) -> list[OutboxEntry]:
        """Return due entries that are the caller's until ``until``; see Outbox."""

        def work(connection: Connection) -> list[OutboxEntry]:
            claimed = []
            for row in connection.execute(_DUE, {"key_now": now, "key_limit": limit}).all():
                entry = OutboxEntry(**{name: getattr(row, name) for name in _ENTRY_FIELDS})
                taken = replace(entry, attempts=entry.attempts + 1, next_at=until)
                if connection.execute(_CLAIM, _key(entry) | _new(attempts=taken.attempts, next_at=until)).rowcount:
                    claimed.append(taken)
            return claimed

        return await self._database.write(work)

    async def record(self, entry: OutboxEntry, attempt: Attempt) -> None:
        """Store what came of a claimed entry; see Outbox."""
        after = recorded(entry, attempt)
        values = _new(**{name: getattr(after, name) for name in _RECORDED})
        if attempt.state == "sent":
            statement, key = _RECORD_SENT, {"key_entry_id": entry.entry_id}
        else:
            statement, key = _RECORD, _key(entry)
        await self._database.write(lambda connection: connection.execute(statement, key | values))

    async def resend(self, form_id: str, now: float) -> int:
        """Make what failed of a form due again; see Outbox."""
        values = {"key_form_id": form_id, "new_next_at": now}
        return await self._database.write(lambda connection: connection.execute(_RESEND, values).rowcount)

    async def next_at(self) -> float | None:
        """Return when the next entry is due; see Outbox."""
        return await self._database.read(lambda connection: connection.execute(_NEXT_AT).scalar())

    async def deliveries(self, form_id: str) -> list[Delivery]:
        """Return how the mails and events of a form fare; see Outbox."""
        rows = await self._database.read(lambda connection: connection.execute(_OF_FORM, {"key_id": form_id}).all())
        return [_delivery_of(row) for row in rows]

    async def deliveries_of_run(self, run_id: str) -> list[Delivery]:
        """Return how the events of a run fare; see Outbox."""
        rows = await self._database.read(lambda connection: connection.execute(_OF_RUN, {"key_id": run_id}).all())
        return [_delivery_of(row) for row in rows]

    async def counts(self) -> dict[tuple[str, str], int]:
        """Return how many entries there are of each kind and state; see Outbox."""
        rows = await self._database.read(lambda connection: connection.execute(_COUNTS).all())
        return {(row.kind, row.state): row.entries for row in rows}


def recorded(entry: OutboxEntry, attempt: Attempt) -> OutboxEntry:
    """Return ``entry`` as ``attempt`` leaves it."""
    return replace(
        entry,
        state=attempt.state,
        last_error=attempt.error,
        next_at=entry.next_at if attempt.next_at is None else attempt.next_at,
        message_id=attempt.message_id or entry.message_id,
        sent_at=attempt.at if attempt.state == "sent" else None,
    )


def delivery(entry: OutboxEntry, email: str) -> Delivery:
    """Return what an author sees of ``entry``; ``email``: the address of its recipient, "" for an event."""
    return Delivery(
        entry.entry_id,
        entry.kind,
        entry.occasion,
        entry.target or email,
        entry.state,
        entry.attempts,
        entry.last_error,
        entry.due_at,
        entry.next_at if entry.state == "pending" else None,
        entry.sent_at,
        entry.recipient_id,
    )


def _delivery_of(row: AnyRow) -> Delivery:
    payload = orjson.loads(row.payload) if row.payload else {}
    return delivery(
        OutboxEntry(**{name: getattr(row, name) for name in _ENTRY_FIELDS}), str(payload.get("email") or "")
    )


def _key(entry: OutboxEntry) -> dict[str, Any]:
    return {"key_entry_id": entry.entry_id, "key_attempts": entry.attempts}


def _new(**values: Any) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in values.items()}
