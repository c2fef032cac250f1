"""Cuts ``<think>`` passages out of a model's text, piece by piece as it streams.

Source: dify 1.14.2 core/workflow/nodes/llm (reasoning_format separated).
"""

import re

_OPEN = re.compile(r"<think[^>]{0,200}>")
_CLOSE = "</think>"
_OPEN_START = "<think"
_LONGEST_TAG = 200
_BLANK_LINES = re.compile(r"\n\s*\n")


def split_reasoning(text: str) -> tuple[str, str]:
    """Return the text without its ``<think>`` passages, and what they hold."""
    kept, passages = _cut(text)
    return _BLANK_LINES.sub("\n\n", kept).strip(), "\n".join(passage.strip() for passage in passages).strip()


def without_reasoning(text: str) -> str:
    """Return the text without its ``<think>`` passages, otherwise as it stands."""
    return _cut(text)[0]


def _cut(text: str) -> tuple[str, list[str]]:
    """Return the text around its closed passages, and what they hold; in time that is linear in the text."""
    kept: list[str] = []
    passages: list[str] = []
    position = 0
    while True:
        opened = _OPEN.search(text, position)
        closed = text.find(_CLOSE, opened.end()) if opened else -1
        if opened is None or closed < 0:
            return "".join([*kept, text[position:]]), passages
        kept.append(text[position : opened.start()])
        passages.append(text[opened.end() : closed])
        position = closed + len(_CLOSE)


class ReasoningSplitter:
    """Tells reasoning from text in a stream; holds back only what may be the start of a tag."""

    __slots__ = ("_held", "_is_inside")

    def __init__(self) -> None:
        self._held = ""
        self._is_inside = False

    def feed(self, piece: str) -> list[tuple[bool, str]]:
        """Return what is certain now as (is reasoning, text) pairs, in order."""
        self._held += piece
        out: list[tuple[bool, str]] = []
        while True:
            found = self._next_tag()
            if found is None:
                break
            start, end = found
            self._give(out, self._held[:start])
            self._held = self._held[end:]
            self._is_inside = not self._is_inside
        certain = len(self._held) - self._doubtful_length()
        self._give(out, self._held[:certain])
        self._held = self._held[certain:]
        return out

    def finish(self) -> list[tuple[bool, str]]:
        """Return what was held back: it was no tag."""
        out: list[tuple[bool, str]] = []
        self._give(out, self._held)
        self._held = ""
        return out

    def _next_tag(self) -> tuple[int, int] | None:
        if self._is_inside:
            start = self._held.find(_CLOSE)
            return None if start < 0 else (start, start + len(_CLOSE))
        match = _OPEN.search(self._held)
        return match.span() if match else None

    def _doubtful_length(self) -> int:
        start = self._held.rfind("<")
        if start < 0:
            return 0
        tail = self._held[start:]
        if self._is_inside:
            return len(tail) if _CLOSE.startswith(tail) else 0
        is_tag_so_far = _OPEN_START.startswith(tail) or (tail.startswith(_OPEN_START) and len(tail) < _LONGEST_TAG)
        return len(tail) if is_tag_so_far else 0

    def _give(self, out: list[tuple[bool, str]], text: str) -> None:
        if text:
            out.append((self._is_inside, text))
