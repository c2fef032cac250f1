"""``/health``: the process lives; ``/health/ready``: it can serve.

Source: spec/http.md 1.0.
"""

import os

from fastapi import FastAPI, Request, Response

from surfaces.asgi import REFERENCE_VERSION
from surfaces.ports import SurfacePorts
from surfaces.schemas import reply


def add_health(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the health routes to ``app``; they need no key."""

    async def health(request: Request) -> Response:
        return reply({"pid": os.getpid(), "status": "ok", "version": REFERENCE_VERSION})

    async def ready(request: Request) -> Response:
        # What is missing comes as an error: 503, and for how long.
        await ports.check_ready()
        return reply({"status": "ready"})

    app.add_route("/health", health, methods=["GET"])
    app.add_route("/health/ready", ready, methods=["GET"])
