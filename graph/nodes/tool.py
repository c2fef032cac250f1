"""tool: calls one configured tool and gathers what it gives.

What a provider and tool name of a file mean is the tool catalog's part.
Source: spec/graph.md 2.18.
"""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from graph.errors import NodeError
from graph.nodes.kind import EffectContext, EffectStep, NodeData, NodeKind, NodeResult
from graph.ports import ToolCall, ToolMessage
from graph.template import Template
from graph.variable_pool import MISSING, VariablePool

_INPUT_TYPES = frozenset({"mixed", "variable", "constant"})


class ToolInput(BaseModel):
    """One parameter: text with references (mixed), a selector (variable) or a value as it stands (constant)."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["mixed", "variable", "constant"] = "mixed"
    value: Any = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> "ToolInput":
        value = self.value
        if self.type == "mixed" and value is not None and not isinstance(value, str):
            raise ValueError("the value of a mixed parameter must be text")
        is_selector = isinstance(value, list) and all(isinstance(part, str) for part in value)
        if self.type == "variable" and value is not None and not is_selector:
            raise ValueError("the value of a variable parameter must be a list of names")
        return self


class ToolData(NodeData):
    """Data of a tool node. ``settings``: the plain configurations; the others are parameters (old files)."""

    provider_id: str = ""
    provider_type: str = "builtin"
    provider_name: str = ""
    tool_name: str
    tool_configurations: dict[str, Any] = Field(default_factory=dict)
    tool_parameters: dict[str, ToolInput] = Field(default_factory=dict)
    plugin_unique_identifier: str | None = None
    schemas: list[dict[str, Any]] = Field(default_factory=list, validation_alias="paramSchemas")

    @field_validator("tool_configurations", "schemas", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].get_default(call_default_factory=True) if value is None else value

    @model_validator(mode="before")
    @classmethod
    def _move_old_parameters(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        configurations = data.get("tool_configurations")
        given = data.get("tool_parameters")
        old = {k: v for k, v in configurations.items() if _is_input(v)} if isinstance(configurations, dict) else {}
        parameters = {**old, **given} if isinstance(given, dict) else old
        moved: dict[str, Any] = {"tool_parameters": {k: v for k, v in map(_as_input, parameters.items()) if v}}
        if isinstance(configurations, dict):
            moved["tool_configurations"] = {k: v for k, v in configurations.items() if k not in old and v is not None}
        return {**data, **moved}

    @property
    def required(self) -> frozenset[str]:
        """The names that the tool cannot do without, as far as the file tells."""
        return frozenset(str(each.get("name")) for each in self.schemas if each.get("required"))


def _is_input(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") in _INPUT_TYPES and "value" in value


def _as_input(item: tuple[str, Any]) -> tuple[str, Any]:
    """Return a parameter in its current form; one without a value gives None."""
    name, value = item
    if isinstance(value, dict) and "value" in value and value.get("type", "mixed") in _INPUT_TYPES:
        if "type" in value:
            return name, value if value["value"] is not None else None
        value = value["value"]
    if value is None:
        return name, None
    kind = "mixed" if isinstance(value, str) else "constant"  # the first versions wrote the bare value
    return name, {"type": kind, "value": value}


@dataclass(slots=True)
class _Gathered:
    """What a tool gave so far. ``streamed``: the names of outputs that were streamed."""

    text: list[str] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    objects: list[Any] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    streamed: dict[str, None] = field(default_factory=lambda: {"text": None})

    def take(self, message: ToolMessage, context: EffectContext) -> None:
        """Take up ``message`` and stream what a reader may see at once."""
        match message.kind:
            case "text":
                self._write(str(message.value), context)
            case "link":
                self._link(message.value, context)
            case "file":
                self.files.append(message.value)
            case "json":
                if message.value:
                    self.objects.append(message.value)
            case "variable" if message.is_stream:
                self._stream(message, context)
            case "variable":
                self.variables[message.name] = message.value

    def _write(self, text: str, context: EffectContext) -> None:
        self.text.append(text)
        context.emit("text", text)

    def _link(self, value: Any, context: EffectContext) -> None:
        if isinstance(value, dict):
            self.files.append(value)
            self._write(f"File: {value.get('url') or value.get('filename') or ''}\n", context)
        else:
            self._write(f"Link: {value}\n", context)

    def _stream(self, message: ToolMessage, context: EffectContext) -> None:
        if not isinstance(message.value, str):
            raise NodeError(f"the tool streams {message.name!r}, which is no text", "ToolNodeError")
        self.variables[message.name] = f"{self.variables.get(message.name, '')}{message.value}"
        self.streamed[message.name] = None
        context.emit(message.name, message.value)

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the node."""
        objects = self.objects or [{"data": []}]
        return {"text": "".join(self.text), "files": self.files, "json": objects, **self.variables}


def _compile(data: ToolData) -> EffectStep:
    read = {name: _reader(name, given, data.required) for name, given in data.tool_parameters.items()}
    tool_info = {
        "provider_type": data.provider_type,
        "provider_id": data.provider_id,
        "plugin_unique_identifier": data.plugin_unique_identifier,
    }

    async def step(pool: VariablePool, context: EffectContext) -> NodeResult:
        values = {name: reader(pool) for name, reader in read.items()}
        parameters = {name: value for name, value in values.items() if value is not MISSING}
        call = ToolCall(
            provider_type=data.provider_type,
            provider_id=data.provider_id,
            provider_name=data.provider_name,
            tool_name=data.tool_name,
            parameters=parameters,
            settings=data.tool_configurations,
            idempotency_key=context.execution_id,
        )
        gathered = _Gathered()
        try:
            async with aclosing(cast(Any, context.effects.tools.call(call))) as messages:
                async for message in messages:
                    gathered.take(message, context)
        except NodeError as error:
            raise NodeError(f"Failed to invoke tool: {error}", error.error_type) from error
        for name in gathered.streamed:
            context.emit(name, "", is_final=True)
        return NodeResult(outputs=gathered.outputs(), inputs=parameters, metadata={"tool_info": tool_info})

    return step


def _reader(name: str, given: ToolInput, required: frozenset[str]) -> Callable[[VariablePool], Any]:
    """Return what reads one parameter from the pool; MISSING leaves it out."""
    if given.type != "variable":
        return Template(str(given.value)).text
    selector = tuple(given.value)

    def read(pool: VariablePool) -> Any:
        value = pool.get(selector)
        if value is MISSING and name in required:
            raise NodeError(f"Variable {'.'.join(selector)} of parameter {name} does not exist", "ToolParameterError")
        return value

    return read


KIND = NodeKind(type="tool", data=ToolData, compile_effect=_compile, supports_retry=True)
