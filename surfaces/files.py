"""Uploading files and giving them out.

    POST /v1/files/upload                 -> one file of an end user of the key's app
    GET  /v1/files/{file_id}/preview      -> its content, for the key's app
    GET  /files/{file_id}/file-preview    -> its content, for whoever holds a signed link

Source: spec/http.md 1.8, 2.4 and 3.8.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import uuid_utils
from fastapi import FastAPI, Request, Response
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from graph.file_value import MAX_FILE_BYTES, extension_of, kind_of, max_bytes
from store.account_record import EndUser
from store.file_record import FileRecord
from surfaces.auth import calling_app, calling_user, calling_user_or_default
from surfaces.errors import (
    BadRequestError,
    FileAccessDeniedError,
    FilenameMissingError,
    FileTooLargeError,
    FileTypeMissingError,
    InvalidParamError,
    NoFileUploadedError,
    StoredFileNotFoundError,
    TooManyFilesError,
)
from surfaces.input_files import owner_of
from surfaces.ports import SurfacePorts
from surfaces.schemas import reply

_ENVELOPE_BYTES: Final = 1024 * 1024
"""What a multipart body may have besides its file."""
_MAX_PARTS: Final = 20
_MIB: Final = 1024 * 1024
_OCTETS: Final = "application/octet-stream"
_RUNS_IN_BROWSERS: Final = ("html", "svg", "xml", "javascript", "ecmascript")
"""Parts of media types that a browser would execute if it showed the file."""
_NOT_FOUND: Final = "File not found or signature is invalid."


class FileEndpoints:
    """The endpoints of files."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def upload(self, request: Request) -> Response:
        """Store one file and say what it is called from now on; durable by then."""
        app = await calling_app(request, self._ports)
        form = await _form_of(request)
        try:
            named = form.get("user")
            user = await calling_user_or_default(app, named if isinstance(named, str) else "", self._ports)
            file = self._checked(form)
            content = await file.read()
        finally:
            await form.close()
        name = file.filename or ""
        mime_type = (file.content_type or "").partition(";")[0].strip().lower()
        _check_size(len(content), name, mime_type)
        record = await self._ports.files.put(
            str(uuid_utils.uuid7()), owner_of(user), content, name, mime_type, self._ports.clock.now()
        )
        return reply(self._described(record, user), 201)

    def _checked(self, form: FormData) -> UploadFile:
        """Return the one file of a form, if it may be stored."""
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise NoFileUploadedError("Please upload your file.")
        if len(files) > 1:
            raise TooManyFilesError("Only one file is allowed.")
        if not file.content_type:
            raise FileTypeMissingError("File type not allowed.")
        if not file.filename:
            raise FilenameMissingError("The specified filename does not exist.")
        if "/" in file.filename or "\\" in file.filename:
            raise InvalidParamError("Filename contains invalid characters")
        extension = extension_of(file.filename)
        if extension in self._ports.blocked_extensions:
            raise InvalidParamError(f"File extension '{extension}' is not allowed for security reasons")
        return file

    def _described(self, record: FileRecord, user: EndUser) -> dict[str, Any]:
        return {
            "id": record.file_id,
            "reference": None,
            "name": record.name,
            "size": record.size_bytes,
            "extension": record.extension.removeprefix("."),
            "mime_type": record.mime_type,
            "created_by": user.end_user_id,
            "created_at": int(record.created_at),
            "preview_url": None,
            "source_url": self._ports.links.link(record.owner.app_id, record.file_id),
            "original_url": None,
            "user_id": None,
            "tenant_id": record.owner.workspace_id,
            "conversation_id": None,
            "file_key": None,
        }

    async def preview(self, request: Request) -> Response:
        """Give out a file of the key's app; where a user is named, only one of theirs."""
        app = await calling_app(request, self._ports)
        named = request.query_params.get("user", "")
        record = await self._ports.files.table.get(request.path_params["file_id"])
        if record is None or (record.owner.workspace_id, record.owner.app_id) != (app.workspace_id, app.app_id):
            raise StoredFileNotFoundError("The requested file was not found.")
        if named and record.owner != owner_of(await calling_user(app, named, self._ports)):
            raise FileAccessDeniedError("Access to the requested file is denied.")
        # Not public, as elsewhere: a cache between us and the key's holder must not give it to others.
        headers = {"Cache-Control": "private, max-age=3600"}
        if record.mime_type.startswith(("audio/", "video/")):
            headers["Accept-Ranges"] = "bytes"
        return await self._content(record, _is_true(request, "as_attachment"), record.mime_type, headers)

    async def signed(self, request: Request) -> Response:
        """Give out a file to the holder of a link, as bytes without a type."""
        query = request.query_params
        record = await self._ports.files.table.get(request.path_params["file_id"])
        # The same answer whether there is no such file or no such link.
        if record is None or not self._ports.links.is_valid(
            record.owner.app_id,
            record.file_id,
            query.get("timestamp", ""),
            query.get("nonce", ""),
            query.get("sign", ""),
        ):
            raise StoredFileNotFoundError(_NOT_FOUND)
        headers = {"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer"}
        return await self._content(record, _is_true(request, "as_attachment"), _OCTETS, headers)

    async def _content(
        self, record: FileRecord, as_attachment: bool, mime_type: str, headers: Mapping[str, str]
    ) -> Response:
        if any(part in record.mime_type or part in record.extension for part in _RUNS_IN_BROWSERS):
            as_attachment, mime_type = True, _OCTETS
        sent = {**headers, "X-Content-Type-Options": "nosniff"}
        if as_attachment:
            sent["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(record.name, safe='')}"
        return Response(await self._ports.files.content(record), headers=sent | {"Content-Type": mime_type})


async def _form_of(request: Request) -> FormData:
    """Return the multipart form in a body of bounded size."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise NoFileUploadedError("Please upload your file.")
    limit = MAX_FILE_BYTES + _ENVELOPE_BYTES
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

    try:
        return await Request(request.scope, receive).form(max_files=_MAX_PARTS, max_fields=_MAX_PARTS)
    except HTTPException as error:
        raise BadRequestError(f"The form cannot be read: {error.detail}") from error


def _check_size(size_bytes: int, name: str, mime_type: str) -> None:
    limit = max_bytes(kind_of(name, mime_type))
    if size_bytes > limit:
        raise _too_large(limit)


def _too_large(limit_bytes: int) -> FileTooLargeError:
    return FileTooLargeError(f"File size exceeded: at most {limit_bytes // _MIB} MB are allowed.")


def _is_true(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("true", "1")


def add_files(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the routes of files to ``app``."""
    files = FileEndpoints(ports)
    for path, endpoint, method in (
        ("/v1/files/upload", files.upload, "POST"),
        ("/v1/files/{file_id}/preview", files.preview, "GET"),
        ("/files/{file_id}/file-preview", files.signed, "GET"),
    ):
        app.add_route(path, endpoint, methods=[method])
