"""The rules of the store of large values, in memory and in a folder."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from store.blobs import Blobs, MemoryBlobs, ObjectBlobs, open_blobs
from store.errors import BlobMissingError, InvalidFilesUrlError, StoreUnavailableError


def names_of_files(folder: Path) -> list[str]:
    """Return the names of all files in ``folder`` and below."""
    return [path.name for path in folder.rglob("*") if path.is_file()]


def of_kind(kind: str, tmp_path: Path) -> Blobs:
    """Return an empty store of a kind."""
    if kind == "folder":
        return open_blobs("", tmp_path / "data" / "files")
    if kind == "url":
        return open_blobs(f"file://{tmp_path}", tmp_path)
    # The library's store in memory answers as its stores of the network do.
    return MemoryBlobs() if kind == "memory" else ObjectBlobs(MemoryStore)


@pytest.fixture(params=["memory", "folder", "url", "object"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """An empty store of each kind."""
    return of_kind(request.param, tmp_path)


async def test_content_comes_back_by_its_digest(blobs: Blobs) -> None:
    """Content is kept under its SHA-256, once, however often it is put."""
    contents = [b"", b"x" * 100_000, bytes(range(256))]
    digests = [await blobs.put(content) for content in contents]
    assert digests == [hashlib.sha256(content).hexdigest() for content in contents]
    assert [await blobs.put(content) for content in contents] == digests
    assert [await blobs.get(digest) for digest in digests] == contents


async def test_missing_content_is_named(blobs: Blobs) -> None:
    """Content that was never put is an error that names its digest."""
    with pytest.raises(BlobMissingError) as missing:
        await blobs.get("0" * 64)
    assert missing.value.digest == "0" * 64


async def test_same_content_can_be_put_at_once(tmp_path: Path) -> None:
    """Several writers of the same content leave one whole file and nothing else."""
    blobs = open_blobs("", tmp_path)
    digests = await asyncio.gather(*(blobs.put(b"x" * 100_000) for _ in range(8)))
    assert names_of_files(tmp_path) == [digests[0]]


async def test_damaged_content_is_not_given_out(tmp_path: Path) -> None:
    """A file whose content is not that of its name counts as missing."""
    blobs = open_blobs("", tmp_path)
    digest = await blobs.put(b"right")
    (tmp_path / "blobs" / digest[:2] / digest).write_bytes(b"wrong")
    with pytest.raises(BlobMissingError):
        await blobs.get(digest)
    assert await blobs.put(b"right") == digest
    assert await blobs.get(digest) == b"right"


async def test_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """Where nothing can be kept, the caller may try again later."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailableError):
        await open_blobs("", tmp_path / "file").put(b"x")


@pytest.mark.parametrize("url", ["memory:///", "http://x.test/", "s3:", "nonsense"])
async def test_url_of_no_durable_store_is_refused(url: str, tmp_path: Path) -> None:
    """A store that forgets, or none at all, is refused at its first use."""
    blobs = open_blobs(url, tmp_path)
    with pytest.raises(InvalidFilesUrlError, match="GREENROOM_FILES_URL"):
        await blobs.put(b"x")
