"""The rows of a store that lives in memory: what the memory twins of the ports share.

For tests and trials. Every operation of the twins runs without giving way, so each is atomic within one event loop.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from graph.ports import InboxItem
from hitl.approval import Vote
from hitl.claim import Claim
from hitl.form import Form, FormStatus
from hitl.form_state import DeadlineOutcome, close
from hitl.recipient import Recipient
from hitl.schedule import Moment
from store.account_record import Account, EndUser, Workspace
from store.app_record import ApiKey, AppRecord, WorkflowVersion
from store.bearer_record import BearerToken, DeviceCode
from store.blobs import Blobs, MemoryBlobs
from store.chat_record import Conversation, ConversationVariable, Feedback, Message
from store.file_record import FileRecord, FormUpload
from store.form_record import CUT_OFF, SYSTEM, AuditEntry, ExpiryReason, GivenAnswer, TokenRow, new_entry
from store.login_record import Login
from store.mcp_record import McpServer
from store.outbox_record import OutboxEntry, new_mail
from store.run_record import RunRecord
from store.site_record import Site


@dataclass(slots=True)
class MemoryItem:
    """A row of the inbox: ``taken_number`` is the number of the fact that took it up, None before."""

    run_id: str
    item: InboxItem
    created_at: float
    taken_number: int | None = None


@dataclass(slots=True)
class MemoryRow:
    """A row of the journal: the packed facts of one append."""

    first_number: int
    last_number: int
    facts: bytes


@dataclass(slots=True)
class MemorySchedule:
    """A row of the schedules; see ``store.human_time_tables``."""

    moments: tuple[Moment, ...]
    passed_count: int
    next_at: float | None


@dataclass(slots=True)
class MemoryStore:
    """Tables as dictionaries by primary key; give the same object to the twins that belong together."""

    blobs: Blobs = field(default_factory=MemoryBlobs)
    runs: dict[str, RunRecord] = field(default_factory=dict)
    journal: dict[str, list[MemoryRow]] = field(default_factory=dict)
    snapshots: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    inbox: dict[str, MemoryItem] = field(default_factory=dict)
    forms: dict[str, Form] = field(default_factory=dict)
    recipients: dict[str, Recipient] = field(default_factory=dict)
    tokens: dict[bytes, TokenRow] = field(default_factory=dict)
    answers: dict[str, GivenAnswer] = field(default_factory=dict)
    votes: dict[str, list[Vote]] = field(default_factory=dict)
    audit: list[AuditEntry] = field(default_factory=list)
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    members: dict[tuple[str, str], str] = field(default_factory=dict)
    apps: dict[str, AppRecord] = field(default_factory=dict)
    versions: dict[str, WorkflowVersion] = field(default_factory=dict)
    keys: dict[bytes, ApiKey] = field(default_factory=dict)
    mcp_servers: dict[bytes, McpServer] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    logins: dict[str, Login] = field(default_factory=dict)
    login_attempts: dict[bytes, tuple[float, int]] = field(default_factory=dict)
    bearers: dict[str, BearerToken] = field(default_factory=dict)
    devices: dict[bytes, DeviceCode] = field(default_factory=dict)
    drafts: dict[str, Any] = field(default_factory=dict)
    end_users: dict[str, EndUser] = field(default_factory=dict)
    files: dict[str, FileRecord] = field(default_factory=dict)
    outbox: dict[str, OutboxEntry] = field(default_factory=dict)
    form_uploads: dict[str, FormUpload] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)
    conversations: dict[str, Conversation] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    variables: dict[str, dict[str, ConversationVariable]] = field(default_factory=dict)
    """Conversation id -> name -> variable."""
    feedbacks: dict[str, Feedback] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    asked: set[tuple[str, str]] = field(default_factory=set)
    claims: dict[str, Claim] = field(default_factory=dict)
    snoozes: dict[tuple[str, str], float] = field(default_factory=dict)
    schedules: dict[str, MemorySchedule] = field(default_factory=dict)
    cut: dict[str, str] = field(default_factory=dict)

    def untaken(self, run_id: str) -> list[InboxItem]:
        """Return the inbox items of a run that no fact has taken up, oldest first."""
        rows = [row for row in self.inbox.values() if row.run_id == run_id and row.taken_number is None]
        return [row.item for row in sorted(rows, key=lambda row: (row.created_at, row.item.item_id))]

    def add_item(self, run_id: str, item: InboxItem, at: float) -> None:
        """Put ``item`` into the inbox of a run, unless it was put there before."""
        self.inbox.setdefault(item.item_id, MemoryItem(run_id, item, at))

    def add_mail(self, form_id: str, recipient_id: str, kind: str, due_at: float) -> None:
        """Have a mail sent to one recipient of a form; see store.outbox_rows."""
        self.add_entries([new_mail(form_id, recipient_id, kind, due_at)])

    def add_entries(self, entries: Iterable[OutboxEntry]) -> None:
        """Put ``entries`` into the outbox, each unless it was put there before."""
        for entry in entries:
            self.outbox.setdefault(entry.entry_id, entry)

    def close_form(
        self, form: Form, outcome: DeadlineOutcome, now: float, detail: str, reason: ExpiryReason | None
    ) -> None:
        """End a waiting form without an answer."""
        self.forms[form.form_id] = close(form, outcome, now)
        self.audit.append(replace(new_entry(form.form_id, outcome, now, SYSTEM, detail=detail), reason=reason))

    def expire_forms(self, run_id: str, now: float, detail: str, reason: ExpiryReason = "run_ended") -> list[str]:
        """Expire the waiting forms of a run; returns their ids."""
        of_run = [form for form in self.forms.values() if form.run_id == run_id]
        waiting = sorted((form for form in of_run if form.status is FormStatus.WAITING), key=lambda form: form.form_id)
        for form in waiting:
            self.close_form(form, "expired", now, detail, reason)
        return [form.form_id for form in waiting]

    def expire_cut(self, now: float) -> list[str]:
        """Expire the waiting forms of executions that were cut off; returns their ids."""
        cut = [form for form in self.forms.values() if form.execution_id in self.cut]
        waiting = [form for form in cut if form.status is FormStatus.WAITING]
        for form in waiting:
            self.close_form(form, "expired", now, CUT_OFF, "cut_off")
        for form in cut:
            del self.cut[form.execution_id]
        self.cut = {key: run_id for key, run_id in self.cut.items() if not self._has_ended(run_id)}
        return [form.form_id for form in waiting]

    def _has_ended(self, run_id: str) -> bool:
        return run_id in self.runs and self.runs[run_id].is_terminal
