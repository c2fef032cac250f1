"""What crosses the processes of Greenroom, found by the types of the methods that its actors have."""

import inspect
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from actors.courier import Courier
from actors.event_hub import EventHub
from actors.hitl_actor import HitlActor
from actors.run_actor import RunActor
from actors.run_supervisor import RunSupervisor

ACTORS = (Courier, EventHub, HitlActor, RunActor, RunSupervisor)


def methods() -> dict[str, list[str]]:
    """Return the methods of the actors, each with the names of its arguments."""
    return {
        f"{actor.__name__}.{name}": list(inspect.signature(method).parameters)[1:]
        for actor in ACTORS
        for name, method in _methods(actor)
    }


def kinds() -> list[type]:
    """Return the dataclasses and models that the methods take and give, with those inside of them."""
    found: dict[type, None] = {}
    for actor in ACTORS:
        for _, method in _methods(actor):
            for hint in get_type_hints(method).values():
                _collect(hint, found)
    return sorted(found, key=name_of)


def fields_of(kind: type) -> dict[str, bool]:
    """Return the fields of a dataclass or model, and whether a value must give them."""
    if issubclass(kind, BaseModel):
        return {name: field.is_required() for name, field in kind.model_fields.items()}
    return {each.name: each.default is MISSING and each.default_factory is MISSING for each in fields(kind)}


def name_of(kind: type) -> str:
    """Return the name under which a receiving process looks for a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _methods(actor: type) -> list[tuple[str, Any]]:
    return [(name, each) for name, each in vars(actor).items() if inspect.isfunction(each) and not name.startswith("_")]


def _collect(hint: Any, found: dict[type, None]) -> None:
    if get_origin(hint) is not None or isinstance(hint, types.UnionType):
        for part in get_args(hint):
            _collect(part, found)
    elif isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, BaseModel)) and hint not in found:
        found[hint] = None
        for part in get_type_hints(hint).values():
            _collect(part, found)
