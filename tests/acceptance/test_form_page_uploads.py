"""Uploads on the public form page, as a browser without scripts sends them."""

import re
from typing import Any

import httpx2
import pytest

from approval import approval
from form_links import guard_of, link_of, newest, opened
from hitl.recipient import RecipientType
from local_server import local_server
from surface_world import World, make_world
from surfaces import form_uploads

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(40)
PDF = b"%PDF-1.7\n%..."
HTML = b"<!doctype html><script>alert(1)</script>"


def file_input(name: str = "report", kind: str = "file", **data: Any) -> dict[str, Any]:
    """Return a file input that takes uploads of documents, unless ``data`` says otherwise."""
    return {
        "type": kind,
        "output_variable_name": name,
        "allowed_file_types": ["document"],
        "allowed_file_extensions": [],
        "allowed_file_upload_methods": ["local_file"],
        **data,
    }


async def asking(*inputs: dict[str, Any]) -> World:
    """Return a world whose form has these inputs; its run ends with the report."""
    return await make_world(approval(content="Well?", inputs=list(inputs)))


Part = tuple[str, tuple[str, bytes, str]]


async def sent_with(
    client: httpx2.AsyncClient, page: httpx2.Response, address: str, parts: list[Part], **fields: Any
) -> httpx2.Response:
    """Send a page with files, as multipart also without any."""
    data = {"guard": guard_of(page), "action": "approve", **fields}
    return await client.post(address, data=data, files=parts or [("file.none", ("", b"", "application/octet-stream"))])


async def test_file_of_an_answer_reaches_the_run() -> None:
    """A chosen file is stored for the run's initiator, bound to form and recipient, and becomes the node's output."""
    world = await asking(file_input())
    link = await link_of(world)
    async with world.client("") as client:
        address, page = await opened(client, link)
        assert 'enctype="multipart/form-data"' in page.text
        assert re.search(r'<input type="file" id="field-1" name="file.report" accept="\.txt,[^"]*\.pdf', page.text)
        done = await sent_with(client, page, address, [("file.report", ("r.pdf", PDF, "text/html"))])
    await world.runs.settle()
    (record,) = world.store.files.values()
    (run,) = world.store.runs.values()
    (upload,) = world.store.form_uploads.values()
    (answer,) = world.store.answers.values()
    assert done.status_code == 200, done.text
    assert (record.name, record.mime_type, record.form_id) == ("r.pdf", "application/pdf", upload.form_id)
    assert (record.owner.role, record.owner.owner_id) == (run.created_by_role, run.created_by_id)
    assert upload.recipient_id == newest(world, RecipientType.STANDALONE_WEB_APP).recipient_id
    assert (run.status, answer.submission.values["report"]["related_id"]) == ("succeeded", record.file_id)
    assert await world.ports.files.content(record) == PDF


async def test_several_files_and_addresses_make_a_list() -> None:
    """Files and addresses of a list stand in it together; more than its limit is refused."""
    methods = ["local_file", "remote_url"]
    world = await asking(file_input(kind="file-list", number_limits=3, allowed_file_upload_methods=methods))
    link = await link_of(world)
    parts = [("file.report", ("a.pdf", PDF, "")), ("file.report", ("b.txt", b"hi", ""))]
    async with local_server() as server, world.client("") as client:
        server.reply("/c.pdf", PDF)
        address, page = await opened(client, link)
        assert "Up to 3 files: documents. Each at most 15 MB." in page.text
        urls = f"{server.url}/c.pdf\r\n\r\n{server.url}/d.pdf"
        many = await sent_with(client, page, address, parts, **{"url.report": urls})
        assert (many.status_code, "at most 3 files" in many.text) == (400, True)
        kept = re.findall(r'name="kept.report" value="([^"]+)" checked', many.text)
        assert len(kept) == 2
        done = await sent_with(client, many, address, [], **{"kept.report": kept, "url.report": f"{server.url}/c.pdf"})
        assert [asked.target for asked in server.asked] == ["/c.pdf"]
    (answer,) = world.store.answers.values()
    assert done.status_code == 200, done.text
    assert [each["filename"] for each in answer.submission.values["report"]] == ["a.pdf", "b.txt", "c.pdf"]
    assert answer.submission.values["report"][2]["remote_url"].endswith("/c.pdf")
    assert answer.submission.values["report"][2]["size"] == len(PDF)


