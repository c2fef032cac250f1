"""What the command line asks of a measurement."""

from dataclasses import dataclass

PAUSED_COUNT = 100_000


@dataclass(frozen=True, slots=True)
class Options:
    """How to measure. ``with_peers``: other engines too; ``paused_count``: how many runs wait at a time."""

    with_peers: bool = False
    paused_count: int = PAUSED_COUNT
