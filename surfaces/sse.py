"""Server-sent events: frames, pings, and the ids by which a reader comes back.

Source: spec/http.md 4.1.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import orjson
from fastapi.responses import StreamingResponse

from actors.run_metrics import StreamMetrics
from surfaces.asgi import Receive, Scope, Send
from surfaces.errors import BadRequestError

PING: Final = b"event: ping\n\n"
PING_INTERVAL_S: Final = 10.0
"""Seconds of silence after which a ping goes out; proxies cut connections that say nothing for longer."""

_STREAMS: Final = StreamMetrics()
_AHEAD: Final = 16
"""Frames made ready before the client has taken the earlier ones."""
_PUMPS: Final[set[asyncio.Task[None]]] = set()
"""Tasks that still run; the event loop itself would not keep them."""
_POSITION: Final = re.compile(r"(\d{1,18})(?:\.(\d{1,9}))?(?:\.(\d{1,18}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader left off.

    Either behind event ``part`` of fact ``number`` (``is_text`` False; part 0: before its first), or, with all of
    fact ``number`` told, ``offset`` characters into text that attempt ``attempt`` has in flight.
    """

    number: int
    part: int = 0
    attempt: int = 0
    offset: int = 0
    is_text: bool = False


def parse_position(text: str) -> Position:
    """Return the position that an id of ours names; "0" is the start.

    Raises:
        BadRequestError: it is none of ours.
    """
    found = _POSITION.fullmatch(text)
    if found is None:
        raise BadRequestError(f"The cursor {text[:64]!r} is not an event id of this server.")
    number, second, third = found.groups()
    if third is not None:
        return Position(int(number), attempt=int(second), offset=int(third), is_text=True)
    return Position(int(number), part=int(second or 0))


def event_frame(event: dict[str, Any], position: str = "") -> bytes:
    """Return one event as a frame of compact UTF-8 JSON, with an ``id:`` line if it has a position."""
    head = f"id: {position}\n".encode() if position else b""
    return head + b"data: " + orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS) + b"\n\n"


def finished_frame(event: dict[str, Any]) -> bytes:
    """Return the single frame that a reader of a finished run gets: spaced ASCII JSON, outer keys in its own order."""
    names = ("event", "task_id", "workflow_run_id", "data")
    return f"data: {json.dumps({name: event[name] for name in names})}\n\n".encode()


async def with_pings(frames: AsyncGenerator[bytes], interval_s: float = PING_INTERVAL_S) -> AsyncGenerator[bytes]:
    """Yield a ping at once, then ``frames``, with a ping after each ``interval_s`` seconds of silence.

    ``frames`` runs in a task of its own, a little ahead of the client at most; closing this ends that task, which then
    closes ``frames``. So the way a client goes away (an error, a cancelled request) never tears ``frames``.
    """
    ready: asyncio.Queue[bytes | None] = asyncio.Queue()
    room = asyncio.Semaphore(_AHEAD)
    pump = asyncio.create_task(_pump(frames, ready, room))
    _PUMPS.add(pump)
    pump.add_done_callback(_PUMPS.discard)
    pump.add_done_callback(lambda _: ready.put_nowait(None))
    try:
        yield PING
        while True:
            try:
                async with asyncio.timeout(interval_s):
                    frame = await ready.get()
            except TimeoutError:
                yield PING
                continue
            if frame is None:
                pump.result()
                return
            room.release()
            yield frame
    finally:
        pump.cancel()


async def _pump(frames: AsyncGenerator[bytes], ready: asyncio.Queue[bytes | None], room: asyncio.Semaphore) -> None:
    async with aclosing(frames):
        async for frame in frames:
            await room.acquire()
            ready.put_nowait(frame)


class EventStream(StreamingResponse):
    """A response of event frames. When the client goes away, its iterator is closed then, not when it is collected."""

    def __init__(self, frames: AsyncGenerator[bytes], headers: dict[str, str] | None = None) -> None:
        """Stream ``frames``."""
        super().__init__(frames, headers=headers, media_type="text/event-stream")
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames until they end or the client goes away."""
        _STREAMS.opened()
        try:
            async with aclosing(self._frames):
                await super().__call__(scope, receive, send)
        finally:
            _STREAMS.closed()
