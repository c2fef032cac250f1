"""A whole Greenroom in one process and in memory, behind its HTTP application: for tests of the surfaces.

The engine, the journal, the forms and the tokens are the real ones; only processes are missing.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
from fastapi import FastAPI
from pwdlib.hashers.argon2 import Argon2Hasher

from actors.answers import Answers
from actors.form_opening import needs_members, new_form, new_moments, new_recipients, token_rows
from actors.human_time import HumanTime
from actors.messages import ActOrder, Cursor, FormOrder, RunOrder, RunOutcome, SubmitOrder, TailBatch
from actors.outside import Outside
from actors.plans import Plans
from actors.receipts import Receipts, SignedReceipts
from actors.run_segment import RunSegment, Surroundings
from actors.tail import Reader, SegmentTail
from effects.address_guard import parse_networks
from effects.documents import DocumentReader
from effects.guarded_client import GuardedClient
from fakes import ScriptedChat
from graph.engine import Limits
from graph.parse_workflow import parse_document
from graph.ports import OpenedForm
from hitl import form_preview
from hitl.form_token import TokenKey
from hitl.receipt_key import ReceiptKey
from store.drafts import MemoryDrafts
from store.files import FileShelf
from store.form_record import Submitter
from store.listings import MemoryListings
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
from surfaces.app import build_app
from surfaces.console_ports import ConsolePorts
from surfaces.credentials import Passwords
from surfaces.ports import SurfacePorts

KEY = TokenKey(b"k" * 32)
RECEIPT_KEY = ReceiptKey.derived_from(KEY)
CLAIM_LIFETIME_S = 600.0
GLOBAL_TIMEOUT_S = 604_800.0
PING = "ping"
PATIENCE_S = 60.0


@dataclass
class SetClock:
    """A clock that stands until it is set."""

    at: float = 1_781_000_000.0

    def now(self) -> float:
        """Return the time that was set."""
        return self.at


class LocalHitl:
    """Opens forms and takes answers and orders as the HITL actor does, without being one."""

    def __init__(self, store: MemoryStore, clock: SetClock) -> None:
        self.forms, self.human_time = MemoryForms(store), MemoryHumanTime(store)
        self._accounts = MemoryAccounts(store)
        self._decisions = MemoryDecisions(store)
        self._answers = Answers(self.forms, self._decisions, self._accounts, clock)
        self._acts = HumanTime(
            self.human_time, self.forms, self._accounts, self._token_key, clock, CLAIM_LIFETIME_S, self._new_id
        )
        self._clock = clock
        self.runs: LocalRuns | None = None
        self._numbers = itertools.count(1)

    def _new_id(self) -> str:
        return f"00000000-0000-7000-8000-{next(self._numbers):012d}"

    async def open_form(self, order: FormOrder) -> OpenedForm:
        """Open the form of a node execution."""
        form = new_form(order, self._clock.now(), GLOBAL_TIMEOUT_S, self._new_id)
        members = await self._accounts.members(order.workspace_id) if needs_members(order.request) else []
        recipients = new_recipients(order, form.form_id, members, self._new_id)
        tokens = [row for each in recipients for row in token_rows(form, each, KEY)]
        form = await self.forms.open(form, recipients, tokens, new_moments(order, form))
        return OpenedForm(form.form_id, form.expires_at, form.definition.display_in_ui)

    async def submit(self, order: SubmitOrder) -> bool:
        """Take an answer and have its run go on if it decides."""
        taken = await self._answers.take(order)
        if taken.run is not None:
            assert self.runs is not None
            self.runs.resume(taken.run.run_id)
        return taken.is_decided

    async def viewed(self, form_id: str, by: Submitter) -> None:
        """Note that an account has read a form."""
        await self._decisions.view(form_id, by, self._clock.now())

    async def act(self, order: ActOrder) -> None:
        """Carry out what an account wants with a form."""
        await self._acts.act(order)

    async def _token_key(self) -> TokenKey:
        return KEY


class LocalRuns:
    """Runs in tasks of this event loop. ``refusal``: what the next starts raise."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._tails: dict[str, list[SegmentTail]] = {}
        self._segments: dict[str, RunSegment] = {}
        self._more = asyncio.Event()
        """Set, and replaced by a fresh one, when a segment begins."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self.refusal: Exception | None = None

    async def start(self, order: RunOrder) -> RunOutcome:
        """Execute a run to its end or first pause."""
        return await asyncio.shield(self._begin(order))

    async def start_and_follow(self, order: RunOrder) -> AsyncGenerator[TailBatch]:
        """Execute a run and yield what it tells."""
        self._begin(order)
        async for batch in self._read(order.run_id, Cursor(), until_pause=True):
            yield batch

    async def follow(self, run_id: str, cursor: Cursor, until_pause: bool = False) -> AsyncGenerator[TailBatch]:
        """Yield what a run tells after ``cursor``."""
        async for batch in self._read(run_id, cursor, until_pause):
            yield batch

    async def stop(self, run_id: str, reason: str) -> None:
        """Ask a run to stop and have it take that up."""
        before = await self._around.journal.request_stop(run_id, reason, self._around.clock.now())
        if before.status == "paused":
            self.resume(run_id)
        elif run_id in self._segments:
            self._segments[run_id].wake()

    def resume(self, run_id: str) -> None:
        """Execute a paused run on."""
        segment = self._segment(run_id)
        self._spawn(segment, segment.go_on())

    async def settle(self) -> None:
        """Return when nothing executes any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, order: RunOrder) -> "asyncio.Task[RunOutcome]":
        if self.refusal is not None:
            raise self.refusal
        segment = self._segment(order.run_id)
        return self._spawn(segment, segment.start(order))

    def _segment(self, run_id: str) -> RunSegment:
        segment = RunSegment(run_id, "lease", "actor", self._around)
        self._segments[run_id] = segment
        self._tails.setdefault(run_id, []).append(segment.tail)
        self._more.set()
        self._more = asyncio.Event()
        return segment

    def _spawn(self, segment: RunSegment, work: Any) -> "asyncio.Task[RunOutcome]":
        async def executed() -> RunOutcome:
            try:
                return await work
            finally:
                segment.tail.close()

        task = asyncio.create_task(executed())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _read(self, run_id: str, cursor: Cursor, until_pause: bool) -> AsyncGenerator[TailBatch]:
        reader, read = Reader(cursor), 0
        batch = reader.take_facts(await self._around.journal.read(run_id, cursor.number))
        if batch.facts:
            yield batch
        while not (reader.is_finished or (until_pause and reader.is_paused)):
            tails = self._tails.setdefault(run_id, [])
            while read == len(tails):
                await self._more.wait()
            tail = tails[read]
            read += 1
            place = tail.attach(reader.cursor)
            while True:
                batch = await tail.next(place)
                taken = reader.take(batch)
                if taken.facts or taken.parts:
                    yield taken
                if batch.is_end:
                    break