async def test_uploads_are_kept_when_the_answer_does_not_fit() -> None:
    """What was uploaded is shown with the reason and need not be sent again; text stays too."""
    comment = {"type": "paragraph", "output_variable_name": "comment"}
    world = await asking(file_input(), file_input("second"), comment)
    link = await link_of(world)
    async with world.client("") as client:
        address, page = await opened(client, link)
        part = ("file.report", ("r.pdf", PDF, ""))
        again = await sent_with(client, page, address, [part], **{"input.comment": "my words"})
        assert again.status_code == 400
        assert "r.pdf" in again.text and "my words" in again.text
        assert re.search(r'<a href="#field-2">Second</a>: Please choose a file\.', again.text)
        assert re.search(r'id="field-2"[^>]* aria-invalid="true" autofocus', again.text)
        (file_id,) = re.findall(r'name="kept.report" value="([^"]+)" checked', again.text)
        fields = {"kept.report": file_id, "input.comment": "my words"}
        done = await sent_with(client, again, address, [("file.second", ("s.pdf", PDF, ""))], **fields)
    (answer,) = world.store.answers.values()
    assert done.status_code == 200, done.text
    assert (answer.submission.values["report"]["related_id"], answer.submission.values["second"]["filename"]) == (
        file_id,
        "s.pdf",
    )
    assert len(world.store.files) == 2


async def test_new_choice_replaces_a_kept_file() -> None:
    """Of a single file the newest counts."""
    world = await asking(file_input(), file_input("second"))
    link = await link_of(world)
    async with world.client("") as client:
        address, page = await opened(client, link)
        again = await sent_with(client, page, address, [("file.report", ("old.pdf", PDF, ""))])
        (file_id,) = re.findall(r'name="kept.report" value="([^"]+)" checked', again.text)
        parts = [("file.report", ("new.pdf", PDF, "")), ("file.second", ("s.pdf", PDF, ""))]
        await sent_with(client, again, address, parts, **{"kept.report": file_id})
    (answer,) = world.store.answers.values()
    assert answer.submission.values["report"]["filename"] == "new.pdf"


async def test_kept_files_are_those_of_this_form_and_recipient() -> None:
    """The id of a file that somebody uploaded elsewhere is as good as none."""
    world = await asking(file_input())
    mine, other = await link_of(world), await link_of(world)
    async with world.client() as client:
        reply = await client.post("/v1/files/upload", files={"file": ("x.pdf", PDF, "application/pdf")})
    async with world.client("") as client:
        other_address, other_page = await opened(client, other)
        refused = await sent_with(client, other_page, other_address, [("file.report", ("o.pdf", PDF, ""))], action="no")
        foreign = re.findall(r'name="kept.report" value="([^"]+)"', refused.text)
        address, page = await opened(client, mine)
        for file_id in (*foreign, reply.json()["id"], "nothing", "\x00"):
            answer = await sent_with(client, page, address, [], **{"kept.report": file_id})
            assert (answer.status_code, "Please choose a file." in answer.text) == (400, True)
    assert len(foreign) == 1
    assert not world.store.answers


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.png", PNG, "Files of this type are not taken here"),
        ("x.pdf", HTML, "not that of a .pdf file"),
        ("x.exe", b"MZ", "not allowed for security reasons"),
        ("x.pdf", PDF + bytes(15 << 20), "at most 15 MB"),
        ("x", HTML, "Files of this type are not taken here"),
    ],
    ids=["kind", "content", "blocked", "large", "unknown"],
)
async def test_file_that_cannot_be_taken_is_a_fault_of_its_field(name: str, content: bytes, said: str) -> None:
    """The page comes back with the reason at the field; nothing is stored and nothing decided."""
    document = approval(content="Well?", inputs=[file_input()])
    world = await make_world(document, blocked_extensions=frozenset({".exe"}))
    link = await link_of(world)
    async with world.client("") as client:
        address, page = await opened(client, link)
        answer = await sent_with(client, page, address, [("file.report", (name, content, "application/pdf"))])
    assert answer.status_code == 400
    assert said in answer.text
    assert answer.text.count("field-1-fault") == 2
    assert not world.store.files
    assert not world.store.answers


