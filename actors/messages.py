"""What crosses process borders: plain values, read-only, without any form token, key or password."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import uuid_utils

from actors.contracts import crosses
from graph.events import Fact, FormOpened, TextPart
from graph.human_rules import Approval, AppRules, Escalation, FormRules, Reminder, Webhook
from graph.ports import FormRequest, OpenedForm
from hitl.answer_file import FileFacts
from hitl.disposition import Disposition
from store.chat_record import Conversation, ConversationOwner, ConversationVariable, Message, NewMessage
from store.form_record import Submitter
from store.run_record import NewRun

RunStatus = Literal["running", "paused", "succeeded", "failed", "stopped", "partial-succeeded"]


@dataclass(frozen=True, slots=True)
class RunOrder:
    """A run to start. ``run.inputs`` are checked; ``system``: sys.* values by name without the prefix.

    ``conversation``: stored conversation variables of a chatflow, name -> value; ``message``: the message that the run
    of a chatflow is.
    """

    run: NewRun
    system: dict[str, Any] = field(default_factory=dict)
    conversation: dict[str, Any] = field(default_factory=dict)
    message: NewMessage | None = None

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.run.run_id


def order_run(run: NewRun, files: list[Any] | None = None) -> RunOrder:
    """Return the order of a run of a workflow app with its system variables (spec/graph.md 3.6).

    Args:
        run: the run; its ``created_at`` becomes ``sys.timestamp``.
        files: ``sys.files``, as file mappings.
    """
    system = {
        "files": list(files or []),
        "user_id": run.user or run.created_by_id,
        "app_id": run.app_id,
        "workflow_id": run.version_id,
        "workflow_run_id": run.run_id,
        "timestamp": int(run.created_at),
    }
    return RunOrder(run, system)


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run stands when it finished or paused. ``status`` ``running`` never appears here.

    ``forms``: the open forms of a paused run, oldest first. Times are Unix seconds; ``elapsed_s`` is the time the
    run executed.
    """

    run_id: str
    status: RunStatus
    outputs: dict[str, Any]
    error: str | None
    elapsed_s: float
    total_tokens: int
    total_steps: int
    exceptions_count: int
    created_at: float
    finished_at: float | None
    forms: tuple[FormOpened, ...] = ()


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader is: it has every fact up to ``number``, and some of the text in flight after it.

    Of that text it has ``offset`` characters, as told under ``attempt`` (0: none).
    """

    number: int = 0
    attempt: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class TailBatch:
    """What came next: first the numbered ``facts`` in order, then the ``parts`` of text told after them.

    ``told``: number of a TextEmitted fact in ``facts`` -> how many leading characters of its text this reader was
    already given as parts (those must not be repeated). ``is_end``: nothing follows in this stream.
    """

    facts: list[tuple[int, Fact]] = field(default_factory=list)
    parts: list[TextPart] = field(default_factory=list)
    is_end: bool = False
    told: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lease:
    """A hint that ``actor_name`` is the holder's, for run after run. The run actor alone decides whether it is free."""

    lease_id: str
    actor_name: str


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Asks for a lease.

    ``in_advance``: to hold, not to use at once. ``continues``: for a run that exists, to resume or recover it; served
    before new starts, never refused for the length of the queue.
    """

    holder: str
    in_advance: bool = False
    continues: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """What a run actor says at the end of a run, if there is something to say.

    ``lease_id``: the recalled lease under which it executed the run: it is free; "" when its holder goes on.
    ``runs_served``: segments it has executed in its life.
    """

    actor_name: str
    lease_id: str
    runs_served: int


@dataclass(frozen=True, slots=True)
class ActorState:
    """What a run actor answers to a ping. ``run_id``: what it executes, "" when idle."""

    run_id: str
    runs_served: int
    code_version: str


@dataclass(frozen=True, slots=True)
class FormOrder:
    """A form to open: the node's request with what the HITL actor needs to know about its run.

    ``form_id``: the id that the form gets unless its execution has a form already; "": any.
    """

    request: FormRequest
    workspace_id: str
    app_id: str
    invoke_source: str
    account_id: str | None
    """The account that started the run, None when an end user did."""
    user: str = ""
    """The name under which the run was started."""
    app_rules: AppRules = field(default_factory=AppRules)
    """What the workflow file of the run says about people."""
    form_id: str = ""

    @classmethod
    def of(cls, request: FormRequest, run: NewRun, app_rules: AppRules) -> "FormOrder":
        """Return the order for ``request`` of a node of ``run``, whose file has ``app_rules``."""
        account_id = run.created_by_id if run.created_by_role == "account" else None
        return cls(request, run.workspace_id, run.app_id, run.invoke_source, account_id, run.user, app_rules)


@dataclass(frozen=True, slots=True)
class DeliveryTestOrder:
    """A trial of one e-mail delivery method: a real mail with a real form, for which no run waits.

    ``request``: as ``hitl.form_preview.request_of_node`` gives it, its execution id one of its own.
    """

    request: FormRequest
    delivery_method_id: str
    workspace_id: str
    app_id: str
    account_id: str


@dataclass(frozen=True, slots=True)
class KnownFiles:
    """The files that one submitter may use, looked up beforehand; implements hitl.answer_file.OwnedFiles.

    ``uploads``: upload file id -> what is known of it; ``remotes``: the same by URL.
    """

    uploads: dict[str, FileFacts] = field(default_factory=dict)
    remotes: dict[str, FileFacts] = field(default_factory=dict)

    def uploaded(self, upload_file_id: str) -> FileFacts | None:
        """Return what is known of an uploaded file, None when it is not the submitter's."""
        return self.uploads.get(upload_file_id)

    def remote(self, url: str) -> FileFacts | None:
        """Return what was learned about the file at ``url``, None when it was not looked up."""
        return self.remotes.get(url)


