"""Files that people without an account upload for their answer to a form: whose they are, and how many.

They belong to whoever started the run, so that it can read them, and can only be named in an answer to this form by
the recipient who uploaded them.

Source: spec/hitl.md 3.5 and 3.7.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID, uuid5

import uuid_utils

from hitl.answer_file import FileFacts, takes_file, takes_method
from hitl.form import Form
from hitl.recipient import Recipient
from store.file_record import FileOwner, FileRecord, NewFile
from surfaces.errors import FileContentError
from surfaces.ports import SurfacePorts
from surfaces.uploads import Upload

FILE_TYPES: Final = frozenset({"file", "file-list"})
MAX_UPLOADS: Final = 100
"""Files that one recipient may upload for one form, those that are replaced later included."""


def asks_for_files(form: Form) -> bool:
    """Whether a form has inputs for files."""
    return any(declared.get("type") in FILE_TYPES for declared in form.definition.inputs)


def check_wanted(inputs: Iterable[Mapping[str, Any]], upload: Upload, *, is_fetched: bool = False) -> None:
    """Return when some input takes this file.

    Args:
        inputs: of a form.
        upload: the file.
        is_fetched: whether it came from an address instead of the person's machine.

    Raises:
        FileContentError: none does.
    """
    facts = FileFacts(upload.name, upload.mime_type, upload.size_bytes)
    methods = ("local_file", "remote_url") if is_fetched else ("local_file",)
    for declared in inputs:
        is_for_files = declared.get("type") in FILE_TYPES and any(takes_method(declared, each) for each in methods)
        if is_for_files and takes_file(declared, facts):
            return
    raise FileContentError("Files of this type are not taken here.")


async def initiator_of(form: Form, ports: SurfacePorts) -> FileOwner | None:
    """Return who owns what is uploaded for a form: whoever started its run; None where nobody did."""
    record = await ports.journal.get(form.run_id) if form.run_id is not None else None
    if record is None:
        return None
    return FileOwner(record.workspace_id, record.app_id, record.created_by_role, record.created_by_id)


async def kept(upload: Upload, recipient: Recipient, owner: FileOwner, ports: SurfacePorts) -> FileRecord:
    """Keep a file that ``recipient`` uploaded for its form; durable on return.

    Raises:
        UploadLimitError: the recipient has uploaded too many.
    """
    made = NewFile(str(uuid_utils.uuid7()), owner, upload.name, upload.mime_type, ports.clock.now(), recipient.form_id)
    return await ports.files.put_upload(upload.file, made, recipient.recipient_id, MAX_UPLOADS)


async def adopted(
    record: FileRecord, form: Form, recipient_id: str, owner: FileOwner, ports: SurfacePorts, *, is_kept: bool
) -> FileRecord:
    """Return a file that its owner names in an answer as one that was uploaded for the form; durable if ``is_kept``.

    The content stays where it is. The same file named again by the same recipient is the same upload.

    Args:
        record: the file.
        form: the form that is answered.
        recipient_id: as whom.
        owner: whoever started the form's run.
        ports: where files are kept.
        is_kept: False to learn only what it is called.

    Raises:
        UploadLimitError: the recipient has uploaded too many.
    """
    file_id = str(uuid5(UUID(form.form_id), f"{recipient_id} {record.file_id}"))
    made = replace(record, file_id=file_id, owner=owner, form_id=form.form_id, created_at=ports.clock.now())
    return await ports.files.table.add_upload(made, recipient_id, MAX_UPLOADS) if is_kept else made
