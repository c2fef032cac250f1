"""Files that a caller names in the inputs of a run or of an answer: mappings become file values, or are refused.

Remote files in the inputs of a run are taken by their address and not fetched; those of an answer are
(``actors.answer_files``). An upload must be one of the caller's own.

Source: spec/http.md 3.1, 3.7, 3.8 and 4.4, spec/graph.md 3.5.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from actors.messages import KnownFiles
from graph.errors import InvalidInputError
from graph.file_value import FILE_KINDS, remote_file, stored_file
from hitl.answer_file import FileFacts
from hitl.recipient import Recipient
from store.account_record import EndUser
from store.file_record import FileOwner, FileRecord
from surfaces.ports import SurfacePorts

_ID_NAMES: Final = ("upload_file_id", "tool_file_id", "related_id")
_STORED_METHODS: Final = ("local_file", "tool_file")


@dataclass(frozen=True, slots=True)
class Uploads:
    """The stored files that a caller names and may use: id -> record, and id -> a link to it signed now."""

    records: Mapping[str, FileRecord]
    links: Mapping[str, str]


def owner_of(user: EndUser) -> FileOwner:
    """Return ``user`` as the owner of files."""
    return FileOwner(user.workspace_id, user.app_id, "end_user", user.end_user_id)


async def uploads_in(values: Iterable[Any], owner: FileOwner, ports: SurfacePorts) -> Uploads:
    """Return the stored files that the mappings in ``values`` name, as far as they are the owner's."""
    ids = [file_id for mapping in _mappings_in(values) if (file_id := _id_in(mapping))]
    records = await ports.files.table.of_owner(owner, ids) if ids else {}
    return Uploads(records, {file_id: ports.links.link(owner.app_id, file_id) for file_id in records})


async def known_files(inputs: Mapping[str, Any], owner: FileOwner, ports: SurfacePorts) -> KnownFiles:
    """Return what is known of the uploads that an answer's ``inputs`` name, as far as they are the owner's."""
    uploads = await uploads_in(inputs.values(), owner, ports)
    return KnownFiles(uploads={file_id: facts_of(record, ports) for file_id, record in uploads.records.items()})


async def recipients_files(inputs: Mapping[str, Any], recipient: Recipient, ports: SurfacePorts) -> KnownFiles:
    """Return what is known of the uploads that an answer names, as far as this recipient uploaded them for the form."""
    ids = [file_id for mapping in _mappings_in(inputs.values()) if (file_id := _id_in(mapping))]
    table = ports.files.table
    records = await table.of_recipient(recipient.form_id, recipient.recipient_id, ids) if ids else {}
    return KnownFiles(uploads={file_id: facts_of(record, ports) for file_id, record in records.items()})


def with_uploads(value: Any, new_ids: Mapping[str, str]) -> Any:
    """Return a value of an answer with other ids for the uploads that its mappings name; ``new_ids``: old -> new."""
    if isinstance(value, list):
        return [with_uploads(each, new_ids) for each in value]
    if isinstance(value, Mapping) and value.get("transfer_method") in _STORED_METHODS and _id_in(value) in new_ids:
        others = {name: each for name, each in value.items() if name not in _ID_NAMES}
        return others | {"upload_file_id": new_ids[_id_in(value)]}
    return value


def facts_of(record: FileRecord, ports: SurfacePorts) -> FileFacts:
    """Return what is known of a stored file, with a link to it signed now."""
    link = ports.links.link(record.owner.app_id, record.file_id)
    return FileFacts(record.name, record.mime_type, record.size_bytes, link)


def with_file_values(
    variables: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any], uploads: Uploads
) -> dict[str, Any]:
    """Return the checked ``inputs`` with the mappings of file variables turned into file values.

    Raises:
        InvalidInputError: a mapping names no file that can be used; the text names the field.
    """
    values = dict(inputs)
    for variable in variables:
        name = variable.get("variable", "")
        value = values.get(name)
        if value is not None and variable.get("type") == "file":
            values[name] = file_value(value, name, uploads)
        elif value is not None and variable.get("type") == "file-list":
            values[name] = file_values(value, name, uploads)
    return values


def file_values(mappings: Sequence[Any], field: str, uploads: Uploads) -> list[dict[str, Any]]:
    """Return the file values of a list of mappings; see ``file_value``."""
    return [file_value(each, f"{field}[{index}]", uploads) for index, each in enumerate(mappings)]


def file_value(mapping: Any, field: str, uploads: Uploads) -> dict[str, Any]:
    """Return the file value of one mapping ``{type, transfer_method, upload_file_id | url | remote_url}``.

    Raises:
        InvalidInputError: it is no such mapping, or names an upload that is not the caller's.
    """
    if not isinstance(mapping, Mapping):
        raise InvalidInputError(f"{field} in input form must be a file")
    method, kind = mapping.get("transfer_method"), mapping.get("type")
    if method not in ("remote_url", *_STORED_METHODS):
        raise InvalidInputError(f"{field}.transfer_method must be local_file, remote_url or tool_file")
    if kind not in FILE_KINDS:
        raise InvalidInputError(f"{field}.type must be one of {', '.join(FILE_KINDS)}")
    if method in _STORED_METHODS:
        record = uploads.records.get(_id_in(mapping))
        if record is None:
            # The same text for a file that does not exist and for one of somebody else.
            raise InvalidInputError(f"{field}.upload_file_id names no uploaded file of this user")
        link = uploads.links[record.file_id]
        return stored_file(
            record.file_id, record.name, record.mime_type, record.size_bytes, link, kind=kind, method=method
        )
    url = mapping.get("url") or mapping.get("remote_url")
    name = _name_in(url)
    if name is None:
        raise InvalidInputError(f"{field}.url must be an http or https address")
    return remote_file(str(url), name, kind)


def _mappings_in(values: Iterable[Any]) -> Iterable[Mapping[str, Any]]:
    for value in values:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Mapping) and each.get("transfer_method") in _STORED_METHODS:
                yield each


def _id_in(mapping: Mapping[str, Any]) -> str:
    """Return the id of the stored file that a mapping names, "" for none."""
    found = next((mapping[name] for name in _ID_NAMES if mapping.get(name)), "")
    return found if isinstance(found, str) else ""


def _name_in(url: Any) -> str | None:
    """Return the file name in an http(s) address, None when it is not one."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        has_host = parts is not None and bool(parts.hostname)
    except ValueError:
        return None
    if parts is None or parts.scheme not in ("http", "https") or not has_host:
        return None
    return PurePosixPath(unquote(parts.path)).name
