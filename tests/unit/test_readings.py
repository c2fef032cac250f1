"""Readings are noted: at once where that is possible, else as soon as it is."""

import asyncio
from dataclasses import dataclass, field

import pytest

from actors import readings
from actors.errors import ActorAwayError, ReadingsFullError
from actors.forms import FormsClient
from actors.readings import Readings
from hitl.errors import FormNotFoundError
from store.form_record import Submitter

ANN, BOB = Submitter("ann", via="console"), Submitter("bob", via="console")


@dataclass
class Audit:
    """Notes readings. ``failures``: what the next calls raise; ``is_hanging``: whether they never end."""

    failures: list[Exception] = field(default_factory=list)
    is_hanging: bool = False
    noted: list[tuple[str, str | None, float | None]] = field(default_factory=list)
    calls: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def note(self, form_id: str, by: Submitter, at: float | None) -> None:
        """Note a reading."""
        self.calls += 1
        if self.is_hanging:
            await asyncio.Event().wait()
        if self.failures:
            raise self.failures.pop(0)
        self.noted.append((form_id, by.account_id, at))
        self.changed.set()


async def test_reading_is_noted_on_return() -> None:
    """Where nothing is in the way it is durable when the reader gets the form, as of now."""
    audit = Audit()
    await Readings(audit.note).add("f", ANN)
    assert audit.noted == [("f", "ann", None)]


async def test_reading_is_noted_later_with_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader does not wait for whoever is away; what is noted afterwards says when it was."""
    monkeypatch.setattr(readings.time, "time", lambda: 1234.0)
    audit = Audit([ActorAwayError("hitl-actor")] * 3)
    await Readings(audit.note, first_delay_s=0.001).add("f", ANN, patience_s=0.0)
    assert audit.noted == []
    await asyncio.wait_for(audit.changed.wait(), 30)
    assert (audit.noted, audit.calls) == ([("f", "ann", 1234.0)], 4)


async def test_reader_does_not_wait_for_a_call_that_hangs() -> None:
    """A process that was stopped answers nothing, and keeps nobody from a form; asked again there is still one call."""
    audit = Audit(is_hanging=True)
    noting = Readings(audit.note)
    for _ in range(3):
        await noting.add("f", ANN, patience_s=0.01)
    await noting.add("f", BOB, patience_s=0.01)
    assert (audit.calls, audit.noted) == (2, [])


async def test_refusal_reaches_the_reader() -> None:
    """What is no matter of time is told at once."""
    audit = Audit([FormNotFoundError()])
    with pytest.raises(FormNotFoundError):
        await Readings(audit.note).add("f", ANN)
    await Readings(audit.note).add("f", ANN)
    assert audit.noted == [("f", "ann", None)]


async def test_form_is_not_shown_when_its_reading_could_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """When too many wait to be noted the next reader is refused; one that waits already is not."""
    monkeypatch.setattr(readings, "MOST", 1)
    noting = Readings(Audit(is_hanging=True).note)
    await noting.add("f", ANN, patience_s=0.0)
    await noting.add("f", ANN, patience_s=0.0)
    with pytest.raises(ReadingsFullError):
        await noting.add("f", BOB, patience_s=0.0)


async def test_reading_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be noted for an hour is logged, and its place is free again."""
    monkeypatch.setattr(readings, "KEEP_S", -1.0)
    monkeypatch.setattr(readings, "MOST", 1)
    audit = Audit([ActorAwayError("hitl-actor")])
    noting = Readings(audit.note)
    await noting.add("f", ANN)
    await noting.add("f", BOB)
    assert audit.noted == [("f", "bob", None)]


async def test_client_calls_the_actor_without_patience() -> None:
    """The first call says nothing of a time, which is now; those that come late do."""
    asked: list[tuple[tuple[object, ...], dict[str, object]]] = []

    class Client(FormsClient):
        async def _ask(self, key: str, method: str, *args: object, **options: object) -> None:
            asked.append(((key, method, *args), options))
            if len(asked) == 1:
                raise ActorAwayError("hitl-actor")

    await Client().viewed("f", ANN)
    first, second = asked
    assert first == (("f", "viewed", "f", ANN), {"patience_s": 0.0})
    assert second[0][:4] == first[0] and isinstance(second[0][4], float)
