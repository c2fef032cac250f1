"""start: the root of a run. The engine has put the inputs and the system values into the pool before it runs."""

import json
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ConfigDict, Field, field_validator

from graph.errors import NodeError
from graph.nodes.kind import NodeData, NodeKind, NodeResult, PureStep
from graph.nodes.prompt_memory import HISTORY
from graph.variable_pool import VariablePool


class StartVariable(BaseModel):
    """One field of the start form. ``max_length``: characters, or files of a list; None is no limit."""

    model_config = ConfigDict(extra="ignore")

    variable: str
    label: str = ""
    type: str
    required: bool = False
    default: Any = None
    max_length: int | None = None
    options: list[Any] = Field(default_factory=list)
    json_schema: dict[str, Any] | None = None

    @field_validator("required", mode="before")
    @classmethod
    def _null_is_optional(cls, value: Any) -> Any:
        return False if value is None else value

    @field_validator("label", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        return "" if value is None else value

    @field_validator("options", mode="before")
    @classmethod
    def _null_is_none(cls, value: Any) -> Any:
        return [] if value is None else value

    @field_validator("max_length", mode="before")
    @classmethod
    def _blank_is_unlimited(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("json_schema", mode="before")
    @classmethod
    def _parse_schema(cls, value: Any) -> Any:
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError as error:
                raise ValueError(f"json_schema is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise ValueError("json_schema must be an object")
        try:
            Draft7Validator.check_schema(value)
        except SchemaError as error:
            raise ValueError(f"json_schema is not valid: {error.message}") from error
        return value


class StartData(NodeData):
    """Data of a start node."""

    variables: list[StartVariable] = Field(default_factory=list)


def _compile(data: StartData) -> PureStep:
    node_id = data.node_id
    names = tuple(variable.variable for variable in data.variables)
    objects = tuple(
        (variable.variable, variable.required, Draft7Validator(variable.json_schema) if variable.json_schema else None)
        for variable in data.variables
        if variable.type == "json_object"
    )

    def step(pool: VariablePool) -> NodeResult:
        held = pool.names(node_id)
        for name, is_required, schema in objects:
            _check_object(name, held.get(name), is_required, schema)
        values = {name: held[name] for name in names if name in held}
        values.update(held)
        for name, value in pool.names("sys").items():
            if name != HISTORY:
                values[f"sys.{name}"] = value
        return NodeResult(outputs=values, inputs=dict(values))

    return step


def _check_object(name: str, value: Any, is_required: bool, schema: Draft7Validator | None) -> None:
    if value is None:
        if is_required:
            raise NodeError(f"{name} is required in input form", "ValueError")
        return
    if not isinstance(value, dict):
        raise NodeError(f"{name} must be a JSON object", "ValueError")
    fault = next(schema.iter_errors(value), None) if schema else None
    if fault is not None:
        raise NodeError(f"JSON object for '{name}' does not match schema: {fault.message}", "ValueError")


KIND = NodeKind(type="start", data=StartData, role="root", compile_pure=_compile)
