"""``/v1/form/human_input``: forms read and answered through the API, and what does not open one."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from approval import ANSWER, RUN, approval
from graph.errors import UnavailableError
from hitl.form_token import Purpose, derive_token
from hitl.surface import Surface
from surface_world import KEY, World, make_world

NOT_FOUND = {"code": "not_found", "message": "Form not found", "status": 404}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow."""
    made = await make_world(approval())
    yield made
    await made.runs.settle()


async def paused(world: World) -> tuple[str, dict[str, Any]]:
    """Start a run and return its id and the reason of its pause."""
    async with world.client() as client:
        data = (await client.post("/v1/workflows/run", json=RUN)).json()["data"]
    return data["id"], data["reasons"][0]


def path_of(token: str) -> str:
    """Return the address of a form."""
    return f"/v1/form/human_input/{token}"


async def test_form_is_shown_with_stringified_defaults() -> None:
    """GET gives content, inputs, defaults as text, actions and the node deadline."""
    default = {"type": "variable", "selector": ["start1", "topic"], "value": ""}
    inputs = [{"type": "paragraph", "output_variable_name": "comment", "default": default}]
    world = await make_world(approval(inputs=inputs))
    _, reason = await paused(world)
    async with world.client() as client:
        body = (await client.get(path_of(reason["form_token"]))).json()
    named = ["form_content", "inputs", "resolved_default_values", "user_actions", "expiration_time", "form_digest"]
    assert list(body) == named
    assert body["resolved_default_values"] == {"comment": "tea"}
    assert [action["id"] for action in body["user_actions"]] == ["approve", "reject"]
    assert body["expiration_time"] == reason["expiration_time"]


async def test_answer_resumes_the_run(world: World) -> None:
    """POST answers an empty object and the run goes on behind the action."""
    run_id, reason = await paused(world)
    async with world.client() as client:
        response = await client.post(path_of(reason["form_token"]), json=ANSWER)
        await world.runs.settle()
        detail = (await client.get(f"/v1/workflows/run/{run_id}")).json()
    assert (response.status_code, response.json()) == (200, {})
    assert (detail["status"], detail["outputs"]) == ("succeeded", {"answer": "ok"})


async def test_answer_is_recorded_with_its_end_user(world: World) -> None:
    """The named user is the submitter, also another one than who started the run."""
    _, reason = await paused(world)
    async with world.client() as client:
        await client.post(path_of(reason["form_token"]), json={**ANSWER, "user": "approver"})
    entry = (await world.hitl.forms.audit(reason["form_id"]))[-1]
    (user,) = [each for each in world.store.end_users.values() if each.session_id == "approver"]
    assert (entry.event, entry.end_user_id, entry.via) == ("submitted", user.end_user_id, "service_api")


async def test_second_answer_is_412(world: World) -> None:
    """A form that has its answer takes no other and is not shown."""
    _, reason = await paused(world)
    path = path_of(reason["form_token"])
    async with world.client() as client:
        await client.post(path, json=ANSWER)
        answers = [await client.post(path, json=ANSWER), await client.get(path)]
    text = f"This form has already been submitted by another user, form_id={reason['form_id']}"
    for answer in answers:
        assert answer.status_code == 412
        assert answer.json() == {"code": "human_input_form_submitted", "message": text, "status": 412}


async def test_repeated_answer_with_an_idempotency_key_succeeds_again(world: World) -> None:
    """The same answer by the same token with the header is 200 again; another answer is 409, no header 412."""
    _, reason = await paused(world)
    path, key = path_of(reason["form_token"]), {"Idempotency-Key": "k-1"}
    other = {**ANSWER, "inputs": {"comment": "other"}}
    async with world.client() as client:
        answers = [
            await client.post(path, json=ANSWER, headers=key),
            await client.post(path, json=ANSWER, headers=key),
            await client.post(path, json=other, headers=key),
            await client.post(path, json={**ANSWER, "action": "nonsense"}, headers=key),
            await client.post(path, json=ANSWER),
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 409, 409, 412]
    assert answers[1].json() == {}
    assert [entry.event for entry in world.store.audit].count("submitted") == 1


