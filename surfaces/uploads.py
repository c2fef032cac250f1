"""Reading uploaded files: a multipart body of bounded size, and what a file must be like to be kept.

Files of callers with a credential are taken as what they are called, as in Dify. Files of people without one (form
answers) are looked at: the media type comes from the name and the content, never from the sender, and content that is
not what its name says is refused.

Source: spec/http.md 2.4 and 3.8, spec/hitl.md 3.7.
"""

import asyncio
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import uuid_utils
from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from effects.media_type import HEAD_BYTES, media_type_of
from graph.file_value import MAX_FILE_BYTES, extension_of, kind_of, max_bytes
from store.file_record import FileOwner, FileRecord, NewFile
from surfaces.errors import (
    BadRequestError,
    FileContentError,
    FileExtensionBlockedError,
    FilenameMissingError,
    FileTooLargeError,
    FileTypeMissingError,
    InvalidParamError,
    NoFileUploadedError,
    TooManyFilesError,
)
from surfaces.ports import SurfacePorts

MULTIPART: Final = "multipart/form-data"
_ENVELOPE_BYTES: Final = 1024 * 1024
"""What a multipart body may have besides its files."""
_MAX_PARTS: Final = 100
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file that may be kept. ``file``: its content, at the start."""

    name: str
    mime_type: str
    size_bytes: int
    file: BinaryIO


def is_multipart(request: Request) -> bool:
    """Whether the body of ``request`` is a multipart form."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == MULTIPART


@asynccontextmanager
async def multipart_form(request: Request, field_limit_bytes: int = _ENVELOPE_BYTES) -> AsyncGenerator[FormData]:
    """Give the multipart form in a body of bounded size; its files lie on disk and are gone afterwards.

    Raises:
        NoFileUploadedError: the body is no multipart form.
        FileTooLargeError: it is larger than the largest file.
        BadRequestError: it cannot be read.
    """
    if not is_multipart(request):
        raise NoFileUploadedError("Please upload your file.")
    limit = MAX_FILE_BYTES + max(_ENVELOPE_BYTES, field_limit_bytes)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(MAX_FILE_BYTES)
    received = 0

    async def receive() -> Any:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(MAX_FILE_BYTES)
        return message

    parser = MultiPartParser(
        request.headers,
        Request(request.scope, receive).stream(),
        max_files=_MAX_PARTS,
        max_fields=2 * _MAX_PARTS,
        max_part_size=field_limit_bytes,
    )
    try:
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise BadRequestError(f"The form cannot be read: {error.message}") from error
        yield form
    finally:
        # Its own list: of a body that was cut off or refused halfway it leaves files open.
        for file in parser._files_to_close_on_error:
            file.close()


def one_file(form: FormData, ports: SurfacePorts) -> Upload:
    """Return the only file of a form, sent by a caller of ``/v1`` as the field ``file``, if it may be kept.

    Raises:
        RequestError: there is none, or more than one, or it has no name or type, or a forbidden one, or is too large.
    """
    file = _only_file(form, needs_type=True)
    extension = extension_of(file.filename or "")
    if extension in ports.blocked_extensions:
        raise InvalidParamError(f"File extension '{extension}' is not allowed for security reasons")
    return _taken(file, (file.content_type or "").partition(";")[0].strip().lower())


def one_web_file(form: FormData, ports: SurfacePorts) -> Upload:
    """Return the only file of a form, sent by a user of a web app; as ``one_file`` with the code of that surface."""
    file = _only_file(form, needs_type=True)
    check_extension(file.filename or "", ports)
    return _taken(file, (file.content_type or "").partition(";")[0].strip().lower())


async def one_seen_file(form: FormData, ports: SurfacePorts) -> Upload:
    """Return the only file of a form, sent by somebody without a credential of an app, after a look at its content.

    Raises:
        RequestError: as ``one_file``, or its content is not what its name says.
    """
    return await seen(_only_file(form, needs_type=False), ports)


