"""What a parameter extractor makes of a model's JSON: checked against the declared parameters, converted, completed.

Source: graphon 0.8.0 nodes/parameter_extractor (spec/graph.md 2.13).
"""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from graph.value_types import infer_type, is_valid

ParameterType = Literal[
    "string", "number", "boolean", "array[string]", "array[number]", "array[object]", "array[boolean]"
]
_OLD_TYPES = {"bool": "boolean", "select": "string"}
_RESERVED = frozenset({"__reason", "__is_success"})
_UNUSABLE = object()


class ParameterData(BaseModel):
    """One parameter to extract."""

    model_config = ConfigDict(extra="ignore")

    name: str
    type: ParameterType
    options: list[str] | None = None
    description: str = ""
    required: bool = False

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if not name or name in _RESERVED:
            raise ValueError("is empty, or one of the reserved names __reason and __is_success")
        return name

    @field_validator("type", mode="before")
    @classmethod
    def _current_name(cls, value: Any) -> Any:
        return _OLD_TYPES.get(value, value) if isinstance(value, str) else value

    @field_validator("description", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return "" if value is None else value

    @property
    def element(self) -> str | None:
        """The type of the items of an array, None for any other type."""
        return self.type.removeprefix("array[").removesuffix("]") if self.type.startswith("array") else None


class Extracted(BaseModel):
    """The values by parameter name, complete and of their types; ``reason``: why they are not what was wanted."""

    values: dict[str, Any] = Field(default_factory=dict)
    reason: str | None = None


def schema_of(parameters: Sequence[ParameterData], *, is_complete: bool = False) -> dict[str, Any]:
    """Return the JSON schema of an answer.

    Args:
        parameters: what to extract.
        is_complete: every name has to appear, not only required ones; for models that are held to the schema.
    """
    properties = {parameter.name: _property(parameter) for parameter in parameters}
    required = [parameter.name for parameter in parameters if parameter.required or is_complete]
    return {"type": "object", "properties": properties, "required": required}


def _property(parameter: ParameterData) -> dict[str, Any]:
    if parameter.element is not None:
        shape: dict[str, Any] = {"type": "array", "items": {"type": parameter.element}}
    else:
        shape = {"type": parameter.type}
    if parameter.description:
        shape["description"] = parameter.description
    if parameter.options:
        shape["enum"] = list(parameter.options)
    return shape


def extract(parameters: Sequence[ParameterData], found: dict[str, Any] | None) -> Extracted:
    """Return the parameters out of ``found``, the object that the model wrote, or None if it wrote none.

    A value that cannot be used is replaced by its type's default; the reason tells of the first fault.
    """
    if not found:
        found = {p.name: _default(p) for p in parameters if p.element is None}
        reason = "Failed to extract result from function call or text response, using empty result."
        reason = _fault(parameters, found) or reason
    else:
        reason = _fault(parameters, found)
    values = {}
    for parameter in parameters:
        value = _converted(parameter, found[parameter.name]) if parameter.name in found else _UNUSABLE
        values[parameter.name] = _default(parameter) if value is _UNUSABLE else value
    return Extracted(values=values, reason=reason)


def _fault(parameters: Sequence[ParameterData], found: dict[str, Any]) -> str | None:
    if len(parameters) != len(found):
        return "Invalid number of parameters"
    for parameter in parameters:
        name = parameter.name
        if parameter.required and name not in found:
            return f"Parameter {name} is required"
        value = found.get(name)
        if not is_valid(value, parameter.type):
            return f"Invalid value for parameter {name}: expected {parameter.type}, found {infer_type(value)}: {value}"
        if parameter.type == "string" and parameter.options and value not in parameter.options:
            return f"Invalid `select` value for parameter {name}"
    return None


def _converted(parameter: ParameterData, value: Any) -> Any:
    if parameter.element is None:
        if parameter.type == "boolean" and isinstance(value, int):
            return bool(value)
        return _item(parameter.type, value)
    if not isinstance(value, list):
        return _UNUSABLE
    items = (_item(parameter.element, item) for item in value)
    return [item for item in items if item is not _UNUSABLE]


def _item(kind: str, value: Any) -> Any:
    """Return ``value`` as ``kind``, or _UNUSABLE."""
    if kind == "number":
        return _number(value)
    wanted = {"string": str, "boolean": bool, "object": dict}[kind]
    return value if isinstance(value, wanted) else _UNUSABLE


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str):
        return _UNUSABLE
    try:
        return float(value) if "." in value else int(value)
    except ValueError:
        return _UNUSABLE


def _default(parameter: ParameterData) -> Any:
    if parameter.element is not None:
        return []
    return {"string": "", "number": 0, "boolean": False}[parameter.type]
