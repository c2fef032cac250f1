"""What an uploaded file is by name and content, and how a form shows which it takes."""

import mimetypes
from io import BytesIO
from typing import Any

import pytest

import small_documents as small
from approval import approval
from graph.file_value import kind_of
from surface_world import make_world
from surfaces.errors import FileContentError
from surfaces.form_field import file_hint, shown_size
from surfaces.form_view import time_left
from surfaces.uploads import looked_at, plain_name

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(40)
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x00\x00isomiso2mp41" + bytes(40)
MP3 = b"ID3\x03\x00\x00\x00" + bytes(40)
HTML = b"<!doctype html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.mark.parametrize(
    ("name", "content", "mime_type"),
    [
        ("a.png", PNG, "image/png"),
        ("a.PNG", PNG, "image/png"),
        ("a.jpg", PNG, "image/jpeg"),
        ("a.mp4", MP4, "video/mp4"),
        ("a.m4a", MP4, "video/mp4"),
        ("a.mp3", MP3, "audio/mpeg"),
        ("a.pdf", b"%PDF-1.4", "application/pdf"),
        ("a.txt", HTML, "text/plain"),
        ("a.html", HTML, "text/html"),
        ("a.svg", SVG, "image/svg+xml"),
        ("a.txt", b"", "text/plain"),
        ("photo", PNG, "image/png"),
        ("page", HTML, "application/octet-stream"),
        ("a.weird", b"\x00", "application/octet-stream"),
    ],
)
async def test_media_type_comes_from_name_and_content(name: str, content: bytes, mime_type: str) -> None:
    """The name says it, and the content where the name says nothing; nobody asks the sender."""
    world = await make_world(approval())
    upload = await looked_at(name, BytesIO(content), len(content), world.ports)
    assert upload.mime_type == mime_type
    assert upload.file.read() == content


async def test_office_documents_are_documents() -> None:
    """What office programs write counts as a document whatever tables the machine has."""
    world = await make_world(approval())
    for name, content in (("a.docx", small.docx_file()),):
        upload = await looked_at(name, BytesIO(content), len(content), world.ports)
        assert kind_of(name, upload.mime_type) == "document"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", HTML), ("a.png", SVG), ("a.png", b""), ("a.png", MP4), ("a.jpg", b"%PDF-1.4"),
        ("a.gif", b"MZ" + bytes(99)), ("a.m4a", HTML), ("a.webp", HTML),
        ("a.mp3", HTML), ("a.mp4", PNG), ("a.webm", b"x"), ("a.pdf", HTML), ("a.pdf", PNG), ("a.pdf", b""),
    ],
)  # fmt: skip
async def test_content_that_is_not_what_its_name_says_is_refused(name: str, content: bytes) -> None:
    """A page named like a picture, a program named like a film."""
    world = await make_world(approval())
    with pytest.raises(FileContentError, match=r"is not that of a \.\w+ file"):
        await looked_at(name, BytesIO(content), len(content), world.ports)


async def test_tables_of_the_machine_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another media type in the system's tables changes nothing here."""
    world = await make_world(approval())
    monkeypatch.setattr(mimetypes, "guess_type", lambda name: ("image/png", None))
    assert (await looked_at("a.txt", BytesIO(HTML), len(HTML), world.ports)).mime_type == "text/plain"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a.txt", "a.txt"), ("", "file"), ("/", "file"), ("..", "file"), ("../..", "file"), ("a/", "file"),
        ("C:\\x\\a.txt", "a.txt"), (".htaccess", "htaccess"), (" a \t b.txt ", "a b.txt"), ("\ud800a.txt", "a.txt"),
        ("\u202egpj.exe", "gpj.exe"), ("ü😀.txt", "ü😀.txt"), ("a\x00.png\n", "a.png"),
    ],
)  # fmt: skip
def test_name_is_one_visible_segment(sent: str, kept: str) -> None:
    """No path, nothing invisible, no hidden file, never empty."""
    assert plain_name(sent) == kept


@pytest.mark.parametrize(
    ("declared", "hint"),
    [
        ({"type": "file", "allowed_file_types": ["image"]}, "Images. At most 10 MB."),
        ({"type": "file", "allowed_file_types": []}, "Any file. At most 10 to 100 MB, by kind."),
        (
            {"type": "file", "allowed_file_types": ["custom"], "allowed_file_extensions": ["CSV", ".x"]},
            ".csv files, .x files. At most 15 MB.",
        ),
        (
            {"type": "file-list", "allowed_file_types": ["document"], "number_limits": 3},
            "Up to 3 files: documents. Each at most 15 MB.",
        ),
        ({"type": "file-list", "number_limits": 0}, "Several files. Each at most 10 to 100 MB, by kind."),
    ],
)
def test_hint_says_which_files_are_taken(declared: dict[str, Any], hint: str) -> None:
    """Kinds, number and size, in words."""
    assert file_hint(declared) == hint


def test_sizes_and_times_read_well() -> None:
    """The largest unit that fits, rounded down where something runs out."""
    assert [shown_size(size) for size in (0, 1500, 1 << 20, 25 << 19)] == ["1 KB", "1 KB", "1.0 MB", "12.5 MB"]
    assert [time_left(seconds) for seconds in (0, 59, 60, 7199, 7200, 129_600, 86_400 * 2.9)] == [
        "less than a minute", "less than a minute", "1 minute", "119 minutes", "2 hours", "36 hours", "2 days",
    ]  # fmt: skip