@dataclass(frozen=True, slots=True)
class SubmitOrder:
    """An answer to a form.

    ``recipient_id`` and ``generation`` are those of the token that was used; None and 0 where an account answers by
    form id. ``inputs``: input name -> value, as submitted. ``files``: what the submitter may use, looked up by the
    surface. ``via``: how it came, for the audit. ``is_repeated``: the same call was made before and its answer lost.
    ``account_id`` is set only where the caller knows that this account has logged in: as a vote it counts for it.
    ``form_digest``: of what the submitter was shown, None where it was not told. ``api_key_id``: of the key by which
    it came. ``key_hash``: SHA-256 of the Idempotency-Key, None without one.
    """

    form_id: str
    recipient_id: str | None
    generation: int
    action: str
    inputs: dict[str, Any]
    via: str
    account_id: str | None = None
    end_user_id: str | None = None
    files: KnownFiles = field(default_factory=KnownFiles)
    is_repeated: bool = False
    form_digest: str | None = None
    api_key_id: str | None = None
    key_hash: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ClaimOrder:
    """``account_id`` says that it will answer the form: no other account can, for a while.

    ``order_id`` of this and the orders below names the order: repeated under the same id, it is carried out once.
    """

    form_id: str
    account_id: str
    via: str
    order_id: str = field(default_factory=lambda: str(uuid_utils.uuid7()))


@dataclass(frozen=True, slots=True)
class ReleaseOrder:
    """``account_id`` gives its claim back; an owner or admin also that of somebody else."""

    form_id: str
    account_id: str
    via: str
    order_id: str = field(default_factory=lambda: str(uuid_utils.uuid7()))


@dataclass(frozen=True, slots=True)
class ReassignOrder:
    """``account_id`` hands the form to the account with the address ``to``, and is asked no more.

    ``instead_of``: an owner or admin hands on what another account, with this address, is asked.
    """

    form_id: str
    account_id: str
    to: str
    via: str
    instead_of: str | None = None
    order_id: str = field(default_factory=lambda: str(uuid_utils.uuid7()))


@dataclass(frozen=True, slots=True)
class DelegateOrder:
    """``account_id`` has the account with the address ``to`` asked in its place, and may still answer itself."""

    form_id: str
    account_id: str
    to: str
    via: str
    order_id: str = field(default_factory=lambda: str(uuid_utils.uuid7()))


@dataclass(frozen=True, slots=True)
class SnoozeOrder:
    """``account_id`` puts the form away in its inbox until a time (Unix seconds); one that has passed takes it back."""

    form_id: str
    account_id: str
    until: float
    via: str
    order_id: str = field(default_factory=lambda: str(uuid_utils.uuid7()))


ActOrder = ClaimOrder | ReleaseOrder | ReassignOrder | DelegateOrder | SnoozeOrder
"""What ``HitlActor.act`` carries out."""

crosses(
    ActorState, Cursor, DeliveryTestOrder, FormOrder, KnownFiles, Lease, LeaseRequest, Release, RunOrder, RunOutcome,
    SubmitOrder, TailBatch, *get_args(ActOrder), *get_args(Fact), TextPart, NewRun,
    AppRules, Approval, Escalation, FormRules, Reminder, Webhook, FormRequest, OpenedForm, FileFacts, Disposition,
    Submitter, Conversation, ConversationOwner, ConversationVariable, Message, NewMessage,
)  # fmt: skip
