"""Where a reader who comes to a run begins: at its id, with a snapshot, after the newest pause, or live.

Source: spec/hitl.md 5.3 and 5.4 (the parts marked ours), spec/http.md 3.6 and 4.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from actors.messages import Cursor
from graph.events import Fact, FormSubmitted, RunFinished, RunPaused
from surfaces.errors import BadRequestError
from surfaces.sse import Position

Numbered = Sequence[tuple[int, Fact]]


@dataclass(frozen=True, slots=True)
class Beginning:
    """``after``: number of the last fact that the reader has had or shall not get.

    ``position`` is set when it came back with an id; ``is_snapshot``: the facts up to ``after`` are shown as one.
    """

    after: int
    position: Position | None = None
    is_snapshot: bool = False

    @property
    def cursor(self) -> Cursor:
        """What to follow the run from."""
        if self.position is not None and self.position.is_text:
            return Cursor(self.after, self.position.attempt, self.position.offset)
        return Cursor(self.after)

    def is_had(self, number: int, part: int) -> bool:
        """Whether the reader had event ``part`` of fact ``number`` before it came back."""
        at = self.position
        return at is not None and not at.is_text and number == at.number and part <= at.part


def head_of(facts: Numbered) -> int:
    """Return the number of the last of ``facts``."""
    return facts[-1][0] if facts else 0


def is_finished(facts: Numbered) -> bool:
    """Whether the run has ended."""
    return bool(facts) and isinstance(facts[-1][1], RunFinished)


def pause_of(facts: Numbered) -> RunPaused | None:
    """Return the pause that the run is in, None while it executes and when it has ended."""
    last = facts[-1][1] if facts else None
    return last if isinstance(last, RunPaused) else None


def beginning(facts: Numbered, position: Position | None, is_snapshot: bool, answered_form_id: str | None) -> Beginning:
    """Return where a reader begins.

    Args:
        facts: every fact of the run so far.
        position: the id that the reader came back with; it counts more than a snapshot.
        is_snapshot: whether it asked for one.
        answered_form_id: the form of the newest accepted answer, if that came through the reader's own surface.

    Raises:
        BadRequestError: the position lies behind everything that has happened.
    """
    head = head_of(facts)
    if position is not None:
        if position.number > head + 1:
            raise BadRequestError("The cursor is not an event id of this run.")
        return Beginning(position.number if position.is_text else max(0, position.number - 1), position)
    if is_snapshot:
        return Beginning(head, is_snapshot=True)
    if pause_of(facts) is None:
        return Beginning(_newest_pause(facts, before=head + 1) or head)
    answered = next(
        (number for number, fact in facts if isinstance(fact, FormSubmitted) and fact.form_id == answered_form_id), None
    )
    if answered is None:
        return Beginning(head)
    # The client sent its answer first and came to listen after: it gets the segment that its answer began.
    return Beginning(_newest_pause(facts, before=answered) or answered - 1)


def _newest_pause(facts: Numbered, before: int) -> int | None:
    return next(
        (number for number, fact in reversed(facts) if number < before and isinstance(fact, RunPaused)),
        None,
    )
