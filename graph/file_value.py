"""File values as they stand in variables: how one is made, what kind of file it is, how large it may be.

Source: spec/graph.md 3.5 and 3.7.
"""

import mimetypes
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from graph.variable_pool import FILE_MARK, FILE_MARK_VALUE

FILE_KINDS: Final = ("image", "document", "audio", "video", "custom")

_MIB: Final = 1024 * 1024
_MAX_BYTES: Final[Mapping[str, int]] = {"image": 10 * _MIB, "video": 100 * _MIB, "audio": 50 * _MIB}
_MAX_OTHER_BYTES: Final = 15 * _MIB
MAX_FILE_BYTES: Final = max(*_MAX_BYTES.values(), _MAX_OTHER_BYTES)
"""The largest that any file may be."""

_EXTENSIONS_OF: Final[Mapping[str, str]] = {
    "image": "jpg jpeg png webp gif svg",
    "video": "mp4 mov mpeg webm",
    "audio": "mp3 m4a wav amr mpga",
    "document": "txt markdown md mdx pdf html htm xlsx xls vtt properties doc docx csv eml msg pptx ppt xml epub",
}
_KIND_BY_EXTENSION: Final = {f".{end}": kind for kind, ends in _EXTENSIONS_OF.items() for end in ends.split()}
_KIND_BY_MIME: Final = {"image": "image", "video": "video", "audio": "audio", "text": "document"}


def extension_of(filename: str) -> str:
    """Return the extension of a file name, lower-case and with its dot; "" when it has none."""
    return PurePosixPath(filename).suffix.lower()


def kind_of(filename: str, mime_type: str | None, claimed: str = "custom") -> str:
    """Return what a file is by its name and media type; the claim counts only where neither says anything."""
    extension = extension_of(filename)
    if extension in _KIND_BY_EXTENSION:
        return _KIND_BY_EXTENSION[extension]
    if mime_type:
        return _KIND_BY_MIME.get(mime_type.split("/")[0].lower(), "custom")
    return "custom" if extension else claimed


def extensions_of(kind: str) -> tuple[str, ...]:
    """Return the extensions, with their dot, by which a file is of ``kind``; none for ``custom``."""
    return tuple(f".{end}" for end in _EXTENSIONS_OF.get(kind, "").split())


def max_bytes(kind: str) -> int:
    """Return how large a file of ``kind`` may be."""
    return _MAX_BYTES.get(kind, _MAX_OTHER_BYTES)


def file_address(public_url: str, file_id: str) -> str:
    """Return where readers find a stored file, before a surface signs the address for one of them."""
    return f"{public_url.rstrip('/')}/files/{file_id}/file-preview"


def stored_file(
    file_id: str, filename: str, mime_type: str, size_bytes: int, url: str, *, kind: str, method: str = "local_file"
) -> dict[str, Any]:
    """Return the value of a file that Greenroom stores.

    ``method``: local_file for an upload, tool_file for what a node made. ``url``: where a reader finds it.
    """
    return {
        FILE_MARK: FILE_MARK_VALUE,
        "id": None,
        "type": kind,
        "transfer_method": method,
        "remote_url": None,
        "reference": file_id,
        "filename": filename,
        "extension": extension_of(filename),
        "mime_type": mime_type,
        "size": size_bytes,
        "related_id": file_id,
        "url": url,
    }


def remote_file(url: str, filename: str, kind: str) -> dict[str, Any]:
    """Return the value of a file that lies elsewhere and has not been looked at."""
    return {
        FILE_MARK: FILE_MARK_VALUE,
        "id": None,
        "type": kind,
        "transfer_method": "remote_url",
        "remote_url": url,
        "reference": None,
        "filename": filename,
        "extension": extension_of(filename),
        "mime_type": mimetypes.guess_type(filename)[0],
        "size": -1,
        "related_id": None,
        "url": url,
    }
