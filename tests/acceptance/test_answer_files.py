"""Files in answers, on every surface that takes answers: addresses fetched beforehand, uploads that runs can read."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from actors import answer_files
from approval import started
from console_world import person
from effects.media_type import HEAD_BYTES
from factories import document, edge, end, human, node
from form_links import link_of, newest, opened, token_of
from hitl.recipient import RecipientType
from hitl.surface import Surface
from local_server import Asked, LocalServer, head, local_server
from page_reader import elements_of
from surface_world import World, make_world
from surfaces.console_inbox import DECIDED_AT_ONCE

PDF = b"%PDF-1.7\n%..."
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(40)
ASKED = {"type": "file", "output_variable_name": "report", "allowed_file_types": ["document"]}
SURFACES = Path(answer_files.__file__).parents[1] / "surfaces"


def reading(*inputs: dict[str, Any], **data: Any) -> dict[str, Any]:
    """Return a workflow that asks for a file and reads it."""
    nodes = [
        started(),
        human("hi1", "Well?", inputs=list(inputs) or [ASKED], title="Review", **data),
        node("text", "document-extractor", variable_selector=["hi1", "report"]),
        end("e", text=["text", "text"]),
    ]
    return document(nodes, [edge("start1", "hi1"), edge("hi1", "text", "approve"), edge("text", "e")])


def remote(url: str, **more: Any) -> dict[str, Any]:
    """Return the mapping of a file at an address."""
    return {"transfer_method": "remote_url", "url": url, "type": "document", **more}


def local(file_id: str) -> dict[str, Any]:
    """Return the mapping of an upload."""
    return {"transfer_method": "local_file", "upload_file_id": file_id, "type": "document"}


def answer(value: Any, **more: Any) -> dict[str, Any]:
    """Return an answer with one file input."""
    return {"inputs": {"report": value}, "action": "approve", "user": "u-1", **more}


async def key_token_of(world: World) -> str:
    """Start a run and return the token of its form for the holders of the app's key."""
    return (await link_of(world, Surface.SERVICE_API)).rpartition("/")[2]


async def give(world: World, way: str, value: Any) -> httpx2.Response:
    """Start a run and answer its form on a surface."""
    token = await (key_token_of(world) if way == "service_api" else token_of(world))
    form = list(world.store.forms)[-1]
    if way == "console":
        async with await person(world) as ann:
            response = await ann.post(f"/inbox/forms/{form}", answer(value))
    elif way == "service_api":
        async with world.client() as client:
            response = await client.post(f"/v1/form/human_input/{token}", json=answer(value))
    else:
        async with world.client("") as client:
            response = await client.post(f"/api/form/human_input/{token}", json=answer(value))
    await world.runs.settle()
    return response


@pytest.mark.parametrize("way", ["service_api", "web", "console"])
async def test_file_at_an_address_is_fetched_before_the_answer_is_taken(way: str) -> None:
    """What was learned of it stands in the answer, and the run reads it."""
    world = await make_world(reading())
    async with local_server() as server:
        server.reply("/a/my%20notes.txt", b"hello", content_type="text/html")
        response = await give(world, way, remote(f"{server.url}/a/my%20notes.txt?x=1"))
    (given,) = world.store.answers.values()
    (run,) = world.store.runs.values()
    value = given.submission.values["report"]
    assert response.status_code == 200, response.text
    assert (value["filename"], value["mime_type"], value["size"]) == ("my notes.txt", "text/plain", 5)
    assert value["transfer_method"] == "remote_url" and value["url"].startswith(server.url)
    assert run.outputs == {"text": "hello"}
    assert not world.store.files


