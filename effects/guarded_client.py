"""An HTTP client for addresses that strangers choose: guarded connections, few redirects, answers of bounded size.

Nothing of this machine's environment plays in: no proxy variables, no netrc, no cookies kept between calls.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import httpcore2
import httpx2

from effects.address_guard import GuardedBackend, Network, Resolver, resolve
from graph.errors import NodeError

MAX_REDIRECTS: Final = 10
DOWNLOAD_TIMEOUT_S: Final = 120.0
"""For a whole file, however slowly it comes."""
_CONNECT_TIMEOUT_S: Final = 10.0
_MAX_CONNECTIONS: Final = 100
_KEEPALIVE_S: Final = 30.0
REQUEST_FAILED: Final = "HttpRequestNodeError"
TOO_LARGE: Final = "ResponseSizeError"


@dataclass(frozen=True, slots=True)
class RemoteLook:
    """What lies at an address. ``head``: how its content begins; ``mime_type``: as its server says, "" for nothing."""

    head: bytes
    size_bytes: int
    mime_type: str


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """The client's transport over connections of a GuardedBackend."""

    def __init__(self, backend: GuardedBackend, *, verify_tls: bool) -> None:
        # The parent makes a pool of its own and offers no way to name the backend, so its constructor is not called.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(verify=verify_tls, trust_env=False),
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_S,
            network_backend=backend,
        )


