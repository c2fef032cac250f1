"""``/console/api``: forms read and answered by accounts, by form token and by form id."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from approval import ANSWER, RUN, approval
from console_world import browser, person, send_random_bodies
from hitl.form_token import Purpose, derive_token
from hitl.recipient import RecipientType
from hitl.surface import Surface
from store_world import acts_on
from surface_world import KEY, World, make_world

NOT_FOUND = {"code": "not_found", "message": "Form not found", "status": 404}
BY_MAIL = {
    "type": "email", "enabled": True, "id": "m",
    "config": {"recipients": {"whole_workspace": False, "items": [{"type": "external", "email": "out@example.org"}]},
               "subject": "s", "body": "{{#url#}}"},
}  # fmt: skip


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow, which also mails its form."""
    document = approval()
    document["workflow"]["graph"]["nodes"][1]["data"]["delivery_methods"].append(BY_MAIL)
    made = await make_world(document)
    yield made
    await made.runs.settle()


async def paused(world: World) -> dict[str, Any]:
    """Start a run by API key and return the reason of its pause."""
    async with world.client() as client:
        return (await client.post("/v1/workflows/run", json=RUN)).json()["data"]["reasons"][0]


async def token_of(world: World, form_id: str, kind: RecipientType, surface: Surface) -> str:
    """Return the form token of the recipient of this kind on ``surface``."""
    recipients = (await world.hitl.forms.recipients([form_id]))[form_id]
    (recipient,) = [each for each in recipients if each.type is kind]
    return derive_token(KEY, Purpose.SUBMIT, form_id, recipient.recipient_id, surface, recipient.generation)


async def addresses(world: World, form_id: str) -> list[str]:
    """Return the two addresses of a form: by backstage token and by id."""
    token = await token_of(world, form_id, RecipientType.BACKSTAGE, Surface.CONSOLE)
    return [f"/form/human_input/{token}", f"/inbox/forms/{form_id}"]


async def test_form_is_shown_whole(world: World) -> None:
    """GET gives the definition with its deadline, by token and by id alike."""
    reason = await paused(world)
    async with await person(world, role="normal") as ann:
        by_token, by_id = [await ann.get(path) for path in await addresses(world, reason["form_id"])]
    assert by_token.json() == by_id.json()
    body = by_id.json()
    assert list(body) == [
        "form_content", "inputs", "user_actions", "rendered_content", "expiration_time", "default_values",
        "node_title", "display_in_ui", "form_digest", "claim",
    ]  # fmt: skip
    assert body["claim"] is None
    assert body["rendered_content"].startswith("Write about tea?")
    assert (body["expiration_time"], body["node_title"]) == (reason["expiration_time"], "Review")


@pytest.mark.parametrize("way", [0, 1])
async def test_account_answers(world: World, way: int) -> None:
    """POST answers an empty object; the account is the submitter, as the backstage recipient; the run goes on."""
    reason = await paused(world)
    async with await person(world) as ann:
        path = (await addresses(world, reason["form_id"]))[way]
        response = await ann.post(path, {"inputs": {"comment": "ok"}, "action": "approve"})
        await world.runs.settle()
    assert (response.status_code, response.json()) == (200, {})
    (entry,) = await acts_on(world.hitl.forms, reason["form_id"])
    assert (entry.event, entry.account_id, entry.end_user_id, entry.via) == (
        "submitted", ann.account.account_id, None, "console",
    )  # fmt: skip
    recipients = (await world.hitl.forms.recipients([reason["form_id"]]))[reason["form_id"]]
    assert [each.type for each in recipients if each.recipient_id == entry.recipient_id] == [RecipientType.BACKSTAGE]
    (run,) = world.store.runs.values()
    assert run.status == "succeeded"


async def test_answered_form_is_412(world: World) -> None:
    """A form that has its answer is neither shown nor answered again."""
    reason = await paused(world)
    async with await person(world) as ann:
        paths = await addresses(world, reason["form_id"])
        await ann.post(paths[0], ANSWER)
        replies = [answer for path in paths for answer in (await ann.get(path), await ann.post(path, ANSWER))]
    assert {(each.status_code, each.json()["code"]) for each in replies} == {(412, "human_input_form_submitted")}