@pytest.mark.parametrize("way", ["service_api", "web", "console"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/gone.pdf", "the file at this address cannot be fetched"),
        ("/big.pdf", "the file at this address cannot be fetched"),
        ("/fake.pdf", "the content at this address is not that of a .pdf file"),
        ("/a.exe", "file extension .exe is not allowed"),
        ("/photo", "file type image is not allowed"),
    ],
)
async def test_file_that_cannot_be_taken_leaves_the_form_open(way: str, path: str, reason: str) -> None:
    """The answer is refused with 400, which names the input; nothing of it is kept, and it can be given again."""
    world = await make_world(reading(), blocked_extensions=frozenset({".exe"}))
    async with local_server() as server:
        server.reply("/big.pdf", PDF + bytes(15 << 20))
        server.reply("/fake.pdf", b"<html>")
        server.reply("/photo", PNG)
        server.reply("/gone.pdf", b"secret inside", status=500)
        response = await give(world, way, remote(f"{server.url}{path}"))
    assert (response.status_code, response.json()["code"]) == (400, "invalid_form_data")
    assert response.json()["message"] == f"Invalid value for file input 'report': {reason}"
    assert [str(form.status) for form in world.store.forms.values()] == ["waiting"]
    assert not world.store.answers and not world.store.files


@pytest.mark.parametrize("way", ["service_api", "web", "console"])
async def test_inner_addresses_are_not_reached(way: str) -> None:
    """An address inside is refused in the words of any file that cannot be had."""
    world = await make_world(reading())
    for url in ("http://10.0.0.1/a.pdf", "http://[::1]/a.pdf", "http://169.254.169.254/latest", "http://0/a.pdf"):
        response = await give(world, way, remote(url))
        assert (response.status_code, response.json()["code"]) == (400, "invalid_form_data")
        assert response.json()["message"].endswith("'report': the file at this address cannot be fetched")


async def test_type_comes_from_the_server_where_name_and_content_say_nothing() -> None:
    """Text under an address without a name is what its server calls it."""
    world = await make_world(reading())
    async with local_server() as server:
        server.reply("/notes", b"hello" * HEAD_BYTES, content_type="text/plain; charset=utf-8")
        response = await give(world, "web", remote(f"{server.url}/notes", type="image"))
    (given,) = world.store.answers.values()
    value = given.submission.values["report"]
    assert response.status_code == 200, response.text
    assert (value["type"], value["mime_type"], value["size"]) == ("document", "text/plain", 5 * HEAD_BYTES)


@pytest.mark.parametrize(
    "given",
    [
        {"action": "nope"},
        {"form_digest": "0" * 64},
        {"inputs": {}},
        {"inputs": {"report": None}},
        {"inputs": {"report": remote("ftp://127.0.0.1/a.pdf")}},
        {"inputs": {"report": [remote("https://example.org/a.pdf")]}},
    ],
)
async def test_nothing_is_fetched_for_an_answer_that_cannot_be_taken(given: dict[str, Any]) -> None:
    """What is wrong whatever lies at the address is refused before anything is reached."""
    world = await make_world(reading())
    token = await key_token_of(world)
    async with local_server() as server, world.client() as client:
        server.reply("/a.pdf", PDF)
        body = answer(remote(f"{server.url}/a.pdf")) | given
        response = await client.post(f"/v1/form/human_input/{token}", json=body)
        world.clock.at += 40 * 3600
        late = await client.post(f"/v1/form/human_input/{token}", json=answer(remote(f"{server.url}/a.pdf")))
        assert server.asked == []
    assert response.status_code in (400, 409)
    assert (late.status_code, late.json()["code"]) == (412, "human_input_form_expired")


async def test_addresses_of_an_answer_are_bounded() -> None:
    """More than twenty are refused; the same one is fetched once, however often it is named."""
    world = await make_world(reading({**ASKED, "type": "file-list"}))
    token = await key_token_of(world)
    async with local_server() as server, world.client() as client:
        server.reply("/a.txt", b"hello")
        many = [remote(f"{server.url}/{number}.txt") for number in range(21)]
        response = await client.post(f"/v1/form/human_input/{token}", json=answer(many))
        assert (response.status_code, server.asked) == (400, [])
        assert "file list input 'report': an answer may name at most 20 files" in response.json()["message"]
        same = [remote(f"{server.url}/a.txt")] * 3
        assert (await client.post(f"/v1/form/human_input/{token}", json=answer(same))).status_code == 200
        await world.runs.settle()
        (given,) = world.store.answers.values()
        assert [each["size"] for each in given.submission.values["report"]] == [5, 5, 5]


