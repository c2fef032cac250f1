"""The memory twin of the outbox: the rules of ``store.outbox.Outbox`` over the rows of the memory twins."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from store.memory_store import MemoryStore
from store.outbox import Attempt, Delivery, delivery, recorded
from store.outbox_record import OutboxEntry


class MemoryOutbox:
    """Implements Outbox in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def claim(self, now: float, until: float, limit: int) -> list[OutboxEntry]:
        """Return due entries that are the caller's until ``until``; see Outbox."""
        due = sorted(
            (entry for entry in self._store.outbox.values() if entry.state == "pending" and entry.next_at <= now),
            key=lambda entry: entry.next_at,
        )[:limit]
        claimed = [replace(entry, attempts=entry.attempts + 1, next_at=until) for entry in due]
        self._store.outbox |= {entry.entry_id: entry for entry in claimed}
        return claimed

    async def record(self, entry: OutboxEntry, attempt: Attempt) -> None:
        """Store what came of a claimed entry; see Outbox."""
        stored = self._store.outbox[entry.entry_id]
        if stored.state == "pending" and (stored.attempts == entry.attempts or attempt.state == "sent"):
            self._store.outbox[entry.entry_id] = recorded(entry, attempt)

    async def resend(self, form_id: str, now: float) -> int:
        """Make what failed of a form due again; see Outbox."""
        failed = [each for each in self._store.outbox.values() if (each.form_id, each.state) == (form_id, "failed")]
        for each in failed:
            self._store.outbox[each.entry_id] = replace(each, state="pending", attempts=0, next_at=now)
        return len(failed)

    async def next_at(self) -> float | None:
        """Return when the next entry is due; see Outbox."""
        return min((entry.next_at for entry in self._store.outbox.values() if entry.state == "pending"), default=None)

    async def deliveries(self, form_id: str) -> list[Delivery]:
        """Return how the mails and events of a form fare; see Outbox."""
        return self._deliveries(lambda entry: entry.form_id == form_id)

    async def deliveries_of_run(self, run_id: str) -> list[Delivery]:
        """Return how the events of a run fare; see Outbox."""
        return self._deliveries(lambda entry: entry.run_id == run_id)

    async def counts(self) -> dict[tuple[str, str], int]:
        """Return how many entries there are of each kind and state; see Outbox."""
        counted: Counter[tuple[str, str]] = Counter()
        counted.update((entry.kind, entry.state) for entry in self._store.outbox.values())
        return dict(counted)

    def _deliveries(self, is_meant: Callable[[OutboxEntry], bool]) -> list[Delivery]:
        found = [entry for entry in self._store.outbox.values() if is_meant(entry)]
        found.sort(key=lambda entry: (entry.due_at, entry.entry_id))
        return [delivery(entry, self._email(entry)) for entry in found]

    def _email(self, entry: OutboxEntry) -> str:
        recipient = self._store.recipients.get(entry.recipient_id or "")
        return str(recipient.payload.get("email") or "") if recipient else ""
