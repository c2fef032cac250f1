"""Text out of documents: each kind, and what happens to those that are broken or hostile."""

import asyncio
from pathlib import Path

import openpyxl
import psutil
import pytest

import small_documents as small
from child_processes import children_with
from effects.documents import DocumentReader, document_kind
from graph.errors import NodeError

VTT = "\ufeffWEBVTT\n\n1\n00:00:01.000 --> 00:00:02.000\n<v Ada>One\n\n00:02.000 --> 00:03.000\n<v Ada>two</v>\n\n" \
      "00:00:03.000 --> 00:00:04.000 align:start\n<b>three</b>"  # fmt: skip


async def text_of(content: bytes, name: str, mime_type: str | None = None, **limits: float) -> str:
    """Return the text of one document."""
    return await DocumentReader(**limits).text_of(content, name, mime_type, Path(name).suffix)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.txt", "tëa".encode(), "tëa"),
        ("a.py", b"print(1)\n", "print(1)\n"),
        ("a.html", b"<p>raw</p>", "<p>raw</p>"),
        ("a.md", b"# raw", "# raw"),
        ("a.txt", "日本語のテキスト。これは文字です。".encode("shift_jis"), "日本語のテキスト。これは文字です。"),
        ("a.json", b'{"b":[1,"\xc3\xa4"]}', '{\n  "b": [\n    1,\n    "ä"\n  ]\n}'),
        ("a.yml", b"{b: 1, a: [x]}", "b: 1\na:\n- x\n"),
        ("a.csv", b'a,b\n1,"x\ny"\n', "| a | b |\n| ----- | ----- |\n| 1 | x y |"),
        ("a.properties", b"# c\n\na=b = c\nd: e\nf", "# c\n\na: b = c\nd: e\nf: "),
        ("a.vtt", VTT.encode(), 'Ada "One two"\n "three"'),
        ("a.pdf", small.pdf_file("Page one", "Page two"), "Page onePage two"),
        ("a.docx", small.docx_file(), "Title\nHello wörld\n| a | b<br>c |\n| --- | --- |\n| 1 |  |\n\nend"),
        ("a.xlsx", small.xlsx_file(), "| name | n |\n| ----- | ----- |\n| x y | 1 |\n|  | 2.5 |\n\n| far |\n| ----- |"),
        ("a.pptx", small.pptx_file(), "notes\nTitle\none\ntwo"),
        ("a.epub", small.epub_file(), "First\nsome text\nSecond\nsome text"),
        ("a.odt", small.odt_file(), "Head\na  b\tcd"),
        ("a.eml", small.mail_file(), "plain wörds"),
        ("b.eml", small.mail_file(is_html=True), "html wörds"),
    ],
)
async def test_document_gives_its_text(name, content, text):
    """Each kind of document is read as Dify reads it."""
    assert await text_of(content, name) == text


def test_kind_follows_the_media_type_then_the_extension():
    """The media type decides where it says something; a spreadsheet's old type is given to anything."""
    assert document_kind("x", "application/pdf", "", b"") == "pdf"
    assert document_kind("a.csv", "application/vnd.ms-excel", ".csv", b"a,b") == "csv"
    assert document_kind("a", "application/vnd.ms-excel", "", b"PK\x03\x04") == "xlsx"
    assert document_kind("a.json", "application/octet-stream", ".json", b"") == "json"
    assert document_kind("a.xyz", "text/x-odd", ".xyz", b"") == "plain"


@pytest.mark.parametrize(
    ("name", "mime_type", "message"),
    [
        ("a.bin", None, "Unsupported Extension Type: .bin"),
        ("a", "application/x-odd", "Unsupported MIME type: application/x-odd"),
        ("a.doc", "application/msword", "a.doc is a DOC file, which cannot be read here: save it as DOCX"),
        ("a.msg", None, "save it as EML"),
    ],
)
async def test_kind_that_cannot_be_read_is_named(name, mime_type, message):
    """A file of no readable kind fails, and says what to do where something can be done."""
    with pytest.raises(NodeError, match=message) as failed:
        await text_of(b"x", name, mime_type)
    assert failed.value.error_type == "UnsupportedFileTypeError"


