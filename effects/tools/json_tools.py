"""Reads and changes JSON texts; names of tools and parameters are those of Dify's JSON tools."""

import json
from itertools import pairwise
from typing import Any

from effects.tools.errors import ToolFailedError, ToolParameterError
from effects.tools.json_path import InvalidPathError, Place, Step, places, read_path
from effects.tools.parameters import Parameters
from graph.ports import ToolMessage


def json_parse(parameters: Parameters) -> list[ToolMessage]:
    """Give the value of a JSON text, or what ``json_filter`` names in it: as text, as json and as ``result``.

    ``content`` (or ``json_string``) holds the text. A path to one value gives the value, to several a list.
    """
    document = parameters.data("content" if parameters.values.get("content") else "json_string")
    if parameters.text("json_filter", ""):
        _, found = _find(parameters, document, "json_filter")
        if not found:
            raise ToolFailedError(parameters.tool, "the path names nothing in the JSON")
        values = [place.value for place in found]
        document = values[0] if len(values) == 1 else values
    text = document if isinstance(document, str) else _dump(parameters, document)
    objects = [document] if isinstance(document, dict) else document if isinstance(document, list) else []
    return [
        ToolMessage("text", text),
        *(ToolMessage("json", each) for each in objects if isinstance(each, dict)),
        ToolMessage("variable", document, "result"),
    ]


def json_delete(parameters: Parameters) -> list[ToolMessage]:
    """Give the JSON text without what ``query`` names."""
    wrapper, found = _find(parameters, parameters.data("content"), "query")
    # From behind, so that the indices of a list stay right.
    for place in reversed(found):
        if isinstance(place.owner, list) or place.key in place.owner:
            del place.owner[place.key]
    return _changed(parameters, wrapper.get("document"))


def json_insert(parameters: Parameters) -> list[ToolMessage]:
    """Give the JSON text with ``new_value`` put in at ``query``.

    A list at that path gets the value at ``index``, by default at its end; any other path is set, with
    ``create_path`` also where objects on the way are missing.
    """
    wrapper, found = _find(parameters, parameters.data("content"), "query")
    if not found and parameters.flag("create_path", False):
        found = _create(parameters, wrapper)
    value = _new_value(parameters, "new_value")
    for place in found:
        held = place.value
        if isinstance(held, list):
            held.insert(parameters.integer("index", len(held)), value)
        elif isinstance(held, dict) and isinstance(value, dict):
            held.update(value)
        else:
            place.owner[place.key] = value
    return _changed(parameters, wrapper["document"])


def json_replace(parameters: Parameters) -> list[ToolMessage]:
    """Give the JSON text with what ``query`` names replaced.

    ``replace_model``: ``pattern`` replaces the text ``replace_pattern`` inside of texts, ``key`` renames the key,
    ``value`` (and by default) puts ``replace_value`` in its place.
    """
    wrapper, found = _find(parameters, parameters.data("content"), "query")
    model = parameters.text("replace_model", "value")
    for place in found:
        if model == "pattern":
            pattern = parameters.text("replace_pattern")
            if isinstance(place.value, str):
                place.owner[place.key] = place.value.replace(pattern, parameters.text("replace_value", ""))
        elif model == "key":
            _rename(place, parameters.text("replace_value"))
        elif model == "value":
            place.owner[place.key] = _new_value(parameters, "replace_value")
        else:
            raise ToolParameterError(parameters.tool, f"replace_model cannot be {model!r}")
    return _changed(parameters, wrapper["document"])


def _find(parameters: Parameters, document: Any, query: str) -> tuple[Any, list[Place]]:
    try:
        return places(document, read_path(parameters.text(query)))
    except InvalidPathError as error:
        raise ToolParameterError(parameters.tool, str(error)) from None


def _create(parameters: Parameters, wrapper: Any) -> list[Place]:
    """Make the objects on the way to the path and return its place, holding None."""
    steps = (Step("document"), *read_path(parameters.text("query")))
    owner = wrapper
    for step, following in pairwise(steps):
        if not isinstance(owner, dict) or not isinstance(step.key, str) or not isinstance(following.key, str):
            raise ToolParameterError(parameters.tool, "only a path of plain names can be created")
        if not isinstance(owner.get(step.key), dict):
            owner[step.key] = {}
        owner = owner[step.key]
    last = steps[-1].key
    assert isinstance(last, str)
    owner[last] = None
    return [Place(owner, last)]


def _rename(place: Place, name: str) -> None:
    """Give a key of an object another name, at its place among the others."""
    if isinstance(place.owner, dict) and place.key in place.owner:
        items = [(name if key == place.key else key, value) for key, value in place.owner.items()]
        place.owner.clear()
        place.owner.update(items)


def _new_value(parameters: Parameters, name: str) -> Any:
    return parameters.data(name) if parameters.flag("value_decode", False) else parameters.values.get(name, "")


def _changed(parameters: Parameters, document: Any) -> list[ToolMessage]:
    return [ToolMessage("text", _dump(parameters, document))]


def _dump(parameters: Parameters, document: Any) -> str:
    return json.dumps(document, ensure_ascii=parameters.flag("ensure_ascii", True))