@dataclass
class World:
    """One app with a key in a Greenroom of its own."""

    app: FastAPI
    ports: SurfacePorts
    store: MemoryStore
    runs: LocalRuns
    hitl: LocalHitl
    clock: SetClock
    chat: ScriptedChat
    workspace_id: str
    app_id: str
    version_id: str
    key: str = field(repr=False)

    def client(self, key: str | None = None) -> httpx2.AsyncClient:
        """Return a client that sends the app's key, or ``key``; "" for none."""
        key = self.key if key is None else key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        transport = httpx2.ASGITransport(app=self.app)
        return httpx2.AsyncClient(transport=transport, base_url="http://testserver", headers=headers)

    async def add_app(self, document: dict[str, Any], is_published: bool = True) -> tuple[str, str, str]:
        """Import another app into the same workspace; return its id, version and key."""
        workflow = parse_document(document).workflow
        assert workflow is not None
        apps = MemoryApps(self.store)
        app_id, version_id = await apps.import_app(self.workspace_id, workflow, None, is_published=is_published)
        _, key = await apps.create_key(app_id)
        return app_id, version_id, key


async def make_world(document: dict[str, Any], *, console_ports: dict[str, Any] | None = None, **ports: Any) -> World:
    """Return a world whose app is ``document``; ``ports`` and ``console_ports`` replace fields of the ports."""
    store, clock, chat = MemoryStore(), SetClock(), ScriptedChat()
    apps, accounts, journal = MemoryApps(store), MemoryAccounts(store), MemoryJournal(store)
    hitl, plans = LocalHitl(store, clock), Plans(apps)
    table = MemoryFiles(store)
    client = GuardedClient(parse_networks("127.0.0.0/8"))
    outside = Outside(client, DocumentReader(), table, store.blobs, "http://127.0.0.1:8000")
    runs = LocalRuns(Surroundings(journal, plans, chat, hitl, Limits(), clock, outside=outside))
    hitl.runs = runs
    receipts = Receipts(hitl.forms, MemoryDecisions(store), journal, accounts)
    optional = {
        "inbox": hitl.human_time,
        "inbox_acts": hitl,
        "previews": form_preview,
        "receipts": SignedReceipts(receipts, RECEIPT_KEY),
        "deliveries": MemoryOutbox(store),
    }
    console = ConsolePorts(
        logins=MemoryLogins(store),
        accounts=accounts,
        apps=apps,
        drafts=MemoryDrafts(store),
        listings=MemoryListings(store),
        workspace_name="test",
        passwords=Passwords(Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)),
        **{**optional, **(console_ports or {})},
    )
    made = SurfacePorts(
        runs=runs,
        submissions=hitl,
        journal=journal,
        forms=hitl.forms,
        apps=apps,
        sites=MemorySites(store),
        accounts=accounts,
        console=console,
        bearers=MemoryBearers(store),
        plans=plans,
        files=FileShelf(table, store.blobs),
        remote_files=client,
        chats=MemoryChats(store),
        token_key=KEY,
        clock=clock,
        mcp_servers=MemoryMcpServers(store),
        version="0.0.test",
        **{"bearer_rate_limit": 0, **ports},
    )
    workspace = await accounts.ensure_workspace("test")
    world = World(build_app(made), made, store, runs, hitl, clock, chat, workspace.workspace_id, "", "", "")
    world.app_id, world.version_id, world.key = await world.add_app(document)
    return world