def _too_many_cells() -> bytes:
    workbook = openpyxl.Workbook()
    sheet = workbook.worksheets[0]
    for column in range(1, 800):
        sheet.cell(1, column, "x" * 30_000)
    return small._saved(workbook)


_ENTITIES = (
    "<!DOCTYPE r [<!ENTITY a 'aaaaaaaaaa'>"
    + "".join(f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9))
    + "]><r>&j;</r>"
)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.docx", b"no zip", "it is not a zip archive"),
        ("a.pdf", b"%PDF-1.4 junk", "it is no readable PDF file"),
        ("a.json", b"[" * 100_000, "it is no readable JSON file"),
        ("a.docx", small.zipped({"word/document.xml": bytes(400 << 20)}), "it unpacks to more than 300 MB"),
        ("a.xlsx", small.zipped({f"p{number}": "" for number in range(10_001)}), "more than 10000 parts"),
        ("a.odt", small.zipped({"x": ""}), "its part 'content.xml' is missing"),
        ("a.odt", small.zipped({"content.xml": "<r>" * 200_000}), "it is no readable ODT file"),
        ("a.epub", small.zipped({"META-INF/container.xml": _ENTITIES}), "cannot be read"),
        ("a.xlsx", _too_many_cells(), "its text is too long"),
        ("a.pptx", small.docx_file(), "it is no readable PPTX file"),
        ("a.eml", b"Content-Type: image/png\n\nx", "the mail has no text"),
        ("a.csv", b'"' + b"x" * (11 << 20), "it is no readable CSV file"),
        ("a.yaml", b"a: [" * 20_000, "it is no readable YAML file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_broken_or_hostile_document_fails_its_node(name, content, message):
    """What cannot be read, or would take too much, is an error with its reason, and not given up for its time."""
    with pytest.raises(NodeError, match=message) as failed:
        await text_of(content, name, time_limit_s=150.0)
    assert failed.value.error_type == "TextExtractionError"


async def test_document_that_takes_too_long_is_given_up():
    """The process is killed at the time limit, wherever its time goes."""
    html = b"<p>x</p>" * 1_000_000
    with pytest.raises(NodeError, match=r"took longer than 0\.3 s"):
        await text_of(small.zipped({**_book(html)}), "a.epub", time_limit_s=0.3)


async def test_document_that_needs_too_much_memory_is_given_up():
    """The process has so much address space and no more."""
    with pytest.raises(NodeError, match="needs more than 256 MB of memory"):
        await text_of(b"[" + b"[]," * 4_000_000 + b"[]]", "a.json", max_memory_bytes=256 << 20)


def _book(chapter: bytes) -> dict[str, str | bytes]:
    return {
        "META-INF/container.xml": '<c><rootfile full-path="p.opf"/></c>',
        "p.opf": '<p><manifest><item id="a" href="a"/></manifest><spine><itemref idref="a"/></spine></p>',
        "a": b"<html><body>" + chapter + b"</body></html>",
    }


async def begun_reading() -> tuple[asyncio.Task[str], psutil.Process]:
    """Begin to read a long book; return the task and the process that reads it."""
    book = small.zipped({**_book(b"<p>x</p>" * 1_000_000)})
    task = asyncio.create_task(DocumentReader().text_of(book, "a.epub", None, ".epub"))
    while not (found := children_with("effects.document_worker")):
        await asyncio.sleep(0.01)
    return task, found[0]


async def test_reading_leaves_no_process_behind():
    """A node that is cut off takes the process of its document along."""
    task, process = await begun_reading()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not process.is_running()
    assert children_with("effects.document_worker") == []


async def test_process_sees_nothing_of_ours(monkeypatch):
    """The process has no environment of ours: no password, no key."""
    monkeypatch.setenv("GREENROOM_DATABASE_PASSWORD", "hunter2")
    task, process = await begun_reading()
    seen = process.environ()
    await task
    assert "hunter2" not in seen.values() and "PYTHONPATH" in seen