async def test_form_past_its_deadline_is_shown_and_not_answered(world: World) -> None:
    """GET does not look at the deadline, POST does."""
    reason = await paused(world)
    world.clock.at = float(reason["expiration_time"]) + 1
    async with await person(world) as ann:
        for path in await addresses(world, reason["form_id"]):
            assert (await ann.get(path)).status_code == 200
            late = await ann.post(path, ANSWER)
            assert (late.status_code, late.json()["code"]) == (412, "human_input_form_expired")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"inputs": {}, "action": "approve"}, "invalid_form_data"),
        ({"inputs": {"comment": "x"}, "action": "nope"}, "invalid_form_data"),
        ({"inputs": {"comment": 7}, "action": "approve"}, "invalid_form_data"),
        ({"inputs": [], "action": "approve"}, "invalid_param"),
        ({"inputs": {}}, "invalid_param"),
        ([], "invalid_param"),
    ],
)
async def test_bad_answer_leaves_the_form_open(world: World, body: Any, code: str) -> None:
    """What does not fit is 400 with the reason, and a good answer is taken after it."""
    reason = await paused(world)
    async with await person(world) as ann:
        for path in await addresses(world, reason["form_id"]):
            response = await ann.post(path, body)
            assert (response.status_code, response.json()["code"]) == (400, code)
        assert (await ann.post(path, ANSWER)).status_code == 200


async def test_tokens_of_other_kinds_open_nothing_in_the_console(world: World) -> None:
    """Of every recipient and surface only what was made for the console opens a form there."""
    reason = await paused(world)
    form_id = reason["form_id"]
    opened: set[tuple[str, str]] = set()
    async with await person(world) as ann:
        for recipient in (await world.hitl.forms.recipients([form_id]))[form_id]:
            for surface in Surface:
                for purpose in Purpose:
                    token = derive_token(KEY, purpose, form_id, recipient.recipient_id, surface, 1)
                    response = await ann.get(f"/form/human_input/{token}")
                    if response.status_code == 200:
                        opened.add((str(recipient.type), f"{surface} {purpose}"))
                    else:
                        assert response.json() == NOT_FOUND
        for odd in ("x", "%00", "%F0%9F%98%80", "a" * 5000, form_id):
            assert (await ann.get(f"/form/human_input/{odd}")).json() == NOT_FOUND
    assert opened == {("backstage", "console submit")}


async def test_console_token_opens_nothing_elsewhere(world: World) -> None:
    """A backstage token is worth nothing at ``/v1`` and on the public page."""
    reason = await paused(world)
    token = await token_of(world, reason["form_id"], RecipientType.BACKSTAGE, Surface.CONSOLE)
    async with world.client() as client:
        assert (await client.get(f"/v1/form/human_input/{token}")).status_code == 404
        assert (await client.get(f"/form/{token}")).status_code == 404


async def test_token_without_a_login_opens_nothing(world: World) -> None:
    """The token names the form, the login says who may."""
    reason = await paused(world)
    async with browser(world) as client:
        for path in await addresses(world, reason["form_id"]):
            assert (await client.get(f"/console/api{path}")).status_code == 401
            assert (await client.post(f"/console/api{path}", json=ANSWER)).status_code == 401


async def test_form_of_another_workspace_is_not_found(world: World) -> None:
    """Whoever belongs elsewhere sees nothing, with a good token and with a good id."""
    reason = await paused(world)
    other = await world.ports.console.accounts.ensure_workspace("other")
    async with await person(world, "eve@example.org", workspace_id=other.workspace_id) as eve:
        for path in await addresses(world, reason["form_id"]):
            assert (await eve.get(path)).json() == NOT_FOUND
            assert (await eve.post(path, ANSWER)).json() == NOT_FOUND


async def test_form_that_nobody_answers_in_the_console_is_not_found(world: World) -> None:
    """With its backstage recipient revoked a form has no place in the console."""
    reason = await paused(world)
    paths = await addresses(world, reason["form_id"])
    for recipient in list(world.store.recipients.values()):
        world.store.recipients[recipient.recipient_id] = replace(recipient, state="revoked")
    async with await person(world) as ann:
        for path in paths:
            assert (await ann.get(path)).json() == NOT_FOUND
            assert (await ann.post(path, ANSWER)).json() == NOT_FOUND


@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
async def test_random_bodies_never_fail_inside(world: World, count: int) -> None:
    """Whatever is sent to a form is taken or refused."""
    reason = await paused(world)
    async with await person(world) as ann:
        statuses = await send_random_bodies(world, ann, await addresses(world, reason["form_id"]), count)
    assert statuses <= {200, 400, 412, 415} and 400 in statuses
