"""How HITL actors share the forms out, and which of them is asked."""

import asyncio
from collections import Counter
from typing import Any

import pytest
import uuid_utils

from actors import forms as forms_module
from actors.errors import ActorAwayError
from actors.forms import FormsClient
from actors.hitl_parts import HitlPart, hitl_actor_of, hitl_parts, part_number
from actors.messages import FormOrder, SubmitOrder
from graph.ports import FormRequest, OpenedForm
from hitl.surface import Surface

Call = tuple[str, str, tuple[Any, ...]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Which actor was called, and with what; opening gives the form that the order names."""
    made: list[Call] = []

    async def ask(actor: str, method: str, *args: Any, **options: Any) -> Any:
        made.append((actor, method, args))
        if options.get("patience_s") == 0.0:
            raise ActorAwayError(actor)
        return OpenedForm(args[0].form_id, 0.0, False) if method == "open_form" else None

    monkeypatch.setattr(forms_module, "ask", ask)
    return made


def order(form_id: str = "") -> FormOrder:
    """An order of a form."""
    request = FormRequest("run", "human", "execution", "Human", "Well?", [], [], {}, [], 60.0)
    return FormOrder(request, "workspace", "app", "service-api", None, form_id=form_id)


def test_only_actor_keeps_its_name_and_everything():
    """With one actor nothing is divided."""
    assert hitl_parts(1) == [HitlPart(0, 1)]
    assert HitlPart().actor == "hitl-actor"
    assert hitl_actor_of("whatever", 1) == "hitl-actor"
    assert HitlPart().holds("\ud800")


def test_every_form_belongs_to_exactly_one_of_several():
    """The parts cover the forms, do not overlap, and are of about the same size."""
    parts = hitl_parts(3)
    assert [part.actor for part in parts] == ["hitl-actor-0", "hitl-actor-1", "hitl-actor-2"]
    owners = Counter[str]()
    for _ in range(3000):
        form_id = str(uuid_utils.uuid7())
        holders = [part.actor for part in parts if part.holds(form_id)]
        assert holders == [hitl_actor_of(form_id, 3)]
        owners.update(holders)
    assert all(800 < count < 1200 for count in owners.values())


def test_division_is_the_same_in_every_process():
    """The number of a part depends on the id alone: never on a seed, a version or a machine."""
    ids = ("01890000-0000-7000-8000-000000000000", "01890000-0000-7000-8000-000000000001", "form", "")
    assert [part_number(form_id, 3) for form_id in ids] == [2, 1, 1, 0]


async def test_form_is_opened_where_its_id_belongs(calls: list[Call]):
    """The id is minted before the call, and forms come to all of the actors."""
    client = FormsClient(3)
    opened = await asyncio.gather(*(client.open_form(order()) for _ in range(60)))
    assert len({form.form_id for form in opened}) == 60
    assert [actor for actor, _, _ in calls] == [hitl_actor_of(form.form_id, 3) for form in opened]
    assert {actor for actor, _, _ in calls} == {part.actor for part in hitl_parts(3)}


async def test_calls_about_a_form_or_run_go_where_it_belongs(calls: list[Call]):
    """Submitting, showing, revoking and re-issuing go by form id, stopping by run id."""
    client = FormsClient(3)
    form_id, run_id = str(uuid_utils.uuid7()), str(uuid_utils.uuid7())
    await client.open_form(order(form_id))
    await client.submit(SubmitOrder(form_id, None, 0, "approve", {}, "python"))
    await client.disposition(form_id, Surface.WEB)
    await client.revoke(form_id, "recipient")
    await client.reissue(form_id, "recipient")
    assert {actor for actor, _, _ in calls} == {hitl_actor_of(form_id, 3)}
    calls.clear()
    await client.stop(run_id, "enough")
    assert [(actor, method) for actor, method, _ in calls] == [(hitl_actor_of(run_id, 3), "stop")]


async def test_repeated_answer_goes_to_the_same_actor_and_says_so(calls: list[Call]):
    """An answer of which no word came back is given again, marked as a repetition."""
    await FormsClient(2).submit(SubmitOrder("form", None, 0, "approve", {}, "python"))
    assert [(actor, args[0].is_repeated) for actor, _, args in calls] == [
        (hitl_actor_of("form", 2), False),
        (hitl_actor_of("form", 2), True),
    ]
