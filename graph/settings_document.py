"""Text of a settings file (models, tools, API descriptions) -> data, and a fault in it -> a line for its author.

Their authors run the installation, so unlike ``read_document`` this guards against mistakes, not against attacks. No
message shows a value: a settings file may hold secrets where its author misplaced one.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from graph.read_document import UnreadableError


def read_settings_document(content: bytes) -> Any:
    """Return the document that ``content`` (YAML or JSON in UTF-8) holds.

    Raises:
        UnreadableError: it is neither YAML nor JSON.
    """
    try:
        return yaml.safe_load(content.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        # Not chained: the cause quotes the text.
        raise UnreadableError("is neither YAML nor JSON") from None


def read_settings_mapping(content: bytes) -> Mapping[str, Any]:
    """Return the mapping that ``content`` holds; an empty file is an empty one.

    Raises:
        UnreadableError: it is neither YAML nor JSON, or no mapping.
    """
    document = read_settings_document(content)
    if document is None:
        return {}
    if not isinstance(document, Mapping):
        raise UnreadableError("is not a mapping")
    return document


def settings_fault(detail: Any) -> str:
    """Return one of a pydantic ValidationError's ``errors()`` as "<place>: <what is wrong>"."""
    place = ".".join(str(part) for part in detail["loc"])
    text = detail["msg"].removeprefix("Value error, ")
    return f"{place}: {text}" if place else text
