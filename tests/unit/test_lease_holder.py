"""The leases of a process: used again without asking, shared in turn, dropped when in doubt."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from actors.errors import BusyError, QueueFullError
from actors.leases import LeaseHolder
from actors.messages import Lease, LeaseRequest
from graph.errors import InvalidInputError


class Supervisor:
    """Gives the leases it has, and hears what it is told."""

    def __init__(self, leases: int) -> None:
        self.left = leases
        self.requests: list[LeaseRequest] = []
        self.told: list[tuple[str, str]] = []
        self.lost: set[str] = set()
        self.renewed = asyncio.Event()
        self._ids = count(1)
        self._freed = asyncio.Event()

    def free(self) -> None:
        """Have one lease more."""
        self.left += 1
        self._freed.set()

    async def ask(self, _actor: str, method: str, argument: Any) -> Any:
        """Answer ``lease`` and ``renew``."""
        if method == "renew":
            self.renewed.set()
            return [lease_id for lease_id in argument if lease_id not in self.lost]
        self.requests.append(argument)
        while not self.left:
            self._freed.clear()
            await self._freed.wait()
        self.left -= 1
        lease_id = f"lease-{next(self._ids)}"
        return Lease(lease_id, f"actor-of-{lease_id}")

    def tell(self, _actor: str, method: str, lease_id: str) -> None:
        """Note what is told."""
        self.told.append((method, lease_id))

    def holder(self, queue_limit: int = 10, ttl_s: float = 1000.0) -> LeaseHolder:
        """A holder that knows this supervisor."""
        return LeaseHolder("test", ttl_s, queue_limit, ask=self.ask, tell=self.tell)


async def settle(is_true: Callable[[], bool] = lambda: False) -> None:
    """Let the other tasks run until ``is_true``, for a while at most."""
    for _ in range(200):
        if is_true():
            return
        await asyncio.sleep(0)


async def test_lease_in_advance_serves_run_after_run_without_asking():
    """Starting a run on the lease that is held is no call to the supervisor."""
    supervisor = Supervisor(1)
    holder = supervisor.holder()
    holder.hold()
    await settle(lambda: bool(supervisor.requests))
    for _ in range(3):
        async with holder.lease() as lease:
            assert lease.lease_id == "lease-1"
    assert [request.in_advance for request in supervisor.requests] == [True]
    assert supervisor.told == []
    await holder.close()


async def test_runs_take_turns_on_a_lease_that_becomes_free():
    """Runs that wait get the lease that another one gives back, in order, or a new one."""
    supervisor = Supervisor(1)
    holder = supervisor.holder()
    order: list[int] = []
    gates = [asyncio.Event() for _ in range(3)]

    async def run(number: int) -> None:
        async with holder.lease():
            order.append(number)
            await gates[number].wait()

    runs = [asyncio.create_task(run(number)) for number in range(3)]
    await settle()
    assert order == [0]
    gates[0].set()
    await settle()
    assert order == [0, 1]
    supervisor.free()
    await settle()
    assert order == [0, 1, 2]
    for gate in gates:
        gate.set()
    await asyncio.gather(*runs)
    await settle()
    assert len(supervisor.told) == 1, "one of two idle leases is given back"
    assert supervisor.told[0][0] == "give_back"
    await holder.close()


@pytest.mark.parametrize(
    ("error", "told"),
    [(BusyError("other"), ["give_up"]), (InvalidInputError("bad"), []), (asyncio.CancelledError(), ["give_up"])],
)
async def test_lease_is_dropped_unless_its_actor_is_known_to_be_idle(error: BaseException, told: list[str]):
    """A busy actor and an abandoned run end the lease; an error of the run itself does not."""
    supervisor = Supervisor(1)
    holder = supervisor.holder()
    with pytest.raises(type(error)):
        async with holder.lease():
            raise error
    assert [method for method, _ in supervisor.told] == told
    await holder.close()


async def test_run_is_refused_when_too_many_wait():
    """The queue of a process is bounded."""
    supervisor = Supervisor(0)
    holder = supervisor.holder(queue_limit=1)
    waiting = asyncio.create_task(anext_lease(holder))
    await settle()
    with pytest.raises(QueueFullError):
        await anext_lease(holder)
    waiting.cancel()
    await holder.close()


async def test_places_that_were_left_count_for_nothing():
    """Who has left the queue, from wherever in it, makes room."""
    holder = Supervisor(0).holder(queue_limit=2)
    first, second = holder.place(), holder.place()
    with pytest.raises(QueueFullError):
        holder.place()
    second.cancel()
    third = holder.place()
    with pytest.raises(QueueFullError):
        holder.place()
    assert not first.done()
    assert not third.done()
    await holder.close()


async def test_place_before_all_others_gets_the_next_lease():
    """What has waited already is not sent to the end again, and not refused for the length of the queue."""
    supervisor = Supervisor(0)
    holder = supervisor.holder(queue_limit=1)
    last = holder.place()
    first = holder.place(is_first=True)
    supervisor.free()
    assert (await first).lease_id == "lease-1"
    assert not last.done()
    await holder.close()


async def anext_lease(holder: LeaseHolder) -> Lease:
    """Take a lease and give it back."""
    async with holder.lease() as lease:
        return lease


async def test_cancelled_run_leaves_its_place():
    """A run that does not wait any more takes no lease."""
    supervisor = Supervisor(0)
    holder = supervisor.holder()
    gone, waiting = (asyncio.create_task(anext_lease(holder)) for _ in range(2))
    await settle()
    gone.cancel()
    supervisor.free()
    assert (await waiting).lease_id == "lease-1"
    await holder.close()


async def test_lease_that_is_not_renewed_is_not_used_again():
    """What the supervisor took back is forgotten, also while a run executes on it."""
    supervisor = Supervisor(2)
    holder = supervisor.holder(ttl_s=0.03)
    async with holder.lease() as lease:
        supervisor.lost.add(lease.lease_id)
        supervisor.renewed.clear()
        await supervisor.renewed.wait()
        await settle()
    async with holder.lease() as other:
        assert other.lease_id != lease.lease_id
    assert ("give_back", lease.lease_id) not in supervisor.told
    await holder.close()
