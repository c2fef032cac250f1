"""The parameters of a workflow file's model, checked and named as OpenAI-compatible engines know them.

Files carry what their author's provider offered. Known names are checked and converted (a value may be the text of
a variable); what to do with the others is left to the caller.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from models.errors import ModelCallRefusedError


def split_parameters(name: str, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check the known parameters and set the unknown ones apart.

    Args:
        name: the model's name, for the error text.
        parameters: as in the file; None and empty text count as not given.

    Returns:
        (known names with values of the right type, the rest as it stands).

    Raises:
        ModelCallRefusedError: a known parameter has a value that it cannot have.
    """
    known: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for key, value in parameters.items():
        if value is None or value == "":
            continue
        read = _READERS.get(key)
        if read is None:
            rest[key] = value
            continue
        try:
            known[key] = read(value)
        except (TypeError, ValueError, OverflowError):
            raise ModelCallRefusedError(name, f'parameter "{key}" cannot be {value!r}') from None
    _join_response_format(known)
    return {key: value for key, value in known.items() if value is not None}, rest


def _integer(value: Any) -> int:
    number = float(value)
    if number != int(number):
        raise ValueError(value)
    return int(number)


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _positive(value: Any) -> int:
    number = _integer(value)
    if number < 1:
        raise ValueError(value)
    return number


def _stop_words(value: Any) -> list[str] | None:
    words = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(word, str) for word in words):
        raise TypeError(value)
    return [word for word in words if word] or None


def _response_format(value: Any) -> dict[str, Any] | None:
    shape = {"type": value} if isinstance(value, str) else dict(value)
    kind = shape["type"] if isinstance(shape.get("type"), str) else ""
    if kind == "text":
        return None
    if kind not in ("json_object", "json_schema"):
        raise ValueError(value)
    return shape


def _json_schema(value: Any) -> dict[str, Any]:
    return dict(json.loads(value) if isinstance(value, str) else value)


def _join_response_format(known: dict[str, Any]) -> None:
    """Put the schema, a parameter of its own in the file, where the engines look for it."""
    schema = known.pop("json_schema", None)
    shape = known.get("response_format")
    if shape and shape["type"] == "json_schema" and "json_schema" not in shape:
        if schema is None:
            known["response_format"] = {"type": "json_object"}
        else:
            wrapped = schema if "schema" in schema else {"name": "answer", "schema": schema}
            known["response_format"] = {"type": "json_schema", "json_schema": wrapped}


_READERS: dict[str, Callable[[Any], Any]] = {
    "temperature": _number,
    "top_p": _number,
    "top_k": _integer,
    "min_p": _number,
    "max_tokens": _positive,
    "seed": _integer,
    "presence_penalty": _number,
    "frequency_penalty": _number,
    "repeat_penalty": _number,
    "repetition_penalty": _number,
    "stop": _stop_words,
    "response_format": _response_format,
    "json_schema": _json_schema,
}
