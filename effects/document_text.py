"""Text out of documents that are text: plain, JSON, YAML, CSV, properties, subtitles, mail. Runs in the worker.

HTML, XML and Markdown count as plain text and keep their marks, as in Dify.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any, Final

import yaml
from charset_normalizer import from_bytes
from lxml import etree, html

from effects.document_limits import DocumentRefused

_DETECT_BYTES: Final = 256 * 1024
_BLOCKS: Final = frozenset(
    "address article aside blockquote body br caption center dd details div dl dt fieldset figcaption figure footer "
    "form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table td th title tr ul".split()
)
_HIDDEN: Final = frozenset({"script", "style", "head", "template", "noscript"})
_CUE_TIME: Final = re.compile(r"^\s*(?:\d+:)?\d{1,2}:\d{2}\.\d{3}\s+-->\s")
_VOICE: Final = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>")
_MARK: Final = re.compile(r"<[^>]*>")
_MAX_CSV_FIELD: Final = 10 * 1024 * 1024


def plain_text(content: bytes) -> str:
    """Return text of any charset: UTF-8 first, then the most likely one."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        guess = from_bytes(content[:_DETECT_BYTES]).best()
        return content.decode(guess.encoding if guess else "utf-8", "ignore")


def json_text(content: bytes) -> str:
    """Return JSON with an indent of two."""
    return json.dumps(json.loads(plain_text(content)), indent=2, ensure_ascii=False)


def yaml_text(content: bytes) -> str:
    """Return the documents of a YAML stream in block style."""
    return yaml.safe_dump_all(yaml.safe_load_all(plain_text(content)), allow_unicode=True, sort_keys=False)


def csv_text(content: bytes) -> str:
    """Return a Markdown table whose first row is the header."""
    csv.field_size_limit(_MAX_CSV_FIELD)
    rows = [[_one_line(cell) for cell in row] for row in csv.reader(io.StringIO(plain_text(content), newline=""))]
    rows = [row for row in rows if row]
    return markdown_table(rows[0], rows[1:]) if rows else ""


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], rule: str = "-----") -> str:
    """Return a Markdown table of cells that are text in one line; ``rule`` stands below each header cell."""
    lines = [header, [rule] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


def properties_text(content: bytes) -> str:
    """Return lines ``key: value``; comments and empty lines stay."""
    lines = []
    for line in plain_text(content).splitlines():
        if not line.strip() or line.lstrip().startswith(("#", "!")):
            lines.append(line)
            continue
        key, _, value = line.partition("=") if "=" in line else line.partition(":")
        lines.append(f"{key.strip()}: {value.strip()}")
    return "\n".join(lines)


def vtt_text(content: bytes) -> str:
    """Return what subtitles say, one line ``speaker "words"`` for each turn of a speaker."""
    turns: list[tuple[str, list[str]]] = []
    for speaker, words in _cues(plain_text(content).lstrip("\ufeff")):
        if turns and speaker and turns[-1][0] == speaker:
            turns[-1][1].append(words)
        else:
            turns.append((speaker, [words]))
    return "\n".join(f'{speaker} "{" ".join(said)}"' for speaker, said in turns)


def _cues(text: str) -> Iterable[tuple[str, str]]:
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.strip("\n").split("\n")
        times = next((place for place, line in enumerate(lines) if _CUE_TIME.match(line)), None)
        if times is None:
            continue
        words = "\n".join(lines[times + 1 :])
        voice = _VOICE.search(words)
        yield (voice.group(1).strip() if voice else ""), _MARK.sub("", words).strip()


def mail_text(content: bytes) -> str:
    """Return the text of a mail: its HTML part as text, else its plain part."""
    message = BytesParser(policy=policy.default).parsebytes(content)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("html", "plain"))
    if body is None:
        raise DocumentRefused("the mail has no text")
    payload = body.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    if body.get_content_type() == "text/html":
        return markup_text(data, body.get_content_charset())
    return _decoded(data, body.get_content_charset()).strip()


def _decoded(data: bytes, charset: str | None) -> str:
    try:
        return data.decode(charset or "utf-8")
    except (LookupError, ValueError):
        return plain_text(data)


def markup_text(content: bytes, charset: str | None = None) -> str:
    """Return what a reader sees of HTML: a line for each block, no scripts or styles."""
    if not content.strip():
        return ""
    # The parser looks nothing up and limits depth by itself.
    parser = html.HTMLParser(encoding=_known(charset), no_network=True, huge_tree=False, remove_comments=True)
    root = html.document_fromstring(content, parser=parser)
    lines: list[str] = [""]
    hidden = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        name = element.tag if isinstance(element.tag, str) else ""
        if name in _BLOCKS:
            lines.append("")
        if event == "start":
            hidden += name in _HIDDEN
            said = element.text
        else:
            hidden -= name in _HIDDEN
            said = element.tail
        if said and not hidden:
            lines[-1] += said
    return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))


def _known(charset: str | None) -> str | None:
    try:
        "".encode(charset or "utf-8")
    except LookupError:
        return None
    return charset


TEXT_READERS: Final[dict[str, Callable[[bytes], str]]] = {
    "plain": plain_text,
    "json": json_text,
    "yaml": yaml_text,
    "csv": csv_text,
    "properties": properties_text,
    "vtt": vtt_text,
    "eml": mail_text,
}


def text_or_empty(value: Any) -> str:
    """Return a cell's value as text in one line, "" for none."""
    return "" if value is None else _one_line(str(value))
