"""What can happen to a run: the closed union of facts that the journal stores.

A fact is immutable once appended. Live streams, reconnect snapshots, run detail, pause state and recovery are
all computed from the same numbered sequence of facts, so they cannot drift apart. Facts never carry a form
token. Times are Unix seconds as floats. ``scope`` is the path of the container pass that the node belongs to:
"" at the top level, else "<container node id>:<pass>" joined by "/".

Classes are not frozen because creating frozen ones costs three times as much; treat them as read-only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal

import orjson

from graph.errors import SnapshotVersionError

FACTS_VERSION = 1

NodeEnd = Literal["succeeded", "failed", "exception", "stopped"]
PassEnd = Literal["succeeded", "failed"]
RunEnd = Literal["succeeded", "failed", "stopped", "partial-succeeded"]
JsonObject = dict[str, Any]


@dataclass(slots=True)
class RunStarted:
    """The run began. ``inputs``: checked start inputs; ``system``: sys.* values by name without the prefix."""

    at: float
    inputs: JsonObject
    system: JsonObject
    conversation: JsonObject = field(default_factory=dict)


@dataclass(slots=True)
class RunResumed:
    """The run left a pause and executes again."""

    at: float


@dataclass(slots=True)
class RunRecovered:
    """A successor took the run over after its actor died; nodes in flight run again as ``attempt``.

    ``elapsed_s``: what the run had executed by its last fact; the time nobody ran it does not count.
    """

    at: float
    attempt: int
    elapsed_s: float


@dataclass(slots=True)
class NodeStarted:
    """A node began, or began again after a pause (then with the same execution id and index)."""

    at: float
    node_id: str
    execution_id: str
    index: int
    scope: str = ""


@dataclass(slots=True)
class FormOpened:
    """A human-input node asked its question. Not shown to a reader before the pause or the answer.

    ``definition``: form_content (rendered), inputs, actions, resolved_default_values, display_in_ui, node_title.
    """

    at: float
    node_id: str
    execution_id: str
    form_id: str
    definition: JsonObject
    expires_at: float
    scope: str = ""


@dataclass(slots=True)
class FormSubmitted:
    """A person's answer was taken up. ``is_shown``: a pause has shown the form in this segment before."""

    at: float
    node_id: str
    execution_id: str
    form_id: str
    action_id: str
    action_text: str
    values: JsonObject
    rendered_content: str
    is_shown: bool
    scope: str = ""


@dataclass(slots=True)
class FormTimedOut:
    """The form's node deadline passed and the run takes the timeout edge."""

    at: float
    node_id: str
    execution_id: str
    form_id: str
    expires_at: float
    is_shown: bool
    scope: str = ""


@dataclass(slots=True)
class NodeRetried:
    """An attempt of a node failed and it runs again, as the same execution. ``retry_index``: which retry, from 1."""

    at: float
    node_id: str
    execution_id: str
    index: int
    retry_index: int
    started_at: float
    error: str
    error_type: str
    scope: str = ""


@dataclass(slots=True)
class VariableUpdated:
    """A variable that stood in the pool got a new value.

    ``selector``: node id (or ``conversation``) and name. ``node_id`` and ``execution_id`` are "" where it came from
    outside by a command: then every pass sees it.
    """

    at: float
    node_id: str
    execution_id: str
    selector: list[str]
    value_type: str
    value: Any
    scope: str = ""


@dataclass(slots=True)
class ContainerStarted:
    """An iteration or loop goes through its passes now.

    ``inputs``: the items under ``iterator_selector``, or each loop variable by its label. ``length``: the items, or
    the most rounds. ``is_over``: the loop's break conditions held before its first round, so it has none.
    """

    at: float
    node_id: str
    execution_id: str
    inputs: JsonObject
    length: int
    is_over: bool = False
    scope: str = ""


@dataclass(slots=True)
class PassStarted:
    """A pass of a container began: the item or round ``index``, counted from 0.

    ``node_id``, ``execution_id`` and ``scope`` are the container's; its inner nodes have the scope
    "<scope>/<node_id>:<index>". ``so_far``: what a loop's variables are after the round before.
    """

    at: float
    node_id: str
    execution_id: str
    index: int
    so_far: JsonObject | None = None
    scope: str = ""