async def test_expired_form_is_412_before_anybody_has_marked_it(world: World) -> None:
    """From its deadline on a form refuses answers, also bad ones."""
    _, reason = await paused(world)
    world.clock.at = reason["expiration_time"]
    path = path_of(reason["form_token"])
    async with world.client() as client:
        answers = [
            await client.get(path),
            await client.post(path, json=ANSWER),
            await client.post(path, json={**ANSWER, "action": "nonsense"}),
        ]
    codes = [(answer.status_code, answer.json()["code"]) for answer in answers]
    assert codes == [(412, "human_input_form_expired")] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action": "other"}, "Invalid action: other"),
        ({"inputs": {}}, "Missing required inputs: comment"),
        ({"inputs": {"comment": 5}}, "Invalid value for paragraph input 'comment': must be a string"),
    ],
)
async def test_bad_answer_is_invalid_form_data_and_leaves_the_form_open(
    world: World, change: dict[str, Any], message: str
) -> None:
    """An answer that does not fit is refused with the reason; the same token works again."""
    _, reason = await paused(world)
    path = path_of(reason["form_token"])
    async with world.client() as client:
        bad = await client.post(path, json={**ANSWER, **change})
        good = await client.post(path, json=ANSWER)
    assert bad.json() == {"code": "invalid_form_data", "message": message, "status": 400}
    assert good.status_code == 200


def token_of(world: World, form_id: str, surface: Surface, purpose: Purpose = Purpose.SUBMIT) -> str:
    """Return a token of the form's first recipient as it would be derived for ``surface``."""
    recipient = next(each for each in world.store.recipients.values() if each.form_id == form_id)
    return derive_token(KEY, purpose, form_id, recipient.recipient_id, surface, recipient.generation)


async def test_every_kind_of_miss_looks_the_same(world: World) -> None:
    """Unknown, malformed, foreign, other surfaces' and revoked tokens get one and the same 404."""
    _, reason = await paused(world)
    _, _, other_key = await world.add_app(approval())
    form_id, token = reason["form_id"], reason["form_token"]
    misses = [
        "A" * 43,
        "short",
        "%00%ff",
        "é" * 43,
        token[:-1] + ("a" if token[-1] != "a" else "b"),
        token_of(world, form_id, Surface.WEB),
        token_of(world, form_id, Surface.OPENAPI),
        token_of(world, form_id, Surface.SERVICE_API, Purpose.UPLOAD),
    ]
    async with world.client() as client, world.client(other_key) as other:
        answers = [await client.get(path_of(miss)) for miss in misses]
        answers += [await client.post(path_of(miss), json=ANSWER) for miss in misses]
        answers += [await other.get(path_of(token)), await other.post(path_of(token), json=ANSWER)]
        (recipient, *_) = [each for each in world.store.recipients.values() if each.type == "standalone_web_app"]
        await world.hitl.forms.revoke(recipient.recipient_id, world.clock.now())
        answers += [await client.get(path_of(token)), await client.post(path_of(token), json=ANSWER)]
    assert [answer.json() for answer in answers] == [NOT_FOUND] * len(answers)
    assert len({answer.content for answer in answers}) == 1


async def test_reissued_token_replaces_the_earlier_one(world: World) -> None:
    """After tokens were issued anew the old one is a miss."""
    _, reason = await paused(world)
    (recipient, *_) = [each for each in world.store.recipients.values() if each.type == "standalone_web_app"]
    await world.hitl.forms.reissue(recipient.recipient_id, [], world.clock.now())
    async with world.client() as client:
        assert (await client.get(path_of(reason["form_token"]))).json() == NOT_FOUND


async def test_every_miss_does_the_same_work(world: World) -> None:
    """A token is hashed and looked up exactly once, whatever it looks like."""
    looked_up: list[bytes] = []
    found = world.hitl.forms.by_token

    async def counted(token_hash: bytes, *wanted: Any) -> Any:
        looked_up.append(token_hash)
        return await found(token_hash, *wanted)

    world.hitl.forms.by_token = counted  # type: ignore[method-assign]
    async with world.client() as client:
        for token in ("x", "A" * 43, "é"):
            await client.get(path_of(token))
    assert [len(each) for each in looked_up] == [32, 32, 32]


async def test_form_without_web_app_delivery_names_the_channels() -> None:
    """Where callers of ``/v1`` cannot answer they get no token and hear where the form can be decided."""
    email = {
        "type": "email",
        "enabled": True,
        "config": {
            "recipients": {"whole_workspace": False, "items": [{"type": "external", "email": "a@example.org"}]},
            "subject": "Please decide",
            "body": "{{#url#}}",
        },
    }
    document = approval()
    document["workflow"]["graph"]["nodes"][1]["data"]["delivery_methods"] = [email]
    world = await make_world(document)
    _, reason = await paused(world)
    assert (reason["form_token"], reason["approval_channels"]) == (None, ["console", "email"])


async def test_answer_that_cannot_be_stored_now_is_503(world: World) -> None:
    """A store that is away is told as such, so the caller tries again."""

    async def away(*args: Any) -> None:
        raise UnavailableError

    _, reason = await paused(world)
    world.hitl.submit = away  # type: ignore[method-assign]
    async with world.client() as client:
        response = await client.post(path_of(reason["form_token"]), json=ANSWER)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
