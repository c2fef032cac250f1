"""What the engine and its nodes need from outside. Each port has an implementation per surrounding and a fake."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from graph.errors import NodeError
from graph.events import Fact, TextPart
from graph.human_rules import FormRules


class Clock(Protocol):
    """Time, injected so that a run is deterministic given its journal."""

    def now(self) -> float:
        """Return the time in Unix seconds."""
        ...


@dataclass(frozen=True, slots=True)
class InboxItem:
    """Something from outside that a run takes up exactly once: an answer, a passed deadline, a stop.

    ``action_id`` and ``values`` belong to ``submitted``; ``reason`` (the run's error text) to ``expired`` and
    ``stop``. ``form_id`` is None for ``stop``.
    """

    item_id: str
    kind: Literal["submitted", "timeout", "expired", "stop"]
    form_id: str | None = None
    action_id: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


class Recorder(Protocol):
    """Makes facts durable and tells them; the engine's only way out. One call at a time."""

    async def append(self, facts: Sequence[Fact], taken: Sequence[str] = ()) -> None:
        """Store ``facts`` and mark the inbox items ``taken`` in one transaction, then tell the facts.

        When it returns, they are durable.

        Raises:
            UnavailableError: the store is away longer than the retries last.
            GreenroomError: another writer owns the run (the engine must stop at once).
        """
        ...

    async def pause(self, facts: Sequence[Fact], taken: Sequence[str], snapshot: bytes) -> Sequence[InboxItem]:
        """Store ``facts``, whose last is RunPaused, with the state they lead to, if no inbox item is left.

        Returns:
            Nothing, and the pause is durable and told; or the items to take up first, and nothing was stored.
        """
        ...

    def tell(self, part: TextPart) -> None:
        """Tell text of a node in flight; not durable, never blocks."""
        ...


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture in a message or an answer. ``detail``: low, high or auto; ``name``: what people call it."""

    content: bytes
    mime_type: str
    detail: str = "high"
    name: str = ""

    def __repr__(self) -> str:
        return f"ImagePart({self.name!r}, {self.mime_type}, {len(self.content)} bytes)"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a prompt. ``role``: system, user or assistant; ``images`` come before its text."""

    role: str
    text: str
    images: tuple[ImagePart, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call of a chat model as a workflow names it.

    ``parameters``: temperature, max_tokens, stop … as in the file. ``idempotency_key``: the node execution id.
    ``schema``: JSON schema that the answer shall follow, None for free text. The port asks for it as the model allows;
    the caller still checks what it gets.
    """

    provider: str
    name: str
    messages: tuple[ChatMessage, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    mode: str = "chat"
    idempotency_key: str = ""
    schema: dict[str, Any] | None = None
    traceparent: str = ""
    """Names the trace of the call to whoever serves the model (W3C Trace Context); "" without one."""


@dataclass(frozen=True, slots=True)
class ChatUsage:
    """Tokens and seconds of one model call."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    time_to_first_token_s: float | None = None


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """A piece of the answer; the last one carries ``finish_reason`` and ``usage``. ``images``: pictures it made."""

    text: str = ""
    finish_reason: str | None = None
    usage: ChatUsage | None = None
    images: tuple[ImagePart, ...] = ()


class ChatModel(Protocol):
    """Runs chat models by provider and name."""

    def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Yield the answer piece by piece; closing the iterator cancels the generation.

        Raises:
            NodeError: the model is not configured (the text names what to set) or refused the call.
        """
        ...


@dataclass(frozen=True, slots=True)
class FormRequest:
    """The question of a human-input node, content rendered, options and defaults resolved.

    ``inputs`` and ``actions`` are wire shapes (spec/http.md 5.1); ``delivery_methods`` the node's own list.
    ``timeout_s``: seconds from opening to the node deadline. ``rules``: the node's ``greenroom`` mapping.
    """

    run_id: str
    node_id: str
    execution_id: str
    node_title: str
    form_content: str
    inputs: list[dict[str, Any]]
    actions: list[dict[str, Any]]
    resolved_default_values: dict[str, Any]
    delivery_methods: list[dict[str, Any]]
    timeout_s: float
    rules: FormRules = field(default_factory=FormRules)


@dataclass(frozen=True, slots=True)
class OpenedForm:
    """What opening gave: the form's id and its node deadline. ``display_in_ui`` as hitl.md 1.12."""

    form_id: str
    expires_at: float
    display_in_ui: bool


class Forms(Protocol):
    """Opens forms."""

    async def open_form(self, request: FormRequest) -> OpenedForm:
        """Open the form of one node execution; the same execution gives the same form again.

        When it returns, the form and its recipients are durable.
        """
        ...


class CodeSandbox(Protocol):
    """Runs untrusted code and costly templates under limits, without files and network."""

    async def run_code(self, language: str, code: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return what ``main(**inputs)`` of ``code`` returned, as JSON values.

        Args:
            language: ``python3`` or ``javascript``.
            code: source that defines ``main``.
            inputs: JSON values.

        Raises:
            NodeError: the code failed, went over a limit, or the sandbox is not installed (the text says how to mend).
        """
        ...

    async def render(self, template: str, values: dict[str, Any]) -> str:
        """Return the Jinja2 ``template`` rendered with JSON ``values``; same errors as ``run_code``."""
        ...


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One request of a workflow. ``params`` and ``headers`` keep order and duplicates; timeouts in seconds.

    ``body``: None, bytes, or form parts (name, text) / (name, file mapping) with ``is_multipart``.
    """

    method: str
    url: str
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | tuple[tuple[str, Any], ...] | None = None
    is_multipart: bool = False
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 600.0
    write_timeout_s: float = 600.0
    verify_tls: bool = True
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """The answer to an HttpCall, redirects followed. ``file``: set when the body was stored as a file, not text."""

    status_code: int
    headers: dict[str, str]
    text: str
    file: dict[str, Any] | None = None


class Http(Protocol):
    """Sends requests of workflows through a guard that reaches public addresses only."""

    async def send(self, call: HttpCall) -> HttpReply:
        """Send ``call`` and return the answer, whatever its status.

        Raises:
            NodeError: address not allowed, transport failure, time or size limit (error_type names which).
        """
        ...


class Files(Protocol):
    """Stores and reads the files of runs."""

    async def put(self, content: bytes, filename: str, mime_type: str) -> dict[str, Any]:
        """Store ``content``; return its file mapping (spec/graph.md 3.5). Durable on return; same content, same id."""
        ...

    async def read(self, file: dict[str, Any]) -> bytes:
        """Return the content behind a file mapping, stored or remote (through the guard).

        Raises:
            NodeError: it cannot be had, or is too large.
        """
        ...

    async def extract_text(self, file: dict[str, Any]) -> str:
        """Return the text of a document.

        Raises:
            NodeError: the kind of file is not supported, or it is broken.
        """
        ...


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool as a workflow names it. ``depth``: how many workflows are around it (0: none).

    ``parameters``: parameter name -> value; ``settings``: the same for what the file sets apart as configuration.
    """

    provider_type: str
    provider_id: str
    tool_name: str
    parameters: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    idempotency_key: str = ""
    depth: int = 0
    provider_name: str = ""


@dataclass(frozen=True, slots=True)
class ToolMessage:
    """A piece of what a tool gives: text, json, a link, a file mapping, or a named variable (maybe streamed)."""

    kind: Literal["text", "json", "link", "file", "variable"]
    value: Any
    name: str = ""
    is_stream: bool = False


class Tools(Protocol):
    """Calls the tools that are configured."""

    def call(self, call: ToolCall) -> AsyncIterator[ToolMessage]:
        """Yield what the tool gives.

        Raises:
            NodeError: the tool is not configured (by its name), refused its parameters, or failed.
        """
        ...


class NotAvailable:
    """Stands for a port that a process does not have: any use fails the node by the port's name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        raise NodeError(f"{self._name} is not available here", "NotAvailable")


_NO_CODE = cast(CodeSandbox, NotAvailable("the code sandbox"))
_NO_HTTP = cast(Http, NotAvailable("the HTTP client"))
_NO_FILES = cast(Files, NotAvailable("the file store"))
_NO_TOOLS = cast(Tools, NotAvailable("the tool catalog"))


@dataclass(frozen=True, slots=True)
class Effects:
    """The ports that nodes act through."""

    chat: ChatModel
    forms: Forms
    code: CodeSandbox = _NO_CODE
    http: Http = _NO_HTTP
    files: Files = _NO_FILES
    tools: Tools = _NO_TOOLS
