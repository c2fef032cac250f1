"""Large values by content: SHA-256 -> bytes. The same content is kept once, and nothing is ever overwritten.

What is put in is durable when ``put`` returns, so that a fact may refer to it.
"""

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Protocol

from store.errors import BlobMissingError, StoreUnavailableError


def digest_of(content: bytes) -> str:
    """Return the hex SHA-256 under which ``content`` is kept."""
    return hashlib.sha256(content).hexdigest()


class Blobs(Protocol):
    """Keeps large values by content."""

    async def put(self, content: bytes) -> str:
        """Keep ``content`` and return its digest; durable on return, may be repeated.

        Raises:
            StoreUnavailableError: it could not be written.
        """
        ...

    async def get(self, digest: str) -> bytes:
        """Return the content with this digest.

        Raises:
            BlobMissingError: it is not there, or damaged.
        """
        ...


class MemoryBlobs:
    """Keeps values in a dictionary; for tests."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}

    async def put(self, content: bytes) -> str:
        """Keep ``content``; see Blobs."""
        digest = digest_of(content)
        self._contents[digest] = content
        return digest

    async def get(self, digest: str) -> bytes:
        """Return the content with this digest; see Blobs."""
        if digest not in self._contents:
            raise BlobMissingError(digest)
        return self._contents[digest]


class FolderBlobs:
    """Keeps values as files ``<folder>/<first two digits>/<digest>``; all nodes of a cluster share the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, content: bytes) -> str:
        """Keep ``content``; see Blobs."""
        return await asyncio.to_thread(self._write, content)

    async def get(self, digest: str) -> bytes:
        """Return the content with this digest; see Blobs."""
        return await asyncio.to_thread(self._read, digest)

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest

    def _write(self, content: bytes) -> str:
        digest = digest_of(content)
        path = self._path(digest)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _write_whole(path, content)
            # Also when another writer made the file: its name may not be durable yet.
            _sync_folder(path.parent)
            _sync_folder(self._folder)
        except OSError as error:
            raise StoreUnavailableError(f"a large value could not be kept ({error.strerror})") from error
        return digest

    def _read(self, digest: str) -> bytes:
        try:
            content = self._path(digest).read_bytes()
        except FileNotFoundError as error:
            raise BlobMissingError(digest) from error
        except OSError as error:
            raise StoreUnavailableError(f"a large value could not be read ({error.strerror})") from error
        if digest_of(content) != digest:
            raise BlobMissingError(digest)
        return content


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there, also after a power cut."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
