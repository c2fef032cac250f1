"""What text of a run one reader has: told while its node was in flight, or when it was durable, or taken back.

Positions: event *k* of fact *n* has the id ``n.k``, counted from 1; text of a node in flight after fact *n* has the id
``n.<attempt>.<characters told>``. Two readers of one run get the same id for the same event, wherever they began.

Source: spec/http.md 4.4 and 4.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from graph.events import RunRecovered, TextEmitted, TextPart
from surfaces import event_shapes as shapes
from surfaces.event_shapes import JsonObject, RunLabel


@dataclass(frozen=True, slots=True)
class Told:
    """One event as a reader gets it. ``position``: its id, "" where it has none of its own."""

    event: JsonObject
    position: str = ""


class ToldText:
    """The text of one run for one reader."""

    def __init__(self, label: RunLabel) -> None:
        """Begin before any text of the run that ``label`` describes."""
        self._label = label
        self._durable: list[str] = []
        self._told: dict[str, int] = {}
        """Stream -> characters told before its text was durable."""
        self._attempt = 1
        self._earlier_told = 0
        """Characters of the stream in flight that the reader had before it reconnected."""
        self._is_withdrawn = False
        """Whether text was taken back: what was told before that counts for nothing, also where others counted it."""

    @property
    def durable(self) -> str:
        """The text that is in the journal."""
        return "".join(self._durable)

    def observe(self, fact: TextEmitted | RunRecovered) -> None:
        """Take up ``fact`` without telling it."""
        if isinstance(fact, RunRecovered):
            self._attempt = max(self._attempt, fact.attempt)
        else:
            self._durable.append(shapes.text_of(fact))
            self._told.pop(fact.stream, None)

    def begin_at(self, attempt: int, offset: int) -> None:
        """Say how much text in flight the reader had when it left, from the id that it came back with."""
        self._earlier_told = offset
        self._attempt = attempt or self._attempt

    def emitted(self, number: int, fact: TextEmitted, told: int) -> list[Told]:
        """Return the events for text that is durable now, without what the reader has already.

        Args:
            number: the fact's number in the journal.
            fact: the fact; ``observe`` is still to be called.
            told: how many of its characters this reader was given as parts, as far as the caller knows.
        """
        skip = self._told_of(fact.stream) if fact.stream else 0
        if not self._is_withdrawn:
            skip = max(skip, told)
        if skip and skip >= len(shapes.text_of(fact)):
            return []
        events = []
        for part, text in enumerate(fact.texts, 1):
            rest, skip = text[skip:], max(0, skip - len(text))
            if rest or not (text or fact.stream):
                events.append(Told(shapes.text_event(self._label, rest, fact.selector), f"{number}.{part}"))
        return events

    def part(self, part: TextPart, head: int) -> list[Told]:
        """Return the events for text of a node in flight after fact ``head``, without what the reader has already."""
        if part.attempt < self._attempt:
            return []
        events = self.withdrawn() if part.attempt > self._attempt else []
        self._attempt = part.attempt
        told = self._told_of(part.stream)
        fresh = part.text[max(0, told - part.offset) :]
        if told > part.offset and not fresh:
            return events
        end = part.offset + len(part.text)
        self._told[part.stream] = end
        chunk = shapes.text_event(self._label, fresh, part.selector)
        events.append(Told(chunk, f"{head}.{part.attempt}.{end}"))
        return events

    def recovered(self, fact: RunRecovered) -> list[Told]:
        """Return the events for a run that goes on elsewhere: text in flight was lost with its run actor."""
        return self.withdrawn() if fact.attempt > self._attempt else []

    def withdrawn(self, streams: Sequence[str] | None = None) -> list[Told]:
        """Take back text in flight that is void: the reader gets what is durable.

        Args:
            streams: those of an attempt that failed; None for all, which were lost with their run actor.
        """
        void = list(self._told) if streams is None else streams
        if not self._earlier_told and not any(self._told.get(stream) for stream in void):
            return []
        for stream in void:
            self._told.pop(stream, None)
        self._earlier_told = 0
        self._is_withdrawn = self._is_withdrawn or streams is None
        return [Told(shapes.replace_event(self._label, self.durable))]

    def _told_of(self, stream: str) -> int:
        if stream not in self._told and self._earlier_told:
            # The id that a reader comes back with names no stream; the first to speak is the one it had heard.
            self._told[stream], self._earlier_told = self._earlier_told, 0
        return self._told.get(stream, 0)
