"""Requests of workflows over real connections: what is sent, what is refused, where an answer is cut."""

import asyncio
import gzip
import inspect
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpcore2
import httpx2
import pytest
import pytest_asyncio

from effects.address_guard import GuardedBackend, parse_networks
from effects.guarded_client import GuardedClient, GuardedTransport, RemoteLook
from effects.guarded_http import MAX_BINARY_BYTES, MAX_TEXT_BYTES, GuardedHttp
from graph.errors import NodeError
from graph.file_value import stored_file
from graph.ports import HttpCall
from local_server import Asked, LocalServer, head, local_server

LOOPBACK = parse_networks("127.0.0.0/8")
PATIENCE_S = 60.0
"""What ends at all has ended by then, on a busy machine too."""


@dataclass
class HeldFiles:
    """Files in a dictionary: implements graph.ports.Files."""

    contents: dict[str, bytes] = field(default_factory=dict)

    async def put(self, content: bytes, filename: str, mime_type: str) -> dict[str, Any]:
        """Keep a file under its name."""
        self.contents[filename] = content
        return stored_file(filename, filename, mime_type, len(content), "", kind="custom", method="tool_file")

    async def read(self, file: dict[str, Any]) -> bytes:
        """Return the content of a kept file."""
        return self.contents[file["related_id"]]

    async def extract_text(self, file: dict[str, Any]) -> str:
        """Return the content as text."""
        return self.contents[file["related_id"]].decode()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[LocalServer]:
    """A server on the loopback address."""
    async with local_server() as made:
        yield made


async def send(server: LocalServer, path: str, files: HeldFiles | None = None, **call: Any) -> Any:
    """Send one request to ``server``, whose network is allowed."""
    client = GuardedClient(LOOPBACK)
    try:
        http = GuardedHttp(client, files or HeldFiles())
        return await http.send(HttpCall(**{"method": "GET", "url": server.url + path, **call}))
    finally:
        await client.close()


async def test_request_arrives_as_it_was_made(server):
    """Method, parameters in order with duplicates, headers beyond ASCII and the body arrive; the key is added."""
    server.reply("/a", b"yes", content_type="text/plain", x_name="v")
    reply = await send(
        server,
        "/a?q=0",
        method="POST",
        params=(("a", "1"), ("b", "ä ö"), ("a", "2")),
        headers=(("X-Text", "tö"), ("Content-Type", "text/plain")),
        body=b"hello",
        idempotency_key="exec-1",
    )
    assert (reply.status_code, reply.text, reply.headers["x-name"], reply.file) == (200, "yes", "v", None)
    asked = server.asked[0]
    assert (asked.method, asked.body) == ("POST", b"hello")
    assert asked.target == "/a?q=0&a=1&b=%C3%A4+%C3%B6&a=2"
    assert asked.headers["idempotency-key"] == "exec-1"
    assert asked.headers["x-text"].encode("latin-1").decode() == "tö"


async def test_reading_request_and_own_key_get_no_idempotency_key(server):
    """A request that changes nothing needs no key, and a key that the workflow sets stays."""
    server.reply("/a")
    await send(server, "/a", idempotency_key="exec-1")
    await send(server, "/a", method="POST", headers=(("idempotency-key", "own"),), idempotency_key="exec-1")
    assert [each.headers.get("idempotency-key") for each in server.asked] == [None, "own"]


async def test_inner_address_is_refused_by_name(server):
    """Without an allowed network the loopback server is not reached, and the error says what to set."""
    client = GuardedClient()
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"):
        with pytest.raises(NodeError, match="GREENROOM_HTTP_ALLOWED_NETWORKS") as failed:
            await GuardedHttp(client, HeldFiles()).send(HttpCall("GET", f"http://{host}:{server.port}/"))
        assert failed.value.error_type == "HttpRequestNodeError"
    assert server.asked == []


async def test_redirect_to_an_inner_address_is_refused(server):
    """Each step of a redirect is checked where it connects."""
    server.reply("/out", status=302, location="http://169.254.169.254/latest/meta-data/")
    with pytest.raises(NodeError, match=r"169\.254\.169\.254 is not a public address"):
        await send(server, "/out")


async def test_redirects_are_followed_and_capped(server):
    """A redirect leads on, with the method that its status says; an endless chain ends."""
    server.reply("/a", status=303, location="/b")
    server.reply("/b", b"there")
    server.reply("/loop", status=302, location="/loop")
    assert (await send(server, "/a", method="POST", body=b"x")).text == "there"
    assert [each.method for each in server.asked] == ["POST", "GET"]
    with pytest.raises(NodeError, match="redirects"):
        await send(server, "/loop")
    assert len(server.asked) == 2 + 11


