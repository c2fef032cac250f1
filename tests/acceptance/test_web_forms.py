"""``/api/form`` and uploads with an upload token: forms for programs that hold a link and no credential."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from approval import RUN, approval, with_mail
from form_links import newest, token_for, token_of, token_to
from hitl.form_token import Purpose
from hitl.recipient import RecipientType
from hitl.surface import Surface
from local_server import local_server
from store_world import acts_on
from surface_world import World, make_world
from surfaces.form_limits import FormLimits

PDF = b"%PDF-1.7\n%..."
FILE = {"type": "file", "output_variable_name": "report", "allowed_file_types": ["document"]}
ANSWER = {"inputs": {"comment": "fine"}, "action": "approve"}
FILES = "/api/human-input-forms/files"


def path_of(token: str) -> str:
    """Return the address of a form."""
    return f"/api/form/human_input/{token}"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow."""
    made = await make_world(approval())
    yield made
    await made.runs.settle()


async def upload_token(client: httpx2.AsyncClient, token: str) -> str:
    """Return the upload token of a form token."""
    reply = await client.post(f"{path_of(token)}/upload-token")
    assert reply.status_code == 200, reply.text
    return reply.json()["upload_token"]


def bearer(token: str) -> dict[str, str]:
    """Return the header of an upload, as front ends write it."""
    return {"Authorization": f"bearer {token}"}


async def test_form_comes_with_its_site(world: World) -> None:
    """GET gives the definition and the branding of the app, and needs no credential."""
    token = await token_of(world)
    async with world.client("") as client:
        reply = await client.get(path_of(token), headers={"X-App-Code": token})
    body = reply.json()
    assert reply.status_code == 200
    assert list(body) == [
        "form_content", "inputs", "resolved_default_values", "user_actions", "expiration_time", "form_digest",
        "site",
    ]  # fmt: skip
    assert list(body["site"]) == [
        "app_id", "end_user_id", "enable_site", "site", "model_config", "plan", "can_replace_logo", "custom_config",
    ]  # fmt: skip
    assert (body["site"]["app_id"], body["site"]["end_user_id"]) == (world.app_id, None)
    assert body["site"]["site"]["title"] == "test"


async def test_answer_resumes_the_run_and_names_nobody(world: World) -> None:
    """POST answers an empty object; only the recipient is recorded."""
    token = await token_of(world)
    async with world.client("") as client:
        reply = await client.post(path_of(token), json=ANSWER)
    await world.runs.settle()
    (run,) = world.store.runs.values()
    (form_id,) = world.store.forms
    (entry,) = await acts_on(world.hitl.forms, form_id)
    assert (reply.status_code, reply.json()) == (200, {})
    assert (run.status, run.outputs) == ("succeeded", {"answer": "fine"})
    assert (entry.via, entry.account_id, entry.end_user_id) == ("web", None, None)
    assert entry.recipient_id == newest(world, RecipientType.STANDALONE_WEB_APP).recipient_id


async def test_form_that_is_over_is_412(world: World) -> None:
    """Answered and expired forms say so on every endpoint; the same answer with a key is a repetition."""
    done, late = await token_of(world), await token_of(world)
    async with world.client("") as client:
        await client.post(path_of(done), json=ANSWER)
        again = await client.post(path_of(done), json=ANSWER, headers={"Idempotency-Key": "1"})
        other = await client.post(path_of(done), json={**ANSWER, "action": "reject"}, headers={"Idempotency-Key": "1"})
        answered = [
            await client.get(path_of(done)),
            await client.post(path_of(done), json=ANSWER),
            await client.post(f"{path_of(done)}/upload-token"),
        ]
        world.clock.at += 10 * 86_400
        expired = [await client.get(path_of(late)), await client.post(path_of(late), json=ANSWER)]
    assert (again.status_code, other.status_code) == (200, 412)
    assert {(each.status_code, each.json()["code"]) for each in answered} == {(412, "human_input_form_submitted")}
    assert {(each.status_code, each.json()["code"]) for each in expired} == {(412, "human_input_form_expired")}


