"""``/health``: the process lives; ``/health/ready``: it can serve.

Source: spec/http.md 1.0.
"""

import asyncio
import os
from typing import Final

from fastapi import FastAPI, Request, Response

from surfaces.asgi import REFERENCE_VERSION
from surfaces.errors import NotReadyError
from surfaces.ports import SurfacePorts
from surfaces.schemas import reply

READY_WITHIN_S: Final = 4.0
"""How long database and actors may take to answer before this process counts as not ready."""


def add_health(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the health routes to ``app``; they need no key."""

    async def health(request: Request) -> Response:
        return reply({"pid": os.getpid(), "status": "ok", "version": REFERENCE_VERSION})

    async def ready(request: Request) -> Response:
        # What is missing comes as an error: 503, and for how long. What hangs must not hang the probe too.
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await ports.check_ready()
        except TimeoutError:
            raise NotReadyError(READY_WITHIN_S) from None
        return reply({"status": "ready"})

    app.add_route("/health", health, methods=["GET"])
    app.add_route("/health/ready", ready, methods=["GET"])
