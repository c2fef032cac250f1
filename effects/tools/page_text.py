"""The readable text of an HTML page: title and paragraphs, without scripts, styles and navigation."""

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

_SILENT = frozenset({"script", "style", "noscript", "template", "svg", "nav", "head", "iframe", "object", "canvas"})
_BLOCKS = frozenset(
    {
        "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure", "footer",
        "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "ol", "p", "pre", "section", "table",
        "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
    }
)  # fmt: skip
_SPACES = re.compile(r"\s+")
_BREAK = "\0"


def page_text(html: str) -> tuple[str, str]:
    """Return the title and the text of a page, one line for each block; however broken the page is."""
    # The standard library's parser takes minutes for some pages of a few kilobytes; this one does not.
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True)
    try:
        root = etree.fromstring(html.encode("utf-8", "replace"), parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        root = None
    if root is None:
        return "", ""
    title = root.findtext(".//title") or ""
    lines = (_SPACES.sub(" ", line).strip() for line in "".join(_pieces(root)).split(_BREAK))
    return _SPACES.sub(" ", title).strip(), "\n".join(line for line in lines if line)


def _pieces(root: Any) -> Iterator[str]:
    """Yield the texts of a page in order, and a mark where a block begins or ends."""
    silent_depth = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        tag = element.tag
        if event == "start":
            silent_depth += tag in _SILENT
            if tag in _BLOCKS:
                yield _BREAK
            if not silent_depth and element.text:
                yield element.text.replace(_BREAK, " ")
            continue
        silent_depth -= tag in _SILENT
        if tag in _BLOCKS:
            yield _BREAK
        if not silent_depth and element.tail:
            yield element.tail.replace(_BREAK, " ")