async def test_answer_that_does_not_fit_leaves_the_form_open(world: World) -> None:
    """A wrong body is 400 before anything else, a wrong answer 400 with its reason."""
    token = await token_of(world)
    async with world.client("") as client:
        for body in ({}, {"inputs": [], "action": "approve"}, {"inputs": {}}):
            reply = await client.post(path_of("unknown"), json=body)
            assert (reply.status_code, reply.json()["code"]) == (400, "invalid_param")
        for body in ({**ANSWER, "action": "x"}, {**ANSWER, "inputs": {}}):
            reply = await client.post(path_of(token), json=body)
            assert (reply.status_code, reply.json()["code"]) == (400, "invalid_form_data")
        assert (await client.get(path_of(token))).status_code == 200


async def test_app_without_a_site_is_403(world: World) -> None:
    """GET shows no form of an app without a site; a closed site still lets people answer."""
    token = await token_of(world)
    async with world.client("") as client:
        site = world.store.sites.pop(world.app_id)
        none = await client.get(path_of(token))
        world.store.sites[world.app_id] = site
        await world.ports.sites.set_open(world.app_id, False)
        closed = await client.get(path_of(token))
    assert (none.status_code, none.json()["code"]) == (403, "forbidden")
    assert (closed.status_code, closed.json()["site"]["enable_site"]) == (200, False)


async def test_upload_token_is_the_same_on_each_call() -> None:
    """It is derived, works until the form is over, and is given for forms with file inputs only."""
    world = await make_world(approval(inputs=[FILE]))
    token, plain = await token_of(world), await token_of(await make_world(approval()))
    async with world.client("") as client:
        first, second = [await client.post(f"{path_of(token)}/upload-token") for _ in range(2)]
    expected = token_for(world, RecipientType.STANDALONE_WEB_APP, purpose=Purpose.UPLOAD)
    (form,) = world.store.forms.values()
    assert first.json() == second.json() == {
        "upload_token": f"hitl_upload_{expected}", "expires_at": int(form.expires_at),
    }  # fmt: skip
    world = await make_world(approval())
    plain = await token_of(world)
    async with world.client("") as client:
        reply = await client.post(f"{path_of(plain)}/upload-token")
    assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")


async def test_upload_answers_a_file_input() -> None:
    """An uploaded file is the initiator's, named in the answer by id, and read by the run."""
    world = await make_world(approval(content="Well?", inputs=[FILE]))
    token = await token_of(world)
    async with world.client("") as client:
        headers = bearer(await upload_token(client, token))
        made = await client.post(FILES, headers=headers, files={"file": ("r.pdf", PDF, "text/html")})
        file = {"type": "document", "transfer_method": "local_file", "upload_file_id": made.json()["id"], "url": ""}
        done = await client.post(path_of(token), json={"inputs": {"report": file}, "action": "approve"})
    (run,) = world.store.runs.values()
    (answer,) = world.store.answers.values()
    assert made.status_code == 201, made.text
    assert (made.json()["mime_type"], made.json()["created_by"]) == ("application/pdf", run.created_by_id)
    assert done.status_code == 200, done.text
    assert answer.submission.values["report"]["size"] == len(PDF)


