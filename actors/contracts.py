"""What holds between processes of this version and of the one before, while one replaces the other.

Values cross by the names of their fields: who does not know a field leaves it out, who is not given one takes its
default. So a new field needs a default, and one that has none stays. A method is never taken away and keeps its
arguments: what it needs besides goes into the value that it is given. Whoever calls a method that an actor does not
know yet waits for that actor's replacement (``calls.ask``).
"""

import copyreg
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any

from pydantic import BaseModel


def crosses(*kinds: type) -> None:
    """Have the values of these dataclasses and models cross processes by the names of their fields."""
    for kind in kinds:
        copyreg.pickle(kind, _taken_apart)


def put_together(kind: type, names: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    """Return a value of ``kind``; fields that it does not have here are left out, missing ones get their defaults.

    The unpickler of the receiving process looks for this function under its name.
    """
    known = field_names(kind)
    given = {name: value for name, value in zip(names, values, strict=True) if name in known}
    return kind.model_construct(**given) if issubclass(kind, BaseModel) else kind(**given)


@cache
def field_names(kind: type) -> tuple[str, ...]:
    """Return the fields of a dataclass or model, in order."""
    return tuple(kind.model_fields) if issubclass(kind, BaseModel) else tuple(each.name for each in fields(kind))


def _taken_apart(value: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    kind = type(value)
    names = field_names(kind)
    return put_together, (kind, names, tuple(getattr(value, name) for name in names))
