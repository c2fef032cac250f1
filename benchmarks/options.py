"""What the command line asks of a measurement."""

from dataclasses import dataclass

PAUSED_COUNT = 100_000
LIVE_COUNT = 100


@dataclass(frozen=True, slots=True)
class Options:
    """How to measure.

    ``with_peers``: other engines too; ``paused_count``: how many runs wait at a time; ``live_count``: how many execute.
    """

    with_peers: bool = False
    paused_count: int = PAUSED_COUNT
    live_count: int = LIVE_COUNT
