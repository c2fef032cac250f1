"""Text with ``{{#node.name#}}`` references, compiled once and rendered from the variable pool.

An unresolved reference leaves its bare inner text (``node.name``). ``parts_of`` gives the pieces, which response
nodes stream one by one.
Source: graphon 0.8.0 variable_pool.convert_template (spec/graph.md 3.3).
"""

import re
from collections.abc import Callable
from typing import Any

from graph.value_types import MASK, files_in, log_of, markdown_of, text_of
from graph.variable_pool import MISSING, SecretText, VariablePool

Part = str | tuple[str, ...]
"""A piece of a template: literal text, or a selector."""

_REFERENCE = re.compile(r"\{\{#([A-Za-z0-9_]{1,50}(?:\.[A-Za-z_][A-Za-z0-9_]{0,29}){1,10})#\}\}")


def _masked_text(value: Any) -> str:
    return MASK if isinstance(value, SecretText) else text_of(value)


def parts_of(text: str) -> list[Part]:
    """Return ``text`` as literal pieces (str, never empty) and selectors (tuple), in order."""
    pieces = _REFERENCE.split(text)
    parts: list[Part] = []
    for index, piece in enumerate(pieces):
        if index % 2:
            parts.append(tuple(piece.split(".")))
        elif piece:
            parts.append(piece)
    return parts


def _pool_parts(text: str) -> list[Part]:
    # Dify looks up literal text too when it happens to read like a selector ("a.b" and nothing else).
    return [
        tuple(part.split(".")) if isinstance(part, str) and "." in part and not re.search(r"\s", part) else part
        for part in parts_of(text)
    ]


class Template:
    """A compiled text. ``selectors``: every reference, in order of first appearance."""

    __slots__ = ("_fixed", "_parts", "selectors", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self._parts = tuple(_pool_parts(source))
        self._fixed = source if all(isinstance(part, str) for part in self._parts) else None
        self.selectors = tuple(dict.fromkeys(part for part in parts_of(source) if isinstance(part, tuple)))

    def __repr__(self) -> str:
        return f"Template({self.source!r})"

    @property
    def is_fixed(self) -> bool:
        """Whether the text holds nothing to resolve."""
        return self._fixed is not None

    def text(self, pool: VariablePool) -> str:
        """Return the text with each value in its ``text`` form."""
        return self._fixed if self._fixed is not None else self._render(pool, text_of)

    def masked(self, pool: VariablePool) -> str:
        """Return the same as ``text`` with secrets masked, to show what was sent."""
        return self._fixed if self._fixed is not None else self._render(pool, _masked_text)

    def markdown(self, pool: VariablePool) -> str:
        """Return the text with each value in its ``markdown`` form."""
        return self._fixed if self._fixed is not None else self._render(pool, markdown_of)

    def _render(self, pool: VariablePool, form: Callable[[Any], str]) -> str:
        out: list[str] = []
        for part in self._parts:
            if isinstance(part, str):
                out.append(part)
                continue
            value = pool.get(part)
            if value is MISSING:
                out.append(".".join(part))
            else:
                out.append(value if type(value) is str else form(value))
        return "".join(out)

    def log(self, pool: VariablePool) -> str:
        """Return the text for logs, secrets masked."""
        return self._fixed if self._fixed is not None else self._render(pool, log_of)

    def files(self, pool: VariablePool) -> list[dict[str, Any]]:
        """Return every file that the references name, in order."""
        return files_in(pool.get(part) for part in self._parts if isinstance(part, tuple))
