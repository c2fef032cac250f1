"""What people of a campaign make of what they are shown, and what its checker makes of them."""

import time
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from campaign.checker import Found, violations
from campaign.people import Person, Report, Transcript
from campaign.workflows import apps
from hitl.form import FormStatus
from surface_world import World, make_world

PATIENCE_S = 60.0


async def found_of(world: World, run_id: str) -> Found:
    """Return what the database holds of a run."""
    record = await world.ports.journal.get(run_id)
    assert record is not None
    return Found(record, await world.ports.journal.read(run_id), await world.ports.forms.by_run(run_id))


def person_in(world: World, report: Report) -> Person:
    """Return a person whose requests reach ``world`` in this process."""
    transport = httpx2.ASGITransport(app=world.app)
    return Person(0, 0, "http://testserver", {"pair": world.key}, report, transport)


async def test_person_answers_no_form_that_has_ended() -> None:
    """Who comes to a pause after the run was stopped is shown its forms without tokens, and asks nobody about them."""
    world, report = await make_world(apps("http://127.0.0.1:9")["pair"]), Report()
    person = person_in(world, report)
    seen = await person._start()
    assert seen is not None
    await world.runs.settle()
    await world.runs.stop(seen.run_id, "Stopped by user.")
    await world.runs.settle()
    await person._see_through(seen, time.monotonic() + PATIENCE_S)
    found = await found_of(world, seen.run_id)
    assert (len(seen.tokenless), seen.answers, found.record.status) == (2, [], "stopped")
    assert violations(report, {seen.run_id: found}, [], []) == []


@pytest.mark.parametrize("changes", [{"status": FormStatus.WAITING}, {"status": FormStatus.SUBMITTED}])
async def test_checker_notices_a_form_whose_token_nobody_got(changes: dict[str, Any]) -> None:
    """A form that waits, or was answered although its only reader had no token, is a violation."""
    world = await make_world(apps("http://127.0.0.1:9")["pair"])
    seen = await person_in(world, Report())._start()
    assert isinstance(seen, Transcript)
    await world.runs.settle()
    found = await found_of(world, seen.run_id)
    form = replace(found.forms[0], **changes)
    seen.tokenless.append(form.form_id)
    wrong = violations(Report([seen]), {seen.run_id: Found(found.record, found.facts, [form])}, [], [])
    assert any("never shown with its token" in text for text in wrong)
