"""What the surfaces need from below: ``SurfacePorts``, put together by the composition root, or in memory by tests."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from actors.messages import Cursor, RunOrder, RunOutcome, SubmitOrder, TailBatch
from actors.plans import Plans
from effects.guarded_client import RemoteLook
from graph.events import Fact
from graph.ports import Clock
from hitl.form import Form
from hitl.form_token import Purpose, TokenKey
from hitl.recipient import Recipient
from hitl.submission import Submission
from hitl.surface import Surface
from store.account_record import Account, EndUser, Membership
from store.app_record import AppRecord, WorkflowVersion
from store.bearers import BearerStore
from store.chats import ChatStore
from store.files import FileShelf
from store.form_record import AuditEntry, Submitter, TokenMatch
from store.mcp_servers import McpServerStore
from store.run_record import RunRecord
from store.site_record import Site
from surfaces.console_ports import ConsolePorts
from surfaces.file_links import FileLinks
from surfaces.form_limits import FormLimits


class Runs(Protocol):
    """Starts, follows and stops runs; a caller that goes away changes nothing for the run."""

    async def start(self, order: RunOrder) -> RunOutcome:
        """Start a run and return how it stands when it has finished or paused."""
        ...

    def start_and_follow(self, order: RunOrder) -> AsyncGenerator[TailBatch]:
        """Start a run and yield what it tells, up to its end or its first pause."""
        ...

    def follow(self, run_id: str, cursor: Cursor, until_pause: bool) -> AsyncGenerator[TailBatch]:
        """Yield what a run tells after ``cursor``, up to its end, or to the next pause after it if ``until_pause``."""
        ...

    async def stop(self, run_id: str, reason: str) -> None:
        """Stop a run; the request is durable when this returns."""
        ...


class Submissions(Protocol):
    """Takes answers to forms, and notes who has read them."""

    async def submit(self, order: SubmitOrder) -> bool:
        """Accept an answer, durable when this returns, and say whether the form is decided.

        Raises the errors of ``hitl.errors``.
        """
        ...

    async def viewed(self, form_id: str, by: Submitter) -> None:
        """Note in the audit that an account that has logged in has read a form, once for each.

        Durable on return, or soon after where the HITL actor is away for longer than a moment.
        """
        ...


class JournalReads(Protocol):
    """What surfaces read of runs."""

    async def get(self, run_id: str) -> RunRecord | None:
        """Return the record of a run, None when there is none."""
        ...

    async def read(self, run_id: str, after: int = 0) -> list[tuple[int, Fact]]:
        """Return the numbered facts after number ``after``."""
        ...


class FormReads(Protocol):
    """What surfaces read of forms."""

    async def get(self, form_id: str) -> Form | None:
        """Return a form, None when there is none."""
        ...

    async def by_token(
        self, token_hash: bytes, surfaces: Sequence[Surface], purposes: Sequence[Purpose]
    ) -> TokenMatch | None:
        """Return what a form token stands for, by its hash, if it was minted for one of surfaces and purposes."""
        ...

    async def by_run(self, run_id: str) -> list[Form]:
        """Return the forms of a run, oldest first."""
        ...

    async def recipients(self, form_ids: Sequence[str]) -> Mapping[str, list[Recipient]]:
        """Return form id -> its recipients."""
        ...

    async def submission(self, form_id: str) -> Submission | None:
        """Return the answer of a form, None while it has none."""
        ...

    async def audit(self, form_id: str) -> list[AuditEntry]:
        """Return who did what to a form, oldest first."""
        ...


class AppReads(Protocol):
    """What surfaces read of apps."""

    async def app_by_key(self, key: str) -> AppRecord | None:
        """Return the app of an API key, None for an unknown or revoked one."""
        ...

    async def key_id(self, key: str) -> str | None:
        """Return the id of an API key, None for an unknown one."""
        ...

    async def app(self, app_id: str) -> AppRecord | None:
        """Return an app, None when there is none."""
        ...

    async def version(self, version_id: str) -> WorkflowVersion | None:
        """Return a workflow version, None when there is none."""
        ...


class SiteReads(Protocol):
    """What surfaces read of sites."""

    async def site(self, app_id: str) -> Site | None:
        """Return the site of an app, None when it has none."""
        ...

    async def site_by_code(self, code: str) -> Site | None:
        """Return the site with this code, None when there is none."""
        ...


class RemoteFiles(Protocol):
    """Fetches what lies at addresses that strangers choose."""

    async def download(self, url: str, limit_bytes: int) -> tuple[bytes, str]:
        """Return the content at ``url`` and its media type; NodeError where it cannot be had or is too large."""
        ...

    async def look(self, url: str, limit_bytes: int, head_bytes: int) -> RemoteLook:
        """Return how the content at ``url`` begins, its size and type; NodeError as ``download``."""
        ...


class AccountReads(Protocol):
    """Who calls, and whose things are."""

    async def end_user(
        self, workspace_id: str, app_id: str, session_id: str, type: str, is_anonymous: bool = False
    ) -> EndUser:
        """Return the end user whom an app's caller knows as ``session_id``; made at first sight."""
        ...

    async def end_user_by_id(self, end_user_id: str) -> EndUser | None:
        """Return an end user, None when there is none."""
        ...

    async def account(self, account_id: str) -> Account | None:
        """Return an account, None when there is none."""
        ...

    async def memberships(self, account_id: str) -> list[Membership]:
        """Return the workspaces that an account belongs to, the oldest first."""
        ...


async def always_ready() -> None:
    """Return: a process whose parts are all in memory can always serve."""


@dataclass(frozen=True, slots=True)
class SurfacePorts:
    """Everything the surfaces act through.

    ``public_url``: how people reach this installation; ``version``: ours; ``environment``: told in ``X-Env``.
    ``check_ready`` returns when requests can be served and raises UnavailableError or RefusedError otherwise.
    """

    runs: Runs
    submissions: Submissions
    journal: JournalReads
    forms: FormReads
    apps: AppReads
    sites: SiteReads
    accounts: AccountReads
    console: ConsolePorts
    bearers: BearerStore
    plans: Plans
    files: FileShelf
    remote_files: RemoteFiles
    chats: ChatStore
    token_key: TokenKey
    clock: Clock
    public_url: str = "http://127.0.0.1:8000"
    version: str = "0"
    environment: str = "PRODUCTION"
    check_ready: Callable[[], Awaitable[None]] = field(default=always_ready)
    ping_interval_s: float = 10.0
    """Seconds of silence on a stream before a ping."""
    max_body_bytes: int = 15 * 1024 * 1024
    """Largest request body that is read, uploads apart."""
    blocked_extensions: frozenset[str] = frozenset()
    """Extensions, with their dot, that uploads may not have."""
    file_link_lifetime_s: float = 300.0
    chat_history_chars: int = 40_000
    """How much of a conversation goes along with a message, for models with memory."""
    bearer_rate_limit: int = 60
    """Requests that one bearer token may make in a minute; 0: as many as it likes."""
    form_limits: FormLimits = field(default_factory=FormLimits)
    """How often people without an account may read and answer forms."""
    mcp_servers: McpServerStore | None = None
    """Which apps agents may call; None: there is no ``/mcp``."""

    @property
    def links(self) -> FileLinks:
        """Signs links to files."""
        return FileLinks(self.token_key, self.public_url, self.clock, self.file_link_lifetime_s)
