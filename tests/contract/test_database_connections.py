"""PostgreSQL with few connections and with restarts: everybody gets through, nothing is half done."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from sqlalchemy import text

from local_postgres import NAME, LocalPostgres, local_postgres
from store.errors import FencedError, StoreUnavailableError
from store.migrate import migrate
from store.postgres_lane import RUN_ACTOR_SHARE, WAITING_LIMIT, ConnectionShare
from store_world import StoreWorld, make_id, new_run, node_finished, sql_world, start, write
from surfaces.error_table import answer_for

MAX_CONNECTIONS = 10
ACTORS = 20
RUNS = 3
FACTS = 10
PATIENCE_S = 60.0
SHORT = ConnectionShare(most=1, idle_s=0.05, turn_s=0.2)
KEEPING = ConnectionShare(most=1, idle_s=PATIENCE_S, turn_s=0.2)


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    """A PostgreSQL that takes ten connections."""
    with local_postgres() as made:
        made.limit_connections(MAX_CONNECTIONS)
        yield made


@asynccontextmanager
async def world_of(url: str, share: ConnectionShare, **options: float) -> AsyncIterator[StoreWorld]:
    """The store of one process."""
    world = sql_world(url, share=share, **options)
    yield world
    assert world.database is not None
    await world.database.close()


async def perform(world: StoreWorld, name: str, facts: int = FACTS) -> None:
    """Begin a run and append ``facts`` facts without a pause, as its actor."""
    run = await start(world, new_run(name))
    for number in range(1, 1 + facts):
        await world.journal.append(write([node_finished(number)], number, run=run))


def connection_count(server: LocalPostgres) -> int:
    """Return how many connections Greenroom has to ``server``."""
    with psycopg.connect(server.server_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = 'greenroom_own' AND backend_type = 'client backend'"
        ).fetchone()
    assert row is not None
    return row[0]


async def until_none(server: LocalPostgres) -> None:
    """Return once Greenroom has no connection to ``server`` any more."""
    give_up_at = time.monotonic() + PATIENCE_S
    while await asyncio.to_thread(connection_count, server):
        assert time.monotonic() < give_up_at, "connections stay open"
        await asyncio.sleep(0.05)


@pytest.mark.service
async def test_more_actors_than_connections_all_get_through(server: LocalPostgres):
    """Twenty processes that write without a pause work under ten places: each lets others have a turn."""
    worlds = [sql_world(server.url, share=SHORT, retry_for_s=PATIENCE_S) for _ in range(ACTORS)]

    async def act(number: int) -> None:
        for turn in range(RUNS):
            await perform(worlds[number], f"actor {number} run {turn}")

    await asyncio.gather(*(act(number) for number in range(ACTORS)))
    async with world_of(server.url, SHORT) as reader:
        for number in range(ACTORS):
            facts = await reader.journal.read(make_id(f"actor {number} run {RUNS - 1}"))
            assert [each for each, _ in facts] == list(range(1, FACTS + 2))
    for world in worlds:
        assert world.database is not None
        await world.database.close()


@pytest.mark.service
async def test_actor_that_never_rests_gives_way(server: LocalPostgres):
    """Actors that hold every place and write on and on do not starve another one."""
    busy = [sql_world(server.url, share=KEEPING, retry_for_s=PATIENCE_S) for _ in range(ACTORS)]
    is_over = asyncio.Event()

    async def go_on(number: int) -> None:
        count = 0
        while not is_over.is_set():
            count += 1
            await perform(busy[number], f"busy {number} run {count}", facts=2)
        database = busy[number].database
        assert database is not None
        await database.close()

    tasks = [asyncio.create_task(go_on(number)) for number in range(ACTORS)]
    try:
        async with world_of(server.url, SHORT, retry_for_s=PATIENCE_S) as late:
            for number in range(3):
                await perform(late, f"late {number}", facts=2)
    finally:
        is_over.set()
        await asyncio.gather(*tasks)


@pytest.mark.service
async def test_idle_actor_has_no_connection(server: LocalPostgres):
    """While a run waits, its actor holds no connection; the next write makes one."""
    await until_none(server)
    async with world_of(server.url, RUN_ACTOR_SHARE) as world:
        run = await start(world, new_run("waiting"))
        assert await asyncio.to_thread(connection_count, server) == 1
        await until_none(server)
        await world.journal.append(write([node_finished(1)], 1, run=run))
        assert len(await world.journal.read(run.run_id)) == 2


@pytest.mark.service
async def test_process_keeps_to_its_share(server: LocalPostgres):
    """Many works at once of one process go through as many connections as it may have."""
    await until_none(server)
    async with world_of(server.url, ConnectionShare(most=3)) as world:
        await asyncio.gather(*(start(world, new_run(f"many {number}")) for number in range(60)))
        assert await asyncio.to_thread(connection_count, server) == 3


@pytest.mark.service
async def test_queue_for_connections_is_bounded(server: LocalPostgres):
    """One work more than may wait is refused with 503 at once; the others are done."""
    async with world_of(server.url, ConnectionShare(most=1)) as world:
        assert world.database is not None
        await world.database.read(lambda _: None)
        works = [world.database.read(lambda c: c.execute(text("SELECT 1")).scalar()) for _ in range(WAITING_LIMIT + 2)]
        results = await asyncio.gather(*works, return_exceptions=True)
        refused = [each for each in results if each != 1]
        assert refused and all(isinstance(each, StoreUnavailableError) for each in refused)
        assert len(refused) <= 2
        assert (answer_for(refused[0]).status, answer_for(refused[0]).headers["Retry-After"]) == (503, "1")


@pytest.mark.service
async def test_asyncpg_does_the_same_by_its_url(server: LocalPostgres):
    """A URL that names asyncpg has runs written and read with it, also after the server ended its connection."""
    pytest.importorskip("asyncpg")
    async with world_of(server.url.replace("postgresql://", "postgresql+asyncpg://"), RUN_ACTOR_SHARE) as world:
        run = await start(world, new_run("by asyncpg"))
        with psycopg.connect(server.server_url, autocommit=True) as administrator:
            administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [NAME])
        await world.journal.append(write([node_finished(1)], 1, run=run))
        assert [each for each, _ in await world.journal.read(run.run_id)] == [1, 2]
        with pytest.raises(FencedError):
            await world.journal.append(write([node_finished(2)], 1, run=run))


@pytest.mark.service
async def test_asyncpg_waits_for_a_restart():
    """A server that crashes and comes back, or that is full, is waited for with asyncpg too."""
    pytest.importorskip("asyncpg")
    with local_postgres() as own:
        url = own.url.replace("postgresql://", "postgresql+asyncpg://")
        async with world_of(url, RUN_ACTOR_SHARE, retry_for_s=PATIENCE_S) as world:
            run = await start(world, new_run("by asyncpg"))
            await asyncio.to_thread(own.stop)
            waiting = asyncio.create_task(world.journal.append(write([node_finished(1)], 1, run=run)))
            await asyncio.to_thread(own.start)
            assert await waiting == 2
        own.limit_connections(MAX_CONNECTIONS)
        worlds = [sql_world(url, share=SHORT, retry_for_s=PATIENCE_S) for _ in range(ACTORS)]
        await asyncio.gather(*(perform(each, f"many {number}") for number, each in enumerate(worlds)))
        for each in worlds:
            assert each.database is not None
            await each.database.close()


@pytest.mark.service
async def test_pooler_needs_no_prepared_statements(server: LocalPostgres):
    """``prepare_threshold=none`` in the URL keeps psycopg from preparing what it repeats; without it, it does."""
    counts = {}
    for query in ("", "&prepare_threshold=none"):
        url = server.url + ("?" if "?" not in server.url else "") + query
        async with world_of(url, ConnectionShare(most=1)) as world:
            assert world.database is not None
            for _ in range(8):
                await world.database.read(lambda c: c.execute(text("SELECT 1")).scalar())
            counted = text("SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 1'")
            counts[query] = await world.database.read(lambda c: c.execute(counted).scalar())  # noqa: B023
    assert counts == {"": 1, "&prepare_threshold=none": 0}


@pytest.mark.service
async def test_run_goes_on_whose_row_a_lost_machine_has_locked():
    """A session that falls silent in a transaction is ended by the server after the time that ``migrate`` has set."""
    with local_postgres() as own:
        async with world_of(own.url, RUN_ACTOR_SHARE) as world:
            run = await start(world, new_run("locked"))
            assert world.database is not None
            shown = await world.database.read(
                lambda c: c.execute(text("SHOW idle_in_transaction_session_timeout")).scalar()
            )
            assert shown == "30s"
        with psycopg.connect(own.server_url, autocommit=True) as administrator:
            administrator.execute(
                f"ALTER ROLE CURRENT_USER IN DATABASE {NAME} SET idle_in_transaction_session_timeout = '1s'".encode()
            )
        migrate(own.url)  # Leaves alone what somebody has set.
        lost = psycopg.connect(own.url)
        lost.execute("SELECT 1 FROM runs WHERE run_id = %s FOR UPDATE", [run.run_id])
        async with world_of(own.url, RUN_ACTOR_SHARE) as world, asyncio.timeout(PATIENCE_S):
            await world.journal.append(write([node_finished(1)], 1, run=run))
            assert [number for number, _ in await world.journal.read(run.run_id)] == [1, 2]
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            lost.execute("SELECT 1")
        lost.close()


@pytest.mark.service
async def test_runs_go_on_through_a_restart_of_the_database():
    """A database that crashes under load and comes back in time fails nobody; every fact is there once."""
    with local_postgres() as own:
        worlds = [sql_world(own.url, share=RUN_ACTOR_SHARE, retry_for_s=PATIENCE_S) for _ in range(4)]
        begun, is_over = asyncio.Event(), asyncio.Event()
        counts = [0] * len(worlds)

        async def act(number: int) -> None:
            while not is_over.is_set():
                await perform(worlds[number], f"actor {number} run {counts[number]}")
                counts[number] += 1
                begun.set()

        tasks = [asyncio.create_task(act(number)) for number in range(len(worlds))]
        await begun.wait()
        for _ in range(2):
            done = list(counts)
            await asyncio.to_thread(own.stop)
            await asyncio.to_thread(own.start)
            give_up_at = time.monotonic() + PATIENCE_S
            while any(now < before + 2 for now, before in zip(counts, done, strict=True)):
                assert time.monotonic() < give_up_at, "the actors do not go on"
                await asyncio.sleep(0.05)
        is_over.set()
        await asyncio.gather(*tasks)
        for number, world in enumerate(worlds):
            for turn in range(counts[number]):
                facts = await world.journal.read(make_id(f"actor {number} run {turn}"))
                assert [each for each, _ in facts] == list(range(1, FACTS + 2))
            assert world.database is not None
            await world.database.close()


@pytest.mark.service
async def test_database_that_stays_away_is_answered_with_503_and_works_again():
    """A write to a database that stays away ends as 503 with Retry-After; repeated later it is done once."""
    with local_postgres() as own:
        async with world_of(own.url, RUN_ACTOR_SHARE, retry_for_s=0.5) as world:
            run = await start(world, new_run("stays"))
            await asyncio.to_thread(own.stop)
            second = write([node_finished(1)], 1, run=run)
            with pytest.raises(StoreUnavailableError) as away:
                await world.journal.append(second)
            answer = answer_for(away.value)
            assert (answer.status, answer.headers) == (503, {"Retry-After": "1"})
            await asyncio.to_thread(own.start)
            assert await world.journal.append(second) == 2
            assert [each for each, _ in await world.journal.read(run.run_id)] == [1, 2]
