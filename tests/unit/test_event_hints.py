"""Hints: passed on in order, waited for, and a reset where some may be missing."""

import asyncio

from actors.event_hub import HintRing
from store.hint_record import Hint


def hints(*numbers: int) -> list[Hint]:
    """Hints of one run."""
    return [Hint("run", number) for number in numbers]


async def test_subscriber_gets_what_came_after_its_place():
    """Each hint is given once to a subscriber that goes on from where it was."""
    ring = HintRing(100)
    first = ring.after(100)
    ring.add(hints(1, 2))
    second = ring.after(first.next)
    assert (second.hints, second.is_reset) == (hints(1, 2), False)
    assert ring.after(second.next).hints == []


async def test_subscriber_is_told_when_it_may_have_missed_something():
    """A place before the ring, or of an earlier hub, is a reset."""
    ring = HintRing(100, kept_count=2)
    ring.add(hints(1, 2, 3))
    assert ring.after(100).is_reset
    assert not ring.after(101).is_reset
    assert ring.after(0).is_reset
    assert ring.after(5000).is_reset


async def test_poll_returns_as_soon_as_something_comes():
    """A long poll ends with the first hint, or empty after its time."""
    ring = HintRing(0)
    waiting = asyncio.create_task(ring.wait(0, 10.0))
    await asyncio.sleep(0)
    ring.add(hints(7))
    assert (await waiting).hints == hints(7)
    assert (await ring.wait(ring.next, 0.01)).hints == []
