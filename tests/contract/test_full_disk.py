"""SQLite without room, or on a disk that fails: what is refused is not half done, and it all goes on later."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import Connection, make_url, select, text

from graph.errors import UnavailableError
from hitl.errors import FormAlreadySubmittedError
from hitl.form import FormDefinition
from hitl.submission import Submission
from store.errors import StoreUnavailableError
from store.form_record import Answered
from store.tables import metadata
from store_world import (
    NOW,
    PERSON,
    StoreWorld,
    form_opened,
    given,
    new_form,
    open_form,
    pause_with_form,
    paused,
    sql_world,
    start,
    write,
)
from test_decisions_contract import asking, vote

LONG = os.urandom(25_000).hex()
"""More than the free room of any page, also when it is compressed."""
ANSWER = Submission("approve", "Approve", {"comment": LONG})
Fault = Literal["no room", "failing writes"]


class Disk:
    """The disk under a database, which fails when told to; stands before the writing lane."""

    def __init__(self, world: StoreWorld, path: Path) -> None:
        assert world.database is not None
        self._lane, self._path = world.database._writer, path
        self._is_full = False
        world.database._writer = self

    async def run(self, work: Callable[[Connection], Any]) -> Any:
        """Run ``work``; on a full disk the database file cannot grow."""

        def done(connection: Connection) -> Any:
            pages = connection.execute(text("PRAGMA page_count")).scalar() if self._is_full else 1_000_000
            connection.execute(text(f"PRAGMA max_page_count = {pages}"))
            return work(connection)

        return await self._lane.run(done)

    async def close(self) -> None:
        """Close the real lane."""
        await self._lane.close()

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Let the disk fail: ``no room`` during the statements, ``failing writes`` in the commit itself."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        if fault == "no room":
            self._is_full = True
        else:
            # The system refuses to write behind the end that the log has now.
            resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(f"{self._path}-wal").st_size, limits[1]))
        try:
            yield
        finally:
            self._is_full = False
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
async def world(sqlite_url: str) -> AsyncIterator[StoreWorld]:
    """An empty store on SQLite that gives up soon."""
    world = sql_world(sqlite_url, retry_for_s=0.1)
    yield world
    assert world.database is not None
    await world.database.close()


@pytest.fixture
def disk(world: StoreWorld, sqlite_url: str) -> Disk:
    """The disk under the store."""
    return Disk(world, Path(make_url(sqlite_url).database or ""))


async def rows(world: StoreWorld) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that the database holds."""
    assert world.database is not None

    def work(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table))] for table in metadata.sorted_tables
        }

    return await world.database.read(work)


async def opening(world: StoreWorld) -> Callable[[], Awaitable[Any]]:
    """Open a long form."""
    form = new_form(await start(world), definition=FormDefinition(LONG))
    return lambda: open_form(world, form)


async def answering(world: StoreWorld) -> Callable[[], Awaitable[Any]]:
    """Give a long answer."""
    _, form, recipient = await pause_with_form(world)
    return lambda: world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)


async def deciding(world: StoreWorld) -> Callable[[], Awaitable[Any]]:
    """Give the vote that decides."""
    _, form, _ = await pause_with_form(world, definition=asking())
    await world.decisions.vote(form.form_id, vote("anna"), None, 0)
    return lambda: world.decisions.vote(form.form_id, vote("bert", ANSWER), None, 0)


async def expiring(world: StoreWorld) -> Callable[[], Awaitable[Any]]:
    """Give a run up at its global deadline, with a long reason."""
    _, form, _ = await pause_with_form(world)
    return lambda: world.forms.close(form.form_id, "expired", NOW, LONG)


async def pausing(world: StoreWorld) -> Callable[[], Awaitable[Any]]:
    """Pause a run with a large state."""
    run = await start(world)
    form = new_form(run)
    await open_form(world, form)
    pause = write([form_opened(form), paused(form.form_id)], 1, run=run)
    return lambda: world.journal.pause(pause, os.urandom(50_000))


@pytest.mark.parametrize("fault", ["no room", "failing writes"])
@pytest.mark.parametrize("prepared", [opening, answering, deciding, expiring, pausing])
async def test_refused_write_leaves_nothing_and_succeeds_later(
    prepared: Callable[[StoreWorld], Awaitable[Callable[[], Awaitable[Any]]]],
    fault: Fault,
    world: StoreWorld,
    disk: Disk,
) -> None:
    """While the disk fails the store is unavailable for writers and no row changes; afterwards the same call works."""
    work = await prepared(world)
    before = await rows(world)
    with disk.failing(fault):
        for _ in range(2):
            with pytest.raises(StoreUnavailableError) as refused:
                await work()
            assert isinstance(refused.value, UnavailableError) and LONG not in str(refused.value)
            assert await rows(world) == before
    await work()
    assert await rows(world) != before


@pytest.mark.parametrize("fault", ["no room", "failing writes"])
async def test_answers_that_share_a_commit_are_kept_or_refused_each(
    fault: Fault, world: StoreWorld, disk: Disk
) -> None:
    """Short and long answers come at once while the disk fails: what was acknowledged is there, what was not is not."""
    paused_forms = [await pause_with_form(world, f"run {number}") for number in range(12)]
    answers = [
        Submission("approve", "Approve", {"comment": LONG if number % 3 else str(number)}) for number in range(12)
    ]

    async def submit(number: int) -> Any:
        _, form, recipient = paused_forms[number]
        return await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(answers[number]), PERSON, NOW)

    async def kept() -> list[bool]:
        found = [await world.forms.submission(form.form_id) for _, form, _ in paused_forms]
        assert all(each is None or each == answers[number] for number, each in enumerate(found))
        items = [await world.journal.inbox(run.run_id) for run, _, _ in paused_forms]
        assert [len(each) for each in items] == [int(each is not None) for each in found]
        return [each is not None for each in found]

    with disk.failing(fault):
        results = await asyncio.gather(*map(submit, range(12)), return_exceptions=True)
        assert any(isinstance(result, StoreUnavailableError) for result in results)
        assert await kept() == [isinstance(result, Answered) for result in results]
    again = await asyncio.gather(*map(submit, range(12)), return_exceptions=True)
    for first, second in zip(results, again, strict=True):
        assert isinstance(second, FormAlreadySubmittedError if isinstance(first, Answered) else Answered)
    assert await kept() == [True] * 12
