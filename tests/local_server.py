"""A small HTTP server on this machine, for tests of what sends requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class LocalServer:
    """Answers each path as it is told. ``asked``: the requests so far; ``url``: where it is."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    port: int = 0
    serving: set["asyncio.Task[None]"] = field(default_factory=set)

    def reply(self, path: str, body: bytes = b"ok", status: int = 200, **headers: str) -> None:
        """Answer ``path`` with ``body``; header names have ``_`` for ``-``."""

        async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(head(status, {"content-length": str(len(body)), **headers}) + body)

        self.answers[path] = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)
        try:
            start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            method, target, _ = start.split(" ")
            asked = Asked(method, target, headers, body)
            self.asked.append(asked)
            await self.answers[target.partition("?")[0]](asked, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def head(status: int, headers: dict[str, str]) -> bytes:
    """Return the head of a response after which the connection closes."""
    lines = [f"HTTP/1.1 {status} X", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@asynccontextmanager
async def local_server() -> AsyncIterator[LocalServer]:
    """Serve on a free port of the loopback address."""
    made = LocalServer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    made.url = f"http://127.0.0.1:{made.port}"
    try:
        yield made
    finally:
        server.close()
        for task in made.serving:
            task.cancel()
        await asyncio.gather(*made.serving, return_exceptions=True)
