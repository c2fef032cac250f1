"""How the endpoints of a surface come to their paths."""

from collections.abc import Awaitable, Callable, Iterable

from fastapi import FastAPI, Request, Response

Endpoint = Callable[[Request], Awaitable[Response]]
Route = tuple[str, Endpoint, str]
"""Path, endpoint, and the methods that it takes, with blanks between them."""


def add_routes(app: FastAPI, routes: Iterable[Route], prefix: str = "") -> None:
    """Add routes to ``app``, each below ``prefix``."""
    for path, endpoint, methods in routes:
        app.add_route(prefix + path, endpoint, methods=methods.split())
