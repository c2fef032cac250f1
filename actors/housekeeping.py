"""What is done once a day, by one process of the installation: ended runs to the archive, unused values deleted."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from actors.settings import Settings
from actors.upkeep import Upkeep
from graph.errors import GreenroomError
from store.installation import Installation

_log = structlog.get_logger()

TURN: Final = "housekeeping_at"
DAY_S: Final = 86_400.0
LOOK_S: Final = 600.0
"""Between two looks whether a day has passed; so long after a start it begins at the earliest."""
REST_S: Final = 0.5
"""Between two bundles, so that runs come to write."""


class Housekeeping:
    """Looks after what has ended. Lives in the supervisor; several of it take turns by the database."""

    def __init__(
        self,
        upkeep: Upkeep,
        installation: Installation,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing happens yet.

        Args:
            upkeep: what does the work.
            installation: says whose turn it is.
            settings: how many days ended runs stay.
            clock: Unix seconds.
        """
        self._upkeep = upkeep
        self._installation = installation
        self._retention_days = settings.retention_days
        self._clock = clock

    async def live(self) -> None:
        """Do the work of each day; returns only by an error."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> bool:
        """Do the work of the day if it is due and nobody else does it; return whether it was.

        What fails is tried again the next day; what was done by then is done.
        """
        try:
            if not await self._installation.take_turn(TURN, self._clock(), DAY_S):
                return False
            await self._work()
        except GreenroomError as error:
            _log.warning("housekeeping broke off", reason=str(error))
        return True

    async def _work(self) -> None:
        now, retention = self._clock(), self._upkeep.retention
        compacted = await retention.compact()
        archived = 0
        if days := self._retention_days:
            report = await retention.archive_runs(now - days * DAY_S, now, lambda: asyncio.sleep(REST_S))
            archived = report.runs
        swept = await self._upkeep.blob_sweep.sweep(now)
        _log.info(
            "housekeeping is done",
            archived_runs=archived,
            snapshots=compacted.snapshots,
            inbox_items=compacted.inbox_items,
            values_set_aside=swept.set_aside,
            values_deleted=swept.deleted,
        )