async def test_upload_of_one_recipient_is_nothing_to_another() -> None:
    """An answer may name what was uploaded with this form's own token; anything else is refused in the same words."""
    world = await make_world(with_mail(approval(content="Well?", inputs=[FILE])))
    token, other_form = await token_of(world), await token_of(world)
    by_mail = token_for(world, RecipientType.EMAIL_EXTERNAL)
    uploads = []
    async with world.client("") as client:
        for each in (token, by_mail):
            headers = bearer(await upload_token(client, each))
            made = await client.post(FILES, headers=headers, files={"file": ("r.pdf", PDF, "")})
            uploads.append(made.json()["id"])
        async with world.client() as keyed:
            sent = {"file": ("r.pdf", PDF, "application/pdf")}
            uploads.append((await keyed.post("/v1/files/upload", files=sent, data={"user": "u-1"})).json()["id"])

        def answer(file_id: str) -> dict[str, Any]:
            file = {"type": "document", "transfer_method": "local_file", "upload_file_id": file_id}
            return {"inputs": {"report": file}, "action": "approve"}

        refused = [await client.post(path_of(other_form), json=answer(each)) for each in (*uploads, "nothing")]
        taken = await client.post(path_of(by_mail), json=answer(uploads[1]))
    assert {each.status_code for each in refused} == {400}
    assert len({each.text for each in refused}) == 1
    assert taken.status_code == 200, taken.text


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401), ("", 401), ("Bearer", 401), ("Bearer ", 401), ("nothing", 401),
        ("Basic hitl_upload_x", 400), ("Bearer app-key", 400), ("Bearer upload_x", 400),
        ("Bearer hitl_upload_", 403), ("bearer hitl_upload_" + "A" * 43, 403), ("SUBMIT", 403), ("BARE", 400),
    ],
)  # fmt: skip
async def test_bad_upload_token_is_refused_before_anything_is_read(header: str | None, status: int) -> None:
    """Each way of being wrong has its status and one code; the body stays unread and no address is fetched."""
    async with local_server() as server:
        server.reply("/r.pdf", PDF, content_type="application/pdf")
        world = await make_world(approval(inputs=[FILE]))
        token = await token_of(world)
        if header == "SUBMIT":
            header = f"Bearer hitl_upload_{token}"
        elif header == "BARE":
            header = f"Bearer {token_for(world, RecipientType.STANDALONE_WEB_APP, purpose=Purpose.UPLOAD)}"
        headers: dict[str, str] = {} if header is None else {"Authorization": header}
        async with world.client("") as client:
            by_url = await client.post(FILES, headers=headers, files={"url": (None, f"{server.url}/r.pdf")})
            broken = await client.post(FILES, headers={**headers, "Content-Length": str(1 << 40)}, content=b"")
        assert server.asked == []
    for reply in (by_url, broken):
        assert (reply.status_code, reply.json()["code"]) == (status, "invalid_upload_token")
    assert not world.store.files


async def test_upload_token_ends_with_its_recipient_and_its_form() -> None:
    """A revoked recipient and an older generation upload nothing; a form that is over is 412."""
    world = await make_world(approval(inputs=[FILE]))
    async with world.client("") as client:
        for revoke in (True, False):
            token = await token_of(world)
            recipient = newest(world, RecipientType.STANDALONE_WEB_APP)
            headers = bearer(await upload_token(client, token))
            if revoke:
                await world.hitl.forms.revoke(recipient.recipient_id, 1.0)
            else:
                await world.hitl.forms.reissue(recipient.recipient_id, [], 1.0)
            gone = await client.post(FILES, headers=headers, files={"file": ("r.pdf", PDF, "")})
            assert (gone.status_code, gone.json()["code"]) == (403, "invalid_upload_token")
        headers = bearer(await upload_token(client, await token_of(world)))
        world.clock.at += 10 * 86_400
        late = await client.post(FILES, headers=headers, files={"file": ("r.pdf", PDF, "")})
    assert (late.status_code, late.json()["code"]) == (412, "human_input_form_expired")


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        (None, 400, "no_file_uploaded"),
        ({"other": ("a.pdf", PDF, "x/y")}, 400, "no_file_uploaded"),
        ([("file", ("a.pdf", PDF, "x/y")), ("file", ("b.pdf", PDF, "x/y"))], 400, "too_many_files"),
        ({"file": ("../a.pdf", PDF, "x/y")}, 400, "invalid_param"),
        ({"file": ("a.exe", PDF, "x/y")}, 400, "file_extension_blocked"),
        ({"file": ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(99), "image/png")}, 415, "unsupported_file_type"),
        ({"file": ("a.pdf", b"<html>", "application/pdf")}, 415, "unsupported_file_type"),
        ({"file": ("a.txt", bytes((15 << 20) + 1), "text/plain")}, 413, "file_too_large"),
        ({"url": (None, "ftp://example.org/a.pdf")}, 400, "invalid_param"),
        ({"url": (None, "http://[::1")}, 400, "invalid_param"),
        ({"url": (None, "http://10.0.0.1/a.pdf")}, 400, "remote_file_upload_error"),
    ],
)  # fmt: skip
async def test_upload_that_cannot_be_taken_is_refused(files: Any, status: int, code: str) -> None:
    """Sizes, extensions, types and contents have their limits, whoever uploads."""
    document = approval(inputs=[{**FILE, "allowed_file_upload_methods": ["local_file", "remote_url"]}])
    world = await make_world(document, blocked_extensions=frozenset({".exe"}))
    token = await token_of(world)
    async with world.client("") as client:
        headers = bearer(await upload_token(client, token))
        reply = await client.post(FILES, headers=headers, files=files)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert not world.store.files


