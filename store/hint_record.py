"""What carries a hint from the process that changes a run to those that read it, and what a reader gets of it.

A hint says where to look, never what happened: the facts are in the journal. Losing one costs its receiver a second.
"""

from dataclasses import dataclass
from typing import Final, Protocol

KEPT_COUNT: Final = 10_000
"""How many hints are kept for readers that lag behind."""
POLL_S: Final = 10.0
"""How long a poll waits for the first hint."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Something happened to a run: its journal has come to ``number``, ``actor`` executes it ("" for nobody)."""

    run_id: str
    number: int
    actor: str = ""


@dataclass(frozen=True, slots=True)
class HintBatch:
    """Hints after a subscriber's place. ``is_reset``: some may have been missed; look at the journal."""

    next: int
    hints: list[Hint]
    is_reset: bool = False


class HintCarrier(Protocol):
    """Passes hints between processes. Numbers rise with time, also over a loss of all hints; they may have gaps."""

    def publish(self, hint: Hint) -> None:
        """Pass a hint on, one way: neither waits nor raises; the hint may be lost."""
        ...

    async def poll(self, after: int) -> HintBatch:
        """Return the hints from number ``after`` on, waiting some seconds for the first; changes nothing.

        A reset where hints from ``after`` on may be missing, so also for the first number of a subscriber, 0.

        Raises:
            UnavailableError: the carrier is away; poll again after a while.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Hints that are under way may be lost."""
        ...