def events_of(text: str) -> list[dict[str, Any]]:
    """Return the events of a whole stream, pings as ``{"event": "ping"}``."""
    events = []
    for frame in filter(None, text.split("\n\n")):
        lines = dict(line.split(": ", 1) for line in frame.split("\n"))
        event = json.loads(lines["data"]) if "data" in lines else {"event": lines["event"]}
        events.append({**event, "id": lines["id"]} if "id" in lines else event)
    return events


def names_of(events: list[dict[str, Any]]) -> list[str]:
    """Return the names of events, pings left out."""
    return [event["event"] for event in events if event["event"] != PING]


class OpenStream:
    """One GET stream against the application, read event by event while it stays open.

    The client's own transport would wait for the whole response first.
    """

    def __init__(self, world: World, path: str, query: str = "", headers: dict[str, str] | None = None) -> None:
        self._world = world
        sent = {"authorization": f"Bearer {world.key}", **(headers or {})}
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
        }
        self._messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.status = 0

    async def __aenter__(self) -> "OpenStream":
        async def receive() -> dict[str, Any]:
            await self._gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self._messages.put_nowait(message)

        async def served() -> None:
            await self._world.app(self._scope, receive, send)
            self._messages.put_nowait(None)

        self._task = asyncio.create_task(served())
        self.status = (await self._take() or {})["status"]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._gone.set()
        assert self._task is not None
        await asyncio.wait((self._task,), timeout=PATIENCE_S)
        self._task.cancel()

    async def _take(self) -> dict[str, Any] | None:
        async with asyncio.timeout(PATIENCE_S):
            return await self._messages.get()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Yield events as they come, without pings, until the response ends."""
        while (message := await self._take()) is not None:
            for event in events_of(message.get("body", b"").decode()):
                if event["event"] != PING:
                    yield event
            if not message.get("more_body", False):
                return
