"""Which run actors there are and who may use them. Plain bookkeeping: it decides, its owner acts.

A slot is in one of four states::

    free      nobody uses it
    advance   leased to be held, not used yet; may be taken back when somebody waits
    leased    leased to be used at once
    busy      believed to execute a run; a release or a ping that finds it idle frees it

Leases are hints. The run actor itself refuses a second run, so a wrong belief here costs a detour, never a run.
Waiting requests are served in this order: runs that go on, refused before, first come first served, in advance.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from actors.errors import QueueFullError
from actors.messages import Lease, LeaseRequest

GRACE_S = 2.0
"""How long a slot is believed to be busy while its run call may still be on its way."""
SPARE_FROM = 0.8
"""Share of its runs after which an actor's successor is brought up."""
USE_WITHIN_S = 5.0
"""How long a lease that is to be used at once is kept for an asker that may have died."""

SlotState = Literal["free", "advance", "leased", "busy"]


@dataclass(slots=True)
class Slot:
    """One run actor. ``until``: when its state stops being believed; ``order`` rises with each lease.

    ``was_released``: a run ended there after its present lease was granted, so that the lease, if it is refused,
    can be given to somebody at once.
    """

    actor_name: str
    runs_served: int = 0
    state: SlotState = "free"
    lease_id: str = field(default="", repr=False)
    holder: str = ""
    until: float = 0.0
    order: int = 0
    was_released: bool = False


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

    def ask(self, request: LeaseRequest, now: float) -> int:
        """Let ``request`` wait; return its ticket. ``grants`` tells when it is served.

        Raises:
            QueueFullError: as many starts wait as may, and no actor can be had at once.
        """
        self._note_used(request.used, now)
        self._note_refused(request.refused, now)
        is_counted = not (request.in_advance or request.continues or request.refused)
        waiting_count = self.waiting_count
        if is_counted and waiting_count >= self._queue_limit and not self._can_serve(waiting_count):
            raise QueueFullError(waiting_count)
        ticket = next(self._tickets)
        self._waiting[ticket] = request
        return ticket

    def cancel(self, ticket: int) -> None:
        """Forget a request whose asker has gone."""
        self._waiting.pop(ticket, None)

    def give_back(self, lease_id: str) -> None:
        """Free the slot of a lease that never reached its asker."""
        slot = self._slot_of(lease_id)
        if slot is not None and slot.state in ("advance", "leased"):
            slot.state = "free"

    def grants(self, now: float) -> list[Grant]:
        """Return the leases that can be given now, in order of who goes first."""
        granted: list[Grant] = []
        for ticket, request in sorted(self._waiting.items(), key=_turn):
            slot = self._slot_for(request)
            if slot is None:
                continue
            del self._waiting[ticket]
            granted.append(Grant(ticket, self._lease(slot, request, now)))
        return granted

    def renew(self, lease_id: str, now: float) -> bool:
        """Prolong a lease in advance; False when it is not the holder's any more."""
        slot = self._slot_of(lease_id)
        if slot is None or slot.state != "advance":
            return False
        slot.until = now + self._lease_ttl_s
        return True

    def release(self, actor_name: str, lease_id: str, runs_served: int) -> bool:
        """Note that a run ended on an actor; return whether that actor is to be replaced.

        The caller then removes it and puts a new one in its place.
        """
        slot = self._slots.get(actor_name)
        if slot is None:
            return False
        slot.runs_served = runs_served
        if runs_served >= self._runs_per_actor:
            return True
        if slot.lease_id == lease_id or slot.state == "busy":
            slot.state = "free"
        else:
            # The run was begun on a lease that had been taken back; the present holder is about to come or be refused.
            slot.was_released = True
        return False

    def is_nearly_served(self, runs_served: int) -> bool:
        """Whether an actor will soon be replaced, so that its successor should be brought up now."""
        return runs_served >= self._runs_per_actor * SPARE_FROM

    def note_ping(self, actor_name: str, run_id: str, runs_served: int, now: float) -> None:
        """Correct the belief about an actor by what it said of itself."""
        slot = self._slots.get(actor_name)
        if slot is None:
            return
        slot.runs_served = runs_served
        if run_id:
            slot.state, slot.until = "busy", now
        elif slot.state != "free" and slot.until <= now:
            slot.state = "free"

    def _open_count(self) -> int:
        return sum(slot.state in ("free", "advance") for slot in self._slots.values())

    def _can_serve(self, waiting_count: int) -> bool:
        return self._open_count() > waiting_count

    def _slot_for(self, request: LeaseRequest) -> Slot | None:
        free = [slot for slot in self._slots.values() if slot.state == "free"]
        if request.in_advance:
            is_holding = any(slot.state == "advance" and slot.holder == request.holder for slot in self._slots.values())
            return free[0] if free and not is_holding else None
        held = [slot for slot in self._slots.values() if slot.state == "advance"]
        return free[0] if free else min(held, key=lambda slot: slot.order, default=None)

    def _lease(self, slot: Slot, request: LeaseRequest, now: float) -> Lease:
        slot.state = "advance" if request.in_advance else "leased"
        slot.lease_id = self._new_lease_id()
        slot.holder = request.holder
        slot.until = now + (self._lease_ttl_s if request.in_advance else USE_WITHIN_S)
        slot.order = next(self._orders)
        slot.was_released = False
        return Lease(slot.lease_id, slot.actor_name)

    def _note_used(self, lease_id: str, now: float) -> None:
        slot = self._slot_of(lease_id)
        if slot is not None and slot.state == "advance":
            slot.state, slot.until = "busy", now + GRACE_S

    def _note_refused(self, lease_id: str, now: float) -> None:
        slot = self._slot_of(lease_id)
        if slot is None or slot.state == "free":
            return
        if slot.was_released:
            slot.state = "free"
        else:
            slot.state, slot.until = "busy", now + GRACE_S

    def _slot_of(self, lease_id: str) -> Slot | None:
        return next((slot for slot in self._slots.values() if lease_id and slot.lease_id == lease_id), None)


def _turn(waiting: tuple[int, LeaseRequest]) -> tuple[int, int]:
    ticket, request = waiting
    if request.continues:
        return 0, ticket
    if request.refused:
        return 1, ticket
    return (3 if request.in_advance else 2), ticket
