"""Paths into JSON: ``$``, names, ``['names']``, ``[numbers]``, ``[*]``, ``.*`` and ``..``; no filters, no scripts.

A path is read into steps once; ``places`` finds every place that it names, in document order.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(
    r"""\.\.(?P<deep>[^.\[\]*'"]+|\*|(?=\[)) | \.(?P<name>[^.\[\]*'"]+|\*)
      | \[\s*(?:(?P<index>-?\d+)|(?P<star>\*)|'(?P<single>[^']*)'|"(?P<double>[^"]*)")\s*\]""",
    re.VERBOSE,
)
MAX_PLACES = 100_000
"""How many places a path may name."""


class InvalidPathError(ValueError):
    """A text is no path that we read; whoever wrote it corrects it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a key, an index, or None for all children; ``is_deep``: at any depth below."""

    key: str | int | None
    is_deep: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a document: ``key`` of ``owner``. The whole document is ``document`` of a wrapper."""

    owner: Any
    key: str | int

    @property
    def value(self) -> Any:
        """What stands there."""
        return self.owner[self.key]


def read_path(text: str) -> tuple[Step, ...]:
    """Return the steps of a path.

    Raises:
        InvalidPathError: it is none, or uses what we do not have.
    """
    rest = text.strip().removeprefix("$")
    if rest and rest[0] not in ".[":
        rest = f".{rest}"
    steps: list[Step] = []
    position = 0
    is_deep = False
    while position < len(rest):
        match = _STEP.match(rest, position)
        if match is None:
            raise InvalidPathError(f"cannot read the path {text!r} at {rest[position:]!r}")
        position = match.end()
        if match["deep"] == "":  # ".." before a bracket, whose step it makes deep
            is_deep = True
            continue
        steps.append(_step(match, is_deep))
        is_deep = False
    return tuple(steps)


def _step(match: re.Match[str], is_deep: bool) -> Step:
    found = match.groupdict()
    if found["index"] is not None:
        return Step(int(found["index"]), is_deep)
    quoted = found["single"] if found["single"] is not None else found["double"]
    if quoted is not None:
        return Step(quoted, is_deep)
    name = found["deep"] or found["name"] or found["star"]
    return Step(None if name == "*" else name, is_deep or found["deep"] is not None)


def places(document: Any, steps: tuple[Step, ...]) -> tuple[Any, list[Place]]:
    """Return a wrapper ``{"document": document}`` and the places that the path names in it.

    Raises:
        InvalidPathError: it names too many.
    """
    wrapper = {"document": document}
    found = [Place(wrapper, "document")]
    for step in steps:
        following: list[Place] = []
        for place in found:
            following.extend(_below(place.value, step))
            if len(following) > MAX_PLACES:
                raise InvalidPathError(f"the path names more than {MAX_PLACES} places")
        found = following
    return wrapper, found


def _below(value: Any, step: Step) -> Iterator[Place]:
    if not step.is_deep:
        yield from _children(value, step.key)
        return
    waiting = [value]
    while waiting:
        current = waiting.pop()
        yield from _children(current, step.key)
        below = current.values() if isinstance(current, dict) else current if isinstance(current, list) else ()
        waiting.extend(reversed(list(below)))


def _children(value: Any, key: str | int | None) -> Iterator[Place]:
    if isinstance(value, dict):
        keys = list(value) if key is None else [key] if key in value else []
        yield from (Place(value, each) for each in keys)
    elif isinstance(value, list):
        if key is None:
            yield from (Place(value, index) for index in range(len(value)))
        elif isinstance(key, int) and -len(value) <= key < len(value):
            yield Place(value, key % len(value))
