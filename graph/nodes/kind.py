"""What a node kind is: how its data is checked, how it is compiled, what it gives back.

A kind is listed in ``graph.nodes.table``. Its data model (pydantic, unknown keys ignored) checks the ``data``
mapping of a file's node; ``compile`` turns checked data into a step once per workflow version.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

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


@dataclass(frozen=True, slots=True)
class VariableUpdate:
    """A new value for a variable that stands in the pool. ``selector``: node id (or ``conversation``) and name."""

    selector: tuple[str, str]
    value_type: str
    value: Any


@dataclass(slots=True)
class NodeResult:
    """What a node gives back when it did its work.

    ``inputs``, ``outputs``, ``process_data`` as the node's record shows them; ``handle``: the exit taken;
    ``updates``: new values of variables, made before the node ends.
    """

    outputs: dict[str, Any]
    inputs: dict[str, Any] = field(default_factory=dict)
    handle: str = "source"
    process_data: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    total_tokens: int = 0
    updates: Sequence[VariableUpdate] = ()


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


PureStep = Callable[[VariablePool], NodeResult | None]
"""Runs inline. Raises NodeError (or anything: then error_type is the class name) to fail the node.

None: the work has no bound known here; the effect step of the same kind does it.
"""

EffectStep = Callable[[VariablePool, EffectContext], Awaitable[NodeResult | FormAsked]]
"""Runs as a task. Reads all it needs from the pool before its first await."""


@dataclass(slots=True)
class ContainerBegun:
    """What a container goes through.

    ``inputs``, ``length`` and ``is_over`` as ``graph.events.ContainerStarted`` has them.
    """

    inputs: dict[str, Any]
    length: int
    is_over: bool = False


OnFailure = Literal["terminated", "continue-on-error", "remove-abnormal-output"]


class Container(Protocol):
    """A compiled iteration or loop: what its passes see, give, and amount to. It keeps nothing of a run."""

    is_loop: bool
    """Whether passes go one after the other over the variables around them, instead of each over its own."""
    parallel_nums: int
    """How many passes may be in flight at once."""
    on_failure: OnFailure
    """What a failed pass does: it fails the container, gives null, or gives nothing."""

    def begin(self, pool: VariablePool) -> ContainerBegun:
        """Return what the container goes through, by the pool of the scope around it.

        Raises:
            NodeError: a value is missing or of another type.
        """
        ...

    def pass_values(self, inputs: dict[str, Any], index: int) -> dict[str, Any]:
        """Return name -> value of what pass ``index`` finds under the container's id in its own pool."""
        ...

    def should_break(self, pool: VariablePool) -> bool:
        """Whether the pass with ``pool``, which is at its end, is the last one.

        Raises:
            NodeError: a condition cannot be evaluated.
        """
        ...

    def pass_result(self, pool: VariablePool) -> Any:
        """Return what the pass with ``pool`` gives."""
        ...

    def outputs(self, results: Mapping[int, Any]) -> dict[str, Any]:
        """Return the container's outputs from the results of its passes by index."""
        ...


@dataclass(frozen=True, slots=True)
class NodeKind:
    """One entry of the table. ``role``: root kinds start a graph, response kinds shape what the reader gets.

    ``compile_pure``, ``compile_effect`` or ``compile_container`` (exactly one): checked data -> step.
    A kind with a pure and an effect step tries the pure one first.
    ``wants_types``: the plan adds ``variable_types`` to the data: "<node id>.<name>" -> declared type, of conversation
    and loop variables.
    ``parts``: response kinds only: checked data -> the template whose text is streamed, as str for literal text and
    tuple for a selector, in order.
    ``handles``: branch kinds only: checked data -> the exits it can take besides those of error strategies.
    """

    type: str
    data: type[NodeData]
    compile_pure: Callable[[Any], PureStep] | None = None
    compile_effect: Callable[[Any], EffectStep] | None = None
    compile_container: Callable[[Any], Container] | None = None
    role: Literal["root", "response", "plain"] = "plain"
    is_branch: bool = False
    supports_retry: bool = False
    wants_types: bool = False
    parts: Callable[[Any], list[str | tuple[str, ...]]] | None = None
    handles: Callable[[Any], list[str]] | None = None