@pytest.mark.parametrize(
    ("sent_name", "kept_name"),
    [
        ("../../../etc/passwd.txt", "passwd.txt"),
        ("..\\..\\windows\\x.txt", "x.txt"),
        ("/abs/olute.txt", "olute.txt"),
        ("...a.txt", "a.txt"),
        ("a\u202egnp.txt", "agnp.txt"),
        ("a\x07b\x7f.txt", "ab.txt"),
        ("<img src=x onerror=alert(1)>.txt", "<img src=x onerror=alert(1)>.txt"),
    ],
)
async def test_names_of_files_are_harmless(sent_name: str, kept_name: str) -> None:
    """A name is one segment without anything invisible, and text on the page."""
    world = await asking(file_input())
    link = await link_of(world)
    async with world.client("") as client:
        address, page = await opened(client, link)
        # Sent by hand: a well-behaved client would escape what makes it interesting.
        head = f'--b\r\nContent-Disposition: form-data; name="file.report"; filename="{sent_name}"\r\n\r\n'
        guard = f'--b\r\nContent-Disposition: form-data; name="guard"\r\n\r\n{guard_of(page)}\r\n'
        body = f"{guard}{head}hello\r\n--b--\r\n".encode()
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = await client.post(address, content=body, headers=headers)
    assert answer.status_code == 400, "the action is missing"
    (record,) = world.store.files.values()
    assert record.name == kept_name
    assert "<img" not in answer.text


async def test_uploads_of_a_recipient_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link lets its holder store a limited number of files, however often the page is sent."""
    monkeypatch.setattr(form_uploads, "MAX_UPLOADS", 3)
    world = await asking(file_input())
    link = await link_of(world)
    async with world.client("") as client:
        address, page = await opened(client, link)
        part = ("file.report", ("r.pdf", PDF, ""))
        answers = [await sent_with(client, page, address, [part], action="none") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [400] * 5
    assert ["At most 3 files can be uploaded" in answer.text for answer in answers] == [False] * 3 + [True] * 2
    assert len(world.store.files) == 3


async def test_body_of_a_page_is_read_only_for_an_open_form() -> None:
    """Without a good cookie, or after the deadline, not a byte of the body is read; a body without end is cut."""
    world = await asking(file_input())
    link = await link_of(world)
    read = 0

    async def endless():
        nonlocal read
        head = b'--b\r\nContent-Disposition: form-data; name="file.report"; filename="a.mp4"\r\n\r\n'
        yield head
        while True:
            read += 8 << 20
            yield bytes(8 << 20)

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with world.client("") as client:
        address, _ = await opened(client, link)
        cut = await client.post(address, headers=headers, content=endless())
        client.cookies.clear()
        length = {"Content-Length": str(1 << 40)}
        stranger = await client.post(address, headers={**headers, **length}, content=b"")
        await client.get(link)
        world.clock.at += 10 * 86_400
        late = await client.post(address, headers={**headers, **length}, content=b"")
    assert [each.status_code for each in (cut, stranger, late)] == [413, 404, 412]
    assert 100 << 20 <= read < 200 << 20


async def test_remote_address_is_a_text_field() -> None:
    """Where only addresses are taken the page has no file field; what cannot be fetched is refused and shown again."""
    world = await asking(file_input(allowed_file_upload_methods=["remote_url"]))
    link = await link_of(world)
    async with local_server() as server, world.client("") as client:
        server.reply("/r.pdf", PDF)
        address, page = await opened(client, link)
        assert '<input type="file"' not in page.text
        assert '<input type="url" id="field-1" name="url.report"' in page.text
        bad = await sent_with(client, page, address, [], **{"url.report": 'javascript:"alert(1)"'})
        sneaked = await sent_with(client, page, address, [("file.report", ("r.pdf", PDF, ""))])
        gone = await sent_with(client, bad, address, [], **{"url.report": f"{server.url}/gone.pdf"})
        done = await sent_with(client, bad, address, [], **{"url.report": f" {server.url}/r.pdf "})
    assert (gone.status_code, "the file at this address cannot be fetched" in gone.text) == (400, True)
    assert (bad.status_code, "must be an http or https address" in bad.text) == (400, True)
    assert 'value="javascript:&#34;alert(1)&#34;"' in bad.text
    assert (sneaked.status_code, len(world.store.files)) == (400, 0)
    assert done.status_code == 200, done.text
