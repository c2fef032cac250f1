"""What a segment of a run has told, in memory, and where one reader of a run is.

A segment is what a run executes between a start, resume or recovery and the next pause or end. Nothing here is
durable: facts are in the journal, text in flight is told again when its node runs again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from actors.messages import Cursor, TailBatch
from graph.events import Fact, RunFinished, RunPaused, RunRecovered, TextEmitted, TextPart, TextWithdrawn

_ALL = 1 << 62
"""More characters than any text has."""


@dataclass(slots=True)
class TailPlace:
    """How far one reader of a SegmentTail is. ``covered``: stream -> leading characters it has already."""

    cursor: Cursor
    index: int = 0
    covered: dict[str, int] = field(default_factory=dict)
    is_cursor_used: bool = False

    def admit(self, part: TextPart) -> TextPart | None:
        """Return what of ``part`` is new to the reader, None if nothing is."""
        if not self.is_cursor_used and part.attempt == self.cursor.attempt and part.stream not in self.covered:
            # The offset of a cursor belongs to the stream that was in flight, the first that is not durable yet.
            self.covered[part.stream] = self.cursor.offset
            self.is_cursor_used = True
        known = self.covered.get(part.stream, 0) - part.offset
        if known <= 0:
            return part
        return replace(part, offset=part.offset + known, text=part.text[known:]) if known < len(part.text) else None


class SegmentTail:
    """Everything one segment has told, in order; readers come late, wait for more, and leave as they like."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._entries: list[tuple[int, Fact] | TextPart] = []
        self._changed = asyncio.Event()
        self._is_closed = False

    def add_facts(self, numbered: Sequence[tuple[int, Fact]]) -> None:
        """Tell durable facts with their numbers."""
        self._entries.extend(numbered)
        self._wake()

    def add_part(self, part: TextPart) -> None:
        """Tell text of a node in flight."""
        self._entries.append(part)
        self._wake()

    def close(self) -> None:
        """End the segment: readers get what is left and the end."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def attach(self, cursor: Cursor) -> TailPlace:
        """Return a place from which ``next`` gives what comes after ``cursor`` in this segment."""
        place = TailPlace(cursor)
        for entry in self._entries:
            if isinstance(entry, TextPart):
                continue
            number, fact = entry
            if number > cursor.number:
                break
            if isinstance(fact, TextWithdrawn):
                place.covered.update(dict.fromkeys(fact.streams, _ALL))
            elif isinstance(fact, TextEmitted) and fact.stream:
                place.covered[fact.stream] = place.covered.get(fact.stream, 0) + _length(fact)
        return place

    async def next(self, place: TailPlace) -> TailBatch:
        """Return what comes next at ``place``; waits until there is something, or the end."""
        while True:
            changed = self._changed
            batch = self._collect(place)
            if batch is not None:
                return batch
            await changed.wait()

    def _collect(self, place: TailPlace) -> TailBatch | None:
        """Take entries: facts, then the parts after them; None when there are none and the segment goes on."""
        facts: list[tuple[int, Fact]] = []
        parts: list[TextPart] = []
        while place.index < len(self._entries):
            entry = self._entries[place.index]
            if isinstance(entry, TextPart):
                part = place.admit(entry)
                if part is not None:
                    parts.append(part)
            elif entry[0] > place.cursor.number:
                if parts:
                    break
                facts.append(entry)
            place.index += 1
        is_end = self._is_closed and place.index == len(self._entries)
        return TailBatch(facts, parts, is_end) if facts or parts or is_end else None


class Reader:
    """Where one reader of a run is, across journal, tails and actors; it gets each fact once, in order."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._told: dict[str, int] = {}
        self.is_finished = False
        """Whether the reader has the run's last fact."""
        self.is_paused = False
        """Whether the last fact it was given is a pause."""

    @property
    def cursor(self) -> Cursor:
        """What to attach to a tail with."""
        return self._cursor

    def has_gap(self, batch: TailBatch) -> bool:
        """Whether facts are missing between what the reader has and ``batch``: they are in the journal."""
        return bool(batch.facts) and batch.facts[0][0] > self._cursor.number + 1

    def take_facts(self, numbered: Sequence[tuple[int, Fact]]) -> TailBatch:
        """Take facts from the journal; see ``take``."""
        return self.take(TailBatch(list(numbered)))

    def take(self, batch: TailBatch) -> TailBatch:
        """Return what of ``batch`` is new to the reader, with how much of each text it was told before."""
        facts, told = [], {}
        for number, fact in batch.facts:
            if number <= self._cursor.number:
                continue
            facts.append((number, fact))
            self._pass(number, fact, told)
        for part in batch.parts:
            self._told[part.stream] = part.offset + len(part.text)
            self._cursor = Cursor(self._cursor.number, part.attempt, self._told[part.stream])
        return TailBatch(facts, batch.parts, batch.is_end, told)

    def _pass(self, number: int, fact: Fact, told: dict[int, int]) -> None:
        cursor = self._cursor
        attempt, offset = cursor.attempt, cursor.offset
        self.is_finished = isinstance(fact, RunFinished)
        self.is_paused = isinstance(fact, RunPaused)
        if isinstance(fact, RunRecovered):
            # What was told of nodes in flight is void: they run again.
            self._told.clear()
            offset = 0
        elif isinstance(fact, TextWithdrawn):
            for stream in fact.streams:
                self._told.pop(stream, None)
            offset = 0
        elif isinstance(fact, TextEmitted) and fact.stream:
            had = self._told.get(fact.stream, offset if not self._told else 0)
            told[number] = min(had, _length(fact))
            self._told[fact.stream] = had - told[number]
            offset = 0
        self._cursor = Cursor(number, attempt, offset)


def _length(fact: TextEmitted) -> int:
    return sum(map(len, fact.texts))
