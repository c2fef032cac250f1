"""One store in each of its three kinds, and small builders for what goes into it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import make_url, text

from graph.events import Fact, FormOpened, NodeFinished, RunFinished, RunPaused, RunStarted
from hitl.form import Form, FormDefinition, FormStatus
from hitl.form_token import Purpose
from hitl.recipient import Recipient, RecipientType
from hitl.submission import Submission
from hitl.surface import Surface
from store.accounts import AccountStore, SqlAccounts
from store.apps import AppStore, SqlApps
from store.bearers import BearerStore, SqlBearers
from store.blobs import Blobs, MemoryBlobs
from store.chats import ChatStore, SqlChats
from store.database import Database, open_database
from store.decisions import DecisionStore, SqlDecisions
from store.drafts import DraftStore, MemoryDrafts, SqlDrafts
from store.files import FileTable, SqlFiles
from store.form_record import AuditEntry, Submitter, TokenRow
from store.forms import FormStore, SqlForms
from store.human_time import HumanTimeStore, SqlHumanTime
from store.installation import Installation, MemoryInstallation, SqlInstallation
from store.journal import Journal, SqlJournal
from store.listings import Listings, MemoryListings, SqlListings
from store.logins import LoginStore, SqlLogins
from store.mcp_servers import McpServerStore, SqlMcpServers
from store.memory_accounts import MemoryAccounts
from store.memory_apps import MemoryApps
from store.memory_bearers import MemoryBearers
from store.memory_chats import MemoryChats
from store.memory_decisions import MemoryDecisions
from store.memory_files import MemoryFiles
from store.memory_forms import MemoryForms
from store.memory_human_time import MemoryHumanTime
from store.memory_journal import MemoryJournal
from store.memory_logins import MemoryLogins
from store.memory_mcp import MemoryMcpServers
from store.memory_outbox import MemoryOutbox
from store.memory_sites import MemorySites
from store.memory_store import MemoryStore
from store.outbox import Outbox, SqlOutbox
from store.run_record import JournalWrite, NewRun
from store.sites import SiteStore, SqlSites

NOW = 1_781_000_000.0
ANSWER = Submission("approve", "Approve", {"comment": "fine"})
PERSON = Submitter(end_user_id="end-user", via="service_api")


def given(submission: Submission) -> Callable[[Form], Submission]:
    """What the store asks for an answer, where that has been checked before."""
    return lambda form: submission


@dataclass(slots=True)
class StoreWorld:
    """The ports of one store. ``database`` is None in memory, and ``rows`` elsewhere."""

    kind: str
    journal: Journal
    forms: FormStore
    apps: AppStore
    accounts: AccountStore
    installation: Installation
    blobs: Blobs
    files: FileTable
    decisions: DecisionStore
    human_time: HumanTimeStore
    outbox: Outbox
    logins: LoginStore
    drafts: DraftStore
    listings: Listings
    chats: ChatStore
    sites: SiteStore
    mcp_servers: McpServerStore
    bearers: BearerStore
    database: Database | None = None
    rows: MemoryStore | None = None


def memory_world() -> StoreWorld:
    """Return an empty store in memory."""
    rows = MemoryStore()
    ports = (MemoryJournal(rows), MemoryForms(rows), MemoryApps(rows), MemoryAccounts(rows), MemoryInstallation(rows))
    more = (MemoryDecisions(rows), MemoryHumanTime(rows), MemoryOutbox(rows), MemoryLogins(rows), MemoryDrafts(rows))
    more += (MemoryListings(rows), MemoryChats(rows), MemorySites(rows), MemoryMcpServers(rows), MemoryBearers(rows))
    return StoreWorld("memory", *ports, rows.blobs, MemoryFiles(rows), *more, rows=rows)


def sql_world(url: str, **options: Any) -> StoreWorld:
    """Return the ports over the database at ``url``; the caller closes it."""
    database, blobs = open_database(url, **options), MemoryBlobs()
    journal, forms = SqlJournal(database, blobs), SqlForms(database)
    others = (SqlApps(database), SqlAccounts(database), SqlInstallation(database))
    more = (SqlFiles(database), SqlDecisions(database), SqlHumanTime(database), SqlOutbox(database))
    more += (SqlLogins(database), SqlDrafts(database), SqlListings(database), SqlChats(database, blobs))
    more += (SqlSites(database), SqlMcpServers(database), SqlBearers(database), database)
    return StoreWorld(make_url(url).get_backend_name(), journal, forms, *others, blobs, *more)


def make_id(*parts: object) -> str:
    """Return the uuid that stands for ``parts``."""
    return str(uuid5(UUID(int=0), "/".join(map(str, parts))))


def new_run(name: str = "run", **changes: Any) -> NewRun:
    """Return a run with the id that stands for ``name``."""
    run = NewRun(
        run_id=make_id(name),
        workspace_id=make_id("workspace"),
        app_id=make_id("app"),
        version_id=make_id("version"),
        mode="workflow",
        invoke_source="service-api",
        created_by_role="end_user",
        created_by_id=make_id("end user"),
        user="abc",
        inputs={"topic": "tea"},
        created_at=NOW,
    )
    return replace(run, **changes)


def started(**inputs: Any) -> RunStarted:
    """Return the first fact of a run."""
    return RunStarted(NOW, inputs, {"user_id": "abc"})


def node_finished(number: int = 1, **outputs: Any) -> NodeFinished:
    """Return the fact that node ``number`` succeeded."""
    return NodeFinished(
        NOW + number, f"node-{number}", make_id("execution", number), number, "succeeded", NOW, {}, outputs
    )


def form_opened(form: Form) -> FormOpened:
    """Return the fact that ``form`` was opened."""
    return FormOpened(NOW, form.node_id, form.execution_id, form.form_id, {}, form.expires_at)


def paused(*form_ids: str) -> RunPaused:
    """Return the fact that a run waits for the given forms."""
    return RunPaused(NOW + 5, list(form_ids), {}, 1.5, 7, 2)


def finished(status: Any = "succeeded", **outputs: Any) -> RunFinished:
    """Return the fact that a run ended."""
    return RunFinished(NOW + 9, status, outputs, None, 2.5, 9, 3, 1)


def write(
    facts: Sequence[Fact],
    head: int,
    *,
    run: NewRun | None = None,
    epoch: int = 1,
    found_epoch: int | None = None,
    **more: Any,
) -> JournalWrite:
    """Return the write of an owner, or of a successor where ``found_epoch`` differs from ``epoch``."""
    run_id = (run or new_run()).run_id
    return JournalWrite(run_id, epoch, epoch if found_epoch is None else found_epoch, head, facts, **more)


def first_write(run: NewRun | None = None, *more: Fact, actor: str = "actor-1") -> JournalWrite:
    """Return the write that begins a run."""
    run = run or new_run()
    return JournalWrite(run.run_id, 1, 1, 0, [started(), *more], new_run=run, actor=actor, lease_id=f"lease-{actor}")


async def start(world: StoreWorld, run: NewRun | None = None) -> NewRun:
    """Begin a run; its head is then 1."""
    run = run or new_run()
    await world.journal.append(first_write(run))
    return run


def new_form(run: NewRun | None, name: str = "form", **changes: Any) -> Form:
    """Return a waiting form of ``run`` (None: a delivery test) with an hour to answer."""
    form = Form(
        form_id=make_id(name, run and run.run_id),
        workspace_id=make_id("workspace"),
        app_id=make_id("app"),
        run_id=run.run_id if run else None,
        node_id="human",
        execution_id=make_id("execution of", name, run and run.run_id),
        kind="runtime" if run else "delivery_test",
        definition=FormDefinition(
            "Well?", [{"type": "paragraph", "output_variable_name": "comment"}], [{"id": "approve"}]
        ),
        status=FormStatus.WAITING,
        created_at=NOW,
        expires_at=NOW + 3600,
        global_expires_at=NOW + 7200,
        invoke_source="service-api",
    )
    return replace(form, **changes)


def recipient_of(form: Form, type: RecipientType = RecipientType.STANDALONE_WEB_APP) -> Recipient:
    """Return one recipient of ``form``."""
    return Recipient(make_id("recipient", form.form_id, type), form.form_id, type, payload={"account_id": None})


def token_of(recipient: Recipient, surface: Surface = Surface.SERVICE_API, generation: int = 1) -> TokenRow:
    """Return the row of one token of ``recipient``; its hash stands for surface and generation."""
    token_hash = make_id("token", recipient.recipient_id, surface, generation)[:32].encode()
    return TokenRow(token_hash, recipient.recipient_id, surface, Purpose.SUBMIT, generation)


async def open_form(world: StoreWorld, form: Form) -> Recipient:
    """Store ``form`` with one recipient, which is returned, and one token."""
    recipient = recipient_of(form)
    await world.forms.open(form, [recipient], [token_of(recipient)])
    return recipient


async def acts_on(forms: FormStore, form_id: str) -> list[AuditEntry]:
    """Return what the audit says of a form after its opening."""
    return [entry for entry in await forms.audit(form_id) if entry.event != "opened"]


async def pause_with_form(world: StoreWorld, name: str = "run", **changes: Any) -> tuple[NewRun, Form, Recipient]:
    """Begin a run that opens a form and pauses for it; its head is then 3."""
    run = await start(world, new_run(name))
    form = new_form(run, **changes)
    recipient = await open_form(world, form)
    facts = [form_opened(form), paused(form.form_id)]
    assert await world.journal.pause(write(facts, 1, run=run), b"state") == []
    return run, form, recipient


async def mails(world: StoreWorld) -> list[tuple[str, str, float]]:
    """Return (recipient id, occasion, due at) of every mail beyond the first of a recipient, soonest first."""
    if world.rows is not None:
        later = [e for e in world.rows.outbox.values() if e.kind == "mail" and e.occasion != "opened"]
        entries = sorted(later, key=lambda entry: (entry.due_at, entry.entry_id))
        return [(entry.recipient_id or "", entry.occasion, entry.due_at) for entry in entries]
    assert world.database is not None
    statement = text(
        "SELECT recipient_id, occasion, due_at FROM outbox WHERE kind = 'mail' AND occasion <> 'opened' "
        "ORDER BY due_at, entry_id"
    )
    rows = await world.database.read(lambda connection: connection.execute(statement).all())
    return [(row.recipient_id, row.occasion, row.due_at) for row in rows]
