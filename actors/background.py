"""Tasks that belong to a process, not to the call that began them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, Final, TypeVar

import structlog
from ray.exceptions import RayError

from graph.errors import GreenroomError

_log = structlog.get_logger()

T = TypeVar("T")

WELL_S: Final = 60.0
"""What works for so long before it fails has worked: its next error is a new one."""


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


async def insist(
    what: str,
    work: Callable[[], Awaitable[T]],
    on: type[Exception] = Exception,
    first_delay_s: float = 1.0,
    longest_delay_s: float = 1.0,
) -> T:
    """Return what ``work`` gives, begun anew after each error; for work without an end this is for good.

    The same error in a row is logged once.

    Args:
        what: names it in the log.
        work: may be begun again after any of its errors.
        on: the errors that it is begun anew after; others reach the caller.
        first_delay_s: seconds from an error to the next beginning; each time twice as long.
        longest_delay_s: but not longer.
    """
    loop = asyncio.get_running_loop()
    delay_s, logged = first_delay_s, ""
    while True:
        began_at = loop.time()
        try:
            return await work()
        except on as error:
            if loop.time() - began_at > WELL_S:
                delay_s, logged = first_delay_s, ""
            if (text := repr(error)) != logged:
                logged = text
                _log_failure(what, error)
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, longest_delay_s)


def _log_failure(what: str, error: Exception) -> None:
    if isinstance(error, GreenroomError):
        _log.warning("a task waits", what=what, reason=str(error))
    else:
        _log.error("a task failed", what=what, exc_info=error)
