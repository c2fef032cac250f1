"""What a node kind is: how its data is checked, how it is compiled, what it gives back.

A kind is listed in ``graph.nodes.table``. Its data model (pydantic, unknown keys ignored) checks the ``data``
mapping of a file's node; ``compile`` turns checked data into a step once per workflow version.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from graph.ports import Effects, FormRequest, OpenedForm
from graph.value_types import ValueType, is_valid
from graph.variable_pool import VariablePool


class RetryConfig(BaseModel):
    """How often a failed node runs again. ``retry_interval``: milliseconds between attempts."""

    model_config = ConfigDict(extra="ignore")

    retry_enabled: bool = False
    max_retries: int = 0
    retry_interval: int = 0


class DefaultValue(BaseModel):
    """One output that stands in when the node fails under ``default-value``.

    Text given for another type is read as a number or as JSON.
    """

    model_config = ConfigDict(extra="ignore")

    key: str
    type: str
    value: Any = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> "DefaultValue":
        if isinstance(self.value, str) and self.type != ValueType.STRING:
            self.value = float(self.value) if self.type == ValueType.NUMBER else json.loads(self.value)
        if self.value is not None and self.type != ValueType.ARRAY_FILE and not is_valid(self.value, self.type):
            raise ValueError(f"the default value of {self.key!r} is no {self.type}")
        return self


class NodeData(BaseModel):
    """The fields every node has; kinds subclass it. ``node_id``: the node's own id, which the plan adds."""

    model_config = ConfigDict(extra="ignore")

    node_id: str = ""
    type: str
    title: str = ""
    desc: str | None = ""
    version: str = "1"
    error_strategy: Literal["fail-branch", "default-value"] | None = None
    default_value: list[DefaultValue] = Field(default_factory=list)
    retry_config: RetryConfig = Field(default_factory=RetryConfig)

    def default_outputs(self) -> dict[str, Any]:
        """Return output name -> value of the default-value strategy."""
        return {item.key: item.value for item in self.default_value}


@dataclass(slots=True)
class NodeResult:
    """What a node gives back when it did its work.

    ``inputs``, ``outputs``, ``process_data`` as the node's record shows them; ``handle``: the exit taken.
    """

    outputs: dict[str, Any]
    inputs: dict[str, Any] = field(default_factory=dict)
    handle: str = "source"
    process_data: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    total_tokens: int = 0


@dataclass(slots=True)
class FormAsked:
    """A human-input node has opened its form and waits."""

    request: FormRequest
    opened: OpenedForm


class EffectContext:
    """What an effectful step gets besides the pool; made by the engine for one execution."""

    __slots__ = ("_emit", "effects", "execution_id", "node_id", "run_id")

    def __init__(
        self, run_id: str, node_id: str, execution_id: str, effects: Effects, emit: Callable[[str, str, bool], None]
    ) -> None:
        self.run_id = run_id
        self.node_id = node_id
        self.execution_id = execution_id
        self.effects = effects
        self._emit = emit

    def emit(self, name: str, text: str, is_final: bool = False) -> None:
        """Stream ``text`` as the next piece of this node's output ``name``; ``is_final`` closes the stream."""
        self._emit(name, text, is_final)


PureStep = Callable[[VariablePool], NodeResult]
"""Runs inline. Raises NodeError (or anything: then error_type is the class name) to fail the node."""

EffectStep = Callable[[VariablePool, EffectContext], Awaitable[NodeResult | FormAsked]]
"""Runs as a task. Reads all it needs from the pool before its first await."""


@dataclass(frozen=True, slots=True)
class NodeKind:
    """One entry of the table. ``role``: root kinds start a graph, response kinds shape what the reader gets.

    ``compile_pure`` or ``compile_effect`` (exactly one): checked data -> step.
    ``parts``: response kinds only: checked data -> the template whose text is streamed, as str for literal text and
    tuple for a selector, in order.
    ``handles``: branch kinds only: checked data -> the exits it can take besides those of error strategies.
    """

    type: str
    data: type[NodeData]
    compile_pure: Callable[[Any], PureStep] | None = None
    compile_effect: Callable[[Any], EffectStep] | None = None
    role: Literal["root", "response", "plain"] = "plain"
    is_branch: bool = False
    supports_retry: bool = False
    parts: Callable[[Any], list[str | tuple[str, ...]]] | None = None
    handles: Callable[[Any], list[str]] | None = None
