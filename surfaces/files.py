"""Uploading files and giving them out.

    POST /v1/files/upload                 -> one file of an end user of the key's app
    GET  /v1/files/{file_id}/preview      -> its content, for the key's app
    GET  /files/{file_id}/file-preview    -> its content, for whoever holds a signed link

Source: spec/http.md 1.8, 2.4 and 3.8.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI, Request, Response

from store.file_record import FileRecord
from surfaces.auth import calling_app, calling_user, calling_user_or_default
from surfaces.errors import FileAccessDeniedError, StoredFileNotFoundError
from surfaces.input_files import owner_of
from surfaces.ports import SurfacePorts
from surfaces.routes import add_routes
from surfaces.schemas import reply
from surfaces.uploads import described, multipart_form, one_file, stored_upload

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
        async with multipart_form(request) as form:
            named = form.get("user")
            user = await calling_user_or_default(app, named if isinstance(named, str) else "", self._ports)
            record = await stored_upload(one_file(form, self._ports), owner_of(user), self._ports)
        return reply(described(record, self._ports), 201)

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


def _is_true(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("true", "1")


def add_files(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the routes of files to ``app``."""
    files = FileEndpoints(ports)
    routes = (
        ("/v1/files/upload", files.upload, "POST"),
        ("/v1/files/{file_id}/preview", files.preview, "GET"),
        ("/files/{file_id}/file-preview", files.signed, "GET"),
    )
    add_routes(app, routes)
