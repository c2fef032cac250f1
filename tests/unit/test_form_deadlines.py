"""Deadlines: only near ones in memory, none forgotten, each fired once it has passed."""

import asyncio
import selectors

import pytest

from actors.deadlines import HORIZON_S, Deadlines
from store.errors import StoreUnavailableError


class SetClock:
    """A clock that is set by hand."""

    time = 1000.0

    def now(self) -> float:
        """Return the time that it was set to."""
        return self.time


class World:
    """Forms with deadlines, and what was fired."""

    def __init__(self, **due_at: float) -> None:
        self.clock = SetClock()
        self.due_at = due_at
        self.fired: list[str] = []
        self.is_away = False
        self.faulty: set[str] = set()
        self.looked = 0
        self.deadlines = Deadlines(self.due, self.fire, self.clock)

    async def due(self, until: float) -> list[tuple[str, float]]:
        """Forms due until a time, at most two at once."""
        self.looked += 1
        rows = [(form_id, at) for form_id, at in self.due_at.items() if at <= until]
        return sorted(rows, key=lambda row: row[1])[:2]

    async def fire(self, form_id: str) -> None:
        """End a form, unless the store is away."""
        if self.is_away:
            raise StoreUnavailableError("gone")
        if form_id in self.faulty:
            raise ValueError(form_id)
        self.fired.append(form_id)
        self.due_at.pop(form_id, None)


async def test_only_near_deadlines_are_kept_in_memory():
    """A hundred thousand waiting forms cost nothing until the last minute."""
    world = World(far=1000.0 + HORIZON_S + 1, near=1010.0)
    await world.deadlines.refill()
    world.deadlines.add("later", 1000.0 + 2 * HORIZON_S)
    assert world.deadlines.kept_count == 1


async def test_deadlines_fire_in_order_and_not_before():
    """Each form is ended when its time has come."""
    world = World()
    world.deadlines.add("b", 1002.0)
    world.deadlines.add("a", 1001.0)
    assert await world.deadlines.fire_due() == 0
    world.clock.time = 1001.0
    assert await world.deadlines.fire_due() == 1
    world.clock.time = 1005.0
    assert await world.deadlines.fire_due() == 1
    assert world.fired == ["a", "b"]


async def test_deadlines_that_passed_while_nobody_looked_are_caught_up():
    """After a restart everything overdue is ended, batch by batch."""
    world = World(a=1.0, b=2.0, c=3.0)
    while world.due_at:
        await world.deadlines.refill()
        await world.deadlines.fire_due()
    assert world.fired == ["a", "b", "c"]


async def test_deadline_stays_due_when_the_store_is_away():
    """A form that cannot be ended now is ended later, and the others with it."""
    world = World()
    world.deadlines.add("a", 999.0)
    world.deadlines.add("b", 999.5)
    world.is_away = True
    assert await world.deadlines.fire_due() == 0
    world.is_away = False
    assert await world.deadlines.fire_due() == 2
    assert world.fired == ["a", "b"]


@pytest.mark.parametrize("jump", [-500.0, 500.0])
async def test_clock_jumps_neither_lose_nor_repeat_a_deadline(jump: float):
    """The wall clock decides when it is looked at; a form is fired once."""
    world = World()
    world.deadlines.add("a", 1030.0)
    world.clock.time += jump
    await world.deadlines.fire_due()
    world.clock.time = 1040.0
    await world.deadlines.fire_due()
    assert world.fired == ["a"]


async def test_sooner_time_of_a_form_replaces_a_later_one():
    """What is due first for a form is fired first, and the later time is looked up again."""
    world = World()
    world.deadlines.add("a", 1030.0)
    world.deadlines.add("a", 1010.0)
    world.deadlines.add("a", 1020.0)
    world.clock.time = 1010.0
    assert await world.deadlines.fire_due() == 1
    world.clock.time = 1040.0
    assert await world.deadlines.fire_due() == 0
    world.deadlines.add("a", 1030.0)
    assert await world.deadlines.fire_due() == 1
    assert world.fired == ["a", "a"]


async def test_form_that_fails_keeps_no_other_waiting():
    """A fault with one form is left to the next look into the store; the others are dealt with."""
    world = World(a=999.0, b=999.5)
    world.faulty = {"a"}
    await world.deadlines.refill()
    assert await world.deadlines.fire_due() == 1
    assert world.fired == ["b"]
    world.faulty = set()
    await world.deadlines.refill()
    assert await world.deadlines.fire_due() == 1
    assert world.fired == ["b", "a"]


class Passing(selectors.DefaultSelector):
    """Has every wait over at once, and says how many seconds of waiting that were."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let the time pass that the event loop wants to wait for."""
        self.passed_s += timeout or 0.0
        return super().select(0)


class PassingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of its waits alone, not how long this machine takes for anything."""

    def __init__(self) -> None:
        self.passing = Passing()
        super().__init__(self.passing)

    def time(self) -> float:
        """Return the seconds that were waited for."""
        return self.passing.passed_s


async def fired_after(world: World, ahead_s: float = 0.0) -> float:
    """Let deadlines run and the clock with them; after the first refill it is set ahead. Return when all are fired."""
    loop = asyncio.get_running_loop()
    began = world.clock.time
    world.clock.now = lambda: began + loop.time() + (ahead_s if world.looked else 0.0)
    running = asyncio.create_task(world.deadlines.run())
    while world.due_at:
        await asyncio.sleep(0.001)
    running.cancel()
    return world.clock.now()


@pytest.mark.parametrize("due_s", [0.3, HORIZON_S - 0.1, HORIZON_S + 0.1, 100.0, 3600.0])
def test_what_is_due_is_fired_within_a_second(due_s: float):
    """However far away it was when it was looked for first."""
    world = World(a=1000.0 + due_s)
    with asyncio.Runner(loop_factory=PassingLoop) as runner:
        fired_at = runner.run(fired_after(world))
    assert 1000.0 + due_s <= fired_at < 1000.0 + due_s + 1.0
    assert world.fired == ["a"]


def test_clock_that_jumps_ahead_is_noticed_before_the_next_refill():
    """What lay beyond the horizon, and is due by the new time, is fired within a second."""
    world = World(far=1000.0 + 3 * HORIZON_S)
    with asyncio.Runner(loop_factory=PassingLoop) as runner:
        fired_at = runner.run(fired_after(world, ahead_s=4 * HORIZON_S))
    assert fired_at < 1000.0 + 4 * HORIZON_S + 1.0
    assert world.fired == ["far"]


async def test_form_is_kept_once_when_it_is_added_and_found():
    """A form opened now and read from the store is one deadline."""
    world = World(a=1010.0)
    world.deadlines.add("a", 1010.0)
    await world.deadlines.refill()
    assert world.deadlines.kept_count == 1
