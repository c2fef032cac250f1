"""The same request twice at the same moment, over two connections to one real database."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from actors.answers import Answers, Taken
from actors.messages import SubmitOrder
from graph.human_rules import Approval, AppRules
from hitl.approval import approval_of
from hitl.errors import IdempotencyKeyReusedError
from store_world import NOW, StoreWorld, acts_on, new_form, pause_with_form, sql_world
from surface_world import SetClock
from test_form_races import race

ROUNDS = 20


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[tuple[StoreWorld, StoreWorld]]:
    """Two stores over the same database, each with connections of its own."""
    worlds = sql_world(database_url), sql_world(database_url)
    yield worlds
    for world in worlds:
        assert world.database is not None
        await world.database.close()


def answers_of(world: StoreWorld) -> Answers:
    """What takes answers over one of the stores."""
    return Answers(world.forms, world.decisions, world.accounts, SetClock(NOW))


async def test_request_that_comes_twice_at_once_is_answered_twice_and_counts_once(
    pair: tuple[StoreWorld, StoreWorld],
) -> None:
    """A client that repeats a request before its reply has come gets the same reply for both."""
    desks = [answers_of(world) for world in pair]
    for number in range(ROUNDS):
        run, form, recipient = await pause_with_form(pair[0], f"run {number}")
        order = SubmitOrder(
            form.form_id, recipient.recipient_id, 1, "approve", {"comment": "x"}, "service_api", key_hash=b"k"
        )
        results = await race(*(desk.take(order) for desk in desks))
        assert all(isinstance(result, Taken) and result.is_decided for result in results), results
        assert [result.run is None for result in results].count(True) == 1
        assert len(await pair[0].journal.inbox(run.run_id)) == 1
        assert len(await acts_on(pair[0].forms, form.form_id)) == 1


async def test_one_of_two_answers_under_one_key_is_refused(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """Two answers under the same key at once: one counts, the other is told that the key is used."""
    desks = [answers_of(world) for world in pair]
    for number in range(ROUNDS):
        _, form, recipient = await pause_with_form(pair[0], f"run {number}")
        orders = [
            SubmitOrder(form.form_id, recipient.recipient_id, 1, "approve", {"comment": text}, "web", key_hash=b"k")
            for text in ("one", "other")
        ]
        results = await race(*(desk.take(order) for desk, order in zip(desks, orders, strict=True)))
        assert sorted(isinstance(result, IdempotencyKeyReusedError) for result in results) == [False, True], results


async def test_vote_that_comes_twice_at_once_counts_once(pair: tuple[StoreWorld, StoreWorld]) -> None:
    """Both requests learn that the form is still open, and one vote is stored."""
    desks = [answers_of(world) for world in pair]
    workspace = await pair[0].accounts.ensure_workspace("w")
    account = await pair[0].accounts.ensure_account("anna@x.org", "anna", workspace.workspace_id, "normal")
    asked = new_form(None).definition
    approval = approval_of(Approval(quorum=2), AppRules(), None, "")
    for number in range(ROUNDS):
        _, form, _ = await pause_with_form(
            pair[0],
            f"run {number}",
            workspace_id=workspace.workspace_id,
            definition=replace(asked, approval=approval),
        )
        order = SubmitOrder(
            form.form_id, None, 0, "approve", {"comment": "x"}, "console", account.account_id, key_hash=b"k"
        )
        assert await race(*(desk.take(order) for desk in desks)) == [Taken(False), Taken(False)]
        assert len(await pair[0].decisions.votes(form.form_id)) == 1
