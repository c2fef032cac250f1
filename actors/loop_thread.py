"""An event loop in a thread of its own, for callers that are not asynchronous."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, TypeVar

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines for a synchronous caller; ends with the process, or by ``close``."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what ``work`` returns, or raise what it raises."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def iterate(self, items: AsyncGenerator[Result]) -> Iterator[Result]:
        """Yield what ``items`` yields, each when it is asked for; closing this closes ``items``."""
        try:
            while True:
                try:
                    yield self.call(anext(items))  # type: ignore[arg-type]  # anext of a generator gives a coroutine
                except StopAsyncIteration:
                    return
        finally:
            self.call(items.aclose())

    def close(self) -> None:
        """Cancel what runs on the loop and end its thread. May be repeated."""
        if self._thread.is_alive():
            self.call(self._cancel_all())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _cancel_all(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
