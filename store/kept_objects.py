"""Objects by path in the store of files: durable when written, with the time they were written last.

``store.blobs`` keeps large values there; this is for those who look after them, and for bundles of the archive.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import cached_property
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore

from store.blobs import object_store, reason_of, sync_file
from store.errors import StoreUnavailableError


class KeptObjects:
    """Objects by path. Every operation may be repeated."""

    def __init__(self, opened: Callable[[], ObjectStore]) -> None:
        """Prepare; ``opened`` gives the store at the first use."""
        self._open = opened

    @cached_property
    def _store(self) -> ObjectStore:
        return self._open()

    async def put(self, path: str, content: bytes) -> None:
        """Keep ``content`` under ``path``; durable on return.

        Raises:
            StoreUnavailableError: it could not be written.
        """
        try:
            await self._store.put_async(path, content)
            if isinstance(self._store, LocalStore) and self._store.prefix is not None:
                await asyncio.to_thread(sync_file, self._store.prefix, path)
        except (BaseError, OSError) as error:
            raise StoreUnavailableError(f"an object could not be kept ({reason_of(error)})") from error

    async def get(self, path: str) -> bytes | None:
        """Return what is kept under ``path``, or None.

        Raises:
            StoreUnavailableError: it could not be read.
        """
        try:
            found = await self._store.get_async(path)
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise StoreUnavailableError(f"an object could not be read ({reason_of(error)})") from error

    async def delete(self, path: str) -> None:
        """Delete what is kept under ``path``, if anything is.

        Raises:
            StoreUnavailableError: it could not be deleted.
        """
        try:
            await self._store.delete_async(path)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise StoreUnavailableError(f"an object could not be deleted ({reason_of(error)})") from error

    async def listed(self, folder: str) -> AsyncIterator[tuple[str, float]]:
        """Yield (path, when it was written last in Unix seconds) of everything in ``folder`` and below.

        Raises:
            StoreUnavailableError: it could not be listed.
        """
        try:
            async for objects in self._store.list(f"{folder}/"):
                for each in objects:
                    yield each["path"], each["last_modified"].timestamp()
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise StoreUnavailableError(f"objects could not be listed ({reason_of(error)})") from error


def open_objects(url: str, folder: Path) -> KeptObjects:
    """Return the objects at ``url``, or in ``folder`` where it is empty; opens nothing.

    Raises:
        InvalidFilesUrlError: at first use: the URL names no durable store that is known, or lacks something.
    """
    return KeptObjects(lambda: object_store(url, folder))
