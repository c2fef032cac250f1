"""What every carrier of hints does: the ring of the event hub, and a stream of a real Valkey."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis import Redis
from structlog.testing import capture_logs

from actors.event_hub import HintRing
from actors.hints import HintSubscription
from local_valkey import LocalValkey
from store.errors import StoreUnavailableError
from store.hint_record import Hint, HintBatch, HintCarrier
from store.redis_streams import HINTS_KEY, RedisHints

KEPT_COUNT = 100
POLL_S = 0.2
LONG_S = 60.0
"""Longer than any wait here: who returns earlier was woken."""


class RingHints:
    """The hub's ring as its actor uses it, without the actor."""

    def __init__(self) -> None:
        self.ring = HintRing(time.time_ns() // 1000, KEPT_COUNT)

    def publish(self, hint: Hint) -> None:
        """Pass a hint on."""
        self.ring.add([hint])

    async def poll(self, after: int) -> HintBatch:
        """Return the hints from number ``after`` on."""
        return await self.ring.wait(after, POLL_S)

    async def close(self) -> None:
        """Do nothing."""


@pytest.fixture(params=["memory", "valkey"])
async def carrier(request: pytest.FixtureRequest) -> AsyncIterator[HintCarrier]:
    """An empty carrier of each kind that keeps about a hundred hints."""
    if request.param == "memory":
        yield RingHints()
        return
    built = RedisHints(request.getfixturevalue("valkey"), KEPT_COUNT, POLL_S)
    yield built
    await built.close()


async def polled(carrier: HintCarrier, after: int, last: Hint) -> tuple[list[HintBatch], int]:
    """Poll until ``last`` has come; return the batches and the next place."""
    batches: list[HintBatch] = []
    async with asyncio.timeout(LONG_S):
        while not batches or last not in batches[-1].hints:
            batch = await carrier.poll(after)
            batches.append(batch)
            after = batch.next
    return batches, after


async def joined(carrier: HintCarrier) -> int:
    """Become a subscriber that has seen one hint; return its place."""
    first = Hint("first", 1)
    carrier.publish(first)
    return (await polled(carrier, 1, first))[1]


async def test_hints_come_once_and_in_order(carrier: HintCarrier):
    """A subscriber that goes on from its place gets each hint whole, once, in the order of publishing."""
    place = await joined(carrier)
    sent = [Hint(f"run-{number}", number, "an-actor" if number % 2 else "") for number in range(50)]
    for hint in sent:
        carrier.publish(hint)
    batches, place = await polled(carrier, place, sent[-1])
    assert [hint for batch in batches for hint in batch.hints] == sent
    assert not any(batch.is_reset for batch in batches)
    assert await carrier.poll(place) == HintBatch(place, [])


async def test_two_subscribers_get_the_same(carrier: HintCarrier):
    """A poll takes nothing away from others, nor from itself when it is repeated."""
    place = await joined(carrier)
    hint = Hint("run", 7)
    carrier.publish(hint)
    first = await polled(carrier, place, hint)
    assert first == await polled(carrier, place, hint)


async def test_poll_returns_with_the_first_hint(carrier: HintCarrier):
    """A subscriber that waits already is given a hint as soon as there is one."""
    place = await joined(carrier)
    waiting = asyncio.create_task(polled(carrier, place, Hint("run", 1)))
    await asyncio.sleep(0)
    carrier.publish(Hint("run", 1))
    batches, _ = await waiting
    assert batches[-1].hints == [Hint("run", 1)]


async def test_first_poll_is_a_reset_with_a_place_to_go_on_from(carrier: HintCarrier):
    """A subscriber without a place is told so at once, also by a carrier without any hint; then it only waits."""
    first = await carrier.poll(0)
    assert first.is_reset
    assert await carrier.poll(first.next) == HintBatch(first.next, [])


async def test_place_before_what_is_kept_is_a_reset(carrier: HintCarrier):
    """Hints that were dropped before they were read make a reset, and the next poll goes on after it."""
    place = await joined(carrier)
    sent = [Hint("run", number) for number in range(5 * KEPT_COUNT)]
    for hint in sent:
        carrier.publish(hint)
    await polled(carrier, 1, sent[-1])
    batch = await carrier.poll(place)
    assert batch.is_reset
    assert batch.next > place
    carrier.publish(Hint("later", 1))
    batches, _ = await polled(carrier, batch.next, Hint("later", 1))
    assert not any(each.is_reset for each in batches)


async def test_place_of_the_future_is_a_reset(carrier: HintCarrier):
    """A place that a carrier has not come to is of another one, from before it lost everything."""
    place = await joined(carrier)
    assert (await carrier.poll(place + (10**9 << 64))).is_reset


async def test_waiting_reader_is_woken_by_a_hint(carrier: HintCarrier):
    """A reader waits for its run alone, and not for the clock when a hint comes."""
    await joined(carrier)
    subscription = HintSubscription(carrier, LONG_S)
    other = asyncio.create_task(subscription.wait("other", 1))
    waiting = asyncio.create_task(subscription.wait("run", 1))
    # The subscription begins with a reset, which wakes whoever waits.
    await asyncio.wait([other, waiting], timeout=LONG_S / 2)
    other, waiting = (asyncio.create_task(subscription.wait(run, 1)) for run in ("other", "run"))
    await asyncio.sleep(0)
    carrier.publish(Hint("run", 2))
    await asyncio.wait_for(waiting, LONG_S / 2)
    assert not other.done()
    other.cancel()
    await subscription.close()


async def test_lost_stream_is_a_reset(valkey: str):
    """A stream that was deleted shows as a reset, before and after it has entries again."""
    hints = RedisHints(valkey, KEPT_COUNT, POLL_S)
    place = await joined(hints)
    with Redis.from_url(valkey) as client:
        client.delete(HINTS_KEY)
    emptied = await hints.poll(place)
    assert emptied.is_reset
    hints.publish(Hint("run", 1))
    batches, _ = await polled(hints, place, Hint("run", 1))
    assert batches[-1].is_reset
    await hints.close()


async def test_hints_are_few_in_valkey(valkey: str):
    """Publishing trims the stream to about as many entries as are kept."""
    hints = RedisHints(valkey, KEPT_COUNT, POLL_S)
    for number in range(1000):
        hints.publish(Hint("run", number))
    await polled(hints, 1, Hint("run", 999))
    with Redis.from_url(valkey) as client:
        assert KEPT_COUNT <= client.xlen(HINTS_KEY) <= 3 * KEPT_COUNT
    await hints.close()


async def test_hints_come_again_when_valkey_does(own_valkey: LocalValkey):
    """While the server is away publishing goes on and polls say so; afterwards subscribers go on by a reset."""
    hints = RedisHints(own_valkey.url, KEPT_COUNT, POLL_S)
    place = await joined(hints)
    own_valkey.kill()
    with capture_logs() as logs:
        for number in range(2000):
            hints.publish(Hint("lost", number))
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                await hints.poll(place)
        own_valkey.restart()
        assert (await hints.poll(place)).is_reset
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]
    hints.publish(Hint("run", 1))
    await polled(hints, 1, Hint("run", 1))
    await hints.close()


