"""``/v1/files``, ``/files`` and files in runs: uploaded, used, given out."""

from io import BytesIO
from typing import Any

import pytest

import small_documents as small
from factories import document, edge, end, human, node
from local_server import local_server
from store.file_record import FileOwner, NewFile
from surface_world import World, events_of, make_world


def reading() -> dict[str, Any]:
    """A workflow that reads a document and a list of documents."""
    variables = [
        {"variable": "doc", "label": "Doc", "type": "file", "required": False},
        {"variable": "docs", "label": "Docs", "type": "file-list", "required": False, "max_length": 3},
    ]
    return document(
        [
            node("s", "start", variables=variables),
            node("text", "document-extractor", variable_selector=["s", "doc"]),
            end("e", text=["text", "text"], file=["s", "doc"], more=["s", "docs"]),
        ],
        [edge("s", "text"), edge("text", "e")],
    )


async def upload(world: World, content: bytes = b"hello", name: str = "a.txt", mime: str = "text/plain", **data: str):
    """Upload one file; return the response."""
    async with world.client() as client:
        return await client.post("/v1/files/upload", files={"file": (name, content, mime)}, data=data)


async def run(world: World, user: str = "ada", **inputs: Any):
    """Run the app once, blocking; return the response."""
    async with world.client() as client:
        return await client.post("/v1/workflows/run", json={"inputs": inputs, "user": user})


def local(file_id: str, kind: str = "document", **more: Any) -> dict[str, Any]:
    """Return the mapping of an uploaded file."""
    return {"type": kind, "transfer_method": "local_file", "upload_file_id": file_id, **more}


async def test_upload_is_described() -> None:
    """An upload is answered 201 with what the file is called and a link that opens it."""
    world = await make_world(reading())
    response = await upload(world, name="Über.TXT", user="ada")
    body = response.json()
    assert response.status_code == 201
    assert list(body) == ["id", "reference", "name", "size", "extension", "mime_type", "created_by", "created_at",
                          "preview_url", "source_url", "original_url", "user_id", "tenant_id", "conversation_id",
                          "file_key"]  # fmt: skip
    assert (body["name"], body["size"], body["extension"], body["mime_type"]) == ("Über.TXT", 5, "txt", "text/plain")
    assert body["tenant_id"] == world.workspace_id and body["created_at"] == int(world.clock.at)
    async with world.client("") as client:
        given = await client.get(body["source_url"])
    assert (given.status_code, given.content) == (200, b"hello")
    assert given.headers["content-type"] == "application/octet-stream"
    assert given.headers["x-content-type-options"] == "nosniff"


async def test_upload_without_user_belongs_to_the_shared_one() -> None:
    """A caller that names nobody uploads as the anonymous end user."""
    world = await make_world(reading())
    created_by = (await upload(world)).json()["created_by"]
    user = world.store.end_users[created_by]
    assert (user.session_id, user.is_anonymous) == ("DEFAULT-USER", True)


@pytest.mark.parametrize(
    ("files", "status", "code"),
    [
        ({}, 400, "no_file_uploaded"),
        ({"other": ("a.txt", b"x", "text/plain")}, 400, "no_file_uploaded"),
        ([("file", ("a.txt", b"x", "text/plain")), ("file", ("b.txt", b"x", "text/plain"))], 400, "too_many_files"),
        ({"file": ("a/b.txt", b"x", "text/plain")}, 400, "invalid_param"),
        ({"file": ("a\\b.txt", b"x", "text/plain")}, 400, "invalid_param"),
        ({"file": ("a.EXE", b"x", "text/plain")}, 400, "invalid_param"),
        ({"file": ("a.txt", b"x", "")}, 415, "unsupported_file_type"),
        ({"file": ("a.png", bytes((10 << 20) + 1), "image/png")}, 413, "file_too_large"),
    ],
    ids=["none", "other", "two", "slash", "backslash", "blocked", "no type", "large"],
)
async def test_upload_that_cannot_be_taken_is_refused(files, status, code) -> None:
    """Each reason has its status and code."""
    world = await make_world(reading(), blocked_extensions=frozenset({".exe"}))
    async with world.client() as client:
        response = await client.post("/v1/files/upload", files=files or None, data={"user": "ada"})
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_upload_of_any_length_is_bounded() -> None:
    """A body that announces, or sends, more than any file may have is refused before it is kept."""
    world = await make_world(reading())

    async def endless():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\nContent-Type: video/mp4\r\n\r\n'
        while True:
            yield bytes(8 << 20)

    headers = {"content-type": "multipart/form-data; boundary=b"}
    async with world.client() as client:
        announced = await client.post(
            "/v1/files/upload", headers={**headers, "content-length": str(1 << 40)}, content=b""
        )
        sent = await client.post("/v1/files/upload", headers=headers, content=endless())
        broken = await client.post("/v1/files/upload", headers={"content-type": "multipart/form-data"}, content=b"x")
    assert [announced.status_code, sent.status_code, broken.status_code] == [413, 413, 400]


