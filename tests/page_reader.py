"""Reads pages as a browser parses them."""

from html.parser import HTMLParser

Element = tuple[str, dict[str, str]]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def elements_of(html: str) -> list[Element]:
    """Return the elements of a page with their attributes, in order."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.found
