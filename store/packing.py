"""How JSON goes into a column: large values leave it, a reference stays in their place, and the rest is compressed.

A value whose JSON has more than 64 KB goes to the blobs and becomes ``{"$blob": <hex SHA-256>, "size": <bytes>}``.
Where that happened is said by a first line, ``B<list of paths>``, and never guessed from the value: a workflow
may produce a mapping that looks like a reference. JSON from ``orjson`` has no line break and begins with another
letter, so what is small is stored as it is.

What is left is compressed (``store.compression``).
"""

from collections.abc import Sequence
from typing import Any

import orjson

from graph.events import Fact, decode_facts, encode_facts
from store.blobs import Blobs, digest_of
from store.compression import compress, decompress

LIMIT_BYTES = 65_536
_MARK = b"B"
_OPTIONS = orjson.OPT_NON_STR_KEYS
_Path = list[str | int]


async def pack_facts(facts: Sequence[Fact], blobs: Blobs) -> bytes:
    """Return ``facts`` as bytes for the journal; large values of their fields are in ``blobs`` on return."""
    data = encode_facts(list(facts))
    if len(data) <= LIMIT_BYTES:
        return compress(data)
    document = orjson.loads(data)
    moved: list[tuple[_Path, bytes]] = []
    for position, row in enumerate(document[1]):
        for place in range(1, len(row)):
            row[place] = _shrink(row[place], [1, position, place], moved)
    return await _packed(document, moved, blobs)


async def unpack_facts(data: bytes, blobs: Blobs) -> list[Fact]:
    """Return the facts that ``pack_facts`` stored.

    Raises:
        BlobMissingError: a value is not in ``blobs``.
        SnapshotVersionError: a newer version wrote them.
    """
    data = decompress(data)
    if not data.startswith(_MARK):
        return decode_facts(data)
    return decode_facts(orjson.dumps(await _unpacked(data, blobs), option=_OPTIONS))


async def pack_value(value: Any, blobs: Blobs) -> bytes:
    """Return one JSON value as bytes for a column; its large parts are in ``blobs`` on return."""
    data = orjson.dumps(value, option=_OPTIONS)
    if len(data) <= LIMIT_BYTES:
        return compress(data)
    moved: list[tuple[_Path, bytes]] = []
    return await _packed(_shrink(value, [], moved), moved, blobs)


async def unpack_value(data: bytes, blobs: Blobs) -> Any:
    """Return the value that ``pack_value`` stored.

    Raises:
        BlobMissingError: a part is not in ``blobs``.
    """
    data = decompress(data)
    return await _unpacked(data, blobs) if data.startswith(_MARK) else orjson.loads(data)


def digests_in(data: bytes) -> set[str]:
    """Return the digests that a column packed by ``pack_facts`` or ``pack_value`` refers to."""
    data = decompress(data)
    if not data.startswith(_MARK):
        return set()
    head, _, body = data.partition(b"\n")
    document = [orjson.loads(body)]
    found = set()
    for path in orjson.loads(head[len(_MARK) :]):
        value: Any = document
        for part in (0, *path):
            value = value[part]
        found.add(value["$blob"])
    return found


def _shrink(value: Any, path: _Path, moved: list[tuple[_Path, bytes]]) -> Any:
    """Return ``value`` with what is large replaced, the innermost possible; ``moved`` gets path and content."""
    content = orjson.dumps(value, option=_OPTIONS)
    if len(content) <= LIMIT_BYTES:
        return value
    inner: list[tuple[_Path, bytes]] = []
    smaller = value
    if isinstance(value, dict):
        smaller = {str(name): _shrink(part, [*path, str(name)], inner) for name, part in value.items()}
    elif isinstance(value, list):
        smaller = [_shrink(part, [*path, position], inner) for position, part in enumerate(value)]
    if inner and len(orjson.dumps(smaller, option=_OPTIONS)) <= LIMIT_BYTES:
        moved.extend(inner)
        return smaller
    moved.append((path, content))
    return {"$blob": digest_of(content), "size": len(content)}


async def _packed(document: Any, moved: list[tuple[_Path, bytes]], blobs: Blobs) -> bytes:
    data = orjson.dumps(document, option=_OPTIONS)
    if not moved:
        return compress(data)
    for _, content in moved:
        await blobs.put(content)
    return compress(_MARK + orjson.dumps([path for path, _ in moved]) + b"\n" + data)


async def _unpacked(data: bytes, blobs: Blobs) -> Any:
    head, _, body = data.partition(b"\n")
    document = [orjson.loads(body)]
    for path in orjson.loads(head[len(_MARK) :]):
        holder: Any = document
        place: str | int = 0
        for part in path:
            holder, place = holder[place], part
        holder[place] = orjson.loads(await blobs.get(holder[place]["$blob"]))
    return document[0]