async def test_run_reads_the_users_upload() -> None:
    """An upload of the caller becomes a file value with a fresh link, and nodes read it."""
    world = await make_world(reading())
    content = small.docx_file()
    made = (await upload(world, content, "a.docx", "application/octet-stream", user="ada")).json()
    response = await run(world, doc=local(made["id"]), docs=[local(made["id"], "custom")])
    outputs = response.json()["data"]["outputs"]
    assert outputs["text"].startswith("Title\nHello wörld")
    file = outputs["file"]
    assert {**file, "url": ""} == {
        "dify_model_identity": "__dify__file__", "id": None, "type": "document", "transfer_method": "local_file",
        "remote_url": None, "reference": made["id"], "filename": "a.docx", "extension": ".docx",
        "mime_type": "application/octet-stream", "size": made["size"], "related_id": made["id"], "url": "",
    }  # fmt: skip
    assert outputs["more"][0]["type"] == "custom"
    async with world.client("") as client:
        assert (await client.get(file["url"])).content == content


@pytest.mark.parametrize("owner", ["bob", "nobody", "other app"])
async def test_files_of_others_cannot_be_used(owner) -> None:
    """A file of another user or app, or of nobody, is refused in the same words."""
    world = await make_world(reading())
    file_id = "0198c0de-0000-7000-8000-000000000001"
    if owner == "bob":
        file_id = (await upload(world, user="bob")).json()["id"]
    elif owner == "other app":
        shelf = world.ports.files
        owner = FileOwner(world.workspace_id, "x", "end_user", "y")
        await shelf.put_file(BytesIO(b"x"), NewFile(file_id, owner, "a.txt", "text/plain", 1.0))
    response = await run(world, doc=local(file_id))
    assert (response.status_code, response.json()) == (
        400, {"code": "invalid_param", "message": "doc.upload_file_id names no uploaded file of this user",
              "status": 400},
    )  # fmt: skip


async def test_links_are_signed_anew_for_each_reader() -> None:
    """A run that is read later tells links that work then: detail, finished events and snapshots."""
    world = await make_world(reading())
    made = (await upload(world, user="ada")).json()
    run_id = (await run(world, doc=local(made["id"]))).json()["workflow_run_id"]
    world.clock.at += 10_000
    async with world.client() as client:
        detail = (await client.get(f"/v1/workflows/run/{run_id}")).json()
        events = events_of((await client.get(f"/v1/workflow/{run_id}/events?user=ada&cursor=0")).text)
        last = (await client.get(f"/v1/workflow/{run_id}/events?user=ada")).text
        finished = events_of(last[last.index("data:") :])[-1]
        told = [detail["outputs"]["file"]["url"], finished["data"]["outputs"]["file"]["url"]]
        told += [event["data"]["inputs"]["doc"]["url"] for event in events if event["event"] == "workflow_started"]
        assert len(told) == 3
        assert [(await client.get(url)).status_code for url in told] == [200] * 3
        assert (await client.get(made["source_url"])).json() == {
            "code": "file_not_found", "message": "File not found or signature is invalid.", "status": 404,
        }  # fmt: skip


async def test_preview_is_for_the_app_and_the_named_user() -> None:
    """The key's app sees its files; where a user is named, only that user's; markup never runs."""
    world = await make_world(reading())
    made = (await upload(world, user="ada")).json()
    page = (await upload(world, b"<script>", "a.html", "text/html", user="ada")).json()
    _, _, other_key = await world.add_app(reading())
    path = f"/v1/files/{made['id']}/preview"
    async with world.client() as client:
        plain = await client.get(path)
        saved = await client.get(f"{path}?as_attachment=true&user=ada")
        denied = await client.get(f"{path}?user=bob")
        gone = await client.get("/v1/files/nothing/preview")
        markup = await client.get(f"/v1/files/{page['id']}/preview")
    async with world.client(other_key) as client:
        foreign = await client.get(path)
    assert (plain.content, plain.headers["content-type"]) == (b"hello", "text/plain")
    assert plain.headers["cache-control"] == "private, max-age=3600"
    assert saved.headers["content-disposition"] == "attachment; filename*=UTF-8''a.txt"
    assert (denied.status_code, denied.json()["code"]) == (403, "file_access_denied")
    assert [(each.status_code, each.json()["code"]) for each in (gone, foreign)] == [(404, "file_not_found")] * 2
    assert (markup.headers["content-type"], markup.headers["content-disposition"][:10]) == (
        "application/octet-stream", "attachment",
    )  # fmt: skip