class _Borrowed(httpx2.AsyncBaseTransport):
    """A transport that outlives the client of one call."""

    def __init__(self, transport: GuardedTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._transport.handle_async_request(request)


class GuardedClient:
    """Sends requests; belongs to one event loop."""

    def __init__(self, allowed: Iterable[Network] = (), resolver: Resolver = resolve) -> None:
        """Prepare; nothing is opened before the first request.

        Args:
            allowed: networks that may be reached besides public addresses.
            resolver: how names become addresses.
        """
        self._backend = GuardedBackend(allowed, resolver)

    @cached_property
    def _verifying(self) -> GuardedTransport:
        return GuardedTransport(self._backend, verify_tls=True)

    @cached_property
    def _trusting(self) -> GuardedTransport:
        return GuardedTransport(self._backend, verify_tls=False)

    def transport(self, *, verify_tls: bool = True) -> httpx2.AsyncBaseTransport:
        """Return a transport for another client; closing that client leaves the connections here."""
        return _Borrowed(self._verifying if verify_tls else self._trusting)

    @asynccontextmanager
    async def send(
        self, method: str, url: str, *, verify_tls: bool = True, **request: Any
    ) -> AsyncGenerator[httpx2.Response]:
        """Send a request, follow its redirects and give the answer, whose body is not read yet.

        Args:
            method: in capitals.
            url: http or https.
            verify_tls: whether certificates count.
            request: params, headers, content, data, files, timeout as of the HTTP library.

        Raises:
            NodeError: address not allowed, no such address, or the transport failed.
        """
        try:
            async with httpx2.AsyncClient(transport=self.transport(verify_tls=verify_tls), trust_env=False) as client:
                response = await _followed(client, client.build_request(method, url, **request))
                try:
                    yield response
                finally:
                    await response.aclose()
        except httpx2.InvalidURL as error:
            raise NodeError(f"Invalid URL: {error}", "InvalidURLError") from error
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            reason = str(error) or "no answer in time"
            raise NodeError(f"{type(error).__name__}: {reason}", REQUEST_FAILED) from error

    async def download(self, url: str, limit_bytes: int) -> tuple[bytes, str]:
        """Return the content at ``url`` and its media type ("" for none).

        Raises:
            NodeError: it cannot be had (FileFetchError), or is larger than ``limit_bytes`` (ResponseSizeError).
        """
        async with self._file(url) as response:
            content = await BoundedBody(response).read(limit_bytes, "File")
            return content, _media_type(response)

    async def look(self, url: str, limit_bytes: int, head_bytes: int) -> RemoteLook:
        """Fetch what lies at ``url`` without keeping it; return how it begins, its size and its type.

        Raises:
            NodeError: as ``download``.
        """
        async with self._file(url) as response:
            head, size_bytes = await BoundedBody(response).measured(limit_bytes, "File", head_bytes)
            return RemoteLook(head, size_bytes, _media_type(response))

    @asynccontextmanager
    async def _file(self, url: str) -> AsyncGenerator[httpx2.Response]:
        """Give the answer to a request for a file, for as long as a file may take."""
        timeout = httpx2.Timeout(DOWNLOAD_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
        try:
            async with asyncio.timeout(DOWNLOAD_TIMEOUT_S), self.send("GET", url, timeout=timeout) as response:
                if not response.is_success:
                    raise NodeError(f"the file's address answered with status {response.status_code}", "FileFetchError")
                yield response
        except TimeoutError as error:
            raise NodeError(f"the file did not come within {DOWNLOAD_TIMEOUT_S:g} s", "FileFetchError") from error

    async def close(self) -> None:
        """Close the connections."""
        for name in ("_verifying", "_trusting"):
            if name in self.__dict__:
                await self.__dict__.pop(name).aclose()


async def _followed(client: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
    """Return the answer behind all redirects. The client's own way reads each redirect's body, however long."""
    for _ in range(MAX_REDIRECTS + 1):
        response = await client.send(request, stream=True, follow_redirects=False)
        if response.next_request is None:
            return response
        request = response.next_request
        await response.aclose()
    raise httpx2.TooManyRedirects(f"more than {MAX_REDIRECTS} redirects", request=request)


class BoundedBody:
    """A body read piece by piece, decompressed, and given up as soon as it is too large."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._pieces: AsyncGenerator[bytes] = _pieces(response)
        self._content = bytearray()

    async def start(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or all if there are fewer."""
        while len(self._content) < size:
            piece = await anext(self._pieces, None)
            if piece is None:
                break
            self._content += piece
        return bytes(self._content[:size])

    async def read(self, limit_bytes: int, name: str) -> bytes:
        """Return the whole body.

        Raises:
            NodeError: it has more than ``limit_bytes``; ``name`` stands for it in the text.
        """
        self._check_announced(limit_bytes, name)
        async with aclosing(self._pieces) as pieces:
            _check(len(self._content), limit_bytes, name)
            async for piece in pieces:
                self._content += piece
                _check(len(self._content), limit_bytes, name)
        return bytes(self._content)

    async def measured(self, limit_bytes: int, name: str, head_bytes: int) -> tuple[bytes, int]:
        """Return the first ``head_bytes`` and the size of the whole body, of which no more is held.

        Raises:
            NodeError: it has more than ``limit_bytes``; ``name`` stands for it in the text.
        """
        self._check_announced(limit_bytes, name)
        head, size_bytes = b"", 0
        async with aclosing(self._pieces) as pieces:
            async for piece in pieces:
                head += piece[: head_bytes - len(head)]
                size_bytes += len(piece)
                _check(size_bytes, limit_bytes, name)
        return head, size_bytes

    def _check_announced(self, limit_bytes: int, name: str) -> None:
        announced = self._response.headers.get("content-length", "")
        is_plain = "content-encoding" not in self._response.headers
        if is_plain and self._response.request.method != "HEAD" and announced.isdecimal():
            _check(int(announced), limit_bytes, name)


def _media_type(response: httpx2.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _pieces(response: httpx2.Response) -> AsyncGenerator[bytes]:
    async for piece in response.aiter_bytes():
        yield piece


def _check(size_bytes: int, limit_bytes: int, name: str) -> None:
    if size_bytes > limit_bytes:
        raise NodeError(f"{name} size is too large, max size is {limit_bytes / 1024 / 1024:.2f} MB", TOO_LARGE)


def headers_to_send(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return headers as bytes; text beyond ASCII goes out as UTF-8."""
    return [(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in headers]
