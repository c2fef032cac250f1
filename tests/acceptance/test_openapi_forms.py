"""Forms at ``/openapi/v1``: read and answered by a program of an account, in both spellings of the paths."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from approval import ANSWER, RUN, approval, straight, with_mail
from form_links import newest, token_for, token_to
from hitl.form_token import Purpose
from hitl.recipient import RecipientType
from hitl.surface import Surface
from openapi_world import Program, program
from surface_world import World, make_world

W = RecipientType.STANDALONE_WEB_APP
FILE = {"type": "file", "output_variable_name": "report", "allowed_file_types": ["document"]}

Paths = Callable[[str, str], tuple[str, str]]


def old(app_id: str, token: str) -> tuple[str, str]:
    """Return the paths of Dify 1.14: of the form, of its answer."""
    return (f"/apps/{app_id}/form/human_input/{token}",) * 2


def new(app_id: str, token: str) -> tuple[str, str]:
    """Return the paths of later versions."""
    path = f"/apps/{app_id}/human-input-forms/{token}"
    return path, f"{path}:submit"


@pytest.fixture
async def world() -> World:
    """A Greenroom whose app asks for an approval."""
    return await make_world(approval())


@pytest.fixture
async def ann(world: World) -> AsyncIterator[Program]:
    """A program of a member of its workspace."""
    async with await program(world) as ann:
        yield ann


@pytest.mark.parametrize("paths", [old, new])
async def test_form_is_read_and_answered(world: World, ann: Program, paths: Paths) -> None:
    """The token of a stream opens the form, its answer gives exactly {}, and the audit names the account for both."""
    run_id, asked = await ann.paused()
    assert asked["approval_channels"] == ["console"]
    form_path, answer_path = paths(world.app_id, asked["form_token"])
    shown = await ann.get(form_path)
    assert list(shown.json()) == [
        "form_content", "inputs", "resolved_default_values", "user_actions", "expiration_time", "form_digest",
    ]  # fmt: skip
    assert isinstance(shown.json()["expiration_time"], int)
    answer = {**ANSWER, "form_digest": shown.json()["form_digest"]}
    reply = await ann.post(answer_path, answer)
    assert (reply.status_code, reply.json()) == (200, {})
    await world.runs.settle()
    assert world.store.runs[run_id].status == "succeeded"
    audit = [(each.event, each.account_id, each.via) for each in world.store.audit][1:]
    assert audit == [(event, ann.account.account_id, "openapi") for event in ("viewed", "submitted")]
    (given,) = world.store.answers.values()
    assert given.recipient_id == newest(world, W).recipient_id
    for late in (await ann.get(form_path), await ann.post(answer_path, answer)):
        assert (late.status_code, late.json()["code"]) == (412, "human_input_form_submitted")


async def test_token_of_a_form_depends_on_its_recipients() -> None:
    """Without a web app there is no token here, only where else the form can be answered."""
    document = with_mail(approval())
    asking = next(each["data"] for each in document["workflow"]["graph"]["nodes"] if each["id"] == "hi1")
    asking["delivery_methods"] = [each for each in asking["delivery_methods"] if each["type"] == "email"]
    world = await make_world(document)
    async with await program(world) as ann:
        _, asked = await ann.paused()
    assert (asked["form_token"], asked["approval_channels"]) == (None, ["console", "email"])


@pytest.mark.parametrize("paths", [old, new])
async def test_every_miss_is_form_not_found(world: World, ann: Program, paths: Paths) -> None:
    """Unknown, malformed, revoked and upload tokens, and those of another app, are one 404."""
    await ann.paused()
    good = token_for(world, W, Surface.OPENAPI)
    other_id, *_ = await world.add_app(straight())
    misses = [
        (world.app_id, "A" * 43),
        (world.app_id, "x"),
        (world.app_id, "%00"),
        (world.app_id, token_for(world, W, Surface.OPENAPI, Purpose.UPLOAD)),
        (other_id, good),
        # A good token of another surface, but of a form of another app: nobody learns that it exists.
        (other_id, token_for(world, W, Surface.SERVICE_API)),
        (other_id, token_for(world, RecipientType.BACKSTAGE, Surface.CONSOLE)),
    ]
    replies = [await ann.get(paths(*miss)[0]) for miss in misses]
    replies += [await ann.post(paths(*miss)[1], ANSWER) for miss in misses]
    await world.hitl.forms.revoke(newest(world, W).recipient_id, 1.0)
    replies.append(await ann.get(paths(world.app_id, good)[0]))
    assert {(each.status_code, each.text) for each in replies} == {
        (404, '{"code": "form_not_found", "message": "Form not found", "status": 404}\n')
    }


@pytest.mark.parametrize("paths", [old, new])
async def test_token_of_another_surface_gets_a_hint(paths: Paths) -> None:
    """Whoever may see the form hears where its token belongs; whoever may not gets the 404 of an unknown app."""
    world = await make_world(with_mail(approval()))
    elsewhere = await world.ports.console.accounts.ensure_workspace("other")
    async with (
        await program(world) as ann,
        await program(world, "eve@example.org", workspace_id=elsewhere.workspace_id) as eve,
    ):
        await ann.paused()
        tokens = [
            token_for(world, W, Surface.SERVICE_API),
            token_for(world, W, Surface.WEB),
            token_for(world, RecipientType.EMAIL_MEMBER),
            token_for(world, RecipientType.BACKSTAGE, Surface.CONSOLE),
        ]
        for token in tokens:
            form_path, answer_path = paths(world.app_id, token)
            for reply in (await ann.get(form_path), await ann.post(answer_path, ANSWER)):
                told = reply.json()
                assert (reply.status_code, told["code"]) == (403, "recipient_surface_mismatch")
                assert "web app" in told["hint"] and "console" in told["hint"] and token not in reply.text
            for reply in (await eve.get(form_path), await eve.post(answer_path, ANSWER)):
                assert (reply.status_code, reply.json()["message"]) == (404, "app not found")
    assert {form.status for form in world.store.forms.values()} == {"waiting"}


async def test_form_of_an_api_run_is_answered_here(world: World, ann: Program) -> None:
    """A form belongs to its app: who started the run does not matter to who answers."""
    async with world.client() as keyed:
        await keyed.post("/v1/workflows/run", json=RUN)
    path = old(world.app_id, token_for(world, W, Surface.OPENAPI))[1]
    assert (await ann.post(path, ANSWER)).json() == {}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"action": "approve"}, 422, "invalid_param"),
        ({"inputs": [], "action": "approve"}, 422, "invalid_param"),
        ({"inputs": {}}, 422, "invalid_param"),
        ({"inputs": {"comment": "x"}, "action": "none"}, 400, "invalid_form_data"),
        ({"inputs": {}, "action": "approve"}, 400, "invalid_form_data"),
        ({**ANSWER, "form_digest": "0" * 64}, 409, "form_changed"),
    ],
)
async def test_answer_that_does_not_fit_leaves_the_form_open(
    world: World, ann: Program, body: dict[str, Any], status: int, code: str
) -> None:
    """A wrong answer has its code, a wrong body also the places, and the form takes the next one."""
    _, asked = await ann.paused()
    path = new(world.app_id, asked["form_token"])[1]
    reply = await ann.post(path, body)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert ("details" in reply.json()) == (status == 422)
    assert (await ann.post(path, ANSWER)).json() == {}


async def test_body_is_read_after_the_token_of_the_account(world: World) -> None:
    """Whoever has no bearer token learns nothing of forms, whatever they send."""
    async with world.client() as keyed, world.client("") as client:
        await keyed.post("/v1/workflows/run", json=RUN)
        path = f"/openapi/v1{new(world.app_id, token_for(world, W, Surface.OPENAPI))[1]}"
        replies = [await each.post(path, json=ANSWER) for each in (keyed, client)]
    assert [each.status_code for each in replies] == [401, 401]


async def test_late_answer_is_412(world: World, ann: Program) -> None:
    """After its deadline a form is neither shown nor answered."""
    _, asked = await ann.paused()
    world.clock.at = asked["expiration_time"] + 1
    form_path, answer_path = new(world.app_id, asked["form_token"])
    async with await program(world) as later:
        for reply in (await later.get(form_path), await later.post(answer_path, ANSWER)):
            assert (reply.status_code, reply.json()["code"]) == (412, "human_input_form_expired")


async def test_answer_with_a_key_may_be_repeated(world: World, ann: Program) -> None:
    """The same answer under the same key succeeds again; another one under it, and another account, do not."""
    _, asked = await ann.paused()
    path, key = new(world.app_id, asked["form_token"])[1], {"Idempotency-Key": "k-1"}
    async with await program(world, "bob@example.org") as bob:
        first, second = await ann.post(path, ANSWER, headers=key), await ann.post(path, ANSWER, headers=key)
        other = await ann.post(path, {**ANSWER, "action": "reject"}, headers=key)
        foreign = await bob.post(path, ANSWER, headers=key)
    assert [first.json(), second.json()] == [{}, {}]
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert foreign.status_code == 412
    empty = await ann.post(path, ANSWER, headers={"Idempotency-Key": " "})
    assert (empty.status_code, empty.json()["code"]) == (422, "invalid_param")


async def test_answer_names_files_of_the_account_only() -> None:
    """A file in an answer must be one that the account has uploaded for this app."""
    world = await make_world(approval(inputs=[FILE]))
    async with await program(world) as ann, await program(world, "bob@example.org") as bob:
        stored = [
            (await each.post(f"/apps/{world.app_id}/files", files={"file": ("r.pdf", b"%PDF-1", "application/pdf")}))
            for each in (bob, ann)
        ]
        _, asked = await ann.paused()
        path = new(world.app_id, asked["form_token"])[1]
        mappings = [
            {"type": "document", "transfer_method": "local_file", "upload_file_id": each.json()["id"]}
            for each in stored
        ]
        replies = [await ann.post(path, {"inputs": {"report": each}, "action": "approve"}) for each in mappings]
    assert [each.status_code for each in replies] == [400, 200]
    assert replies[0].json()["code"] == "invalid_form_data"


async def test_token_is_worth_nothing_on_other_surfaces_but_the_page(world: World, ann: Program) -> None:
    """What this surface gives works here and on the public page, whose link may be passed on."""
    await ann.paused()
    token = token_to(newest(world, W), Surface.OPENAPI)
    async with world.client() as keyed, world.client("") as client:
        by_key = await keyed.get(f"/v1/form/human_input/{token}")
        public = await client.get(f"/api/form/human_input/{token}")
    assert (by_key.status_code, public.status_code) == (404, 200)


async def test_no_vote_is_cast_here() -> None:
    """A form that only approvers decide gives no token here, and none of the others opens it."""
    rules = {"approval": {"approvers": ["ann@example.org"], "quorum": 1}}
    world = await make_world(approval(greenroom=rules))
    async with await program(world) as ann:
        _, asked = await ann.paused()
        assert asked["form_token"] is None
        backstage = token_for(world, RecipientType.BACKSTAGE, Surface.CONSOLE)
        assert (await ann.post(old(world.app_id, backstage)[1], ANSWER)).status_code == 403