async def seen(file: UploadFile, ports: SurfacePorts) -> Upload:
    """Return a file of somebody without a credential, if it may be kept.

    Raises:
        FileExtensionBlockedError: its extension is not taken here.
        FileTooLargeError: it is larger than files of its kind may be.
        FileContentError: its content is not what its name says.
    """
    name = plain_name(file.filename or "")
    return await looked_at(name, file.file, file.size or 0, ports)


async def looked_at(name: str, file: BinaryIO, size_bytes: int, ports: SurfacePorts) -> Upload:
    """Return the file with this plain name and content, if it may be kept; see ``seen``."""
    check_extension(name, ports)
    # Before its content is looked at, the name says how large it may be.
    _check_size(size_bytes, name, "")
    head = await asyncio.to_thread(_head_of, file)
    mime_type = media_type_of(name, head)
    if mime_type is None:
        raise FileContentError(f"The content of this file is not that of a {extension_of(name)} file.")
    return Upload(name, mime_type, size_bytes, file)


def plain_name(sent: str) -> str:
    """Return a file name from outside as one segment without anything that hides or misleads; "file" if none is left.

    Paths are cut to their last segment; control and formatting characters (such as those that turn the direction of
    writing) go, and so do leading dots.
    """
    last = sent.replace("\\", "/").rpartition("/")[2]
    # Cs: halves of characters, which no store can keep.
    kept = "".join(each for each in last if unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
    return " ".join(kept.split()).lstrip(". ") or "file"


def check_extension(name: str, ports: SurfacePorts) -> None:
    """Return when files called ``name`` are taken here.

    Raises:
        FileExtensionBlockedError: they are not.
    """
    extension = extension_of(name)
    if extension in ports.blocked_extensions:
        raise FileExtensionBlockedError(f"File extension '{extension}' is not allowed for security reasons")


async def stored_upload(upload: Upload, owner: FileOwner, ports: SurfacePorts) -> FileRecord:
    """Keep an uploaded file of ``owner``; durable on return."""
    made = NewFile(str(uuid_utils.uuid7()), owner, upload.name, upload.mime_type, ports.clock.now())
    return await ports.files.put_file(upload.file, made)


def described(record: FileRecord, ports: SurfacePorts) -> dict[str, Any]:
    """Return a stored file as an upload's reply shows it."""
    return {
        "id": record.file_id,
        "reference": None,
        "name": record.name,
        "size": record.size_bytes,
        "extension": record.extension.removeprefix("."),
        "mime_type": record.mime_type,
        "created_by": record.owner.owner_id,
        "created_at": int(record.created_at),
        "preview_url": None,
        "source_url": ports.links.link(record.owner.app_id, record.file_id),
        "original_url": None,
        "user_id": None,
        "tenant_id": record.owner.workspace_id,
        "conversation_id": None,
        "file_key": None,
    }


def _only_file(form: FormData, *, needs_type: bool) -> UploadFile:
    """Return the file in the field ``file``, the only one of the form, with a name and, if it counts, a type."""
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise NoFileUploadedError("Please upload your file.")
    if len(files) > 1:
        raise TooManyFilesError("Only one file is allowed.")
    if needs_type and not file.content_type:
        raise FileTypeMissingError("File type not allowed.")
    if not file.filename:
        raise FilenameMissingError("The specified filename does not exist.")
    if "/" in file.filename or "\\" in file.filename:
        raise InvalidParamError("Filename contains invalid characters")
    return file


def _taken(file: UploadFile, mime_type: str) -> Upload:
    name, size_bytes = file.filename or "", file.size or 0
    _check_size(size_bytes, name, mime_type)
    return Upload(name, mime_type, size_bytes, file.file)


def _head_of(file: BinaryIO) -> bytes:
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return head


def _check_size(size_bytes: int, name: str, mime_type: str) -> None:
    limit = max_bytes(kind_of(name, mime_type))
    if size_bytes > limit:
        raise _too_large(limit)


def _too_large(limit_bytes: int) -> FileTooLargeError:
    return FileTooLargeError(f"File size exceeded: at most {limit_bytes // _MIB} MB are allowed.")
