"""How the HITL actors share the forms out: each form belongs to one of them, by a hash of its id.

An actor keeps the deadlines of its forms and looks after the runs whose id falls to it. Nothing depends on the
division being kept: every write is conditional in the database, so any actor may do what another should have done,
and another count of actors at the next start is safe.
"""

from dataclasses import dataclass
from zlib import crc32

from actors.calls import HITL_ACTOR
from actors.contracts import crosses


@dataclass(frozen=True, slots=True)
class HitlPart:
    """One actor's part of the forms: number ``number``, from 0, of ``count``."""

    number: int = 0
    count: int = 1

    @property
    def actor(self) -> str:
        """The name of the HITL actor that has this part."""
        return HITL_ACTOR if self.count == 1 else f"{HITL_ACTOR}-{self.number}"

    def holds(self, key: str) -> bool:
        """Whether the form, or the run, with the id ``key`` belongs to this part."""
        return part_number(key, self.count) == self.number


def part_number(key: str, count: int) -> int:
    """Return the number of the part of ``count`` that ``key`` belongs to, the same in every process."""
    return crc32(key.encode("utf-8", "surrogatepass")) % count


def hitl_parts(count: int) -> list[HitlPart]:
    """Return all parts, in order."""
    return [HitlPart(number, count) for number in range(count)]


def hitl_actor_of(key: str, count: int) -> str:
    """Return the name of the HITL actor for the form, or the run, with the id ``key``."""
    return HitlPart(part_number(key, count), count).actor


crosses(HitlPart)
