"""Text of a workflow file -> plain data (mappings, lists, text, numbers), guarded against hostile text.

Guards: size, nesting depth (the YAML library would crash the process on deep nesting), expansion through aliases,
tags that make objects. Dates stay text, as nobody writes a workflow to get date objects.
"""

from typing import Any

import orjson
import yaml
from yaml.constructor import ConstructorError

MAX_BYTES = 10 * 1024 * 1024
_MAX_DEPTH = 200
_MAX_VALUES = 2_000_000

_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnreadableError(Exception):
    """The text is no document; the message says why. Whoever reads makes an error of its own of it."""


class _Loader(_SafeLoader):  # type: ignore[misc, valid-type]
    """Safe YAML in which dates stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _SafeLoader.yaml_implicit_resolvers.items()
}


def read_document(text: str | bytes) -> Any:
    """Return the document that ``text`` (YAML or JSON) holds, as plain data with text keys.

    Raises:
        UnreadableError: it is too large, no text, not safe YAML, or expands beyond reason.
    """
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise UnreadableError(f"is larger than {MAX_BYTES // (1024 * 1024)} MB")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UnreadableError(f"is no UTF-8 text: {error.reason} at byte {error.start}") from error
    if text.lstrip()[:1] == "{":
        try:
            return plain(orjson.loads(text))
        except orjson.JSONDecodeError:
            pass  # YAML in flow style begins so too
    return plain(_load_yaml(text))


def _load_yaml(text: str) -> Any:
    try:
        _check_size(text)
        return yaml.load(text, _Loader)
    except ConstructorError as error:
        raise UnreadableError(f"is not safe YAML: {error.problem}{_place(error)}") from error
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(f"is no YAML: {error.problem}{_place(error)}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise UnreadableError(f"is no YAML: {error}") from error


def _check_size(text: str) -> None:
    """Refuse what would crash or fill the memory of the reader: deep nesting, and aliases that multiply."""
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, total))
            total += 1
            if len(opened) > _MAX_DEPTH:
                raise UnreadableError(f"is nested deeper than {_MAX_DEPTH} levels at line {event.start_mark.line + 1}")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in opened):
                raise UnreadableError(f"contains itself by an alias at line {event.start_mark.line + 1}")
            total += sizes.get(event.anchor, 1)
            if total > _MAX_VALUES:
                raise UnreadableError(f"expands without reason by the alias at line {event.start_mark.line + 1}")
        elif isinstance(event, yaml.ScalarEvent):
            total += 1


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark
    return f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""


def plain(value: Any) -> Any:
    """Return ``value`` as JSON has it: text keys, lists, no shared or endless parts.

    Raises:
        UnreadableError: it holds bytes or other things that JSON lacks, or is larger than any workflow.
    """
    left = _MAX_VALUES

    def copy(item: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > _MAX_DEPTH:
            raise UnreadableError("expands to more than any workflow holds; look for aliases that repeat each other")
        if type(item) is str:  # most are
            return item
        if isinstance(item, dict):
            return {key if type(key) is str else _key(key): copy(part, depth + 1) for key, part in item.items()}
        if isinstance(item, list | tuple | set):
            return [copy(part, depth + 1) for part in item]
        if isinstance(item, int) and item.bit_length() > 64:
            raise UnreadableError("holds an integer of more than 64 bits; write it in quotes")
        if item is None or isinstance(item, str | int | float):
            return item
        if hasattr(item, "isoformat"):
            return item.isoformat()
        raise UnreadableError(f"holds a value of type {type(item).__name__}, which a workflow cannot have")

    return copy(value, 0)


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return str(key).lower()
    return "" if key is None else str(key)