async def test_reader_is_told_no_failure_and_looks_again_when_valkey_is_back(own_valkey: LocalValkey):
    """A reader of a dead server waits as ever; the first answer of the next server wakes it."""
    hints = RedisHints(own_valkey.url, KEPT_COUNT, POLL_S)
    own_valkey.kill()
    short = HintSubscription(hints, 0.01)
    await short.wait("run", 1)
    await short.close()
    subscription = HintSubscription(hints, LONG_S)
    waiting = asyncio.create_task(subscription.wait("run", 1))
    await asyncio.sleep(0)
    own_valkey.restart()
    await asyncio.wait_for(waiting, LONG_S / 2)
    await subscription.close()
    await hints.close()


async def test_password_opens_valkey_and_shows_nowhere(own_valkey: LocalValkey):
    """The password of the URL is used; neither text, log nor error of a refusal shows it."""
    with Redis.from_url(own_valkey.url) as client:
        client.config_set("requirepass", "hush-hush")
    hints = RedisHints(own_valkey.url.replace("://", "://:hush-hush@"), KEPT_COUNT, POLL_S)
    place = await joined(hints)
    assert "hush-hush" not in repr(hints)
    await hints.close()
    wrong = RedisHints(own_valkey.url.replace("://", "://:not-hush@"), KEPT_COUNT, POLL_S)
    with capture_logs() as logs, pytest.raises(StoreUnavailableError) as caught:
        await wrong.poll(place)
    assert "hush" not in f"{caught.value} {caught.value.__cause__} {logs}"
    await wrong.close()
