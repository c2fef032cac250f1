"""Decisions through HTTP: bound to what was shown, repeatable, and not open to links where approvers decide."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.messages import SubmitOrder
from actors.receipts import Receipts
from approval import ANSWER, approval
from hitl.digest import form_digest
from hitl.errors import NotAnApproverError
from hitl.recipient import RecipientType
from hitl.surface import Surface
from store.memory_accounts import MemoryAccounts
from store.memory_decisions import MemoryDecisions
from store.memory_journal import MemoryJournal
from surface_world import World, make_world
from test_form_page import guard_of, link_of, opened
from test_service_api_forms import NOT_FOUND, path_of, paused, token_of


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow."""
    made = await make_world(approval())
    yield made
    await made.runs.settle()


async def test_form_is_shown_with_its_digest(world: World) -> None:
    """The API and the page show the same digest, which is that of the stored form."""
    link = await link_of(world)
    _, reason = await paused(world)
    digest = form_digest(world.store.forms[reason["form_id"]].definition)
    async with world.client() as client:
        shown = (await client.get(path_of(reason["form_token"]))).json()
    async with world.client("") as client:
        _, page = await opened(client, link)
    assert shown["form_digest"] == digest
    assert re.findall(r'name="form_digest" value="([0-9a-f]{64})"', page.text) == [digest]


async def test_answer_to_another_form_is_409_and_leaves_it_open(world: World) -> None:
    """A digest of something else is refused before anything else is looked at; the right one counts."""
    _, reason = await paused(world)
    path = path_of(reason["form_token"])
    async with world.client() as client:
        shown = (await client.get(path)).json()
        changed = await client.post(path, json={**ANSWER, "form_digest": "0" * 64, "action": "nonsense"})
        unreadable = await client.post(path, json={**ANSWER, "form_digest": 5})
        taken = await client.post(path, json={**ANSWER, "form_digest": shown["form_digest"]})
    assert (changed.status_code, changed.json()["code"]) == (409, "form_changed")
    assert (unreadable.status_code, unreadable.json()["code"]) == (400, "invalid_param")
    assert (taken.status_code, taken.json()) == (200, {})


async def test_page_shows_a_changed_form_anew(world: World) -> None:
    """An answer to what is not asked any more comes back with the form as it is now, and what was entered."""
    link = await link_of(world)
    async with world.client("") as client:
        address, page = await opened(client, link)
        fields = {"action": "approve", "input.comment": "my words", "guard": guard_of(page)}
        again = await client.post(address, data={**fields, "form_digest": "0" * 64})
        digest = re.findall(r'name="form_digest" value="(\w+)"', again.text)[0]
        taken = await client.post(address, data={**fields, "form_digest": digest})
    assert again.status_code == 409
    assert "asks something else" in again.text
    assert "my words" in again.text
    assert taken.status_code == 200


async def test_idempotent_node_answers_the_same_answer_alike() -> None:
    """Without a header, where the node says so; another answer is too late as ever."""
    world = await make_world(approval(greenroom={"idempotent": True}))
    _, reason = await paused(world)
    path = path_of(reason["form_token"])
    async with world.client() as client:
        answers = [
            await client.post(path, json=body) for body in (ANSWER, ANSWER, {**ANSWER, "inputs": {"comment": "x"}})
        ]
    await world.runs.settle()
    assert [answer.status_code for answer in answers] == [200, 200, 412]
    assert [run.status for run in world.store.runs.values()] == ["succeeded"]


@pytest.mark.parametrize("key", ["", " ", "k" * 256])
async def test_idempotency_key_that_is_none_is_refused(world: World, key: str) -> None:
    """A key must have 1 to 255 characters."""
    _, reason = await paused(world)
    async with world.client() as client:
        refused = await client.post(path_of(reason["form_token"]), json=ANSWER, headers={"Idempotency-Key": key})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_param")
    assert {form.status for form in world.store.forms.values()} == {"waiting"}


