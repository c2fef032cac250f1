"""Which run actors there are and who may use them. Plain bookkeeping: it decides, its owner acts.

A slot is in one of three states::

    free    nobody may use it
    held    leased: its holder starts run after run on it, without asking, until it gives it back or is recalled
    busy    executes something that nobody here holds a lease for; a release or an idle ping frees it

Leases are hints. The run actor itself refuses a second run, so a wrong belief here costs a detour, never a run.
Waiting requests are served in this order: runs that go on, first come first served, in advance.
"""

import itertools
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from actors.errors import QueueFullError
from actors.messages import Lease, LeaseRequest

SPARE_FROM = 0.8
"""Share of its runs after which an actor's successor is brought up."""
SPREAD = 4
"""An actor serves up to this part of its runs less."""

SlotState = Literal["free", "held", "busy"]


@dataclass(slots=True)
class Slot:
    """One run actor. ``until``: when its lease runs out; ``order`` rises with each lease.

    ``is_recalled``: its lease is being taken back, or was and its last run is awaited.
    """

    actor_name: str
    runs_served: int = 0
    state: SlotState = "free"
    lease_id: str = field(default="", repr=False)
    holder: str = ""
    until: float = 0.0
    order: int = 0
    is_recalled: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease for the waiting request ``ticket``."""

    ticket: int
    lease: Lease


class Pool:
    """At most ``size`` run actors and the requests that wait for one."""

    def __init__(
        self, size: int, queue_limit: int, runs_per_actor: int, lease_ttl_s: float, new_lease_id: Callable[[], str]
    ) -> None:
        self._size = size
        self._queue_limit = queue_limit
        self._runs_per_actor = runs_per_actor
        self._lease_ttl_s = lease_ttl_s
        self._new_lease_id = new_lease_id
        self._slots: dict[str, Slot] = {}
        self._waiting: dict[int, LeaseRequest] = {}
        self._tickets = itertools.count(1)
        self._orders = itertools.count(1)

    def __contains__(self, actor_name: str) -> bool:
        return actor_name in self._slots

    @property
    def actor_names(self) -> list[str]:
        """The run actors in use."""
        return list(self._slots)

    @property
    def missing_count(self) -> int:
        """How many actors the pool is short of."""
        return max(0, self._size - len(self._slots))

    @property
    def waiting_count(self) -> int:
        """How many starts wait, leases in advance and runs that go on not counted."""
        return sum(not (request.in_advance or request.continues) for request in self._waiting.values())

    def add(self, actor_name: str, now: float, runs_served: int = 0, run_id: str = "") -> None:
        """Take a run actor in; ``run_id``: what it executes already, "" when it is idle."""
        state: SlotState = "busy" if run_id else "free"
        self._slots[actor_name] = Slot(actor_name, runs_served, state, until=now)

    def remove(self, actor_name: str) -> None:
        """Drop an actor that died or is to be replaced."""
        self._slots.pop(actor_name, None)

    def ask(self, request: LeaseRequest) -> int:
        """Let ``request`` wait; return its ticket. ``grants`` tells when it is served.

        Raises:
            QueueFullError: as many starts wait as may, and no actor can be had at once.
        """
        waiting_count = self.waiting_count
        if not (request.in_advance or request.continues) and waiting_count >= self._queue_limit:
            free_count = sum(slot.state == "free" for slot in self._slots.values())
            if waiting_count >= free_count + len(self._recallable(request)):
                raise QueueFullError(waiting_count)
        ticket = next(self._tickets)
        self._waiting[ticket] = request
        return ticket

    def cancel(self, ticket: int) -> None:
        """Forget a request whose asker has gone."""
        self._waiting.pop(ticket, None)

    def grants(self, now: float) -> list[Grant]:
        """Return the leases that can be given now, in order of who goes first."""
        granted: list[Grant] = []
        for ticket, request in sorted(self._waiting.items(), key=_turn):
            slot = next((slot for slot in self._slots.values() if slot.state == "free"), None)
            if slot is None:
                break
            if request.in_advance and self._is_holding(request.holder):
                continue
            del self._waiting[ticket]
            granted.append(Grant(ticket, self._lease(slot, request, now)))
        return granted

    def recalls(self) -> list[Lease]:
        """Return the leases to take back for those who wait, the longest held first; ``recalled`` tells the result.

        Nobody's lease is recalled for its own holder, nor for a lease in advance.
        """
        wanting = [request for _, request in sorted(self._waiting.items(), key=_turn) if not request.in_advance]
        under_way = sum(slot.is_recalled for slot in self._slots.values())
        recalled = []
        for request in wanting[under_way:]:
            slot = min(self._recallable(request), key=lambda slot: slot.order, default=None)
            if slot is not None:
                slot.is_recalled = True
                recalled.append(Lease(slot.lease_id, slot.actor_name))
        return recalled

    def give_up(self, lease_id: str) -> Lease | None:
        """Return the lease to recall because its holder does not know what its actor does; None if it is not held."""
        slot = self._slot_of(lease_id)
        if slot is None or slot.is_recalled:
            return None
        slot.is_recalled = True
        return Lease(slot.lease_id, slot.actor_name)

    def recalled(self, lease_id: str, is_idle: bool, now: float) -> None:
        """Note that an actor does not honour a lease any more; unless it is idle, it will tell of its release."""
        slot = self._slot_of(lease_id)
        if slot is not None and slot.is_recalled:
            slot.state, slot.until, slot.is_recalled = ("free" if is_idle else "busy"), now, not is_idle

    def give_back(self, lease_id: str) -> None:
        """Free the slot of a lease that its holder does not need any more."""
        slot = self._slot_of(lease_id)
        if slot is not None:
            # Also when the lease had run out meanwhile: nobody has been given a newer one.
            slot.state, slot.is_recalled = "free", False

    def renew(self, lease_ids: list[str], now: float) -> list[str]:
        """Prolong leases; return those that are still their holder's."""
        renewed = []
        for lease_id in lease_ids:
            slot = self._slot_of(lease_id)
            if slot is not None and slot.state == "held":
                slot.until = now + self._lease_ttl_s
                renewed.append(lease_id)
        return renewed

    def release(self, actor_name: str, lease_id: str, runs_served: int) -> bool:
        """Note what an actor says at the end of a run; return whether it is to be replaced.

        ``lease_id``: the recalled lease under which it had executed the run, "" when its holder goes on. The caller
        removes an actor that is to be replaced and puts a new one in its place.
        """
        slot = self._slots.get(actor_name)
        if slot is None:
            return False
        slot.runs_served = runs_served
        if runs_served >= limit_of(actor_name, self._runs_per_actor):
            return True
        if lease_id and slot.lease_id == lease_id:
            slot.state, slot.is_recalled = "free", False
        return False

    def note_ping(self, actor_name: str, run_id: str, runs_served: int, now: float) -> None:
        """Correct the belief about an actor by what it said of itself."""
        slot = self._slots.get(actor_name)
        if slot is None:
            return
        slot.runs_served = runs_served
        if slot.state == "held" and slot.until > now:
            return
        if run_id:
            slot.state, slot.until = "busy", now
        else:
            slot.state, slot.is_recalled = "free", False

    def _lease(self, slot: Slot, request: LeaseRequest, now: float) -> Lease:
        slot.state = "held"
        slot.lease_id = self._new_lease_id()
        slot.holder = request.holder
        slot.until = now + self._lease_ttl_s
        slot.order = next(self._orders)
        slot.is_recalled = False
        return Lease(slot.lease_id, slot.actor_name)

    def _is_holding(self, holder: str) -> bool:
        return any(slot.state == "held" and slot.holder == holder for slot in self._slots.values())

    def _recallable(self, request: LeaseRequest) -> list[Slot]:
        return [
            slot
            for slot in self._slots.values()
            if slot.state == "held" and not slot.is_recalled and slot.holder != request.holder
        ]

    def _slot_of(self, lease_id: str) -> Slot | None:
        return next((slot for slot in self._slots.values() if lease_id and slot.lease_id == lease_id), None)


def count_by_state(pool: Pool) -> dict[SlotState, int]:
    """Return how many run actors are in each state."""
    counts: dict[SlotState, int] = {"free": 0, "held": 0, "busy": 0}
    for slot in pool._slots.values():
        counts[slot.state] += 1
    return counts


def limit_of(actor_name: str, runs_per_actor: int) -> int:
    """Return after how many runs an actor is replaced: its name says how many fewer than ``runs_per_actor``.

    Actors that came up together would otherwise be replaced together, and nobody could run anything meanwhile.
    """
    return runs_per_actor - zlib.crc32(actor_name.encode()) % (runs_per_actor // SPREAD + 1)


def spare_mark(limit: int) -> int:
    """Return after how many runs an actor will soon be replaced, so that its successor is to be brought up."""
    return math.ceil(limit * SPARE_FROM)


def _turn(waiting: tuple[int, LeaseRequest]) -> tuple[int, int]:
    ticket, request = waiting
    if request.continues and not request.in_advance:
        return 0, ticket
    return (2 if request.in_advance else 1), ticket