async def fetched(server: LocalServer, world: World, token: str, key: str) -> httpx2.Response:
    """Send the same answer with an Idempotency-Key."""
    async with world.client() as client:
        return await client.post(
            f"/v1/form/human_input/{token}",
            json=answer(remote(f"{server.url}/a.txt")),
            headers={"Idempotency-Key": key},
        )


async def test_repeated_answer_is_the_same_when_the_file_is_gone() -> None:
    """The first reply comes again, whatever lies at the address by then, and without another look at it."""
    world = await make_world(reading())
    token = await key_token_of(world)
    async with local_server() as server:
        server.reply("/a.txt", b"hello")
        first = await fetched(server, world, token, "k")
        await world.runs.settle()
        count = len(server.asked)
        server.answers.clear()
        second = await fetched(server, world, token, "k")
        other = await fetched(server, world, token, "another key")
        assert len(server.asked) == count
    assert [first.status_code, second.status_code, other.status_code] == [200, 200, 200]


async def test_account_uploads_a_file_and_answers_with_it() -> None:
    """An upload of the console is the account's; named in an answer it can be read by the run, which is another's."""
    world = await make_world(reading())
    await token_of(world)
    form_id = list(world.store.forms)[-1]
    async with await person(world) as ann, await person(world, "bob@example.org") as bob:
        made = await ann.client.post("/console/api/files/upload", files={"file": ("a.txt", b"hello", "text/plain")})
        file_id = made.json()["id"]
        theirs = await bob.post(f"/inbox/forms/{form_id}", answer(local(file_id)))
        assert (made.status_code, made.json()["created_by"]) == (201, ann.account.account_id)
        assert (theirs.status_code, theirs.json()["code"]) == (400, "invalid_form_data")
        assert len(world.store.files) == 1
        wrong = await ann.post(f"/inbox/forms/{form_id}", answer(local(file_id), action="nope"))
        assert (wrong.status_code, len(world.store.files)) == (400, 1)
        key = {"Idempotency-Key": "k"}
        done = [await ann.post(f"/inbox/forms/{form_id}", answer(local(file_id)), headers=key) for _ in range(2)]
    await world.runs.settle()
    (run,) = world.store.runs.values()
    (given,) = world.store.answers.values()
    value = given.submission.values["report"]
    adopted = world.store.files[value["related_id"]]
    assert [each.status_code for each in done] == [200, 200], done[0].text
    assert (adopted.owner.owner_id, adopted.form_id, adopted.name) == (run.created_by_id, form_id, "a.txt")
    assert (value["filename"], value["size"], run.outputs) == ("a.txt", 5, {"text": "hello"})
    (upload,) = world.store.form_uploads.values()
    assert upload.recipient_id == newest(world, RecipientType.BACKSTAGE).recipient_id


async def test_upload_of_another_user_of_the_app_can_be_read_by_the_run() -> None:
    """Whoever answers with an API key names a user of their own; the run, which another has started, reads the file."""
    world = await make_world(reading())
    token = await key_token_of(world)
    async with world.client() as client:
        made = await client.post(
            "/v1/files/upload", files={"file": ("a.txt", b"hello", "text/plain")}, data={"user": "reviewer"}
        )
        done = await client.post(
            f"/v1/form/human_input/{token}", json=answer(local(made.json()["id"]), user="reviewer")
        )
    await world.runs.settle()
    (run,) = world.store.runs.values()
    assert (done.status_code, run.status, run.outputs) == (200, "succeeded", {"text": "hello"})


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ({}, 400, "no_file_uploaded"),
        ({"file": ("a.exe", b"x", "application/octet-stream")}, 400, "file_extension_blocked"),
        ({"file": ("a.txt", bytes((15 << 20) + 1), "text/plain")}, 413, "file_too_large"),
    ],
)
async def test_console_upload_has_the_limits_of_others(files: Any, status: int, code: str) -> None:
    """Sizes and extensions are bounded for accounts too; nobody else uploads there."""
    world = await make_world(reading(), blocked_extensions=frozenset({".exe"}))
    async with await person(world) as ann, world.client("") as stranger:
        response = await ann.client.post("/console/api/files/upload", files=files)
        out = await stranger.post("/console/api/files/upload", files={"file": ("a.txt", b"x", "text/plain")})
        del ann.client.headers["X-CSRF-Token"]
        forged = await ann.client.post("/console/api/files/upload", files={"file": ("a.txt", b"x", "text/plain")})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert (out.status_code, forged.status_code, len(world.store.files)) == (401, 401, 0)