async def test_idempotency_keys_are_stored_as_hashes(world: World) -> None:
    """Neither the store nor the audit holds a key in clear."""
    _, reason = await paused(world)
    async with world.client() as client:
        await client.post(path_of(reason["form_token"]), json=ANSWER, headers={"Idempotency-Key": "key-in-clear"})
    assert "key-in-clear" not in repr(world.store)
    assert world.store.answers[reason["form_id"]].key_hash is not None


APPROVAL = {"approval": {"approvers": ["group:board"], "quorum": 2}}


async def board() -> tuple[World, dict[str, str]]:
    """A Greenroom whose form needs two of the board, and the ids of its members' accounts."""
    document = {**approval(greenroom=APPROVAL), "greenroom": {"groups": {"board": ["a@x.org", "b@x.org"]}}}
    world = await make_world(document)
    accounts = MemoryAccounts(world.store)
    found = {name: await accounts.ensure_account(f"{name}@x.org", name, world.workspace_id, "normal") for name in "abc"}
    return world, {name: account.account_id for name, account in found.items()}


def vote(form_id: str, account_id: str, comment: str) -> SubmitOrder:
    """A vote as the console gives it."""
    return SubmitOrder(form_id, None, 0, "approve", {"comment": comment}, "console", account_id)


async def test_form_that_needs_approvers_gives_no_token_to_anybody() -> None:
    """The pause names the console alone, and not even a well-made token of another surface opens the form."""
    world, _ = await board()
    _, reason = await paused(world)
    assert (reason["form_token"], reason["approval_channels"]) == (None, ["console"])
    assert not world.store.forms[reason["form_id"]].definition.display_in_ui
    assert {each.type for each in world.store.recipients.values()} == {RecipientType.BACKSTAGE, RecipientType.CONSOLE}
    async with world.client() as client:
        for surface in Surface:
            missed = await client.get(path_of(token_of(world, reason["form_id"], surface)))
            assert missed.json() == NOT_FOUND


async def test_run_goes_on_when_enough_accounts_have_voted() -> None:
    """The second vote decides, with its values; the run ends and the receipt names both."""
    world, ids = await board()
    run_id, reason = await paused(world)
    with pytest.raises(NotAnApproverError):
        await world.hitl.submit(vote(reason["form_id"], ids["c"], "me too"))
    assert not await world.hitl.submit(vote(reason["form_id"], ids["a"], "first"))
    assert await world.hitl.submit(vote(reason["form_id"], ids["b"], "second"))
    await world.runs.settle()
    assert (world.store.runs[run_id].status, world.store.runs[run_id].outputs) == ("succeeded", {"answer": "second"})
    stated = await receipts(world).statement(reason["form_id"])
    assert [each["by"]["says"] for each in stated["votes"]] == ["account a@x.org", "account b@x.org"]
    assert stated["decided"]["by"] == stated["votes"][1]["by"]
    assert stated["proposed"]["version_id"] == world.version_id
    assert stated["taken_up"]["fact_number"] > 0


def receipts(world: World) -> Receipts:
    """What states who decided in ``world``."""
    store = world.store
    return Receipts(world.hitl.forms, MemoryDecisions(store), MemoryJournal(store), MemoryAccounts(store))


async def test_receipt_of_an_api_answer_says_whose_word_it_is(world: World) -> None:
    """The key is known, the user is what its holder claims."""
    _, reason = await paused(world)
    async with world.client() as client:
        await client.post(path_of(reason["form_token"]), json={**ANSWER, "user": "the boss"})
    (key,) = world.store.keys.values()
    by = (await receipts(world).statement(reason["form_id"]))["decided"]["by"]
    assert by["says"] == f"API key {key.key_id} claims user the boss"
    assert world.key not in repr(by)


async def test_receipt_of_a_page_answer_names_the_link(world: World) -> None:
    """Who held a link is not known; the receipt says which link it was."""
    link = await link_of(world)
    async with world.client("") as client:
        address, page = await opened(client, link)
        await client.post(address, data={"action": "approve", "input.comment": "x", "guard": guard_of(page)})
    (form_id,) = world.store.forms
    decided: dict[str, Any] = (await receipts(world).statement(form_id))["decided"]
    assert (decided["via"], decided["by"]["kind"]) == ("web", "link")
    assert decided["by"]["recipient_type"] == "standalone_web_app"