async def test_body_of_a_redirect_is_not_read(server):
    """A redirect with an endless body leads on at once."""

    async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(302, {"location": "/b"}))
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    server.answers["/a"] = endless
    server.reply("/b", b"there")
    async with asyncio.timeout(PATIENCE_S):
        assert (await send(server, "/a")).text == "there"


async def test_name_that_resolves_anew_is_checked_anew(server):
    """The address that was checked is the one that is connected to: a second answer of the name changes nothing."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    server.reply("/a", b"first")
    client = GuardedClient(LOOPBACK, rebinding)
    http = GuardedHttp(client, HeldFiles())
    url = f"http://rebind.test:{server.port}/a"
    assert (await http.send(HttpCall("GET", url))).text == "first"
    with pytest.raises(NodeError, match=r"rebind\.test is not a public address"):
        await http.send(HttpCall("GET", url))
    assert asked == ["rebind.test", "rebind.test"]
    assert server.asked[0].headers["host"] == f"rebind.test:{server.port}"
    await client.close()


async def test_environment_plays_no_part(server, monkeypatch):
    """Proxy variables of this machine do not lead requests elsewhere."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://10.9.9.9:3128")
    server.reply("/a")
    assert (await send(server, "/a")).status_code == 200


async def test_cookies_are_not_kept_between_calls(server):
    """What one call is told in a cookie goes along its redirects and nowhere else."""
    server.reply("/a", status=302, location="/b", set_cookie="session=1")
    server.reply("/b")
    client = GuardedClient(LOOPBACK)
    http = GuardedHttp(client, HeldFiles())
    for path in ("/a", "/b"):
        await http.send(HttpCall("GET", server.url + path))
    assert [each.headers.get("cookie") for each in server.asked] == [None, "session=1", None]
    await client.close()


async def test_text_that_is_too_long_is_cut_off(server):
    """Text over 1 MiB fails at its announcement, or as soon as that much has come."""
    server.reply("/announced", b"x" * (MAX_TEXT_BYTES + 1), content_type="text/plain")

    async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, {"content-type": "text/plain"}))
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    server.answers["/endless"] = endless
    for path in ("/announced", "/endless"):
        with pytest.raises(NodeError, match=r"Text size is too large, max size is 1\.00 MB") as failed:
            async with asyncio.timeout(PATIENCE_S):
                await send(server, path)
        assert failed.value.error_type == "ResponseSizeError"


async def test_compressed_answer_is_bounded_unpacked(server):
    """A small answer that unpacks to very much is given up at the limit."""
    bomb = gzip.compress(b"\0" * (200 << 20))
    server.reply("/bomb", bomb, content_type="text/plain", content_encoding="gzip")
    server.reply("/twice", gzip.compress(bomb), content_type="text/plain", content_encoding="gzip, gzip")
    server.reply("/fine", gzip.compress(b"fine"), content_type="text/plain", content_encoding="gzip")
    for path in ("/bomb", "/twice"):
        with pytest.raises(NodeError, match="too large"):
            async with asyncio.timeout(PATIENCE_S):
                await send(server, path)
    assert (await send(server, "/fine")).text == "fine"


async def test_binary_answer_becomes_a_file(server):
    """Images, sound, attachments and named content are files; text-like types are text."""
    png = b"\x89PNG\r\n\x1a\n" + bytes(2000)
    server.reply("/img/a.png", png, content_type="image/png")
    server.reply("/report", b"a,b", content_type="text/csv", content_disposition='attachment; filename="../../r.csv"')
    server.reply("/blob", bytes(range(256)) * 8, content_type="application/octet-stream")
    server.reply("/json", b'{"a": 1}', content_type="application/octet-stream")
    server.reply("/vnd", b'{"a": 1}', content_type="application/vnd.api+json")
    files = HeldFiles()
    replies = {path: await send(server, path, files) for path in server.answers}
    named = {path: reply.file and (reply.file["filename"], reply.file["mime_type"]) for path, reply in replies.items()}
    assert named == {
        "/img/a.png": ("a.png", "image/png"),
        "/report": ("r.csv", "text/csv"),
        "/blob": ("blob.bin", "application/octet-stream"),
        "/json": None,
        "/vnd": None,
    }
    assert files.contents["a.png"] == png and replies["/img/a.png"].text == ""
    assert replies["/json"].text == '{"a": 1}'


