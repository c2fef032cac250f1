"""The store of files: who owns which, what they are called, and their content, which lies among the large values.

``FileTable`` says the rules; ``SqlFiles`` keeps them in SQL, the memory twin is ``store.memory_files``.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import BinaryIO, Protocol

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from graph.file_value import extension_of
from store.blobs import Blobs
from store.database import AnyRow, AnySelect, Database
from store.errors import UploadLimitError
from store.file_record import ANY_APP, FileOwner, FileRecord, FormUpload, NewFile, derived_file_id
from store.insert_once import insert_once
from store.tables import files, forms
from store.web_tables import form_uploads

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

    async def add_upload(self, record: FileRecord, recipient_id: str, limit: int) -> FileRecord:
        """Keep a file that a recipient of the form ``record.form_id`` uploaded for it. Durable.

        Raises:
            UploadLimitError: the recipient has uploaded ``limit`` files for the form already.
        """
        ...

    async def of_recipient(self, form_id: str, recipient_id: str, file_ids: Sequence[str]) -> dict[str, FileRecord]:
        """Return id -> file for those of the ids that the recipient uploaded for the form."""
        ...

    async def uploads(self, form_id: str) -> list[FormUpload]:
        """Return who uploaded which file for a form, oldest first; for its audit."""
        ...


class FileShelf:
    """Files with their content: what surfaces put in and give out."""

    def __init__(self, table: FileTable, blobs: Blobs) -> None:
        self.table = table
        self._blobs = blobs

    async def put_upload(self, file: BinaryIO, made: NewFile, recipient_id: str, limit: int) -> FileRecord:
        """Store what a recipient uploaded for a form, content first, piece by piece; durable on return.

        Args:
            file: the content, at its start.
            made: the rest; its ``form_id`` is set.
            recipient_id: who uploaded it.
            limit: how many files a recipient may upload for one form.

        Raises:
            UploadLimitError: the recipient has uploaded that many.
            StoreUnavailableError: it could not be stored.
        """
        return await self.table.add_upload(await self._stored(file, made), recipient_id, limit)

    async def put_file(self, file: BinaryIO, made: NewFile) -> FileRecord:
        """Store a file, content first, piece by piece; durable on return.

        Raises:
            StoreUnavailableError: it could not be stored.
        """
        return await self.table.add(await self._stored(file, made))

    async def _stored(self, file: BinaryIO, made: NewFile) -> FileRecord:
        digest, size_bytes = await self._blobs.put_file(file)
        name = shortened(made.name)
        return FileRecord(
            made.file_id,
            made.owner,
            name,
            made.mime_type,
            extension_of(name),
            size_bytes,
            digest,
            made.created_at,
            made.form_id,
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
_IS_OF_WORKSPACE = files.c.workspace_id == bindparam("key_workspace_id")
_IS_OF_APP = files.c.app_id == bindparam("key_app_id")
# See store.file_record.is_usable.
_IS_THEIRS = and_(
    files.c.owner_role == bindparam("key_role"),
    files.c.owner_id == bindparam("key_owner_id"),
    or_(_IS_OF_APP, files.c.app_id == ANY_APP),
)
_OF_RUN = select(forms.c.form_id).where(forms.c.run_id == bindparam("key_run_id"))
_OF_OWNER = _BY_IDS.where(_IS_OF_WORKSPACE, _IS_THEIRS)
_COUNT_OF_RECIPIENT = select(func.count()).where(
    form_uploads.c.form_id == bindparam("key_form_id"), form_uploads.c.recipient_id == bindparam("key_recipient_id")
)
_UPLOADS = (
    select(form_uploads)
    .where(form_uploads.c.form_id == bindparam("key_form_id"))
    .order_by(form_uploads.c.uploaded_at, form_uploads.c.file_id)
)
_LOCK_FORM = select(forms.c.form_id).where(forms.c.form_id == bindparam("key_form_id")).with_for_update()
_OF_RECIPIENT = _BY_IDS.join(form_uploads, form_uploads.c.file_id == files.c.file_id).where(
    form_uploads.c.form_id == bindparam("key_form_id"), form_uploads.c.recipient_id == bindparam("key_recipient_id")
)
_FOR_RUN = _BY_ID.where(_IS_OF_WORKSPACE, or_(_IS_THEIRS, and_(_IS_OF_APP, files.c.form_id.in_(_OF_RUN))))


class SqlFiles:
    """Implements FileTable over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, record: FileRecord) -> FileRecord:
        """Keep ``record``; see FileTable."""
        return _record(await self._database.write(lambda connection: _inserted(connection, record)))

    async def add_upload(self, record: FileRecord, recipient_id: str, limit: int) -> FileRecord:
        """Keep an upload for a form; see FileTable."""
        assert record.form_id is not None
        form_id = record.form_id
        upload = {"form_id": form_id, "recipient_id": recipient_id, "uploaded_at": record.created_at}

        def work(connection: Connection) -> AnyRow:
            # Uploads of one form come one after the other here, so that none slips past the count.
            connection.execute(_LOCK_FORM, {"key_form_id": form_id})
            if insert_once(connection, form_uploads, {"file_id": record.file_id, **upload}):
                key = {"key_form_id": form_id, "key_recipient_id": recipient_id}
                if connection.execute(_COUNT_OF_RECIPIENT, key).scalar_one() > limit:
                    raise UploadLimitError(form_id, limit)
            return _inserted(connection, record)

        return _record(await self._database.write(work))

    async def of_recipient(self, form_id: str, recipient_id: str, file_ids: Sequence[str]) -> dict[str, FileRecord]:
        """Return the files that a recipient uploaded for a form; see FileTable."""
        if not file_ids:
            return {}
        ids = list(dict.fromkeys(file_ids))
        values = {"key_form_id": form_id, "key_recipient_id": recipient_id, "key_file_ids": ids}
        rows = await self._database.read(lambda connection: connection.execute(_OF_RECIPIENT, values).all())
        return {row.file_id: _record(row) for row in rows}

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

    async def uploads(self, form_id: str) -> list[FormUpload]:
        """Return who uploaded which file for a form; see FileTable."""
        key = {"key_form_id": form_id}
        rows = await self._database.read(lambda connection: connection.execute(_UPLOADS, key).all())
        return [FormUpload(**row._asdict()) for row in rows]

    async def for_run(self, owner: FileOwner, run_id: str, file_id: str) -> FileRecord | None:
        """Return a file that a run may read; see FileTable."""
        return await self._one(_FOR_RUN, {**_key(owner), "key_file_id": file_id, "key_run_id": run_id})

    async def _one(self, statement: AnySelect, values: dict[str, str]) -> FileRecord | None:
        row = await self._database.read(lambda connection: connection.execute(statement, values).one_or_none())
        return None if row is None else _record(row)


def _inserted(connection: Connection, record: FileRecord) -> AnyRow:
    """Insert the row of ``record`` unless its id is there, and return the row of its id."""
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
    insert_once(connection, files, row)
    return connection.execute(_BY_ID, {"key_file_id": record.file_id}).one()


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
