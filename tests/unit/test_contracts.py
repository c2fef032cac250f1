"""What crosses processes is understood by the version before and by the next one."""

import copyreg
import json
import pickle
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import ray.cloudpickle
from pydantic import BaseModel

import crossing
import factories as f
from actors import calls
from actors.contracts import crosses, put_together
from actors.errors import ActorAwayError
from actors.messages import FormOrder, RunOrder, TailBatch
from graph.errors import SnapshotVersionError
from graph.events import _KINDS, FACTS_VERSION, decode_facts
from graph.human_rules import AppRules, Webhook
from graph.ports import FormRequest
from graph.run_state import RunState
from graph.snapshot import SNAPSHOT_VERSION, dump_state
from run_on_stage import graph

RELEASED = Path(__file__).parent.parent / "released"
SHAPES = sorted(RELEASED.glob("*/contracts.json"))


@pytest.fixture(params=SHAPES, ids=lambda path: path.parent.name)
def shapes(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a released version sends and takes."""
    return json.loads(request.param.read_text())


def test_values_cross_by_the_names_of_their_fields():
    """Every dataclass and model that an actor takes or gives is registered to."""
    missing = [crossing.name_of(kind) for kind in crossing.kinds() if kind not in copyreg.dispatch_table]
    assert missing == [], "name them in crosses(…), as in actors/messages.py"


def test_methods_of_a_released_version_are_there_with_their_arguments(shapes):
    """A caller of the version before finds each method that it knows, and a new argument would be unknown to it."""
    methods = crossing.methods()
    assert {name: methods.get(name) for name in shapes["methods"]} == shapes["methods"]


def test_values_of_a_released_version_can_be_read(shapes):
    """What it sends has every field that must be there now, and what is sent now every field that it needs."""
    kinds = {crossing.name_of(kind): crossing.fields_of(kind) for kind in crossing.kinds()}
    for name, before in shapes["kinds"].items():
        assert name in kinds, f"{name} is gone or elsewhere: the other version looks for it under this name"
        new = [field for field, is_needed in kinds[name].items() if is_needed and field not in before]
        gone = [field for field, is_needed in before.items() if is_needed and field not in kinds[name]]
        assert (new, gone) == ([], []), f"{name}: a new field needs a default, and one without stays"


def test_facts_of_a_released_version_can_be_read(shapes):
    """Facts are rows of fields in order: the old fields come first, and a change raises the version."""
    now = {name: [each.name for each in fields(kind)] for name, kind in _KINDS.items()}
    for name, before in shapes["facts"]["kinds"].items():
        assert now[name][: len(before)] == before, name
    if shapes["facts"]["version"] == FACTS_VERSION:
        assert now == shapes["facts"]["kinds"], "facts have changed: raise FACTS_VERSION, or N-1 fails without a word"


def test_snapshot_of_a_released_version_has_the_same_parts(shapes):
    """A change of what a snapshot holds raises its version."""
    parts = sorted(json.loads(dump_state(RunState(graph([f.start()], [])))))
    if shapes["snapshot"]["version"] == SNAPSHOT_VERSION:
        assert parts == shapes["snapshot"]["parts"], "snapshots have changed: raise SNAPSHOT_VERSION"


def test_facts_without_their_last_fields_are_read_with_defaults():
    """So the version before wrote them, before the fields were there."""
    (fact,) = decode_facts(b'[1,[["RunStarted",1.0,{"a":1},{}]]]')
    assert (fact.inputs, fact.conversation) == ({"a": 1}, {})


def test_facts_of_a_newer_version_are_refused():
    """Whoever reads them says so, instead of guessing what the new fields mean."""
    with pytest.raises(SnapshotVersionError) as caught:
        decode_facts(b'[2,[["RunStarted",1.0,{},{},{},"new"]]]')
    assert (caught.value.found, caught.value.known) == (2, FACTS_VERSION)


def test_value_of_another_version_is_read():
    """A field that is not known here is left out, one that is not given takes its default."""
    order = put_together(RunOrder, ("run", "colour"), ("a run", "red"))
    assert (order.run, order.system, order.message) == ("a run", {}, None)
    rules = put_together(AppRules, ("colour",), ("red",))
    assert rules == AppRules()


def test_values_are_the_same_after_they_crossed():
    """By Ray's pickler as by Python's own."""
    hook = Webhook(url="https://hooks.example", events=["run.paused"], secret_env="GREENROOM_WEBHOOK_A")
    request = FormRequest("r", "n", "e", "Title", "?", [], [], {}, [], 60.0)
    order = FormOrder(request, "w", "a", "service-api", None, app_rules=AppRules(webhooks=[hook]))
    batch = TailBatch([(1, fact) for fact in decode_facts(b'[1,[["RunResumed",1.0]]]')])
    for value in (order, batch):
        assert pickle.loads(pickle.dumps(value)) == value
        assert ray.cloudpickle.loads(ray.cloudpickle.dumps(value)) == value
        assert b"put_together" in ray.cloudpickle.dumps(value)


def test_field_that_must_be_given_is_missed():
    """That is why a new field needs a default."""

    @dataclass(frozen=True, slots=True)
    class Newer:
        """A value with a field that the version before does not send."""

        first: int
        second: int

    crosses(Newer)
    with pytest.raises(TypeError, match="second"):
        put_together(Newer, ("first",), (1,))


class Older:
    """A handle of an actor that does not know the method."""


class Newer:
    """A handle of the actor that has replaced it."""

    class drain:
        """Its method."""

        @staticmethod
        async def remote() -> str:
            """Answer."""
            return "drained"


async def test_method_that_an_actor_does_not_know_yet_is_asked_for_again(monkeypatch: pytest.MonkeyPatch):
    """The actor is about to be replaced; one way, the call is lost like any other."""
    handles = iter([Older(), Older(), Newer()])
    monkeypatch.setattr(calls, "find", lambda _: next(handles))
    calls.tell("an-actor", "drain")
    assert await calls.ask("an-actor", "drain", patience_s=60.0) == "drained"
    monkeypatch.setattr(calls, "find", lambda _: Older())
    with pytest.raises(ActorAwayError):
        await calls.ask("an-actor", "drain", patience_s=0.0)


def test_models_of_the_files_are_known_by_their_fields():
    """Models as dataclasses."""

    class Rules(BaseModel):
        """A model with a default."""

        first: int
        second: int = 2

    assert crossing.fields_of(Rules) == {"first": True, "second": False}
    assert put_together(Rules, ("first",), (1,)) == Rules(first=1)
