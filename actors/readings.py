"""Has the audit say who has read a form. Nobody waits for a HITL actor that is away: that is noted afterwards."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain, repeat
from typing import Final

import structlog

from actors.background import Background, insist
from actors.errors import ReadingsFullError
from graph.errors import UnavailableError
from store.form_record import Submitter

PATIENCE_S: Final = 1.0
"""How long a reader waits until the reading is noted."""
KEEP_S: Final = 3600.0
"""How long a reading is tried to be noted."""
MOST: Final = 10_000
"""How many readings may wait to be noted, in each process."""
_FIRST_DELAY_S: Final = 0.2
_LONGEST_DELAY_S: Final = 5.0

_log = structlog.get_logger()

Note = Callable[[str, Submitter, float | None], Awaitable[None]]
"""Notes that an account has read a form: form id, who, and when if that is past (Unix seconds)."""


class Readings:
    """Notes readings through ``note``, which may be called again. Belongs to one event loop."""

    def __init__(self, note: Note, first_delay_s: float = _FIRST_DELAY_S) -> None:
        self._note = note
        self._first_delay_s = first_delay_s
        self._background = Background()
        self._waiting: dict[tuple[str, str | None], asyncio.Task[None]] = {}

    async def add(self, form_id: str, by: Submitter, patience_s: float = PATIENCE_S) -> None:
        """Note that an account has read a form; may be repeated.

        Durable on return, unless that takes longer than ``patience_s`` seconds, because the HITL actor or the store is
        away: then it is noted as soon as that is back within an hour, if this process lives until then.

        Raises:
            FormNotFoundError: there is no such form.
            ReadingsFullError: so many readings wait already that this one could be lost.
        """
        key = (form_id, by.account_id)
        task = self._waiting.get(key)
        if task is None:
            if len(self._waiting) >= MOST:
                raise ReadingsFullError()
            task = self._waiting[key] = self._background.start(self._insist(form_id, by))
            task.add_done_callback(lambda _: self._waiting.pop(key, None))
        await asyncio.wait({task}, timeout=patience_s)
        if task.done():
            task.result()

    async def _insist(self, form_id: str, by: Submitter) -> None:
        times: Iterator[float | None] = chain([None], repeat(time.time()))
        noting = insist(
            f"reading of form {form_id}",
            lambda: self._note(form_id, by, next(times)),
            UnavailableError,
            self._first_delay_s,
            _LONGEST_DELAY_S,
        )
        try:
            async with asyncio.timeout(KEEP_S):
                await noting
        except TimeoutError:
            _log.error("a reading was not noted", form_id=form_id, account_id=by.account_id)
