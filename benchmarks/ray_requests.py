"""What HTTP clients do in the measurement: many requests at a time, or one stream read to its end.

The client of many requests is the least that speaks HTTP/1.1 on kept connections: it shares the machine with what it
measures, and whatever it took itself would make the ratios look better than they are.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx2

WIDTH = 32
"""Connections at a time."""
RUN_PATH = "/v1/workflows/run"


@dataclass(frozen=True, slots=True)
class Post:
    """One request that is sent again and again. ``expected``: a part of every right answer."""

    path: str
    body: dict[str, Any]
    expected: bytes
    key: str = ""

    def message(self, host: str) -> bytes:
        """Return the bytes of the request."""
        body = json.dumps(self.body).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(frozen=True, slots=True)
class Streamed:
    """A stream read to its end. ``first_s``: seconds to the first text; ``total_s``: to the last; ``texts``: pieces."""

    first_s: float
    total_s: float
    texts: list[str]


def run_body(mode: str) -> dict[str, Any]:
    """Return the body of a run."""
    return {"inputs": {"q": "hello"}, "response_mode": mode, "user": "benchmark"}


async def requests_per_s(port: int, post: Post, budget_s: float, width: int = WIDTH) -> float:
    """Send ``post`` on ``width`` connections for ``budget_s`` seconds; return how many were answered a second.

    Raises:
        ValueError: an answer is not the expected one.
    """
    message, count, began = post.message(f"127.0.0.1:{port}"), 0, time.perf_counter()

    async def line() -> None:
        nonlocal count
        async with _connection(port) as (reader, writer):
            while True:
                writer.write(message)
                answer = await _answer(reader)
                if post.expected not in answer:
                    raise ValueError(answer[:500])
                count += 1
                if time.perf_counter() - began > budget_s:
                    return

    lines = [asyncio.ensure_future(line()) for _ in range(width)]
    try:
        await asyncio.gather(*lines)
    finally:
        for each in lines:
            each.cancel()
        await asyncio.gather(*lines, return_exceptions=True)
    return count / (time.perf_counter() - began)


async def first_answer(port: int, post: Post) -> None:
    """Return when the server gives the expected answer, asked again and again.

    Raises:
        TimeoutError: it does not within two minutes.
    """
    message = post.message(f"127.0.0.1:{port}")
    async with asyncio.timeout(120.0):
        while True:
            try:
                async with _connection(port) as (reader, writer):
                    writer.write(message)
                    if post.expected in await _answer(reader):
                        return
            except (OSError, EOFError):
                pass
            await asyncio.sleep(0.01)


async def stream_run(client: httpx2.AsyncClient, key: str) -> Streamed:
    """Run a workflow whose answer a model gives, and read its events to the end."""
    began, first_s, last_s, texts = time.perf_counter(), 0.0, 0.0, []
    headers = {"Authorization": f"Bearer {key}"}
    async with client.stream("POST", RUN_PATH, json=run_body("streaming"), headers=headers) as response:
        async for line in response.aiter_lines():
            if not line.startswith('data: {"event":"text_chunk"'):
                continue
            text = json.loads(line.removeprefix("data: "))["data"]["text"]
            last_s = time.perf_counter() - began
            first_s = first_s or last_s
            texts.append(text)
    return Streamed(first_s, last_s, texts)


@asynccontextmanager
async def _connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """Return an answer, head and body; it says how long it is."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return head + await reader.readexactly(int(length))
