"""The rules of the counters of requests, in this process and in Valkey; and what a Redis that is away costs."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis import Redis
from structlog.testing import capture_logs

from local_valkey import local_valkey
from store import rate_counters
from store.rate_counters import PREFIX, LocalCounter, RateCounter, SharedCounter

WINDOW_S = 60


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Redis that is there is taken for one that is away, however busy the machine."""
    monkeypatch.setattr(rate_counters, "ANSWER_S", 60.0)


@pytest.fixture(params=["memory", "valkey"])
async def counter(request: pytest.FixtureRequest) -> AsyncIterator[RateCounter]:
    """A counter of each kind."""
    made = LocalCounter() if request.param == "memory" else SharedCounter(request.getfixturevalue("valkey"))
    yield made
    await made.close()


async def test_count_is_kept_for_each_name(counter: RateCounter) -> None:
    """A name is counted up to its limit, then refused with the rest of the window; another name is not touched."""
    name, other = uuid4().hex, uuid4().hex
    began = time.monotonic()
    taken = await asyncio.gather(*(counter.take(name, 5, WINDOW_S) for _ in range(8)))
    passed_s = time.monotonic() - began
    assert taken.count(None) == 5
    waits = [wait for wait in taken if wait is not None]
    # The counters know when a window ends to the second.
    assert all(WINDOW_S - passed_s - 1 <= wait <= WINDOW_S for wait in waits)
    assert await counter.take(other, 5, WINDOW_S) is None


async def test_window_ends(counter: RateCounter) -> None:
    """After the time that a refusal names the name is counted again."""
    name = uuid4().hex
    # Where this process had to pause the next call is in a window of its own, and counted.
    while (wait := await counter.take(name, 1, 1)) is None:
        pass
    assert 0 <= wait <= 1
    await asyncio.sleep(wait + 0.1)
    assert await counter.take(name, 1, 1) is None


async def test_processes_share_a_count(valkey: str) -> None:
    """Two counters over one Redis count together; what they leave there expires."""
    first, second, name = SharedCounter(valkey), SharedCounter(valkey), uuid4().hex
    assert [await each.take(name, 2, WINDOW_S) for each in (first, second)] == [None, None]
    assert await first.take(name, 2, WINDOW_S) is not None
    with Redis.from_url(valkey, decode_responses=True) as redis:
        (key,) = redis.keys(f"{PREFIX}*{name}*")
        assert 0 < redis.ttl(key) <= WINDOW_S
    await first.close()
    await second.close()


async def test_lost_redis_costs_the_sharing_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """While Redis is away each process counts for itself, tries it once, and says so once."""
    monkeypatch.setattr(rate_counters, "AWAY_S", 3600.0)
    with local_valkey() as server:
        counter = SharedCounter(server.url)
        assert await counter.take("a", 2, WINDOW_S) is None
        server.kill()
        with capture_logs() as logs:
            taken = [await counter.take("b", 2, WINDOW_S) for _ in range(3)]
        await counter.close()
    assert taken[:2] == [None, None] and taken[2] is not None
    assert [entry["event"] for entry in logs] == ["Redis is away: each process counts requests for itself"]
    assert server.url not in str(logs)
