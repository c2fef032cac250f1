"""The files of an answer: may this submitter use it, and does it fit the input it is given for.

A submitter names a file by a mapping; what comes out is a file object made from what is *known* about the file,
never from what the mapping claims. Nothing is fetched here: a surface looks remote files up beforehand.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from graph.file_value import FILE_KINDS, extension_of, kind_of
from graph.variable_pool import FILE_MARK, FILE_MARK_VALUE
from hitl.errors import InvalidSubmissionError

_LOCAL: Final = "local_file"
_REMOTE: Final = "remote_url"
_CUSTOM: Final = "custom"
FILE_INPUTS: Final = frozenset({"file", "file-list"})
"""Types of inputs that take files."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known about a file. ``size_bytes``: -1 when unknown; ``url``: where a reader finds it, if anywhere."""

    filename: str
    mime_type: str | None = None
    size_bytes: int = -1
    url: str | None = None


class OwnedFiles(Protocol):
    """The files that one submitter may put into an answer."""

    def uploaded(self, upload_file_id: str) -> FileFacts | None:
        """Return the uploaded file, or None when there is none of this id *that this submitter may use*.

        A file belongs to a submitter when it was uploaded with this form's upload token or, on the surfaces that
        know their caller, by the submitting user.
        """
        ...

    def remote(self, url: str) -> FileFacts | None:
        """Return what was learned about the file at ``url``, or None when it was not looked up."""
        ...


class NoFiles:
    """A submitter who owns no uploads and whose remote files were not looked up."""

    def uploaded(self, upload_file_id: str) -> FileFacts | None:
        """Return None."""
        return None

    def remote(self, url: str) -> FileFacts | None:
        """Return None."""
        return None


def resolve_file(value: Any, declared: Mapping[str, Any], files: OwnedFiles, where: str) -> dict[str, Any]:
    """Return the file object for one submitted file mapping.

    Args:
        value: as submitted: ``{transfer_method, upload_file_id | url | remote_url, type?}``.
        declared: the form's input, with its allowed types, extensions and upload methods.
        files: what the submitter may use.
        where: names the input in the error text, e.g. ``file input 'report'``.

    Returns:
        The file object as it stands in variables (spec/http.md 4.4).

    Raises:
        InvalidSubmissionError: it is no such mapping, the submitter may not use the file, or the input does not
            allow it.

    Source: spec/hitl.md 3.5; stricter than the original, which asks only for the same workspace.
    """
    if not isinstance(value, Mapping):
        raise _refused(where, "must be a file mapping")
    method = value.get("transfer_method")
    if method not in (_LOCAL, _REMOTE):
        raise _refused(where, "transfer_method must be local_file or remote_url")
    if not takes_method(declared, method):
        raise _refused(where, f"transfer_method {method} is not allowed")
    if method == _LOCAL:
        return _local_file(value, declared, files, where)
    return _remote_file(value, declared, files, where)


def takes_method(declared: Mapping[str, Any], method: str) -> bool:
    """Whether the file input ``declared`` takes files by ``method``: local_file or remote_url."""
    allowed = declared.get("allowed_file_upload_methods") or ()
    return not allowed or method in allowed


def takes_file(declared: Mapping[str, Any], facts: FileFacts) -> bool:
    """Whether the file input ``declared`` takes a file of this name and media type."""
    try:
        _allowed_type({}, declared, facts, extension_of(facts.filename), "")
    except InvalidSubmissionError:
        return False
    return True


def _local_file(value: Mapping[str, Any], declared: Mapping[str, Any], files: OwnedFiles, where: str) -> dict[str, Any]:
    file_id = value.get("upload_file_id")
    if not isinstance(file_id, str) or not file_id:
        raise _refused(where, "upload_file_id is missing")
    facts = files.uploaded(file_id)
    if facts is None:
        # The same text for a file that does not exist and for one of somebody else.
        raise _refused(where, "no such uploaded file")
    return _file_object(value, declared, facts, where) | {
        "transfer_method": _LOCAL,
        "reference": file_id,
        "related_id": file_id,
        "url": facts.url,
    }


def _remote_file(
    value: Mapping[str, Any], declared: Mapping[str, Any], files: OwnedFiles, where: str
) -> dict[str, Any]:
    url = _address_in(value)
    if url is None:
        raise _refused(where, "url is missing")
    if name_in_url(url) is None:
        raise _refused(where, "url must be an http or https address")
    facts = files.remote(url)
    if facts is None:
        raise _refused(where, "the file at this address was not looked at")
    return _file_object(value, declared, facts, where) | {
        "transfer_method": _REMOTE,
        "remote_url": url,
        "url": url,
    }


def _file_object(value: Mapping[str, Any], declared: Mapping[str, Any], facts: FileFacts, where: str) -> dict[str, Any]:
    """Return a file object with all keys and the file's type, which the input allows."""
    extension = extension_of(facts.filename)
    return {
        FILE_MARK: FILE_MARK_VALUE,
        "id": None,
        "type": _allowed_type(value, declared, facts, extension, where),
        "transfer_method": None,
        "remote_url": None,
        "reference": None,
        "filename": facts.filename,
        "extension": extension,
        "mime_type": facts.mime_type,
        "size": facts.size_bytes,
        "related_id": None,
        "url": None,
    }


def _allowed_type(
    value: Mapping[str, Any], declared: Mapping[str, Any], facts: FileFacts, extension: str, where: str
) -> str:
    """Return the type the file counts as. ``custom`` covers any kind, but only with one of the listed extensions."""
    claimed = value.get("type") or _CUSTOM
    if not isinstance(claimed, str) or claimed not in FILE_KINDS:
        raise _refused(where, "type must be image, document, audio, video or custom")
    kind = kind_of(facts.filename, facts.mime_type, claimed)
    allowed = declared.get("allowed_file_types") or ()
    if not allowed or (kind in allowed and kind != _CUSTOM):
        return kind
    if _CUSTOM not in allowed:
        raise _refused(where, f"file type {kind} is not allowed")
    extensions = {f".{str(each).lower().lstrip('.')}" for each in declared.get("allowed_file_extensions") or ()}
    if extension not in extensions:
        raise _refused(where, f"file extension {extension or '(none)'} is not allowed")
    return _CUSTOM


def where_of(declared: Mapping[str, Any]) -> str:
    """Return how an error text names a file input."""
    kind = "file list input" if declared.get("type") == "file-list" else "file input"
    return f"{kind} '{declared.get('output_variable_name')}'"


def remote_addresses(declared: Iterable[Mapping[str, Any]], inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (how the input is named, address) of every file that an answer names by its address.

    Args:
        declared: the inputs of the form.
        inputs: input name -> value, as submitted.
    """
    found = []
    for each in declared:
        value = inputs.get(each["output_variable_name"])
        if each.get("type") in FILE_INPUTS:
            for mapping in value if isinstance(value, list) else [value]:
                is_remote = isinstance(mapping, Mapping) and mapping.get("transfer_method") == _REMOTE
                if is_remote and (url := _address_in(mapping)) is not None:
                    found.append((where_of(each), url))
    return found


def _address_in(mapping: Mapping[str, Any]) -> str | None:
    url = mapping.get("url") or mapping.get("remote_url")
    return url if isinstance(url, str) else None


def name_in_url(url: str) -> str | None:
    """Return the last path segment of an http(s) url, or None when it is not one."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host:
        return None
    return PurePosixPath(unquote(parts.path)).name


def _refused(where: str, reason: str) -> InvalidSubmissionError:
    return InvalidSubmissionError(f"Invalid value for {where}: {reason}")
