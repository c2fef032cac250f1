"""Frames, ids and pings of event streams."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from surfaces.errors import BadRequestError
from surfaces.sse import PING, EventStream, Position, event_frame, finished_frame, parse_position, with_pings


def test_event_is_one_line_of_compact_json() -> None:
    """A frame is ``data: `` with compact UTF-8 JSON and a blank line, without an id."""
    assert event_frame({"event": "text_chunk", "data": {"text": "é\n"}}) == (
        'data: {"event":"text_chunk","data":{"text":"é\\n"}}\n\n'.encode()
    )


def test_event_with_a_position_has_an_id_line() -> None:
    """A position becomes an ``id:`` line before the data."""
    assert event_frame({"event": "x"}, "4.1") == b'id: 4.1\ndata: {"event":"x"}\n\n'


def test_single_frame_of_a_finished_run_is_spaced_ascii_in_its_own_order() -> None:
    """The only event of a finished run is written with spaces, ASCII escapes and task_id before workflow_run_id."""
    event = {"event": "workflow_finished", "workflow_run_id": "R", "task_id": "T", "data": {"a": "é"}}
    assert finished_frame(event) == (
        b'data: {"event": "workflow_finished", "task_id": "T", "workflow_run_id": "R", "data": {"a": "\\u00e9"}}\n\n'
    )


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("0", Position(0)),
        ("12.3", Position(12, part=3)),
        ("12.0", Position(12)),
        ("12.2.40", Position(12, attempt=2, offset=40, is_text=True)),
    ],
)
def test_position_is_read_from_an_id(text: str, position: Position) -> None:
    """An id names a fact and one of its events, or a place in text in flight."""
    assert parse_position(text) == position


@pytest.mark.parametrize("text", ["", "x", "-1", "1.", "1.2.3.4", "1,2", "9" * 19, "١", "1.2\n"])
def test_foreign_id_is_refused(text: str) -> None:
    """Anything that is not an id of ours is a bad request."""
    with pytest.raises(BadRequestError):
        parse_position(text)


async def frames_of(*frames: bytes, closed: asyncio.Event | None = None) -> AsyncGenerator[bytes]:
    """Yield ``frames``, then wait for ever if ``closed`` is given; set it when closed."""
    try:
        for frame in frames:
            yield frame
        if closed is not None:
            await asyncio.Event().wait()
    finally:
        if closed is not None:
            closed.set()


async def test_stream_opens_with_a_ping_and_ends_with_its_frames() -> None:
    """The first bytes of a stream are a ping; nothing follows the last frame."""
    assert [frame async for frame in with_pings(frames_of(b"a", b"b"), 5.0)] == [PING, b"a", b"b"]


async def test_silence_is_filled_with_pings() -> None:
    """While nothing happens a ping goes out at each interval."""
    closed = asyncio.Event()
    stream = with_pings(frames_of(b"a", closed=closed), 0.1)
    assert [await anext(stream) for _ in range(4)] == [PING, b"a", PING, PING]
    await stream.aclose()
    async with asyncio.timeout(60.0):
        await closed.wait()


async def test_error_of_the_frames_ends_the_stream_with_it() -> None:
    """What the frames raise comes out behind the frames before it."""

    async def failing() -> AsyncGenerator[bytes]:
        yield b"a"
        raise BadRequestError("no")

    stream = with_pings(failing(), 5.0)
    assert [await anext(stream), await anext(stream)] == [PING, b"a"]
    with pytest.raises(BadRequestError):
        await anext(stream)


async def test_frames_run_ahead_of_a_slow_client_by_a_bounded_number() -> None:
    """A client that does not read holds the frames back instead of filling memory."""
    made = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield b"x"

    stream = with_pings(endless(), 5.0)
    assert [await anext(stream) for _ in range(2)] == [PING, b"x"]
    for _ in range(100):
        await asyncio.sleep(0)
    assert made <= 20
    await stream.aclose()


async def test_client_that_goes_away_closes_the_frames() -> None:
    """When sending fails the iterator behind the response is closed at once."""
    closed = asyncio.Event()

    async def send(message: Any) -> None:
        if message.get("body") == b"a":
            raise OSError("gone")

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    response = EventStream(with_pings(frames_of(b"a", closed=closed), 5.0))
    with pytest.raises(ClientDisconnect):
        await response({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)
    async with asyncio.timeout(60.0):
        await closed.wait()
