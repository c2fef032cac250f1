"""Tasks that belong to a process, not to the call that began them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any

import structlog
from ray.exceptions import RayError

from graph.errors import GreenroomError

_log = structlog.get_logger()


class Background:
    """Starts tasks and holds them until they end; an event loop alone would forget them.

    They do not inherit the context of their starter: Ray keeps in it which call is under way, and cancels the calls
    made from it together with that call.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str | None = None) -> "asyncio.Task[Any]":
        """Start ``work`` on the running event loop."""
        task = asyncio.get_running_loop().create_task(work, name=name, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    async def close(self) -> None:
        """Cancel what runs, and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        # Whoever waits gets the error too; what nobody expects is logged in case nobody waits.
        if error is not None and not isinstance(error, (GreenroomError, RayError)):
            _log.error("a task failed", task=task.get_name(), exc_info=error)


async def insist(what: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run ``work`` for good: an error is logged, and a second later it begins anew."""
    while True:
        try:
            await work()
        except GreenroomError as error:
            _log.warning("a task waits", what=what, reason=str(error))
        except Exception:  # boundary: loop of an actor  # noqa: BLE001
            _log.exception("a task failed", what=what)
        await asyncio.sleep(1.0)
