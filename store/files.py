"""The store of files: who owns which, what they are called, and their content, which lies among the large values.

``FileTable`` says the rules; ``SqlFiles`` keeps them in SQL, the memory twin is ``store.memory_files``.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Protocol

from sqlalchemy import Connection, bindparam, or_, select

from graph.file_value import extension_of
from store.blobs import Blobs
from store.database import AnyRow, AnySelect, Database
from store.file_record import FileOwner, FileRecord, derived_file_id
from store.insert_once import insert_once
from store.tables import files, forms

MAX_NAME_CHARS = 200


class FileTable(Protocol):
    """Stores files. Every operation may be repeated."""

    async def add(self, record: FileRecord) -> FileRecord:
        """Keep ``record`` and return the one of its id, which is another if that was there before. Durable."""
        ...

    async def get(self, file_id: str) -> FileRecord | None:
        """Return a file, or None."""
        ...

    async def of_owner(self, owner: FileOwner, file_ids: Sequence[str]) -> dict[str, FileRecord]:
        """Return id -> file for those of the ids that ``owner`` may use."""
        ...

    async def for_run(self, owner: FileOwner, run_id: str, file_id: str) -> FileRecord | None:
        """Return a file that a run may read: its owner's, or one uploaded for a form of the run; else None."""
        ...


class FileShelf:
    """Files with their content: what surfaces put in and give out."""

    def __init__(self, table: FileTable, blobs: Blobs) -> None:
        self.table = table
        self._blobs = blobs

    async def put(
        self, file_id: str, owner: FileOwner, content: bytes, name: str, mime_type: str, created_at: float
    ) -> FileRecord:
        """Store a file, content first; durable on return.

        Raises:
            StoreUnavailableError: it could not be stored.
        """
        digest = await self._blobs.put(content)
        name = shortened(name)
        return await self.table.add(
            FileRecord(file_id, owner, name, mime_type, extension_of(name), len(content), digest, created_at)
        )

    async def content(self, record: FileRecord) -> bytes:
        """Return the content of a file.

        Raises:
            BlobMissingError: it is gone or damaged.
        """
        return await self._blobs.get(record.digest)


class RunShelf:
    """The files that one run makes and may read."""

    def __init__(self, table: FileTable, blobs: Blobs, owner: FileOwner, run_id: str, created_at: float) -> None:
        self._table = table
        self._blobs = blobs
        self._owner = owner
        self._run_id = run_id
        self._created_at = created_at

    async def put(self, content: bytes, name: str, mime_type: str) -> FileRecord:
        """Store a file of the run's owner; the same content under the same name is the same file."""
        digest, name = await self._blobs.put(content), shortened(name)
        file_id = derived_file_id(self._owner, digest, name, mime_type)
        return await self._table.add(
            FileRecord(
                file_id, self._owner, name, mime_type, extension_of(name), len(content), digest, self._created_at
            )
        )

    async def content(self, file_id: str) -> bytes | None:
        """Return the content of a file, None if the run may not read it or it does not exist."""
        record = await self._table.for_run(self._owner, self._run_id, file_id)
        return None if record is None else await self._blobs.get(record.digest)


def shortened(name: str) -> str:
    """Return a file name of at most 200 characters, its extension kept."""
    if len(name) <= MAX_NAME_CHARS:
        return name
    extension = PurePosixPath(name).suffix[:MAX_NAME_CHARS]
    return name[: MAX_NAME_CHARS - len(extension)] + extension


_BY_ID = select(files).where(files.c.file_id == bindparam("key_file_id"))
_BY_IDS = select(files).where(files.c.file_id.in_(bindparam("key_file_ids", expanding=True)))
_IS_OWNERS = (
    files.c.workspace_id == bindparam("key_workspace_id"),
    files.c.app_id == bindparam("key_app_id"),
)
_IS_THEIRS = (files.c.owner_role == bindparam("key_role")) & (files.c.owner_id == bindparam("key_owner_id"))
_OF_RUN = select(forms.c.form_id).where(forms.c.run_id == bindparam("key_run_id"))
_OF_OWNER = _BY_IDS.where(*_IS_OWNERS, _IS_THEIRS)
_FOR_RUN = _BY_ID.where(*_IS_OWNERS, or_(_IS_THEIRS, files.c.form_id.in_(_OF_RUN)))


class SqlFiles:
    """Implements FileTable over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, record: FileRecord) -> FileRecord:
        """Keep ``record``; see FileTable."""
        row = {
            "file_id": record.file_id,
            "workspace_id": record.owner.workspace_id,
            "app_id": record.owner.app_id,
            "form_id": record.form_id,
            "owner_role": record.owner.role,
            "owner_id": record.owner.owner_id,
            "name": record.name,
            "mime_type": record.mime_type,
            "extension": record.extension,
            "size_bytes": record.size_bytes,
            "storage_key": record.digest,
            "created_at": record.created_at,
        }

        def work(connection: Connection) -> AnyRow:
            insert_once(connection, files, row)
            return connection.execute(_BY_ID, {"key_file_id": record.file_id}).one()

        return _record(await self._database.write(work))

    async def get(self, file_id: str) -> FileRecord | None:
        """Return a file, or None; see FileTable."""
        return await self._one(_BY_ID, {"key_file_id": file_id})

    async def of_owner(self, owner: FileOwner, file_ids: Sequence[str]) -> dict[str, FileRecord]:
        """Return the files that ``owner`` may use; see FileTable."""
        if not file_ids:
            return {}
        values = {**_key(owner), "key_file_ids": list(dict.fromkeys(file_ids))}
        rows = await self._database.read(lambda connection: connection.execute(_OF_OWNER, values).all())
        return {row.file_id: _record(row) for row in rows}

    async def for_run(self, owner: FileOwner, run_id: str, file_id: str) -> FileRecord | None:
        """Return a file that a run may read; see FileTable."""
        return await self._one(_FOR_RUN, {**_key(owner), "key_file_id": file_id, "key_run_id": run_id})

    async def _one(self, statement: AnySelect, values: dict[str, str]) -> FileRecord | None:
        row = await self._database.read(lambda connection: connection.execute(statement, values).one_or_none())
        return None if row is None else _record(row)


def _key(owner: FileOwner) -> dict[str, str]:
    return {
        "key_workspace_id": owner.workspace_id,
        "key_app_id": owner.app_id,
        "key_role": owner.role,
        "key_owner_id": owner.owner_id,
    }


def _record(row: AnyRow) -> FileRecord:
    owner = FileOwner(row.workspace_id, row.app_id or "", row.owner_role, row.owner_id)
    return FileRecord(
        row.file_id,
        owner,
        row.name,
        row.mime_type,
        row.extension,
        row.size_bytes,
        row.storage_key,
        row.created_at,
        row.form_id,
    )
