"""Has the new runs of one process executed on leased actors: by a call for each, or by one for several that wait.

A call to an actor that stands idle costs more than a short run, so runs that wait anyway go together as long as runs
turn out to be short. They still execute one after the other, each durable before its outcome is told.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ray.exceptions import RayError

from actors.background import Background
from actors.calls import ask
from actors.leases import LeaseHolder
from actors.messages import Lease, RunOrder, RunOutcome
from graph.errors import GreenroomError

MOST = 8
"""How many runs go together at most."""
SHORT_S = 0.02
"""Runs that execute for less, what the store takes apart, may go together with others."""
TURN_S = 0.1
"""How long one of them may take, the store included, before those behind it are given back."""


@dataclass(slots=True, eq=False)
class _Waiting:
    order: RunOrder
    outcome: asyncio.Future[RunOutcome]
    place: asyncio.Future[Lease]


class Turns:
    """The new runs of this process that wait for an actor. Belongs to one event loop."""

    def __init__(self, leases: LeaseHolder, ask: Callable[..., Awaitable[Any]] = ask) -> None:
        """Prepare.

        Args:
            leases: gives the actors.
            ask: calls a method of one.
        """
        self._leases = leases
        self._ask = ask
        self._queue: deque[_Waiting] = deque()
        self._most = 1
        """How many runs may go together next time: more while they are short, one while one of them takes long."""
        self._background = Background()

    async def run(self, order: RunOrder) -> RunOutcome:
        """Have an actor execute a new run; raises as ``RunActor.run``. A caller that is cancelled changes nothing.

        Raises:
            QueueFullError: too many starts wait; nothing was started.
            ActorAwayError: the actor died, before, during or after the run; or the supervisor is away.
        """
        waiting = _Waiting(order, asyncio.get_running_loop().create_future(), self._leases.place())
        self._queue.append(waiting)
        waiting.place.add_done_callback(lambda place: self._go(waiting, place))
        return await waiting.outcome

    async def close(self) -> None:
        """Wait for no outcome any more; runs go on."""
        await self._background.close()

    def _go(self, first: _Waiting, place: asyncio.Future[Lease]) -> None:
        """Have ``first`` executed, whose place has ended, and with it the next that wait."""
        if place.cancelled():
            return  # it went along with another
        self._queue.remove(first)
        error = place.exception()
        if error is not None:
            _settle(first, error)
            return
        # Other leases that are in use will be free as soon as this one: they get their share.
        count = min(self._most, 1 + len(self._queue) // max(self._leases.used_count, 1))
        along = list(islice((waiting for waiting in self._queue if not waiting.place.done()), count - 1))
        for waiting in along:
            self._queue.remove(waiting)
            waiting.place.cancel()
        self._background.start(self._execute(place.result(), [first, *along]), first.order.run_id)

    def _put_back(self, runs: Sequence[_Waiting]) -> None:
        """Have runs that have not begun wait again, before all others."""
        for waiting in reversed(runs):
            waiting.place = self._leases.place(is_first=True)
            self._queue.appendleft(waiting)
            waiting.place.add_done_callback(lambda place, waiting=waiting: self._go(waiting, place))

    async def _execute(self, lease: Lease, runs: list[_Waiting]) -> None:
        left = deque(runs)
        try:
            with self._leases.using(lease):
                if len(runs) > 1:
                    await self._execute_together(lease, left)
                if left:
                    order = left[0].order
                    outcome = await self._call(lease, "run", order, order.run_id)
                    self._note(outcome)
                    _settle(left.popleft(), outcome)
        except (GreenroomError, RayError) as error:
            self._most = 1
            while left:
                _settle(left.popleft(), error)
        finally:
            for waiting in left:
                waiting.outcome.cancel()

    async def _execute_together(self, lease: Lease, left: deque[_Waiting]) -> None:
        """Have runs executed one after the other; at most the one that is to be asked for alone stays in ``left``."""
        orders = [waiting.order for waiting in left]
        names = " ".join(order.run_id for order in orders)
        for outcome in await self._call(lease, "run_in_turn", orders, names):
            self._note(outcome)
            _settle(left.popleft(), outcome)
        if left:
            # Until it is known whether that run is long, or the store slow.
            self._most = 1
        self._put_back([left.pop() for _ in range(len(left) - 1)][::-1])

    def _note(self, outcome: RunOutcome) -> None:
        """Have one more run go along next time, or none if this one was long."""
        self._most = min(self._most + 1, MOST) if outcome.elapsed_s < SHORT_S else 1

    async def _call(self, lease: Lease, method: str, argument: Any, name: str) -> Any:
        return await self._ask(lease.actor_name, method, argument, lease.lease_id, call_name=name, patience_s=0.0)


def _settle(waiting: _Waiting, result: RunOutcome | BaseException) -> None:
    if waiting.outcome.done():
        return  # nobody waits any more
    if isinstance(result, BaseException):
        waiting.outcome.set_exception(result)
    else:
        waiting.outcome.set_result(result)
