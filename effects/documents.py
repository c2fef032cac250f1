"""Reads the text out of documents that strangers send, in a process of its own with limits.

Here: which kind of document a file is, and the life of that process. What it does is in ``effects.document_worker``:
nothing of a document is parsed in this process, only text that is UTF-8 already is passed through.

Source: spec/graph.md 2.16.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from effects.document_limits import (
    MAX_MEMORY_BYTES,
    MAX_TEXT_BYTES,
    OUT_OF_MEMORY_EXIT,
    REFUSED_EXIT,
    TIME_LIMIT_S,
)
from graph.errors import NodeError

_PLAIN: Final = "plain"
_BY_MIME: Final[Mapping[str, str]] = {
    "text/html": _PLAIN,
    "text/htm": _PLAIN,
    "text/markdown": _PLAIN,
    "text/xml": _PLAIN,
    "application/xml": _PLAIN,
    "application/json": "json",
    "application/x-yaml": "yaml",
    "application/yaml": "yaml",
    "text/yaml": "yaml",
    "text/x-yaml": "yaml",
    "application/pdf": "pdf",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/epub+zip": "epub",
    "application/vnd.oasis.opendocument.text": "odt",
    "message/rfc822": "eml",
    "application/vnd.ms-outlook": "msg",
    "text/vtt": "vtt",
    "text/properties": "properties",
    "text/x-java-properties": "properties",
}
_PLAIN_EXTENSIONS: Final = (
    "txt markdown md mdx html htm xml xhtml log tex rst adoc textile srt "
    "py js ts jsx tsx mjs cjs css scss less sass php rb go rs java kt scala swift c cc cpp cxx h hpp hxx cs vb fs lua "
    "pl pm r m mm sh bash zsh fish ps1 bat cmd sql hs clj ex exs erl dart groovy gradle vue svelte asm s f90 jl nim "
    "ini cfg conf toml env dockerfile makefile cmake tf diff patch graphql proto"
)
_BY_EXTENSION: Final[Mapping[str, str]] = {
    **{f".{end}": _PLAIN for end in _PLAIN_EXTENSIONS.split()},
    **{f".{kind}": kind for kind in ("json", "yaml", "pdf", "doc", "docx", "csv", "xls", "xlsx", "ppt", "pptx", "epub",
                                     "odt", "eml", "msg", "vtt", "properties")},
    ".yml": "yaml",
    ".xlsm": "xlsx",
}  # fmt: skip
_SAVE_AS: Final[Mapping[str, str]] = {"doc": "DOCX", "xls": "XLSX", "ppt": "PPTX", "msg": "EML"}
"""Binary formats that no library here reads -> the format that one does."""
_ZIP_MARK: Final = b"PK\x03\x04"
_ROOT: Final = Path(__file__).resolve().parents[1]


def document_kind(name: str, mime_type: str | None, extension: str, content: bytes) -> str:
    """Return the kind of a document by its media type, else its extension.

    Raises:
        NodeError: no kind that can be read (UnsupportedFileTypeError).
    """
    mime_type, extension = (mime_type or "").lower(), extension.lower()
    by_extension = _BY_EXTENSION.get(extension)
    kind = _BY_MIME.get(mime_type)
    if kind in _SAVE_AS:
        # Systems name these types for anything of the family: a CSV file, or the format of today.
        kind = by_extension or kind
        kind = f"{kind}x" if kind in ("doc", "xls", "ppt") and content.startswith(_ZIP_MARK) else kind
    elif kind is None:
        # A type of its own says more than "text", and that more than nothing.
        kind = by_extension or (_PLAIN if mime_type.startswith("text/") else None)
    if kind is None:
        named = f"MIME type: {mime_type}" if mime_type and not extension else f"Extension Type: {extension or name}"
        raise NodeError(f"Unsupported {named}", "UnsupportedFileTypeError")
    if kind in _SAVE_AS:
        raise NodeError(f"{name or 'the file'} is a {kind.upper()} file, which cannot be read here: "
                        f"save it as {_SAVE_AS[kind]}", "UnsupportedFileTypeError")  # fmt: skip
    return kind


class DocumentReader:
    """Runs one process for each document. Belongs to one event loop.

    A document that is broken, too large, or would need too much time or memory fails by a NodeError; the process
    ends with it.
    """

    def __init__(
        self, time_limit_s: float = TIME_LIMIT_S, max_memory_bytes: int = MAX_MEMORY_BYTES, at_a_time: int = 2
    ) -> None:
        """Prepare.

        Args:
            time_limit_s: after so long the process is killed.
            max_memory_bytes: address space of the process.
            at_a_time: how many documents are read at the same time; others wait.
        """
        self._time_limit_s = time_limit_s
        self._max_memory_bytes = max_memory_bytes
        self._turn = asyncio.Semaphore(at_a_time)

    async def text_of(self, content: bytes, name: str, mime_type: str | None, extension: str) -> str:
        """Return the text of a document.

        Args:
            content: the file.
            name: what people call it, for error texts.
            mime_type: its media type, None if unknown.
            extension: with its dot, "" if it has none.

        Raises:
            NodeError: it is of no kind that can be read, broken, or over a limit.
        """
        kind = document_kind(name, mime_type, extension, content)
        if kind == _PLAIN and len(content) <= MAX_TEXT_BYTES:
            try:
                return content.decode("utf-8")
            except UnicodeDecodeError:
                pass
        async with self._turn:
            return await self._read(kind, content, name)

    async def _read(self, kind: str, content: bytes, name: str) -> str:
        limits = {"memory_bytes": self._max_memory_bytes, "time_s": self._time_limit_s}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-s",
            "-m",
            "effects.document_worker",
            kind,
            json.dumps(limits),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=_ROOT,
            # Nothing of this process's environment: it holds passwords and keys.
            env={"PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._time_limit_s):
                text, complaint, _ = await asyncio.gather(
                    _up_to(process.stdout, MAX_TEXT_BYTES, name),
                    _up_to(process.stderr, MAX_TEXT_BYTES, name),
                    _feed(process.stdin, content),
                )
                code = await process.wait()
        except TimeoutError as error:
            raise _failed(f"reading {name!r} took longer than {self._time_limit_s:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code == 0:
            return text.decode("utf-8", "replace")
        raise _failed(_reason(code, complaint.decode("utf-8", "replace"), name, self._max_memory_bytes))


def _reason(code: int, complaint: str, name: str, max_memory_bytes: int) -> str:
    if code == REFUSED_EXIT:
        return f"{name!r} cannot be read: {complaint.strip()}"
    if code == OUT_OF_MEMORY_EXIT:
        return f"reading {name!r} needs more than {max_memory_bytes // (1024 * 1024)} MB of memory"
    return f"reading {name!r} went over a limit of time or memory, or the file breaks the library that reads it"


async def _feed(stream: asyncio.StreamWriter | None, content: bytes) -> None:
    assert stream is not None
    try:
        stream.write(content)
        await stream.drain()
        stream.close()
        await stream.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        # It has ended before it read everything; its exit code says why.
        pass


async def _up_to(stream: asyncio.StreamReader | None, limit: int, name: str) -> bytes:
    assert stream is not None
    read = bytearray()
    while chunk := await stream.read(64 * 1024):
        read += chunk
        if len(read) > limit:
            raise _failed(f"the text of {name!r} is too long: more than {limit // (1024 * 1024)} MB")
    return bytes(read)


def _failed(reason: str) -> NodeError:
    return NodeError(reason, "TextExtractionError")
