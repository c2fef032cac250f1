"""Where a reader begins who comes to a run that exists."""

import pytest

from actors.messages import Cursor
from graph.events import Fact, FormSubmitted, RunFinished, RunPaused, RunResumed, RunStarted
from surfaces.errors import BadRequestError
from surfaces.reconnect import Beginning, beginning, is_finished, pause_of
from surfaces.sse import Position, parse_position

RUN_STARTED = RunStarted(0.0, {}, {})
PAUSED = RunPaused(1.0, ["F"], {}, 0.1, 0, 2)
RESUMED = RunResumed(2.0)
ANSWERED = FormSubmitted(2.0, "hi1", "E", "F", "ok", "OK", {}, "", True)
END = RunFinished(3.0, "succeeded", {}, None, 0.2, 0, 3, 0)


def facts(*kinds: Fact) -> list[tuple[int, Fact]]:
    """Return ``kinds`` with their numbers."""
    return list(enumerate(kinds, 1))


RUNNING = facts(RUN_STARTED)
WAITING = facts(RUN_STARTED, PAUSED)
GOING_ON = facts(RUN_STARTED, PAUSED, RESUMED, ANSWERED)
WAITING_AGAIN = facts(RUN_STARTED, PAUSED, RESUMED, ANSWERED, PAUSED)


@pytest.mark.parametrize(
    ("so_far", "answered", "after"),
    [
        (RUNNING, None, 1),
        (GOING_ON, None, 2),
        (GOING_ON, "F", 2),
        (WAITING, None, 2),
        (WAITING, "F", 2),
        (WAITING_AGAIN, None, 5),
        (WAITING_AGAIN, "F", 2),
    ],
    ids=["live", "after-pause", "after-pause-answered", "waiting", "not-taken-up", "elsewhere", "own-answer"],
)
def test_reader_without_snapshot_begins(so_far: list[tuple[int, Fact]], answered: str | None, after: int) -> None:
    """A run is followed live, from its newest pause, or from the segment that the reader's own answer began."""
    assert beginning(so_far, None, False, answered) == Beginning(after)


def test_snapshot_covers_everything_so_far() -> None:
    """With a snapshot the reader follows from the newest fact."""
    assert beginning(WAITING, None, True, "F") == Beginning(2, is_snapshot=True)


@pytest.mark.parametrize(
    ("text", "cursor"),
    [("0", Cursor(0)), ("2.1", Cursor(1)), ("3.0", Cursor(2)), ("1.1.7", Cursor(1, 1, 7)), ("6.0", Cursor(5))],
)
def test_id_counts_more_than_a_snapshot(text: str, cursor: Cursor) -> None:
    """A reader that comes back with an id goes on exactly there."""
    start = beginning(WAITING_AGAIN, parse_position(text), True, "F")
    assert (start.cursor, start.is_snapshot) == (cursor, False)


def test_events_that_the_reader_had_are_known_by_their_part() -> None:
    """Of the fact that its id names the reader had the events up to that part."""
    start = beginning(WAITING, Position(2, part=1), False, None)
    assert [start.is_had(2, 1), start.is_had(2, 2), start.is_had(3, 1)] == [True, False, False]


def test_id_from_the_future_is_refused() -> None:
    """An id behind everything that has happened belongs to another run."""
    with pytest.raises(BadRequestError):
        beginning(WAITING, Position(4), False, None)


def test_status_is_read_from_the_last_fact() -> None:
    """A run is paused exactly when its last fact is a pause, and finished when it is the end."""
    assert pause_of(WAITING) is PAUSED
    assert pause_of(GOING_ON) is None
    assert is_finished([*GOING_ON, (5, END)])
    assert not is_finished(GOING_ON)
    assert not is_finished([])
