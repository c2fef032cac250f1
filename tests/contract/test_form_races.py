"""What happens at the same moment: two connections to one real database, many rounds."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from graph.events import RunRecovered
from hitl.errors import FormAlreadySubmittedError, FormExpiredError, FormNotFoundError
from hitl.form import FormStatus
from hitl.submission import Submission
from store.errors import FencedError, RunExistsError
from store.form_record import Answered, Resumable
from store_world import (
    ANSWER,
    NOW,
    PERSON,
    StoreWorld,
    acts_on,
    finished,
    first_write,
    form_opened,
    given,
    new_form,
    new_run,
    open_form,
    pause_with_form,
    paused,
    recipient_of,
    sql_world,
    start,
    token_of,
    write,
)

ROUNDS = 50


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[tuple[StoreWorld, StoreWorld]]:
    """Two stores over the same database, each with connections of its own."""
    worlds = sql_world(database_url), sql_world(database_url)
    yield worlds
    for world in worlds:
        assert world.database is not None
        await world.database.close()


async def race(*contenders: Awaitable[Any]) -> list[Any]:
    """Run ``contenders`` at once, in a random order and a little apart; errors are results."""

    async def late(contender: Awaitable[Any]) -> Any:
        await asyncio.sleep(random.uniform(0, 0.001))
        return await contender

    order = random.sample(range(len(contenders)), len(contenders))
    results = await asyncio.gather(*(late(contenders[place]) for place in order), return_exceptions=True)
    return [results[order.index(place)] for place in range(len(contenders))]


@pytest.mark.parametrize("is_first_write", [False, True])
async def test_answer_meets_pause(pair: tuple[StoreWorld, StoreWorld], is_first_write: bool) -> None:
    """Either the pause finds the answer and is refused, or the answer finds the paused run: none is left alone."""
    mine, other = pair
    for number in range(ROUNDS):
        run = new_run(f"run {number}")
        form = new_form(run)
        recipient = await open_form(mine, form)
        if is_first_write:
            pause = first_write(run, form_opened(form), paused(form.form_id))
        else:
            await start(mine, run)
            pause = write([form_opened(form), paused(form.form_id)], 1, run=run)
        submit = other.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
        left, answered = await race(mine.journal.pause(pause, b"state"), submit)
        assert isinstance(answered, Answered) and answered.run is not None, answered
        assert [item.form_id for item in left] == ([] if answered.run.run_status == "paused" else [form.form_id])
        assert [item.form_id for item in await mine.journal.inbox(run.run_id)] == [form.form_id]


async def test_one_of_two_answers_wins(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """Two answers at once: one is accepted, the other refused as already submitted, and one item is made."""
    mine, other = pair
    for number in range(ROUNDS):
        run, form, recipient = await pause_with_form(mine, f"run {number}")
        answers = [ANSWER, Submission("reject", "Reject")]
        results = await race(
            mine.forms.submit(form.form_id, recipient.recipient_id, 1, given(answers[0]), PERSON, NOW),
            other.forms.submit(form.form_id, None, 0, given(answers[1]), PERSON, NOW),
        )
        (winner,) = [place for place, result in enumerate(results) if isinstance(result, Answered)]
        assert isinstance(results[1 - winner], FormAlreadySubmittedError)
        assert await mine.forms.submission(form.form_id) == answers[winner]
        assert [item.action_id for item in await mine.journal.inbox(run.run_id)] == [answers[winner].action_id]
        assert len(await acts_on(mine.forms, form.form_id)) == 1


@pytest.mark.parametrize("outcome", ["timeout", "expired"])
async def test_answer_meets_deadline(pair: tuple[StoreWorld, StoreWorld], outcome: Any) -> None:
    """An answer in the last moment counts, or the deadline does, never both."""
    mine, other = pair
    for number in range(ROUNDS):
        run, form, recipient = await pause_with_form(mine, f"run {number}")
        submitted, closed = await race(
            mine.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW),
            other.forms.close(form.form_id, outcome, NOW),
        )
        (item,) = await mine.journal.inbox(run.run_id)
        stored = await mine.forms.get(form.form_id)
        assert stored is not None and stored.status == item.kind
        if item.kind == "submitted":
            assert isinstance(submitted, Answered) and closed is None
        else:
            assert isinstance(submitted, FormExpiredError) and isinstance(closed, Resumable)


async def test_answer_meets_stop(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """A stop and an answer at once: the run gets the stop, and the answer only if it came first."""
    mine, other = pair
    for number in range(ROUNDS):
        run, form, recipient = await pause_with_form(mine, f"run {number}")
        submitted, record = await race(
            mine.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW),
            other.journal.request_stop(run.run_id, "enough", NOW),
        )
        kinds = {item.kind for item in await mine.journal.inbox(run.run_id)}
        stored = await mine.forms.get(form.form_id)
        assert record.status == "paused" and stored is not None
        if isinstance(submitted, Answered):
            assert (kinds, stored.status) == ({"submitted", "stop"}, FormStatus.SUBMITTED)
        else:
            assert isinstance(submitted, FormExpiredError)
            assert (kinds, stored.status) == ({"stop"}, FormStatus.EXPIRED)


async def test_answer_meets_end_of_run(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """No item is left behind by an answer that meets the terminal fact."""
    mine, other = pair
    for number in range(ROUNDS):
        run, form, recipient = await pause_with_form(mine, f"run {number}")
        submitted, head = await race(
            mine.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW),
            other.journal.append(write([finished("stopped")], 3, run=run, epoch=2, found_epoch=1)),
        )
        assert head == 4
        assert isinstance(submitted, Answered | FormExpiredError)
        assert await mine.journal.inbox(run.run_id) == []


async def test_answer_meets_revocation(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """A revoked recipient answers before the revocation or not at all."""
    mine, other = pair
    for number in range(ROUNDS):
        _, form, recipient = await pause_with_form(mine, f"run {number}")
        submitted, _ = await race(
            mine.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW),
            other.forms.revoke(recipient.recipient_id, NOW),
        )
        assert isinstance(submitted, Answered | FormNotFoundError)
        assert await mine.forms.by_token(token_of(recipient).token_hash) is None


async def test_one_of_two_successors_gets_the_run(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """Two successors claim at once, while the owner writes: exactly one of the three goes on."""
    mine, other = pair
    for number in range(ROUNDS):
        run = await start(mine, new_run(f"run {number}"))
        claims = [
            world.journal.append(
                write([RunRecovered(NOW, 1, 0.0)], 1, run=run, epoch=2, found_epoch=1, actor=f"actor {place}")
            )
            for place, world in enumerate(pair)
        ]
        owner = other.journal.append(write([paused()], 1, run=run))
        results = await race(*claims, owner)
        assert [isinstance(result, FencedError) for result in results].count(False) == 1
        assert len(await mine.journal.read(run.run_id)) == 2


async def test_run_is_begun_by_one_of_two(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """The same run started twice at once begins once."""
    mine, other = pair
    for number in range(ROUNDS):
        run = new_run(f"run {number}")
        results = await race(
            mine.journal.append(first_write(run, actor="actor-1")),
            other.journal.append(first_write(run, actor="actor-2")),
        )
        assert sorted(isinstance(result, RunExistsError) for result in results) == [False, True]


async def test_form_of_an_execution_is_opened_once(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """The same execution opening its form twice at once has one form, with one set of recipients."""
    mine, other = pair
    for number in range(ROUNDS):
        run = await start(mine, new_run(f"run {number}"))
        first, second = (
            new_form(run, "first"),
            new_form(run, "second", execution_id=new_form(run, "first").execution_id),
        )
        opened = await race(
            mine.forms.open(first, [recipient_of(first)], []), other.forms.open(second, [recipient_of(second)], [])
        )
        assert opened[0] == opened[1]
        assert await mine.forms.by_run(run.run_id) == [opened[0]]
        assert list(await mine.forms.recipients([first.form_id, second.form_id])) == [opened[0].form_id]
