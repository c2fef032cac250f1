"""Sends the HTTP requests of workflows: implements ``graph.ports.Http`` over the guarded client.

An answer is text or a file; which of the two follows from its headers and, in doubt, from its first bytes.

Source: spec/graph.md 2.8.
"""

import mimetypes
from collections.abc import Sequence
from email.message import Message
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlencode

import httpx2
from charset_normalizer import from_bytes

from effects.guarded_client import BoundedBody, GuardedClient, headers_to_send
from graph.ports import Files, HttpCall, HttpReply
from graph.variable_pool import is_file

MAX_TEXT_BYTES: Final = 1024 * 1024
MAX_BINARY_BYTES: Final = 10 * 1024 * 1024
_SAMPLE_BYTES: Final = 1024
_DETECT_BYTES: Final = 64 * 1024
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TEXTLIKE: Final = ("json", "xml", "javascript", "x-www-form-urlencoded", "yaml", "graphql")
_TEXT_MARKS: Final = (b"{", b"[", b"<", b"function", b"var ", b"const ", b"let ")
_FILE_FAMILIES: Final = frozenset({"application", "image", "audio", "video"})
_COSTLY_CODECS: Final = frozenset({"punycode", "idna", "unicode_escape", "unicode-escape", "raw_unicode_escape"})
"""Codecs that are no charsets; the time of some grows with the square of the text."""
_PLACEHOLDER: Final = ("__multipart_placeholder__", ("", b"", "application/octet-stream"))


class GuardedHttp:
    """Implements graph.ports.Http. ``files``: reads what is sent along and keeps what comes back."""

    def __init__(self, client: GuardedClient, files: Files) -> None:
        self._client = client
        self._files = files

    async def send(self, call: HttpCall) -> HttpReply:
        """Send ``call`` and return the answer; see graph.ports.Http."""
        headers = list(call.headers)
        has_key = any(name.lower() == "idempotency-key" for name, _ in headers)
        if call.idempotency_key and not has_key and call.method not in _SAFE_METHODS:
            headers.append(("Idempotency-Key", call.idempotency_key))
        timeout = httpx2.Timeout(
            connect=call.connect_timeout_s,
            read=call.read_timeout_s,
            write=call.write_timeout_s,
            pool=call.connect_timeout_s,
        )
        async with self._client.send(
            call.method,
            _with_params(call.url, call.params),
            verify_tls=call.verify_tls,
            headers=headers_to_send(headers),
            timeout=timeout,
            **await self._body(call),
        ) as response:
            return await self._reply(response)

    async def _body(self, call: HttpCall) -> dict[str, Any]:
        """Return the arguments of the HTTP library for the body of ``call``."""
        if call.body is None or isinstance(call.body, bytes):
            return {"content": call.body}
        texts: dict[str, str] = {}
        files: list[Any] = []
        for name, value in call.body:
            if is_file(value):
                mime_type = value.get("mime_type") or "application/octet-stream"
                files.append((name, (value.get("filename") or "file", await self._files.read(value), mime_type)))
            else:
                texts[name] = value
        # Without any file the library would not make the body multipart; servers ignore a part without a name.
        return {"data": texts, "files": files or [_PLACEHOLDER]}

    async def _reply(self, response: httpx2.Response) -> HttpReply:
        headers = dict(response.headers)
        body = BoundedBody(response)
        disposition = _disposition(response)
        if _is_file(response, disposition, await body.start(_SAMPLE_BYTES)):
            content = await body.read(MAX_BINARY_BYTES, "File")
            name, mime_type = _name_and_type(response, disposition)
            return HttpReply(response.status_code, headers, "", await self._files.put(content, name, mime_type))
        content = await body.read(MAX_TEXT_BYTES, "Text")
        return HttpReply(response.status_code, headers, decoded(content, response.charset_encoding))


def _with_params(url: str, params: Sequence[tuple[str, str]]) -> str:
    """Return ``url`` with ``params`` behind its own query; the library would put them in place of that."""
    if not params:
        return url
    address, mark, fragment = url.partition("#")
    joint = "&" if "?" in address else "?"
    return f"{address}{joint}{urlencode(params)}{mark}{fragment}"


def _disposition(response: httpx2.Response) -> Message | None:
    header = response.headers.get("content-disposition")
    if not header:
        return None
    message = Message()
    message["content-disposition"] = header
    return message


def _is_file(response: httpx2.Response, disposition: Message | None, sample: bytes) -> bool:
    """Whether an answer counts as a file and not as text."""
    if response.request.method == "HEAD":
        return False
    if disposition is not None and (
        disposition.get_content_disposition() == "attachment" or disposition.get_filename() is not None
    ):
        return True
    content_type = _media_type(response)
    family = content_type.partition("/")[0]
    if family == "text" or any(word in content_type for word in _TEXTLIKE):
        return False
    if family == "application" and _reads_like_text(sample):
        return False
    return family in _FILE_FAMILIES


def _reads_like_text(sample: bytes) -> bool:
    try:
        # The sample may end inside of a character.
        sample[:-3].decode() if len(sample) == _SAMPLE_BYTES else sample.decode()
    except UnicodeDecodeError as error:
        if len(sample) < _SAMPLE_BYTES or error.start < _SAMPLE_BYTES - 6:
            return False
    return any(mark in sample for mark in _TEXT_MARKS)


def _media_type(response: httpx2.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _name_and_type(response: httpx2.Response, disposition: Message | None) -> tuple[str, str]:
    """Return what the file of an answer is called and its media type."""
    named = (disposition.get_filename() if disposition is not None else None) or ""
    name = PurePosixPath(named.replace("\\", "/")).name or PurePosixPath(unquote(response.url.path)).name
    media_type = mimetypes.guess_type(named)[0] or _media_type(response) or mimetypes.guess_type(name)[0]
    media_type = media_type or "application/octet-stream"
    if not PurePosixPath(name).suffix:
        name = (name or "file") + (mimetypes.guess_extension(media_type) or "")
    return name[-200:], media_type


def decoded(content: bytes, charset: str | None) -> str:
    """Return text as its declared charset, else UTF-8, else the most likely charset says."""
    try:
        return content.decode("utf-8" if not charset or charset.lower() in _COSTLY_CODECS else charset)
    except (LookupError, ValueError):
        guess = from_bytes(content[:_DETECT_BYTES]).best()
        return content.decode(guess.encoding if guess else "utf-8", "replace")