async def test_file_that_is_too_large_is_refused(server):
    """A file over 10 MiB fails."""
    server.reply("/a", bytes(MAX_BINARY_BYTES + 1), content_type="image/png")
    with pytest.raises(NodeError, match=r"File size is too large, max size is 10\.00 MB"):
        await send(server, "/a")


async def test_multipart_carries_texts_and_files(server):
    """Form parts go out as multipart with the content of their files; without any file, a nameless one stands in."""
    server.reply("/a")
    files = HeldFiles({"f1": b"content"})
    file = stored_file("f1", "r.txt", "text/plain", 7, "", kind="document")
    await send(server, "/a", files, method="POST", body=(("n", "1"), ("f", file)), is_multipart=True)
    await send(server, "/a", files, method="POST", body=(("n", "1"),), is_multipart=True)
    for asked in server.asked:
        assert asked.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert b'name="n"\r\n\r\n1' in asked.body
    assert b'name="f"; filename="r.txt"\r\nContent-Type: text/plain\r\n\r\ncontent' in server.asked[0].body
    assert b"__multipart_placeholder__" in server.asked[1].body


async def test_silence_ends_by_the_read_timeout(server):
    """An answer that does not come is given up after the read timeout."""

    async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server.answers["/a"] = silent
    with pytest.raises(NodeError, match="ReadTimeout"):
        await send(server, "/a", read_timeout_s=0.1)


@pytest.mark.parametrize("url", ["http://", "http://a b/", "http://x:99999/", "http://[::1", "http://\x00/"])
async def test_address_that_is_none_is_named(url):
    """A URL that cannot be used fails the node, never the engine."""
    with pytest.raises(NodeError) as failed:
        await GuardedHttp(GuardedClient(), HeldFiles()).send(HttpCall("GET", url))
    assert failed.value.error_type in ("HttpRequestNodeError", "InvalidURLError")


async def test_charset_is_heeded(server):
    """Text is read by its declared charset, else as UTF-8 or what it looks like; never as a codec that is none."""
    server.reply("/latin", "é".encode("latin-1"), content_type="text/plain; charset=iso-8859-1")
    server.reply("/none", "é".encode(), content_type="text/plain")
    server.reply("/odd", b"abc", content_type="text/plain; charset=punycode")
    assert [(await send(server, path)).text for path in server.answers] == ["é", "é", "abc"]


async def test_client_reaches_its_connections_through_the_guard(server):
    """The HTTP library connects through the pool that the transport is given: its name is the library's own affair."""
    backend = GuardedBackend(LOOPBACK)
    transport = GuardedTransport(backend, verify_tls=True)
    assert isinstance(transport._pool, httpcore2.AsyncConnectionPool)
    assert transport._pool._network_backend is backend
    assert "self._pool.handle_async_request" in inspect.getsource(httpx2._transports.default)
    await transport.aclose()


async def test_download_is_bounded_and_needs_success(server):
    """A remote file is read up to its limit, and an error page is no file."""
    server.reply("/a", b"12345", content_type="text/plain; charset=utf-8")
    server.reply("/gone", status=404)
    client = GuardedClient(LOOPBACK)
    assert await client.download(server.url + "/a", 5) == (b"12345", "text/plain")
    for path, limit, error_type in (("/a", 4, "ResponseSizeError"), ("/gone", 9, "FileFetchError")):
        with pytest.raises(NodeError) as failed:
            await client.download(server.url + path, limit)
        assert failed.value.error_type == error_type
    await client.close()


async def test_look_says_how_a_file_begins_and_how_large_it_is(server):
    """A remote file is measured to its end within the limits of a download, and only its beginning is kept."""
    server.reply("/a", b"12345", content_type="Text/Plain; charset=utf-8")
    server.reply("/packed", gzip.compress(b"1" * 5000), content_encoding="gzip")
    server.reply("/gone", status=404)
    client = GuardedClient(LOOPBACK)
    assert await client.look(server.url + "/a", 5, 3) == RemoteLook(b"123", 5, "text/plain")
    assert await client.look(server.url + "/packed", 5000, 9) == RemoteLook(b"1" * 9, 5000, "")
    for path, limit, error_type in (
        ("/a", 4, "ResponseSizeError"),
        ("/packed", 4999, "ResponseSizeError"),
        ("/gone", 9, "FileFetchError"),
    ):
        with pytest.raises(NodeError) as failed:
            await client.look(server.url + path, limit, 3)
        assert failed.value.error_type == error_type
    await client.close()
