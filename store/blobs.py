"""Large values and files by content: SHA-256 -> bytes. The same content is kept once, and none ever changes.

What is put in is durable when ``put`` returns, so that a fact may refer to it.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from store.errors import BlobMissingError, InvalidFilesUrlError, StoreUnavailableError

_DURABLE_SCHEMES: Final = frozenset({"s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "file"})

ASIDE: Final = "aside"
"""The folder of values that nothing seems to refer to, until they are deleted or put back."""


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

    async def put_file(self, file: BinaryIO) -> tuple[str, int]:
        """Keep the content of ``file`` from its start, piece by piece; return its digest and size in bytes.

        Durable on return, may be repeated.

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

    async def put_file(self, file: BinaryIO) -> tuple[str, int]:
        """Keep the content of ``file``; see Blobs."""
        file.seek(0)
        content = file.read()
        return await self.put(content), len(content)

    async def get(self, digest: str) -> bytes:
        """Return the content with this digest; see Blobs."""
        if digest not in self._contents:
            raise BlobMissingError(digest)
        return self._contents[digest]


class ObjectBlobs:
    """Keeps values as objects ``blobs/<first two digits>/<digest>``: files of a folder that all nodes share, or S3."""

    def __init__(self, opened: Callable[[], ObjectStore]) -> None:
        """Prepare; ``opened`` gives the store at the first use."""
        self._open = opened

    @cached_property
    def _store(self) -> ObjectStore:
        return self._open()

    async def put(self, content: bytes) -> str:
        """Keep ``content``; see Blobs."""
        digest = digest_of(content)
        await self._write(digest, content)
        return digest

    async def put_file(self, file: BinaryIO) -> tuple[str, int]:
        """Keep the content of ``file``; see Blobs."""
        digest, size_bytes = await asyncio.to_thread(_measured, file)
        await self._write(digest, file)
        return digest, size_bytes

    async def _write(self, digest: str, content: bytes | BinaryIO) -> None:
        try:
            # Written anew where it is there already: what a power cut left half written is then mended.
            await self._store.put_async(blob_path(digest), content)
            if isinstance(self._store, LocalStore) and self._store.prefix is not None:
                await asyncio.to_thread(sync_file, self._store.prefix, blob_path(digest))
        except (BaseError, OSError) as error:
            raise StoreUnavailableError(f"a large value could not be kept ({reason_of(error)})") from error

    async def get(self, digest: str) -> bytes:
        """Return the content with this digest; see Blobs."""
        try:
            content = await self._read(digest)
        except FileNotFoundError as error:
            raise BlobMissingError(digest) from error
        except (BaseError, OSError) as error:
            raise StoreUnavailableError(f"a large value could not be read ({reason_of(error)})") from error
        if digest_of(content) != digest:
            raise BlobMissingError(digest)
        return content

    async def _read(self, digest: str) -> bytes:
        try:
            found = await self._store.get_async(blob_path(digest))
        except FileNotFoundError:
            # It may have been set aside as unused while it came into use again.
            found = await self._store.get_async(aside_path(digest))
        return bytes(await found.bytes_async())


def open_blobs(url: str, folder: Path) -> ObjectBlobs:
    """Return the blobs at ``url``, such as ``s3://bucket/prefix``, or in ``folder`` where it is empty; opens nothing.

    Raises:
        InvalidFilesUrlError: at first use: the URL names no durable store that is known, or lacks something.
    """
    return ObjectBlobs(lambda: object_store(url, folder))


def object_store(url: str, folder: Path) -> ObjectStore:
    """Return the store at ``url``, or in ``folder`` where it is empty.

    Raises:
        InvalidFilesUrlError: the URL names no durable store that is known, or lacks something.
    """
    return _remote(url) if url else LocalStore(folder, mkdir=True)


def _remote(url: str) -> ObjectStore:
    scheme = urlsplit(url).scheme
    if scheme not in _DURABLE_SCHEMES:
        raise InvalidFilesUrlError(scheme)
    try:
        return from_url(url)
    except (BaseError, ValueError) as error:
        raise InvalidFilesUrlError(scheme) from error


def blob_path(digest: str) -> str:
    """Return the path of the object with this digest."""
    return f"blobs/{digest[:2]}/{digest}"


def _measured(file: BinaryIO) -> tuple[str, int]:
    """Return digest and size of the content of ``file``, which is then at its start again."""
    file.seek(0)
    digest = hashlib.file_digest(cast(BytesIO, file), "sha256").hexdigest()
    size_bytes = file.tell()
    file.seek(0)
    return digest, size_bytes


def aside_path(digest: str) -> str:
    """Return the path of an object that ``store.blob_sweep`` has set aside."""
    return f"{ASIDE}/{digest[:2]}/{digest}"


def reason_of(error: Exception) -> str:
    """Return the first line of what the library says; the rest is a dump of its inside."""
    return str(error).partition("\n")[0]


def sync_file(folder: Path, path: str) -> None:
    """Make a written file and its name durable: the library leaves both to the system."""
    file = folder / path
    for each in (file, file.parent, file.parent.parent, folder):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