async def test_http_node_keeps_a_file_and_another_run_uses_it() -> None:
    """What a request brings as a file is the user's, can be fetched by its link and goes into the next run."""
    async with local_server() as server:
        server.reply("/report", b"a,b\n1,2", content_type="text/csv", content_disposition="attachment; filename=r.csv")
        fetching = document(
            [node("s", "start", variables=[]), node("get", "http-request", method="get", url=server.url + "/report"),
             node("text", "document-extractor", variable_selector=["get", "files"]),
             end("e", files=["get", "files"], text=["text", "text"])],
            [edge("s", "get"), edge("get", "text"), edge("text", "e")],
        )  # fmt: skip
        world = await make_world(fetching)
        outputs = (await run(world)).json()["data"]["outputs"]
    assert outputs["text"] == ["| a | b |\n| ----- | ----- |\n| 1 | 2 |"]
    file = outputs["files"][0]
    assert (file["transfer_method"], file["filename"], file["size"]) == ("tool_file", "r.csv", 7)
    async with world.client("") as client:
        assert (await client.get(file["url"])).content == b"a,b\n1,2"
    _, _, key = await world.add_app(reading())
    async with world.client(key) as client:
        other = await client.post("/v1/workflows/run", json={"inputs": {"doc": file}, "user": "ada"})
    assert other.status_code == 400  # of another app
    record = world.store.files[file["related_id"]]
    assert record.owner.app_id == world.app_id


async def test_answer_of_a_form_may_name_an_upload() -> None:
    """A form's file input takes an upload of the answering user, and the same answer again is the same."""
    inputs = [{"type": "file", "output_variable_name": "report", "allowed_file_types": ["document"]}]
    asking = document(
        [node("s", "start", variables=[]), human("h", inputs=inputs, actions=("approve",)),
         end("e", report=["h", "report"])],
        [edge("s", "h"), edge("h", "e", "approve")],
    )  # fmt: skip
    world = await make_world(asking)
    paused = (await run(world)).json()["data"]
    path = f"/v1/form/human_input/{paused['reasons'][0]['form_token']}"
    mine, bobs = [(await upload(world, user=user)).json()["id"] for user in ("ada", "bob")]
    key = {"Idempotency-Key": "1"}

    def answer(file_id: str) -> dict[str, Any]:
        return {"inputs": {"report": local(file_id)}, "action": "approve", "user": "ada"}

    async with world.client() as client:
        refused = await client.post(path, json=answer(bobs))
        taken = await client.post(path, json=answer(mine))
        await world.runs.settle()
        world.clock.at += 7
        again = await client.post(path, json=answer(mine), headers=key)
        detail = (await client.get(f"/v1/workflows/run/{paused['id']}")).json()
        given = await client.get(detail["outputs"]["report"]["url"])
    assert (refused.status_code, "no such uploaded file" in refused.json()["message"]) == (400, True)
    assert (taken.status_code, again.status_code, given.content) == (200, 200, b"hello")


async def test_refused_request_is_shown_with_its_reason() -> None:
    """A request to an inner address fails its node; readers see what was asked, without the key."""
    asking = document(
        [node("s", "start", variables=[]),
         node("get", "http-request", method="post", url="http://10.0.0.1/x",
              authorization={"type": "api-key", "config": {"type": "bearer", "api_key": "hunter2"}}), end("e")],
        [edge("s", "get"), edge("get", "e")],
    )  # fmt: skip
    world = await make_world(asking)
    async with world.client() as client:
        body = {"inputs": {}, "user": "ada", "response_mode": "streaming"}
        text = (await client.post("/v1/workflows/run", json=body)).text
    ended = next(each["data"] for each in events_of(text) if each["event"] == "node_finished" and each["data"]["error"])
    assert "10.0.0.1 is not a public address" in ended["error"]
    assert ended["process_data"]["request"].startswith("POST /x HTTP/1.1\r\nHost: 10.0.0.1\r\nAuthorization: ****")
    assert "hunter2" not in text
