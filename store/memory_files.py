"""The memory twin of the store of files: the rules of ``store.files.FileTable`` over dictionaries."""

from collections.abc import Sequence

from store.file_record import FileOwner, FileRecord
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
        return {record.file_id: record for record in found if record is not None and record.owner == owner}

    async def for_run(self, owner: FileOwner, run_id: str, file_id: str) -> FileRecord | None:
        """Return a file that a run may read; see FileTable."""
        record = self._store.files.get(file_id)
        if record is None or (record.owner.workspace_id, record.owner.app_id) != (owner.workspace_id, owner.app_id):
            return None
        form = self._store.forms.get(record.form_id or "")
        return record if record.owner == owner or (form is not None and form.run_id == run_id) else None
