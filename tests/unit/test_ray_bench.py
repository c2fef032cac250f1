"""The measurement on Ray: its keys, its HTTP clients, and that it refuses what is not the expected answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest

from benchmarks.options import LIVE_COUNT
from benchmarks.ray_figures import Samples, figures_of, speed
from benchmarks.ray_live import memory_mb
from benchmarks.ray_requests import Post, Streamed, first_answer, requests_per_s, stream_run
from benchmarks.run import main

ANSWER = b'{"status": "succeeded"}'
POST = Post("/v1/workflows/run", {"user": "benchmark"}, ANSWER, "app-key")

Answer = Callable[[bytes], bytes]
"""Gives the answer to the body of a request."""


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[int]:
    """Serve HTTP on a port of its own; each connection may send many requests."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                writer.write(answer(head + await reader.readexactly(int(length))))
        except (EOFError, OSError):
            pass  # the client has gone
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.ensure_future(serve(reader, writer)))

    connections: list[asyncio.Future[None]] = []
    listening = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await asyncio.gather(*connections)


def reply(body: bytes, media_type: str = "application/json") -> bytes:
    """Return a whole HTTP answer."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_requests_are_counted_and_carry_key_and_body():
    """Every connection sends the request again and again; all that is counted was answered."""
    seen: list[bytes] = []
    async with server(lambda request: seen.append(request) or reply(ANSWER)) as port:
        assert await requests_per_s(port, POST, 0.0, width=4) > 0
    assert len(seen) == 4
    assert b"Authorization: Bearer app-key\r\n" in seen[0]
    assert json.loads(seen[0].partition(b"\r\n\r\n")[2]) == {"user": "benchmark"}


async def test_wrong_answer_ends_the_measurement():
    """A server that refuses quickly is not a fast one."""
    async with server(lambda request: reply(b'{"code": "unauthorized"}')) as port:
        with pytest.raises(ValueError, match="unauthorized"):
            await requests_per_s(port, POST, 0.0)


async def test_first_answer_is_waited_for():
    """Answers of a server that is not ready yet do not count."""
    answers = iter([reply(b"{}"), reply(b"{}"), reply(ANSWER)])
    async with server(lambda request: next(answers)) as port:
        await first_answer(port, POST)
    assert next(answers, None) is None


async def test_stream_is_read_to_its_end():
    """Only texts count; the first one and the last one have their times."""
    events = [{"event": "workflow_started"}, *({"event": "text_chunk", "data": {"text": each}} for each in "ab")]
    frames = b"".join(b"data: " + json.dumps(each, separators=(",", ":")).encode() + b"\n\n" for each in events)
    async with server(lambda request: reply(b"event: ping\n\n" + frames, "text/event-stream")) as port:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=90.0) as client:
            streamed = await stream_run(client, "app-key")
    assert streamed.texts == ["a", "b"]
    assert 0 < streamed.first_s <= streamed.total_s


def test_speed_is_that_of_whole_streams():
    """Tokens a second of the median stream; one that lost a token makes the figure void."""
    streams = [Streamed(0.1, total_s, ["a", "b"]) for total_s in (1.0, 2.0, 4.0)]
    assert speed(streams, ["a", "b"]) == 1.0
    assert speed([Streamed(0.1, 1.0, ["ab"])], ["a", "b"]) == 2.0
    with pytest.raises(ValueError, match="1"):
        speed([Streamed(0.1, 1.0, ["a"])], ["a", "b"])


def test_ratios_are_taken_round_by_round():
    """A round in which the machine was slow counts as any other: both sides were slow."""
    samples = Samples([1e-3, 9e-3, 1e-3], [2e-3, 27e-3, 4e-3], [800.0, 100.0, 400.0], [400.0, 60.0, 200.0],
                      [2e-3] * 3, [9e-3] * 3, [0.9, 1.0, 0.95], [0.2] * 3, [1000.0] * 3)  # fmt: skip
    figures = figures_of(samples)
    assert figures["start_vs_bare_call"] == pytest.approx(3.0)
    assert figures["http_blocking_vs_echo"] == pytest.approx(0.5)
    assert figures["http_blocking_rps"] == pytest.approx(200.0)
    assert figures["ttft_added_ms"] == pytest.approx(7.0)
    assert figures["stream_tokens_vs_direct"] == pytest.approx(0.95)


async def test_memory_of_a_process_is_read():
    """What is shared is counted once in each process, or divided among them."""
    process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
    rss, pss = memory_mb(process.pid)
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()
    assert 0 < pss <= rss < 100


def test_command_takes_the_number_of_live_runs(capsys: pytest.CaptureFixture[str]):
    """How many run at a time is asked for by number; none would measure nothing."""
    seen = []
    toy = {"toy": lambda options: seen.append(options.live_count) or {"a.ms": 1.0}}
    main(["toy"], toy)
    main(["toy", "--live", "5"], toy)
    assert seen == [LIVE_COUNT, 5]
    with pytest.raises(SystemExit):
        main(["toy", "--live", "0"], toy)
    assert "must be 1 or more" in capsys.readouterr().err
