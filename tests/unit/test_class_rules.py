"""Rules for our classes, found by importing all packages: errors cross process borders, secrets stay out of reprs."""

import dataclasses
import inspect
import pickle
import re
import sys
import types
import typing
from typing import Any, Literal, get_args, get_origin

import pydantic
import pytest

from graph.errors import DefectError, GreenroomError, NodeError, RefusedError, UnavailableError
from project_classes import ALL_CLASSES, ERRORS

FAMILIES = (RefusedError, UnavailableError, DefectError)


SECRET_NAME = re.compile(r"(^|_)(token|api_key|password|token_key)$|^secret$")
HIDDEN_TYPE = re.compile(r"Secret|TokenKey")  # their own repr hides the value


def sample(annotation: Any) -> Any:
    """Return a value of the annotated type; fails for a type that no error has had yet."""
    if isinstance(annotation, types.UnionType) or get_origin(annotation) is typing.Union:
        return sample(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    origin = get_origin(annotation) or annotation
    if origin is tuple:
        return tuple(sample(part) for part in get_args(annotation) if part is not Ellipsis)
    if origin in (list, set, frozenset):
        return origin([sample(part) for part in get_args(annotation)])
    samples = {str: "a name", int: 7, float: 2.5, bool: True, bytes: b"bytes", dict: {}, Any: "a name"}
    return samples.get(origin, "a name") if inspect.isclass(origin) or origin is Any else "a name"


def instance(error_class: type[GreenroomError]) -> GreenroomError:
    """Make an error with a sample for each field."""
    if error_class.__init__ is Exception.__init__:
        return error_class()
    parameters = inspect.signature(error_class).parameters.values()
    assert not [p for p in parameters if p.kind is p.KEYWORD_ONLY], f"{error_class}: fields are positional"
    return error_class(*(sample(p.annotation) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD))


@pytest.mark.parametrize("error_class", ERRORS, ids=lambda c: c.__name__)
def test_error_survives_pickle(error_class: type[GreenroomError]) -> None:
    """An error arrives on the other side of a process border with its class, text and attributes."""
    error = instance(error_class)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is error_class
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda c: c.__name__)
@pytest.mark.parametrize("change", ["class", "fields", "module"])
def test_error_of_another_version_arrives_as_its_family(
    family: type[GreenroomError], change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its class is not known, or made from other fields, code, text and family are; also one process further."""
    module = types.ModuleType("newer_errors")

    class NewerError(family):
        code = "newer"

        def __init__(self, form_id: str) -> None:
            super().__init__(form_id)
            self.form_id = form_id

        def __str__(self) -> str:
            return f"newer, form_id={self.form_id}"

    NewerError.__module__, NewerError.__qualname__ = "newer_errors", "NewerError"
    module.__dict__["NewerError"] = NewerError
    monkeypatch.setitem(sys.modules, "newer_errors", module)
    crossing = pickle.dumps(NewerError("f"))
    assert type(pickle.loads(crossing)) is NewerError
    match change:
        case "class":
            monkeypatch.delattr(module, "NewerError")
        case "fields":
            monkeypatch.setattr(NewerError, "__init__", lambda self: None)
        case "module":
            monkeypatch.delitem(sys.modules, "newer_errors")
    for _ in range(2):
        error = pickle.loads(crossing)
        assert isinstance(error, family)
        assert (error.code, str(error), error.retryable) == ("newer", "newer, form_id=f", family.retryable)
        crossing = pickle.dumps(error)


def test_error_with_a_field_that_cannot_cross_arrives_as_its_family() -> None:
    """Better less of it than an error of the pickler."""
    error = NodeError("bad", outputs={"x": lambda: None})
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, RefusedError)
    assert (copy.code, str(copy)) == ("node_failed", "bad")


@pytest.mark.parametrize("error_class", ERRORS, ids=lambda c: c.__name__)
def test_error_belongs_to_a_family(error_class: type[GreenroomError]) -> None:
    """Every error says by its family what the caller does next, and by its docstring who can fix it."""
    assert error_class is GreenroomError or issubclass(error_class, FAMILIES)
    assert inspect.getdoc(error_class)
    assert error_class.code == error_class.code.lower()
    if issubclass(error_class, UnavailableError):
        assert error_class.retryable


def test_error_names_are_unique() -> None:
    """Each error name exists once in the project."""
    names = [error_class.__name__ for error_class in ERRORS]
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})


def shown_secrets(cls: type) -> list[str]:
    """Names of the fields of ``cls`` that sound secret and appear in its repr."""
    if issubclass(cls, pydantic.BaseModel):
        fields = cls.model_fields.items()
        shown = [(name, field.annotation) for name, field in fields if field.repr]
    elif dataclasses.is_dataclass(cls) and "__repr__" in vars(cls):
        shown = [(field.name, field.type) for field in dataclasses.fields(cls) if field.repr]
    else:
        shown = []
    return [name for name, kind in shown if SECRET_NAME.search(name) and not HIDDEN_TYPE.search(str(kind))]


@pytest.mark.parametrize("cls", [c for c in ALL_CLASSES if not issubclass(c, GreenroomError)], ids=lambda c: c.__name__)
def test_repr_shows_no_secret(cls: type) -> None:
    """A field that holds a token, key or password stays out of the repr of its class."""
    assert not shown_secrets(cls)