@dataclass(slots=True)
class PassFinished:
    """A pass ended and its scope is forgotten. ``is_break``: the loop's break conditions hold now."""

    at: float
    node_id: str
    execution_id: str
    index: int
    status: PassEnd
    error: str | None = None
    is_break: bool = False
    scope: str = ""


@dataclass(slots=True)
class TextEmitted:
    """Text reached the reader. ``texts`` keeps the pieces as they came.

    ``stream`` names the node execution that streamed it live (its parts were told before), "" for text that
    was told only now.
    """

    at: float
    node_id: str
    execution_id: str
    selector: list[str]
    texts: list[str]
    is_final: bool
    stream: str = ""
    scope: str = ""


@dataclass(slots=True)
class TextWithdrawn:
    """Text that was told live is void: the attempt that streamed it failed and the run goes on without it.

    ``streams``: the streams whose parts readers may have.
    """

    at: float
    node_id: str
    execution_id: str
    streams: list[str]
    scope: str = ""


@dataclass(slots=True)
class NodeFinished:
    """A node ended; from here on it never runs again.

    ``streamed``: for each output that the node streamed and an answer uses, the pieces that no TextEmitted fact
    before this one carries (an empty list when the reader had them all). ``steps``: what a container reports as its
    number of passes, None of other nodes.
    """

    at: float
    node_id: str
    execution_id: str
    index: int
    status: NodeEnd
    started_at: float
    inputs: JsonObject
    outputs: JsonObject
    handle: str = "source"
    process_data: JsonObject | None = None
    error: str | None = None
    error_type: str | None = None
    metadata: JsonObject | None = None
    total_tokens: int = 0
    streamed: dict[str, list[str]] | None = None
    scope: str = ""
    steps: int | None = None


@dataclass(slots=True)
class RunPaused:
    """Nothing in the run can move without a person, or it was told to pause.

    ``form_ids``: every open form, oldest first. ``message``: the reason of the command to pause, None without one.
    """

    at: float
    form_ids: list[str]
    outputs: JsonObject
    elapsed_s: float
    total_tokens: int
    total_steps: int
    message: str | None = None


@dataclass(slots=True)
class RunFinished:
    """The run ended. ``elapsed_s`` is the time it executed, without waiting for people."""

    at: float
    status: RunEnd
    outputs: JsonObject
    error: str | None
    elapsed_s: float
    total_tokens: int
    total_steps: int
    exceptions_count: int


Fact = (
    RunStarted
    | RunResumed
    | RunRecovered
    | NodeStarted
    | FormOpened
    | FormSubmitted
    | FormTimedOut
    | NodeRetried
    | VariableUpdated
    | ContainerStarted
    | PassStarted
    | PassFinished
    | TextEmitted
    | TextWithdrawn
    | NodeFinished
    | RunPaused
    | RunFinished
)


@dataclass(slots=True)
class TextPart:
    """Text of a node in flight, told before it is durable.

    ``offset``: characters of this stream told before this part; ``attempt`` rises when the node runs again
    after a crash.
    """

    stream: str
    attempt: int
    offset: int
    node_id: str
    selector: list[str]
    text: str
    scope: str = ""


_KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        RunStarted, RunResumed, RunRecovered, NodeStarted, FormOpened, FormSubmitted, FormTimedOut, NodeRetried,
        VariableUpdated, ContainerStarted, PassStarted, PassFinished, TextEmitted, TextWithdrawn, NodeFinished,
        RunPaused, RunFinished,
    )
}  # fmt: skip
_ROW_OF: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    kind: attrgetter("__class__.__name__", *(f.name for f in fields(kind))) for kind in _KINDS.values()
}
"""What a fact is written as: the name of its kind, then its fields in order."""


def encode_facts(facts: list[Fact]) -> bytes:
    """Return ``facts`` as versioned JSON bytes; ``decode_facts`` reads them back equal."""
    rows = [_ROW_OF[type(fact)](fact) for fact in facts]
    return orjson.dumps([FACTS_VERSION, rows], option=orjson.OPT_NON_STR_KEYS)


def decode_facts(data: bytes) -> list[Fact]:
    """Return the facts that ``encode_facts`` wrote.

    Raises:
        SnapshotVersionError: a newer version wrote them.
    """
    version, rows = orjson.loads(data)
    if version > FACTS_VERSION:
        raise SnapshotVersionError(version, FACTS_VERSION)
    return [_KINDS[row[0]](*row[1:]) for row in rows]
