"""Messages between a process and its workers: four bytes of length, then JSON. Neither side trusts a length."""

import asyncio
import json
import struct
from typing import Any, BinaryIO

_LENGTH = struct.Struct(">I")


def write_frame(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write ``message`` and flush."""
    stream.write(encode_frame(message))
    stream.flush()


def read_frame(stream: BinaryIO, max_bytes: int) -> dict[str, Any] | None:
    """Return the next message, or None where the stream ends or a message is longer than ``max_bytes``."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > max_bytes:
        return None
    body = stream.read(length)
    return json.loads(body) if len(body) == length else None


def encode_frame(message: dict[str, Any]) -> bytes:
    """Return ``message`` as it goes over the pipe."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


async def receive_frame(reader: asyncio.StreamReader, max_bytes: int) -> dict[str, Any]:
    """Return the next message.

    Raises:
        IncompleteReadError: the other side closed the pipe.
        ValueError: the message is longer than ``max_bytes``, or no JSON object.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > max_bytes:
        raise ValueError(f"a message of {length} bytes")
    message = json.loads(await reader.readexactly(length))
    if not isinstance(message, dict):
        raise ValueError("a message that is no object")
    return message
