"""The edge of every HTTP request: version headers, cross-origin rules, and what a client hears of a fault of ours."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from fastapi import Response
from fastapi.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from surfaces.error_table import INTERNAL, answer_for, error_response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REFERENCE_VERSION: Final = "1.14.2"
"""The version of Dify that ``/v1`` is compatible with; its clients look for it."""

_log = logging.getLogger(__name__)


class Edge:
    """Wraps the application: adds the version headers to every response and answers what nobody caught."""

    def __init__(self, app: App, version: str, environment: str) -> None:
        self._inner = app
        # /v1 and /api are for pages of other origins too; cookies never count then. A page may read a fault of ours
        # too, so that is answered inside.
        self._cross_origin = CORSMiddleware(
            self._answering,
            allow_origins=["*"],
            allow_methods=["GET", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"],
            allow_headers=["Content-Type", "X-App-Code", "X-App-Passport", "Authorization", "Idempotency-Key"],
            expose_headers=["X-Version", "X-Env", "X-Trace-Id"],
        )
        headers = {"x-version": REFERENCE_VERSION, "x-env": environment, "x-greenroom-version": version}
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return await self._inner(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        app = self._cross_origin if scope["path"].startswith(("/v1/", "/api/")) else self._answering
        return await app(scope, receive, send_with_headers)

    async def _answering(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and answer what nobody caught."""
        has_begun = False

        async def send_noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._inner(scope, receive, send_noting)
        except ClientDisconnect:
            # Nobody is left to answer, and what the request has begun goes on.
            pass
        except Exception as error:  # boundary: HTTP
            # Paths hold form tokens, so the log names the route's function and never the path.
            endpoint = getattr(scope.get("endpoint"), "__name__", "?")
            _log.exception("a request to %s failed", endpoint)
            if has_begun:
                raise
            answer = INTERNAL if scope["path"].startswith("/openapi/") else answer_for(error)
            response: Response = error_response(answer)
            await response(scope, receive, send)