async def test_inbox_page_takes_files() -> None:
    """On the page of the inbox a form that asks for files shows fields for them, by upload and by address."""
    world = await make_world(reading())
    link = await link_of(world)
    form_id = list(world.store.forms)[-1]
    async with local_server() as server, await person(world) as ann:
        server.reply("/a.txt", b"hello")
        address = f"/inbox/forms/{form_id}"
        page = await ann.client.get(address)
        assert '<input type="file"' in page.text
        guard = next(has["value"] for tag, has in elements_of(page.text) if tag == "input" and has["name"] == "guard")
        sent = {"guard": guard, "action": "approve"}
        nothing = [("file.none", ("", b"", "application/octet-stream"))]
        bad, done = [
            await ann.client.post(address, data=sent | {"url.report": f"{server.url}/{name}"}, files=nothing)
            for name in ("gone.txt", "a.txt")
        ]
        await world.runs.settle()
    (run,) = world.store.runs.values()
    assert (bad.status_code, "cannot be fetched" in bad.text) == (400, True)
    assert (done.status_code, run.outputs) == (200, {"text": "hello"})
    async with world.client("") as client:
        assert (await opened(client, link))[1].status_code == 412


async def test_answer_tried_out_in_the_editor_is_looked_at_too() -> None:
    """The editor tells the outputs with what was learned of a file, and why it cannot be had."""
    world = await make_world(reading())
    path = f"/apps/{world.app_id}/workflows/draft/human-input/nodes/hi1/form/run"
    async with local_server() as server, await person(world) as ann:
        server.reply("/a.txt", b"hello")
        body = {"action": "approve", "form_inputs": {"report": remote(f"{server.url}/a.txt")}}
        good = await ann.post(path, body)
        body["form_inputs"] = {"report": remote(f"{server.url}/gone.txt")}
        bad = await ann.post(path, body)
    assert (good.status_code, good.json()["report"]["size"]) == (200, 5)
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid_form_data")


def test_every_surface_gives_its_answers_in_one_way() -> None:
    """No surface calls the HITL actor with an answer whose files nobody has looked at."""
    calling = [
        path.name for path in SURFACES.glob("*.py") if re.search(r"submissions\s*\.submit\(", path.read_text("utf-8"))
    ]
    assert calling == ["form_answers.py"]


async def test_files_of_many_answers_are_fetched_together_and_few_at_a_time() -> None:
    """Slow addresses hold up only their own answers; a second answer to a form still comes second."""
    nodes = [started(), human("hi1", "Well?", inputs=[ASKED], title="Review"), end("e", file=["hi1", "report"])]
    world = await make_world(document(nodes, [edge("start1", "hi1"), edge("hi1", "e", "approve")]))
    forms = []
    for _ in range(DECIDED_AT_ONCE + 2):
        await token_of(world)
        forms.append(list(world.store.forms)[-1])
    open_count, most, are_full = 0, 0, asyncio.Event()

    async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal open_count, most
        open_count += 1
        most = max(most, open_count)
        if open_count == DECIDED_AT_ONCE:
            are_full.set()
        await are_full.wait()
        open_count -= 1
        writer.write(head(200, {"content-length": "5"}) + b"hello")

    async with local_server() as server, await person(world) as ann:
        server.answers["/a.txt"] = slow
        decisions = [{"form_id": form, **answer(remote(f"{server.url}/a.txt"))} for form in (*forms, forms[0].upper())]
        async with asyncio.timeout(60):
            reply = (await ann.post("/inbox/decisions", {"decisions": decisions})).json()
    await world.runs.settle()
    assert [row["result"] for row in reply["data"]] == ["success"] * len(forms) + ["fail"]
    assert (reply["data"][-1]["status"], most) == (412, DECIDED_AT_ONCE)
