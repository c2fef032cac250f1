"""Sees to it that the named actors are there: brought up at the first look, and again when one is gone for good.

Ray restarts them by itself and forgets one that cannot restart, such as one whose code is missing on the node where it
tried to. Then nobody else would make it anew.
"""

import asyncio
from collections.abc import Awaitable, Callable

from actors.background import Background
from actors.settings import Settings
from actors.start_actors import missing_actors, start_actors


class KeptActors:
    """Looks when it is told to; belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        start: Callable[[Settings], Awaitable[None]] = start_actors,
        missing: Callable[[Settings], set[str]] = missing_actors,
    ) -> None:
        """Prepare; looks at nothing yet.

        Args:
            settings: what new actors get.
            start: brings up what is missing.
            missing: names what Ray does not know; blocks.
        """
        self._settings = settings
        self._start = start
        self._find_missing = missing
        self._is_started = False
        self._missing: set[str] = set()
        self._background = Background()
        self._look: asyncio.Task[None] | None = None

    def look(self) -> "asyncio.Task[None]":
        """Look once in the background and make what has to be made; a look that is under way stays the only one.

        Gone is what is missing at two looks in a row: a deployment that replaces an actor takes less than that.
        What fails is tried again at the next look.
        """
        if self._look is None or self._look.done():
            self._look = self._background.start(self._make_missing(), "look after the actors")
        return self._look

    async def _make_missing(self) -> None:
        missing = await asyncio.to_thread(self._find_missing, self._settings)
        is_gone = bool(missing & self._missing)
        self._missing = missing
        if self._is_started and not is_gone:
            return
        self._is_started = False
        await self._start(self._settings)
        self._is_started, self._missing = True, set()
