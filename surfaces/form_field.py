"""One input of a form as HTML: phrasing content only, since it may stand within a sentence.

Source: spec/hitl.md 2.4.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from graph.file_value import FILE_KINDS, extensions_of, max_bytes
from hitl.answer_file import takes_method
from store.file_record import FileRecord
from surfaces.form_uploads import FILE_TYPES
from surfaces.page_templates import TEMPLATES

_MIB: Final = 1024 * 1024
_KINDS: Final[Mapping[str, str]] = {
    "image": "images",
    "document": "documents",
    "audio": "sound",
    "video": "films",
}


def field_html(
    number: int, declared: Mapping[str, Any], text: str, kept: Sequence[FileRecord], fault: str, *, is_focused: bool
) -> str:
    """Return one input with its label.

    Args:
        number: of the input in the form; ids are made of it.
        declared: the input.
        text: what it starts with.
        kept: its files that are there already.
        fault: what is wrong with it, "" if nothing.
        is_focused: whether it gets the focus.
    """
    name, kind = declared["output_variable_name"], declared.get("type", "paragraph")
    shown = {
        "id": field_id(number),
        "name": name,
        "label": shown_name(name),
        "kind": kind,
        "text": text,
        "fault": fault,
        "is_focused": is_focused,
    }
    if kind in FILE_TYPES:
        return TEMPLATES.get_template("file_field.html").render(
            **shown,
            kept=[{"id": each.file_id, "name": each.name, "size": shown_size(each.size_bytes)} for each in kept],
            takes_uploads=takes_method(declared, "local_file"),
            takes_urls=takes_method(declared, "remote_url"),
            accept=",".join(_accepted(declared)),
            hint=file_hint(declared),
        )
    options = (declared.get("option_source") or {}).get("value") or []
    return TEMPLATES.get_template("field.html").render(**shown, options=options)


def field_id(number: int) -> str:
    """Return the id of the control of an input."""
    return f"field-{number}"


def shown_name(name: str) -> str:
    """Return the name of an input as a person reads it: ``due_date`` is "Due date"."""
    words = " ".join(name.replace("_", " ").split())
    return words[:1].upper() + words[1:] or name


def shown_size(size_bytes: int) -> str:
    """Return a size as a person reads it."""
    if size_bytes < _MIB:
        return f"{max(1, round(size_bytes / 1024))} KB"
    return f"{size_bytes / _MIB:.1f} MB"


def file_hint(declared: Mapping[str, Any]) -> str:
    """Return in a sentence which files an input takes."""
    types = _allowed_types(declared)
    words = [_KINDS[each] for each in types if each in _KINDS]
    if "custom" in types:
        words += [f"{each} files" for each in _extensions(declared)]
    number = declared.get("number_limits") or 0
    many = f"Up to {number} files" if number > 1 else "Several files" if declared.get("type") == "file-list" else ""
    what = f"{many}: {', '.join(words)}" if many and words else many or ", ".join(words) or "Any file"
    limits = sorted({max_bytes(each) // _MIB for each in types or FILE_KINDS})
    largest = f"{limits[0]} MB" if len(limits) == 1 else f"{limits[0]} to {limits[-1]} MB, by kind"
    return f"{what[:1].upper()}{what[1:]}. {'Each at' if many else 'At'} most {largest}."


def _allowed_types(declared: Mapping[str, Any]) -> list[str]:
    return [each for each in declared.get("allowed_file_types") or () if each in FILE_KINDS]


def _extensions(declared: Mapping[str, Any]) -> list[str]:
    return [f".{str(each).lower().lstrip('.')}" for each in declared.get("allowed_file_extensions") or ()]


def _accepted(declared: Mapping[str, Any]) -> list[str]:
    """Return what a browser offers first when somebody chooses a file; none: everything."""
    accepted: list[str] = []
    for each in _allowed_types(declared):
        if each in ("image", "audio", "video"):
            accepted.append(f"{each}/*")
        accepted += extensions_of(each) if each == "document" else _extensions(declared) if each == "custom" else ()
    return accepted
