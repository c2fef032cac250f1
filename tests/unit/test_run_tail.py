"""What readers of a run are told: each fact once and in order, each character of text once."""

import asyncio

from actors.messages import Cursor, TailBatch
from actors.tail import Reader, SegmentTail
from graph.events import Fact, NodeStarted, RunFinished, RunPaused, RunRecovered, RunStarted, TextEmitted, TextPart

STREAM = "llm-execution"


def part(offset: int, text: str, attempt: int = 1) -> TextPart:
    """A part of the text in flight."""
    return TextPart(STREAM, attempt, offset, "llm", ["llm", "text"], text)


def emitted(text: str, stream: str = STREAM) -> TextEmitted:
    """The durable text of a stream."""
    return TextEmitted(1.0, "llm", "e", ["llm", "text"], [text], True, stream)


def begun(number: int) -> tuple[int, Fact]:
    """Any fact."""
    return number, NodeStarted(1.0, "n", "e", number)


async def read(tail: SegmentTail, cursor: Cursor) -> list[TailBatch]:
    """All batches of a closed tail."""
    place, batches = tail.attach(cursor), []
    while not batches or not batches[-1].is_end:
        batches.append(await tail.next(place))
    return batches


def text_of(batches: list[TailBatch]) -> str:
    """What a reader has seen of the text as parts."""
    return "".join(part.text for batch in batches for part in batch.parts)


async def test_parts_come_after_the_facts_that_precede_them():
    """A batch holds facts, then parts; a fact after parts begins another batch."""
    tail = SegmentTail("run")
    tail.add_facts([(1, RunStarted(1.0, {}, {})), begun(2)])
    tail.add_part(part(0, "one"))
    tail.add_facts([(3, emitted("one"))])
    tail.close()
    batches = await read(tail, Cursor())
    assert [[number for number, _ in batch.facts] for batch in batches] == [[1, 2], [3]]
    assert [len(batch.parts) for batch in batches] == [1, 0]
    assert [batch.is_end for batch in batches] == [False, True]


async def test_reader_waits_for_what_comes():
    """A reader that has everything gets the next thing when it is told, and the end when the segment ends."""
    tail = SegmentTail("run")
    place = tail.attach(Cursor())
    waiting = asyncio.create_task(tail.next(place))
    await asyncio.sleep(0)
    assert not waiting.done()
    tail.add_part(part(0, "a"))
    assert text_of([await waiting]) == "a"
    waiting = asyncio.create_task(tail.next(place))
    await asyncio.sleep(0)
    tail.close()
    assert (await waiting).is_end


async def test_late_reader_gets_the_text_so_far_after_the_facts_it_has():
    """Text in flight is told also to a reader that has every fact; what is durable already is not."""
    tail = SegmentTail("run")
    tail.add_facts([begun(1)])
    tail.add_part(part(0, "old"))
    tail.add_facts([(2, emitted("old"))])
    tail.add_part(TextPart("other", 1, 0, "llm2", ["llm2", "text"], "new"))
    tail.add_facts([begun(3)])
    tail.close()
    batches = await read(tail, Cursor(3))
    assert text_of(batches) == "new"
    assert [batch.facts for batch in batches] == [[]]


async def test_cursor_skips_what_the_reader_has_of_the_text_in_flight():
    """The offset counts for the text in flight under the same attempt, and cuts within a part."""
    tail = SegmentTail("run")
    tail.add_facts([begun(1)])
    tail.add_part(part(0, "hello ", attempt=2))
    tail.add_part(part(6, "world", attempt=2))
    tail.close()
    assert text_of(await read(tail, Cursor(1, attempt=2, offset=8))) == "rld"
    assert text_of(await read(tail, Cursor(1, attempt=1, offset=8))) == "hello world"


def test_reader_is_told_how_much_of_a_text_it_had():
    """Durable text that came as parts before is marked with the characters that must not be repeated."""
    reader = Reader(Cursor())
    reader.take(TailBatch([begun(1)], [part(0, "hel"), part(3, "lo")]))
    assert reader.cursor == Cursor(1, 1, 5)
    batch = reader.take_facts([(2, emitted("hello world")), (3, emitted("again", stream=""))])
    assert batch.told == {2: 5}
    assert reader.cursor == Cursor(3, 1, 0)


def test_reader_that_came_back_is_told_how_much_it_had():
    """The offset of the cursor counts for the first streamed text that has become durable meanwhile."""
    reader = Reader(Cursor(1, 1, 4))
    assert reader.take_facts([begun(2), (3, emitted("hello")), (4, emitted("more"))]).told == {3: 4, 4: 0}


def test_text_told_before_a_crash_is_void():
    """After a recovery the durable text counts from its first character."""
    reader = Reader(Cursor())
    reader.take(TailBatch([begun(1)], [part(0, "hel")]))
    batch = reader.take_facts([(2, RunRecovered(1.0, 2, 0.0)), (3, emitted("other"))])
    assert batch.told == {3: 0}


def test_reader_takes_each_fact_once_and_sees_gaps():
    """Facts that a reader has are dropped; missing ones are noticed."""
    reader = Reader(Cursor(2))
    assert reader.has_gap(TailBatch([begun(4)]))
    assert not reader.has_gap(TailBatch([begun(3)]))
    assert not reader.has_gap(TailBatch(parts=[part(0, "x")]))
    assert [number for number, _ in reader.take_facts([begun(1), begun(2), begun(3)]).facts] == [3]


def test_reader_knows_where_the_run_stands():
    """The last fact says whether the run pauses or has ended."""
    reader = Reader(Cursor())
    reader.take_facts([(1, RunPaused(1.0, [], {}, 0.0, 0, 0))])
    assert (reader.is_paused, reader.is_finished) == (True, False)
    reader.take_facts([(2, RunFinished(1.0, "stopped", {}, None, 0.0, 0, 0, 0))])
    assert (reader.is_paused, reader.is_finished) == (False, True)
