"""Files that a caller names in the inputs of a run: mappings become file values, or are refused by field.

Remote files are taken by their address and not fetched. Uploads do not exist yet, so a mapping of one is refused.

Source: spec/http.md 3.1 and 4.4, spec/graph.md 3.5.
"""

import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from graph.errors import InvalidInputError
from graph.variable_pool import FILE_MARK, FILE_MARK_VALUE

_TYPES: Final = ("image", "document", "audio", "video", "custom")


def with_file_values(variables: Sequence[Mapping[str, Any]], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked ``inputs`` with the mappings of file variables turned into file values.

    Raises:
        InvalidInputError: a mapping names no file that can be used; the text names the field.
    """
    values = dict(inputs)
    for variable in variables:
        name = variable.get("variable", "")
        value = values.get(name)
        if value is not None and variable.get("type") == "file":
            values[name] = file_value(value, name)
        elif value is not None and variable.get("type") == "file-list":
            values[name] = file_values(value, name)
    return values


def file_values(mappings: Sequence[Any], field: str) -> list[dict[str, Any]]:
    """Return the file values of a list of mappings; see ``file_value``."""
    return [file_value(each, f"{field}[{index}]") for index, each in enumerate(mappings)]


def file_value(mapping: Any, field: str) -> dict[str, Any]:
    """Return the file value of one mapping ``{type, transfer_method, url | remote_url}``.

    Raises:
        InvalidInputError: it is no such mapping, or names an upload.
    """
    if not isinstance(mapping, Mapping):
        raise InvalidInputError(f"{field} in input form must be a file")
    method = mapping.get("transfer_method")
    if method in ("local_file", "tool_file"):
        raise InvalidInputError(f"{field}: files of transfer method {method} cannot be used yet, send a remote_url")
    if method != "remote_url":
        raise InvalidInputError(f"{field}.transfer_method must be remote_url")
    if mapping.get("type") not in _TYPES:
        raise InvalidInputError(f"{field}.type must be one of {', '.join(_TYPES)}")
    url = mapping.get("url") or mapping.get("remote_url")
    name = _name_in(url)
    if name is None:
        raise InvalidInputError(f"{field}.url must be an http or https address")
    return {
        FILE_MARK: FILE_MARK_VALUE,
        "id": None,
        "type": mapping["type"],
        "transfer_method": "remote_url",
        "remote_url": url,
        "reference": None,
        "filename": name,
        "extension": PurePosixPath(name).suffix.lower(),
        "mime_type": mimetypes.guess_type(name)[0],
        "size": -1,
        "related_id": None,
        "url": url,
    }


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
