"""Stores and reads the files of one run: implements ``graph.ports.Files``.

What is stored, and whose it is, is kept by the shelf it is given; what lies elsewhere comes through the guard.

Source: spec/graph.md 3.5 and 3.7.
"""

import mimetypes
from collections.abc import Callable
from typing import Any, Protocol

from effects.documents import DocumentReader
from effects.guarded_client import GuardedClient
from graph.errors import NodeError
from graph.file_value import kind_of, max_bytes, stored_file


class KeptFile(Protocol):
    """What a shelf says of a file."""

    @property
    def file_id(self) -> str:
        """Its id."""
        ...

    @property
    def name(self) -> str:
        """Its name as kept."""
        ...

    @property
    def mime_type(self) -> str:
        """Its media type."""
        ...

    @property
    def size_bytes(self) -> int:
        """Its size."""
        ...


class Shelf(Protocol):
    """The files that a run makes and may read (``store.files.RunShelf``)."""

    async def put(self, content: bytes, name: str, mime_type: str) -> KeptFile:
        """Store a file; the same content under the same name is the same file."""
        ...

    async def content(self, file_id: str) -> bytes | None:
        """Return the content of a file, None if the run may not read it or it does not exist."""
        ...


class FileStore:
    """Implements graph.ports.Files for one run."""

    def __init__(
        self, shelf: Shelf, client: GuardedClient, documents: DocumentReader, address: Callable[[str], str]
    ) -> None:
        """Prepare.

        Args:
            shelf: the stored files of the run.
            client: fetches remote files.
            documents: reads text out of documents.
            address: file id -> where readers find the file, before it is signed for one of them.
        """
        self._shelf = shelf
        self._client = client
        self._documents = documents
        self._address = address

    async def put(self, content: bytes, filename: str, mime_type: str) -> dict[str, Any]:
        """Store ``content`` and return its file value; see graph.ports.Files."""
        kind = kind_of(filename, mime_type)
        _check_size(len(content), kind, filename)
        kept = await self._shelf.put(content, filename, mime_type)
        url = self._address(kept.file_id)
        return stored_file(kept.file_id, kept.name, kept.mime_type, kept.size_bytes, url, kind=kind, method="tool_file")

    async def read(self, file: dict[str, Any]) -> bytes:
        """Return the content behind a file value; see graph.ports.Files."""
        name = str(file.get("filename") or "")
        if file.get("transfer_method") == "remote_url":
            url = file.get("remote_url") or file.get("url")
            if not url:
                raise NodeError("Missing URL for remote file", "FileDownloadError")
            content, _ = await self._client.download(str(url), max_bytes(str(file.get("type"))))
            return content
        file_id = file.get("related_id") or file.get("reference")
        content = await self._shelf.content(str(file_id)) if file_id else None
        if content is None:
            # The same for a file that does not exist and one that is somebody else's.
            raise NodeError(f"the file {name!r} is not there", "FileFetchError")
        return content

    async def extract_text(self, file: dict[str, Any]) -> str:
        """Return the text of a document; see graph.ports.Files."""
        name = str(file.get("filename") or "")
        mime_type = file.get("mime_type") or mimetypes.guess_type(name)[0]
        return await self._documents.text_of(await self.read(file), name, mime_type, str(file.get("extension") or ""))


def _check_size(size_bytes: int, kind: str, name: str) -> None:
    if size_bytes > max_bytes(kind):
        limit = max_bytes(kind) // (1024 * 1024)
        raise NodeError(f"the file {name!r} is too large: a file of type {kind} has at most {limit} MB", "FileTooLarge")
