"""Small real documents of each kind, made on the spot."""

import io
import zipfile
from email.message import EmailMessage

import docx
import openpyxl
import pptx


def docx_file() -> bytes:
    """A heading, a paragraph, a table, a paragraph."""
    document = docx.Document()
    document.add_heading("Title", 1)
    document.add_paragraph("Hello wörld")
    table = document.add_table(2, 2)
    for row, cell, text in ((0, 0, "a"), (0, 1, "b\nc"), (1, 0, "1")):
        table.cell(row, cell).text = text
    document.add_paragraph("end")
    return _saved(document)


def xlsx_file() -> bytes:
    """Two sheets with cells and one without; a cell of two lines, an empty row, an empty column."""
    workbook = openpyxl.Workbook()
    first = workbook.worksheets[0]
    for row in (["name", None, "n"], ["x\ny", None, 1], [], [None, None, 2.5]):
        first.append(row)
    workbook.create_sheet("empty")
    workbook.create_sheet("third")["C3"] = "far"
    return _saved(workbook)


def pptx_file() -> bytes:
    """One slide with a title, two lines and notes."""
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "Title"
    slide.placeholders[1].text = "one\ntwo"
    slide.notes_slide.notes_text_frame.text = "notes"
    return _saved(presentation)


def pdf_file(*pages: str) -> bytes:
    """A PDF with a line of text on each page."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents {5 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    body, places = "%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode()


def epub_file() -> bytes:
    """A book of two chapters whose reading order is not that of its files."""
    container = '<container><rootfiles><rootfile full-path="OPS/p.opf"/></rootfiles></container>'
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="a.xhtml"/>'
        '<item id="b" href="text/b.xhtml"/></manifest><spine><itemref idref="b"/><itemref idref="a"/></spine></package>'
    )
    chapter = (
        "<html><head><title>no</title><style>p{}</style></head><body><h1>%s</h1><p>some\n <b>text</b></p></body></html>"
    )
    return zipped(
        {
            "META-INF/container.xml": container,
            "OPS/p.opf": package,
            "OPS/a.xhtml": chapter % "Second",
            "OPS/text/b.xhtml": chapter % "First",
        }
    )


def odt_file() -> bytes:
    """A heading and a paragraph with spaces, a tab and a span."""
    name = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
    return zipped(
        {
            "content.xml": f'<d xmlns:text="{name}"><text:h>Head</text:h>'
            '<text:p>a<text:s text:c="2"/>b<text:tab/><text:span>c</text:span>d</text:p></d>'
        }
    )


def mail_file(*, is_html: bool = False) -> bytes:
    """A mail with a plain part, or with an HTML part beside it, and an attachment."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Hi", "a@x.test", "b@x.test"
    message.set_content("plain wörds\n")
    if is_html:
        message.add_alternative("<div>html <i>wörds</i></div><script>no()</script>", subtype="html")
    message.add_attachment(b"\x00", maintype="application", subtype="octet-stream", filename="x.bin")
    return message.as_bytes()


def zipped(parts: dict[str, str | bytes]) -> bytes:
    """A zip archive of named parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def _saved(document) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()
