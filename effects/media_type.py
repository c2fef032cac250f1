"""What a file is, by its name and its content; what its sender says of it does not count."""

import mimetypes
from typing import Final

import filetype

from graph.file_value import extension_of, kind_of

HEAD_BYTES: Final = 8192
"""How much of a file is looked at to tell what it is."""
OCTETS: Final = "application/octet-stream"
"""The type of what nothing is known of."""
_SEEN_KINDS: Final = frozenset({"image", "audio", "video"})
"""Kinds whose content shows what it is."""
_PDF: Final = "application/pdf"
_TYPES: Final = mimetypes.MimeTypes()
"""What Python knows by itself: the tables of the machine differ."""
_UNSEEN_EXTENSIONS: Final = frozenset({".svg"})
"""Extensions of such kinds whose content is text."""


def media_type_of(name: str, head: bytes) -> str | None:
    """Return the media type of a file: by its name, and by its content where the name says nothing.

    Args:
        name: its name.
        head: the first ``HEAD_BYTES`` of its content.

    Returns:
        ``OCTETS`` where neither says anything; None for a picture, sound, film or PDF by name that is none by content.
    """
    named = _TYPES.guess_type(name)[0]
    found = filetype.guess_mime(head) if head else None
    kind, shown = kind_of(name, named), (found or "").partition("/")[0]
    is_other = named == _PDF and found != _PDF
    if kind in _SEEN_KINDS and extension_of(name) not in _UNSEEN_EXTENSIONS:
        # Containers such as MP4 hold either of the two.
        is_other = shown not in ({"audio", "video"} if kind in ("audio", "video") else {kind})
    return None if is_other else named or found or OCTETS