async def test_file_at_an_address_is_fetched() -> None:
    """The field ``url`` has the server fetch a public file, within the limits of a sent one."""
    world = await make_world(approval(content="Well?", inputs=[FILE]))
    async with local_server() as server, world.client("") as client:
        server.reply("/a%2Fb/r.pdf", PDF, content_type="text/html")
        server.reply("/big.pdf", PDF + bytes(15 << 20), content_type="application/pdf")
        headers = bearer(await upload_token(client, await token_of(world)))
        made = await client.post(FILES, headers=headers, files={"url": (None, f"{server.url}/a%2Fb/r.pdf?x=1")})
        big = await client.post(FILES, headers=headers, files={"url": (None, f"{server.url}/big.pdf")})
        gone = await client.post(FILES, headers=headers, files={"url": (None, f"{server.url}/gone.pdf")})
    assert (made.status_code, made.json()["name"], made.json()["mime_type"]) == (201, "r.pdf", "application/pdf")
    assert {(each.status_code, each.json()["message"]) for each in (big, gone)} == {
        (400, "The file at this address cannot be fetched.")
    }


async def test_limits_are_separate_and_say_when_to_try_again() -> None:
    """Reading, answering and upload tokens are limited each by itself, for each token; a wrong body is not counted."""
    world = await make_world(approval(), form_limits=FormLimits(count=2))
    token, other = await token_of(world), await token_of(world)
    async with world.client("") as client:
        for _ in range(5):
            assert (await client.post(path_of(token), json={})).status_code == 400
        reads = [await client.get(path_of(token)) for _ in range(3)]
        sends = [await client.post(path_of(token), json={**ANSWER, "action": "x"}) for _ in range(3)]
        tokens = [await client.post(f"{path_of(token)}/upload-token") for _ in range(3)]
        page = [await client.get(f"/form/{other}") for _ in range(3)]
    assert [each.status_code for each in reads] == [200, 200, 429]
    assert [each.status_code for each in sends] == [400, 400, 429]
    assert [each.status_code for each in tokens] == [400, 400, 429]
    assert [each.status_code for each in page] == [303, 303, 429]
    for each in (reads[2], sends[2], tokens[2]):
        assert each.json()["code"] == "web_form_rate_limit_exceeded"
        assert 1 <= int(each.headers["retry-after"]) <= 60
    assert page[2].headers["content-type"].startswith("text/html")
    assert "Please wait" in page[2].text and 1 <= int(page[2].headers["retry-after"]) <= 60


async def test_tokens_minted_for_apis_are_good_here() -> None:
    """Who got a token through an API can hand it to a front end, uploads included."""
    world = await make_world(approval(inputs=[FILE]))
    async with world.client() as client:
        await client.post("/v1/workflows/run", json=RUN)
    recipient = newest(world, RecipientType.STANDALONE_WEB_APP)
    async with world.client("") as client:
        for surface in (Surface.SERVICE_API, Surface.OPENAPI, Surface.WEB):
            token = await upload_token(client, token_to(recipient, surface))
            made = await client.post(FILES, headers=bearer(token), files={"file": ("r.pdf", PDF, "")})
            assert (made.status_code, token) == (201, f"hitl_upload_{token_to(recipient, surface, Purpose.UPLOAD)}")
