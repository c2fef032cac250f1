"""Why an actor died, in a few words that anybody may read: Ray's own texts name addresses and quote logs."""

from typing import Final

from ray.exceptions import ActorUnavailableError, NodeDiedError, OutOfMemoryError, RayActorError

from actors.errors import ActorAwayError

ENDED: Final = "its process ended"
NODE_LOST: Final = "its node was lost"
OUT_OF_MEMORY: Final = "its node ran out of memory"
SILENT: Final = "it did not answer"


def death_cause(away: ActorAwayError) -> str:
    """Return why the actor that ``away`` tells of is gone, "" where nobody knows.

    Source: the texts of Ray 2.60; other words only cost precision.
    """
    error = away.__cause__
    text = str(error)
    if isinstance(error, OutOfMemoryError) or "OUT_OF_MEMORY" in text:
        return OUT_OF_MEMORY
    if isinstance(error, NodeDiedError) or "node has died" in text:
        return NODE_LOST
    # Only the supervisor kills by ray.kill while a run executes: what answered no ping.
    if isinstance(error, ActorUnavailableError) or "ray.kill" in text:
        return SILENT
    return ENDED if isinstance(error, RayActorError) else ""
