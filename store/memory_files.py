"""The memory twin of the store of files: the rules of ``store.files.FileTable`` over dictionaries."""

from collections.abc import Sequence

from store.errors import UploadLimitError
from store.file_record import FileOwner, FileRecord, FormUpload, is_usable
from store.memory_store import MemoryStore


class MemoryFiles:
    """Implements FileTable in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def add(self, record: FileRecord) -> FileRecord:
        """Keep ``record``; see FileTable."""
        return self._store.files.setdefault(record.file_id, record)

    async def get(self, file_id: str) -> FileRecord | None:
        """Return a file, or None; see FileTable."""
        return self._store.files.get(file_id)

    async def of_owner(self, owner: FileOwner, file_ids: Sequence[str]) -> dict[str, FileRecord]:
        """Return the files that ``owner`` may use; see FileTable."""
        found = (self._store.files.get(file_id) for file_id in file_ids)
        return {record.file_id: record for record in found if record is not None and is_usable(record, owner)}

    async def for_run(self, owner: FileOwner, run_id: str, file_id: str) -> FileRecord | None:
        """Return a file that a run may read; see FileTable."""
        record = self._store.files.get(file_id)
        if record is None or is_usable(record, owner):
            return record
        form = self._store.forms.get(record.form_id or "")
        is_of_app = (record.owner.workspace_id, record.owner.app_id) == (owner.workspace_id, owner.app_id)
        return record if is_of_app and form is not None and form.run_id == run_id else None

    async def add_upload(self, record: FileRecord, recipient_id: str, limit: int) -> FileRecord:
        """Keep an upload for a form; see FileTable."""
        assert record.form_id is not None
        if record.file_id not in self._store.form_uploads:
            if sum(each.recipient_id == recipient_id for each in self._of_form(record.form_id)) >= limit:
                raise UploadLimitError(record.form_id, limit)
            upload = FormUpload(record.file_id, record.form_id, recipient_id, record.created_at)
            self._store.form_uploads[record.file_id] = upload
        return await self.add(record)

    async def of_recipient(self, form_id: str, recipient_id: str, file_ids: Sequence[str]) -> dict[str, FileRecord]:
        """Return the files that a recipient uploaded for a form; see FileTable."""
        theirs = {each.file_id for each in self._of_form(form_id) if each.recipient_id == recipient_id}
        return {file_id: self._store.files[file_id] for file_id in file_ids if file_id in theirs}

    async def uploads(self, form_id: str) -> list[FormUpload]:
        """Return who uploaded which file for a form; see FileTable."""
        return sorted(self._of_form(form_id), key=lambda each: (each.uploaded_at, each.file_id))

    def _of_form(self, form_id: str) -> list[FormUpload]:
        return [each for each in self._store.form_uploads.values() if each.form_id == form_id]
