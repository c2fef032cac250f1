"""Votes at the same moment: two connections to one real database, many rounds."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hitl.errors import AlreadyVotedError, FormAlreadySubmittedError, FormExpiredError
from hitl.submission import Submission
from store.form_record import Resumable, VoteOutcome
from store_world import ANSWER, NOW, StoreWorld, acts_on, pause_with_form, sql_world
from test_decisions_contract import BOARD, asking, vote
from test_form_races import race

ROUNDS = 30
NO = Submission("reject", "Reject")


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[tuple[StoreWorld, StoreWorld]]:
    """Two stores over the same database, each with connections of its own."""
    worlds = sql_world(database_url), sql_world(database_url)
    yield worlds
    for world in worlds:
        assert world.database is not None
        await world.database.close()


def has_decided(result: Any) -> bool:
    """Whether a vote was counted and decided."""
    return isinstance(result, VoteOutcome) and result.is_decided


async def test_votes_at_once_decide_exactly_once(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """Three approvers at once and two needed: one vote decides, none is lost, and the run hears of it once."""
    mine, other = pair
    for number in range(ROUNDS):
        run, form, _ = await pause_with_form(mine, f"run {number}", definition=asking(2))
        names = [address.partition("@")[0] for address in BOARD]
        results = await race(
            *(
                world.decisions.vote(form.form_id, vote(name), None, 0)
                for world, name in zip((mine, other, mine), names, strict=True)
            )
        )
        (winner,) = [result for result in results if has_decided(result)]
        assert winner.run == Resumable(run.run_id, "paused", "actor-1")
        late = [result for result in results if isinstance(result, FormAlreadySubmittedError)]
        assert len(late) == 1
        assert len(await mine.decisions.votes(form.form_id)) == 2
        assert len(await mine.journal.inbox(run.run_id)) == 1
        events = sorted(entry.event for entry in await acts_on(mine.forms, form.form_id))
        assert events == ["submitted", "voted", "voted"]


async def test_rejection_meets_the_last_approval(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """Either the approval or the rejection decides; what the run gets is what the form says."""
    mine, other = pair
    for number in range(ROUNDS):
        definition = asking(2, reject=["reject"])
        run, form, _ = await pause_with_form(mine, f"run {number}", definition=definition)
        await mine.decisions.vote(form.form_id, vote("anna"), None, 0)
        results = await race(
            mine.decisions.vote(form.form_id, vote("bert"), None, 0),
            other.decisions.vote(form.form_id, vote("cleo", NO), None, 0),
        )
        (winner,) = [place for place, result in enumerate(results) if has_decided(result)]
        assert isinstance(results[1 - winner], FormAlreadySubmittedError)
        (item,) = await mine.journal.inbox(run.run_id)
        assert item.action_id == (ANSWER, NO)[winner].action_id


async def test_person_who_votes_twice_at_once_counts_once(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """One of the two votes counts, the other is refused."""
    mine, other = pair
    for number in range(ROUNDS):
        _, form, _ = await pause_with_form(mine, f"run {number}", definition=asking(2))
        results = await race(*(world.decisions.vote(form.form_id, vote("anna"), None, 0) for world in (mine, other)))
        assert sorted(isinstance(result, AlreadyVotedError) for result in results) == [False, True]
        assert len(await mine.decisions.votes(form.form_id)) == 1


async def test_deciding_vote_meets_deadline(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """The vote counts, or the deadline does, never both."""
    mine, other = pair
    for number in range(ROUNDS):
        run, form, _ = await pause_with_form(mine, f"run {number}", definition=asking(1))
        voted, closed = await race(
            mine.decisions.vote(form.form_id, vote("anna"), None, 0), other.forms.close(form.form_id, "timeout", NOW)
        )
        (item,) = await mine.journal.inbox(run.run_id)
        stored = await mine.forms.get(form.form_id)
        assert stored is not None and stored.status == item.kind
        assert has_decided(voted) == (item.kind == "submitted") == (closed is None)
        assert isinstance(voted, VoteOutcome | FormExpiredError)
        assert len(await mine.decisions.votes(form.form_id)) == int(item.kind == "submitted")
