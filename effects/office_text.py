"""Text out of PDF and out of the zipped formats: DOCX, XLSX, PPTX, ODT, EPUB. Runs in the worker.

The libraries are imported where they are used: each document needs one of them.
"""

import io
import posixpath
import zipfile
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote

from lxml import etree

from effects.document_limits import MAX_PARTS, MAX_TEXT_BYTES, MAX_UNPACKED_BYTES, DocumentRefused
from effects.document_text import markdown_table, markup_text, text_or_empty

_ODT_TEXT: Final = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
_CONTAINER: Final = "META-INF/container.xml"
_MAX_NESTED_SHAPES: Final = 20


def pdf_text(content: bytes) -> str:
    """Return the text of all pages, one after the other."""
    import pypdfium2

    texts = []
    with pypdfium2.PdfDocument(content) as document:
        for page in document:
            text_page = page.get_textpage()
            texts.append(text_page.get_text_range())
            text_page.close()
            page.close()
    return "".join(texts)


def opened_zip(content: bytes) -> zipfile.ZipFile:
    """Return the archive, whose parts together stay within bounds once unpacked.

    What an archive says of its parts is binding for the libraries: none reads more of a part than is announced.

    Raises:
        DocumentRefused: it is no archive, or one that unpacks to too much.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise DocumentRefused("it is not a zip archive, as this format must be") from error
    parts = archive.infolist()
    if len(parts) > MAX_PARTS:
        raise DocumentRefused(f"it has more than {MAX_PARTS} parts")
    if sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES:
        raise DocumentRefused(f"it unpacks to more than {MAX_UNPACKED_BYTES // (1024 * 1024)} MB")
    return archive


def docx_text(content: bytes) -> str:
    """Return paragraphs and tables in their order, tables as Markdown."""
    opened_zip(content).close()
    import docx
    from docx.table import Table

    texts = []
    for block in docx.Document(io.BytesIO(content)).iter_inner_content():
        if isinstance(block, Table):
            rows = [[cell.text.replace("\n", "<br>") for cell in row.cells] for row in block.rows]
            if any(text.strip() for row in rows for text in row):
                texts.append(markdown_table(rows[0], rows[1:], "---") + "\n")
        else:
            texts.append(block.text)
    return "\n".join(texts)


def xlsx_text(content: bytes) -> str:
    """Return each sheet with anything in it as a Markdown table; its first row is the header."""
    opened_zip(content).close()
    import openpyxl

    workbook = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
    texts, size = [], 0
    for sheet in workbook.worksheets:
        # The dimensions that a file claims may be anything; without them, rows end at their last cell.
        sheet.reset_dimensions()
        rows = []
        for row in sheet.iter_rows(values_only=True):
            cells = [text_or_empty(value) for value in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                rows.append(cells)
                size += sum(map(len, cells)) + 3 * len(cells)
                _check_size(size)
        if rows:
            texts.append(_table(rows))
            _check_size(sum(map(len, texts)))
    return "\n\n".join(texts)


def _table(rows: list[list[str]]) -> str:
    """Return a table without the columns that are empty in every row."""
    used = sorted({place for row in rows for place, cell in enumerate(row) if cell})
    if len(used) * len(rows) > MAX_TEXT_BYTES:
        raise DocumentRefused("a sheet has too many cells")
    picked = [[row[place] if place < len(row) else "" for place in used] for row in rows]
    return markdown_table(picked[0], picked[1:])


def _check_size(size: int) -> None:
    if size > MAX_TEXT_BYTES:
        raise DocumentRefused(f"its text is too long: more than {MAX_TEXT_BYTES // (1024 * 1024)} MB")


def pptx_text(content: bytes) -> str:
    """Return, slide by slide, the notes and then the text of the shapes from top left to bottom right."""
    opened_zip(content).close()
    import pptx

    lines: list[str] = []
    for slide in pptx.Presentation(io.BytesIO(content)).slides:
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            lines += _paragraphs(slide.notes_slide.notes_text_frame)
        for shape in _in_reading_order(slide.shapes):
            lines += _shape_lines(shape, 0)
    return "\n".join(lines)


def _in_reading_order(shapes: Iterable[Any]) -> list[Any]:
    return sorted(shapes, key=lambda shape: (shape.top or 0, shape.left or 0))


def _shape_lines(shape: Any, depth: int) -> list[str]:
    if hasattr(shape, "shapes") and depth < _MAX_NESTED_SHAPES:
        return [line for inner in _in_reading_order(shape.shapes) for line in _shape_lines(inner, depth + 1)]
    if getattr(shape, "has_table", False):
        rows = [[" ".join(cell.text.split()) for cell in row.cells] for row in shape.table.rows]
        return [markdown_table(rows[0], rows[1:], "---")] if rows else []
    return _paragraphs(shape.text_frame) if getattr(shape, "has_text_frame", False) else []


def _paragraphs(frame: Any) -> list[str]:
    return [text for text in (paragraph.text.strip() for paragraph in frame.paragraphs) if text]


def _xml(content: bytes) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return etree.fromstring(content, parser=parser)


def odt_text(content: bytes) -> str:
    """Return paragraphs and headings, a line each."""
    with opened_zip(content) as archive:
        root = _xml(_part(archive, "content.xml"))
    lines = []
    for element in root.iter(f"{{{_ODT_TEXT}}}p", f"{{{_ODT_TEXT}}}h"):
        pieces: list[str] = []
        for event, inner in etree.iterwalk(element, events=("start", "end")):
            if event == "start":
                pieces += [_odt_space(inner), inner.text or ""]
            elif inner is not element:
                pieces.append(inner.tail or "")
        lines.append("".join(pieces))
    return "\n".join(lines)


def _odt_space(element: Any) -> str:
    name = etree.QName(element).localname if isinstance(element.tag, str) else ""
    if name == "s":
        count = element.get(f"{{{_ODT_TEXT}}}c", "1")
        return " " * min(int(count) if count.isdecimal() else 1, 1000)
    return {"tab": "\t", "line-break": "\n"}.get(name, "")


def epub_text(content: bytes) -> str:
    """Return the chapters of a book in reading order, a line for each block."""
    with opened_zip(content) as archive:
        container = _xml(_part(archive, _CONTAINER))
        package_path = next(iter(container.xpath("//*[local-name()='rootfile']/@full-path")), "")
        package = _xml(_part(archive, package_path))
        folder = posixpath.dirname(package_path)
        places = {
            str(item.get("id")): posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
            for item in package.xpath("//*[local-name()='manifest']/*[local-name()='item']")
        }
        order = package.xpath("//*[local-name()='spine']/*[local-name()='itemref']/@idref")
        texts = [markup_text(_part(archive, places[name])) for name in dict.fromkeys(order) if name in places]
    return "\n".join(filter(None, texts))


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except KeyError as error:
        raise DocumentRefused(f"its part {name or _CONTAINER!r} is missing") from error


OFFICE_READERS: Final[dict[str, Callable[[bytes], str]]] = {
    "pdf": pdf_text,
    "docx": docx_text,
    "xlsx": xlsx_text,
    "pptx": pptx_text,
    "odt": odt_text,
    "epub": epub_text,
}
