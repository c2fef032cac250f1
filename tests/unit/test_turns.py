"""Runs that wait for an actor: short ones go together in one call, long ones alone, none is lost or overtaken."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest
import uuid_utils

from actors.calls import SUPERVISOR
from actors.errors import ActorAwayError, BusyError, QueueFullError
from actors.leases import LeaseHolder
from actors.messages import Lease, LeaseRequest, RunOrder, RunOutcome, order_run
from actors.turns import MOST, SHORT_S, Turns
from store.run_record import NewRun


class Actors:
    """A supervisor with some leases, and actors that execute one call at a time when they are let."""

    def __init__(self, leases: int, queue_limit: int = 100) -> None:
        self.calls: list[list[str]] = []
        """The ids of the runs of each call, in order."""
        self.names: list[str] = []
        self.long: set[str] = set()
        """Runs that take long."""
        self.stalled: set[str] = set()
        """Short runs whose store takes long."""
        self.dead: set[str] = set()
        """Runs whose actor dies."""
        self.told: list[str] = []
        self.gate = asyncio.Event()
        self._left = leases
        self._returned = asyncio.Event()
        self._ids = count(1)
        self.turns = Turns(LeaseHolder("test", 1000.0, queue_limit, ask=self.lease, tell=self.tell), self.ask)

    async def lease(self, _actor: str, _method: str, _request: LeaseRequest) -> Lease:
        """Give a lease as long as there is one."""
        while not self._left:
            self._returned.clear()
            await self._returned.wait()
        self._left -= 1
        lease_id = f"lease-{next(self._ids)}"
        return Lease(lease_id, f"actor-of-{lease_id}")

    def tell(self, actor: str, method: str, _lease_id: str) -> None:
        """Note what the supervisor is told; what is given back can be had again."""
        assert actor == SUPERVISOR
        self.told.append(method)
        self._left += 1
        self._returned.set()

    async def ask(self, actor: str, method: str, argument: Any, _lease_id: str, *, call_name: str, patience_s: float):
        """Execute runs as a run actor does."""
        assert patience_s == 0.0
        orders: Sequence[RunOrder] = [argument] if method == "run" else argument
        self.calls.append([order.run_id for order in orders])
        self.names.append(call_name)
        await self.gate.wait()
        if self.dead & {order.run_id for order in orders}:
            raise ActorAwayError(actor)
        if method == "run":
            return outcome_of(orders[0], 2 * SHORT_S if orders[0].run_id in self.long else SHORT_S / 2)
        ended = []
        for order in orders:
            if order.run_id in self.long | self.stalled:
                break
            ended.append(outcome_of(order, SHORT_S / 2))
        return ended

    def executed(self) -> list[str]:
        """The ids of the runs of all calls, in order."""
        return [run_id for call in self.calls for run_id in call]

    async def warm_up(self) -> None:
        """Let so many short runs execute, one after the other, that as many as may be go together."""
        self.gate.set()
        for _ in range(MOST):
            await self.turns.run(new_order())
        self.gate.clear()
        self.calls.clear()
        self.names.clear()
        self.told.clear()

    async def begin(self, orders: Sequence[RunOrder]) -> "list[asyncio.Task[RunOutcome]]":
        """Start runs; on return each executes or waits."""
        tasks = [asyncio.create_task(self.turns.run(order)) for order in orders]
        await settle()
        return tasks


def outcome_of(order: RunOrder, elapsed_s: float) -> RunOutcome:
    """How a run ended."""
    return RunOutcome(order.run_id, "succeeded", {}, None, elapsed_s, 0, 3, 0, 1.0, 2.0)


def new_order() -> RunOrder:
    """The order of a new run."""
    run_id = str(uuid_utils.uuid7())
    return order_run(NewRun(run_id, "ws", "app", "v", "workflow", "service-api", "end_user", "u", "somebody", {}, 1.0))


def ids_of(orders: Sequence[RunOrder]) -> list[str]:
    """The ids of runs."""
    return [order.run_id for order in orders]


async def settle(is_true: Callable[[], bool] = lambda: False) -> None:
    """Let the other tasks run until ``is_true``, for a while at most."""
    for _ in range(200):
        if is_true():
            return
        await asyncio.sleep(0)


@pytest.fixture
def orders() -> list[RunOrder]:
    """Enough runs for two calls."""
    return [new_order() for _ in range(MOST + 3)]


async def test_first_runs_go_alone_then_more_together(orders: list[RunOrder]):
    """Until runs have turned out to be short, each has a call of its own; everybody gets the outcome of his own run."""
    actors = Actors(1)
    actors.gate.set()
    tasks = await actors.begin(orders)
    assert [(await task).run_id for task in tasks] == ids_of(orders)
    assert [len(call) for call in actors.calls] == [1, 2, 4, len(orders) - 7]
    assert actors.executed() == ids_of(orders)
    assert [name.split() for name in actors.names] == actors.calls, "a call is named by its runs"


async def test_no_more_than_the_limit_go_together(orders: list[RunOrder]):
    """A call never carries more than ``MOST`` runs."""
    actors = Actors(1)
    await actors.warm_up()
    tasks = await actors.begin(orders)
    actors.gate.set()
    await asyncio.gather(*tasks)
    assert [len(call) for call in actors.calls] == [MOST, 3]


async def test_actors_in_use_share_what_waits():
    """An actor that becomes free leaves the others theirs."""
    actors = Actors(2)
    await actors.warm_up()
    tasks = await actors.begin([new_order()]) + await actors.begin([new_order()])
    assert [len(call) for call in actors.calls] == [1, 1]
    tasks += await actors.begin([new_order() for _ in range(5)])
    actors.gate.set()
    await asyncio.gather(*tasks)
    assert [len(call) for call in actors.calls[2:]] == [3, 1, 1]


async def test_runs_behind_a_long_one_are_not_kept_by_it(orders: list[RunOrder]):
    """What has not begun when a run turns out to be long waits again, first; the long one is asked for alone."""
    actors = Actors(1)
    await actors.warm_up()
    short, long, *others, later = orders[:5]
    actors.long = {long.run_id}
    tasks = await actors.begin([short, long, *others]) + await actors.begin([later])
    actors.gate.set()
    outcomes = await asyncio.gather(*tasks)
    assert [outcome.run_id for outcome in outcomes] == ids_of(orders[:5])
    assert actors.calls[:2] == [ids_of([short, long, *others]), [long.run_id]]
    assert actors.calls[2] == [others[0].run_id], "after a long run each goes alone again"
    assert actors.executed()[5:] == ids_of([*others, later]), "what came later is behind them"
    assert actors.told == []


async def test_slow_store_does_not_make_runs_long(orders: list[RunOrder]):
    """Runs that are given back because a short one waited for the store go together again."""
    actors = Actors(1)
    await actors.warm_up()
    actors.stalled = {orders[1].run_id}
    tasks = await actors.begin(orders[:6])
    actors.gate.set()
    outcomes = await asyncio.gather(*tasks)
    assert [outcome.run_id for outcome in outcomes] == ids_of(orders[:6])
    assert [len(call) for call in actors.calls] == [6, 1, 2, 2]


async def test_death_of_an_actor_is_told_to_all_whose_runs_it_had(orders: list[RunOrder]):
    """Nobody knows which of them had begun, so each looks for its own; the next runs go alone."""
    actors = Actors(1)
    await actors.warm_up()
    actors.dead = {orders[1].run_id}
    tasks = await actors.begin(orders[:3])
    actors.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [ActorAwayError] * 3
    assert actors.told == ["give_up"]
    assert len(await asyncio.gather(*await actors.begin(orders[3:6]))) == 3
    assert [len(call) for call in actors.calls] == [3, 1, 2]


async def test_run_is_refused_when_too_many_wait():
    """The queue is bounded, and a refused run is never executed."""
    actors = Actors(1, queue_limit=1)
    tasks = await actors.begin([new_order()]) + await actors.begin([new_order()])
    with pytest.raises(QueueFullError):
        await actors.turns.run(new_order())
    actors.gate.set()
    await asyncio.gather(*tasks)
    assert sum(map(len, actors.calls)) == 2


async def test_run_whose_caller_leaves_is_executed(orders: list[RunOrder]):
    """A start goes on without whoever asked for it, and the others that go along get their outcomes."""
    actors = Actors(1)
    await actors.warm_up()
    tasks = await actors.begin(orders[:4])
    tasks[2].cancel()
    actors.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[2], asyncio.CancelledError)
    assert [result.run_id for result in (results[0], results[1], results[3])] == ids_of(
        [orders[0], orders[1], orders[3]]
    )
    assert actors.executed() == ids_of(orders[:4])


async def test_busy_actor_drops_the_lease_and_says_so():
    """A run that another one keeps out is not begun; whoever asked may try again."""
    actors = Actors(1)

    async def refuse(*_args: Any, **_named: Any) -> Any:
        raise BusyError("another")

    actors.turns = Turns(LeaseHolder("test", 1000.0, 10, ask=actors.lease, tell=actors.tell), refuse)
    with pytest.raises(BusyError):
        await actors.turns.run(new_order())
    assert actors.told == ["give_up"]
