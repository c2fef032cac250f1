"""Schema, retries and connections of the databases."""

import asyncio
import importlib
import pkgutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, insert, make_url, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError

import store
from hitl.recipient import Member, Recipient, RecipientType
from hitl.schedule import Moment, passed
from store.database import Database, open_database, sqlite_path
from store.errors import (
    DatabaseDriverError,
    FencedError,
    SchemaOutdatedError,
    StoreUnavailableError,
    UnsupportedDatabaseError,
)
from store.form_record import Resumable, Submitter, VoteOutcome
from store.forms import DUE
from store.human_time_record import Act, Ask, Firing, HandOver
from store.insert_once import insert_once, insert_rows
from store.journal import SqlJournal
from store.migrate import FOLDER, current_revision, migrate
from store.tables import SCHEMA_REVISION, metadata, workspaces
from store_world import (
    ANSWER,
    NOW,
    PERSON,
    StoreWorld,
    acts_on,
    first_write,
    given,
    mails,
    make_id,
    new_form,
    new_run,
    node_finished,
    open_form,
    pause_with_form,
    paused,
    sql_world,
    start,
    token_of,
    write,
)
from test_decisions_contract import asking, vote


def set_revision(url: str, value: str) -> None:
    """Mark the database at ``url`` as having the revision ``value``."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :value"), {"value": value})
    engine.dispose()


async def test_migration_makes_the_tables(empty_database_url: str) -> None:
    """The revisions lead to exactly the tables of the store; a second migration does nothing."""
    for module in pkgutil.iter_modules(store.__path__):
        if module.name.endswith("_tables"):
            importlib.import_module(f"store.{module.name}")
    assert current_revision(empty_database_url) is None
    assert migrate(empty_database_url)[-1] == SCHEMA_REVISION
    assert migrate(empty_database_url) == []
    assert current_revision(empty_database_url) == SCHEMA_REVISION
    database = open_database(empty_database_url)

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)

    assert await database.read(differences) == []
    await database.close()


async def test_migration_gives_apps_their_sites(empty_database_url: str) -> None:
    """Apps of the first version get a site each, with a code of its own."""
    path = sqlite_path(make_url(empty_database_url))
    if path is not None:
        path.parent.mkdir(parents=True)
    engine, script = create_engine(empty_database_url), ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])
    app = {"workspace_id": "w", "name": "n", "description": "", "mode": "workflow", "icon": b"{}", "created_at": NOW}
    with engine.begin() as connection:
        context = MigrationContext.configure(connection)
        with Operations.context(context):
            script.get_revision("0001").module.upgrade()
            context.stamp(script, "0001")
        connection.execute(insert(metadata.tables["apps"]), [{"app_id": name, **app} for name in ("a", "b")])
    engine.dispose()
    migrate(empty_database_url)
    world = sql_world(empty_database_url)
    first, second = await world.sites.site("a"), await world.sites.site("b")
    assert first is not None and second is not None
    assert (len(first.code), first.is_open, first.code == second.code) == (16, True, False)
    assert world.database is not None
    await world.database.close()


async def test_migrations_at_once_wait_for_each_other(empty_database_url: str) -> None:
    """Of several processes that migrate at once, one does."""
    done = await asyncio.gather(*(asyncio.to_thread(migrate, empty_database_url) for _ in range(3)))
    assert [each[-1:] for each in sorted(done)] == [[], [], [SCHEMA_REVISION]]


def test_schema_revision_is_the_newest() -> None:
    """The revision that the code asks for is the newest in the folder."""
    script = ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])
    assert script.get_current_head() == SCHEMA_REVISION


async def test_database_without_tables_is_refused(empty_database_url: str) -> None:
    """A database that was never migrated is refused with the command that does it, and no folder is made."""
    database = open_database(empty_database_url)
    with pytest.raises(SchemaOutdatedError, match="run `greenroom migrate`"):
        await database.read(lambda connection: connection.execute(text("SELECT 1")).scalar())
    await database.close()
    assert current_revision(empty_database_url) is None
    path = sqlite_path(make_url(empty_database_url))
    assert path is None or not path.parent.exists()


async def test_older_schema_is_refused_and_a_newer_one_serves(database_url: str) -> None:
    """Revisions only add: an older database is refused until it is migrated, a newer one works."""
    set_revision(database_url, "0000")
    world = sql_world(database_url)
    with pytest.raises(SchemaOutdatedError) as refused:
        await world.journal.append(first_write())
    assert (refused.value.found, refused.value.needed) == ("0000", SCHEMA_REVISION)
    set_revision(database_url, "9999")
    assert await world.journal.append(first_write()) == 1
    assert world.database is not None
    await world.database.close()


def test_sqlite_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Nobody else on the machine reads forms and answers."""
    path = tmp_path / "greenroom.db"
    migrate(f"sqlite:///{path}")
    assert path.stat().st_mode & 0o077 == 0


def test_password_is_not_shown() -> None:
    """Neither the database nor a refused URL shows the password."""
    database = open_database("postgresql://user:hunter2@localhost/db")
    assert "hunter2" not in repr(database) and "localhost" in repr(database)
    for url in ("mysql://user:hunter2@localhost/db", "user:hunter2@localhost", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(UnsupportedDatabaseError) as refused:
            open_database(url)
        assert "hunter2" not in f"{refused.value!r} {refused.value}"


def test_driver_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that is not installed, or that Greenroom does not know, is refused with what to do, and no password."""
    monkeypatch.setattr("store.postgres_lane.find_spec", lambda name: None)
    with pytest.raises(DatabaseDriverError, match=r"pip install 'greenroom\[asyncpg\]'") as missing:
        open_database("postgresql+asyncpg://user:hunter2@localhost/db")
    with pytest.raises(DatabaseDriverError, match="psycopg2 is no driver for Greenroom") as unknown:
        open_database("postgresql+psycopg2://user:hunter2@localhost/db")
    assert all("hunter2" not in f"{each.value!r} {each.value}" for each in (missing, unknown))


async def test_store_is_unavailable_when_nobody_answers(tmp_path: Path) -> None:
    """A database that stays away is an error to try again later, after the repetitions and not before."""
    for url in (f"postgresql://user:hunter2@/db?host={tmp_path}", f"sqlite:///{tmp_path}"):
        database = open_database(url, retry_for_s=0.3)
        with pytest.raises(StoreUnavailableError) as unavailable:
            await database.read(lambda connection: connection.execute(text("SELECT 1")).scalar())
        assert unavailable.value.retryable and "hunter2" not in str(unavailable.value)
        await database.close()


async def test_closed_database_does_nothing_more(database_url: str) -> None:
    """Closing may be repeated; what comes later to a SQLite file is refused, and what was written is there."""
    world = sql_world(database_url)
    assert world.database is not None
    await start(world)
    await world.database.close()
    await world.database.close()
    again = sql_world(database_url)
    assert len(await again.journal.read(make_id("run"))) == 1
    assert again.database is not None
    await again.database.close()
    if world.kind == "sqlite":
        with pytest.raises(StoreUnavailableError):
            await world.journal.read(make_id("run"))


async def test_write_waits_for_another_process(sqlite_url: str) -> None:
    """A SQLite file that another process writes to is waited for."""
    world = sql_world(sqlite_url)
    other = sqlite3.connect(make_url(sqlite_url).database or "", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    release.start()
    await start(world)
    release.join()
    other.close()
    assert world.database is not None
    await world.database.close()


async def test_lost_connections_are_made_anew(postgres_url: str, postgres_server: str) -> None:
    """Connections that the server ended are replaced without the caller noticing."""
    name = make_url(postgres_url).database
    world = sql_world(postgres_url)
    with psycopg.connect(postgres_server, autocommit=True) as server:
        await start(world)
        for number in range(3):
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            await world.journal.append(write([node_finished(number)], 1 + number))
            assert len(await world.journal.read(make_id("run"))) == 2 + number
    assert world.database is not None
    await world.database.close()


class ForgetfulLane:
    """Commits, and then loses the connection before it can say so: every first time."""

    def __init__(self, lane: Any) -> None:
        self._lane = lane
        self._is_forgetting = False

    async def run(self, work: Callable[[Connection], Any]) -> Any:
        """Run ``work`` on the real lane; forget each first result."""
        result = await self._lane.run(work)
        self._is_forgetting = not self._is_forgetting
        if self._is_forgetting:
            raise ConnectionResetError("lost")
        return result

    async def close(self) -> None:
        """Close the real lane."""
        await self._lane.close()


@pytest.fixture
async def forgetful(database_url: str) -> Any:
    """A store whose every write is committed once without its answer, and repeated."""
    world = sql_world(database_url)
    assert world.database is not None
    world.database._writer = ForgetfulLane(world.database._writer)
    yield world
    await world.database.close()


async def test_vote_counts_once_when_the_answer_to_its_commit_is_lost(forgetful: StoreWorld) -> None:
    """A repeated vote is the same vote, whether it decides or not."""
    run, form, _ = await pause_with_form(forgetful, definition=asking(2))
    outcomes = [await forgetful.decisions.vote(form.form_id, vote(name), None, 0) for name in ("anna", "bert")]
    assert outcomes == [VoteOutcome(False, None), VoteOutcome(True, Resumable(run.run_id, "paused", "actor-1"))]
    assert len(await forgetful.decisions.votes(form.form_id)) == 2
    assert len(await acts_on(forgetful.forms, form.form_id)) == 3
    await forgetful.decisions.view(form.form_id, Submitter("account"), NOW)
    assert len(await acts_on(forgetful.forms, form.form_id)) == 4


async def test_write_counts_once_when_the_answer_to_its_commit_is_lost(forgetful: StoreWorld) -> None:
    """Whatever is repeated after an unknown outcome is done once and answered as if nothing had happened."""
    run, form, recipient = await pause_with_form(forgetful)
    assert await forgetful.forms.open(form, [recipient], [token_of(recipient)]) == form
    submitted = await forgetful.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), PERSON, NOW)
    assert submitted.run == Resumable(run.run_id, "paused", "actor-1")
    second = new_form(run, "second")
    await open_form(forgetful, second)
    closed = await forgetful.forms.close(second.form_id, "timeout", NOW)
    assert closed == Resumable(run.run_id, "paused", "actor-1")
    assert await forgetful.forms.reissue(recipient.recipient_id, [token_of(recipient, generation=2)], NOW) == 2
    await forgetful.forms.revoke(recipient.recipient_id, NOW)
    assert len(await acts_on(forgetful.forms, form.form_id)) == 3
    assert len(await forgetful.journal.inbox(run.run_id)) == 2
    taken = [form.form_id, second.form_id]
    resume = write([node_finished(1)], 3, epoch=2, found_epoch=1, actor="actor-2", taken=taken)
    assert await forgetful.journal.append(resume) == 4
    assert await forgetful.journal.pause(write([paused()], 4, epoch=2), b"later") == []
    assert [number for number, _ in await forgetful.journal.read(run.run_id)] == [1, 2, 3, 4, 5]
    assert (await forgetful.journal.request_stop(run.run_id, "enough", NOW)).status == "paused"
    assert len(await forgetful.journal.inbox(run.run_id)) == 1


async def test_human_time_counts_once_when_the_answer_to_its_commit_is_lost(forgetful: StoreWorld) -> None:
    """A claim, a hand-over, a reminder and a snooze that are repeated leave one entry and one mail each."""
    form = new_form(await start(forgetful))
    ann, bob = [
        (await forgetful.accounts.ensure_account(f"{name}@x.org", name, form.workspace_id, "normal")).account_id
        for name in ("ann", "bob")
    ]
    asks = []
    for account_id in (ann, bob):
        payload = {"user_id": account_id, "email": f"{account_id}@x.org"}
        recipient = Recipient(account_id, form.form_id, RecipientType.EMAIL_MEMBER, payload=payload)
        asks.append(Ask(account_id, recipient, [token_of(recipient)]))
    moments = (Moment(NOW + 10, "reminder"), Moment(NOW + 10, "escalation", ("bob@x.org",)))
    await forgetful.forms.open(form, [asks[0].recipient], asks[0].tokens, moments)
    due = passed(moments, 0, NOW + 11)
    assert due is not None
    await forgetful.human_time.fire(Firing(form.form_id, 0, due, [asks[1]], [], NOW + 11))
    acts = [Act(make_id(number), form.form_id, ann, NOW + 20, "console") for number in range(4)]
    await forgetful.human_time.claim(acts[0], 60.0)
    await forgetful.human_time.release(acts[1])
    await forgetful.human_time.snooze(acts[2], NOW + 99)
    await forgetful.human_time.hand_over(HandOver(acts[3], "reassign", ann, Member(bob, "bob@x.org"), asks[1]))
    events = sorted(entry.event for entry in await acts_on(forgetful.forms, form.form_id))
    assert events == ["claimed", "escalated", "reassigned", "released", "reminded", "snoozed"]
    assert sorted(kind for _, kind, _ in await mails(forgetful)) == ["escalated", "reminder", "transferred"]


async def test_people_count_once_when_the_answer_to_a_commit_is_lost(forgetful: StoreWorld) -> None:
    """An account, an end user or a claim that is repeated is one."""
    workspace = await forgetful.accounts.ensure_workspace("Team")
    account = await forgetful.accounts.ensure_account("ann@example.org", "Ann", workspace.workspace_id, "owner")
    assert await forgetful.accounts.account(account.account_id) == account
    user = await forgetful.accounts.end_user(workspace.workspace_id, make_id("app"), "abc", "service-api")
    assert await forgetful.accounts.end_user_by_id(user.end_user_id) == user
    assert await forgetful.installation.claim("name", "value") == "value"


async def test_works_that_wait_together_fail_alone(database_url: str) -> None:
    """Many writes at once share commits; one that is refused takes no other with it."""
    world = sql_world(database_url)
    runs = [new_run(f"run {number}") for number in range(40)]
    await asyncio.gather(*(start(world, run) for run in runs))
    writes = [write([node_finished(1)], number % 2, run=run) for number, run in enumerate(runs)]
    results = await asyncio.gather(*(world.journal.append(each) for each in writes), return_exceptions=True)
    assert [isinstance(result, FencedError) for result in results] == [number % 2 == 0 for number in range(40)]
    heads = [len(await world.journal.read(run.run_id)) for run in runs]
    assert heads == [1 + number % 2 for number in range(40)]
    assert world.database is not None
    await world.database.close()


async def test_inserts_convert_their_values_and_refuse_a_second_key(database_url: str) -> None:
    """Several rows or none go in with what a database refuses replaced; a second key is SQLAlchemy's own error."""
    database = open_database(database_url)

    def row(key: str, name: str) -> dict[str, Any]:
        return {"workspace_id": key, "name": name, "created_at": NOW}

    def work(connection: Connection) -> list[bool]:
        insert_rows(connection, workspaces, [])
        insert_rows(connection, workspaces, [row("1", "a\x00"), dict(reversed(row("2", "b\ud800").items()))])
        return [insert_once(connection, workspaces, row(key, key)) for key in ("2", "3")]

    assert await database.write(work) == [False, True]
    with pytest.raises(IntegrityError):
        await database.write(lambda connection: insert_rows(connection, workspaces, [row("1", "d")]))
    names = select(workspaces.c.workspace_id, workspaces.c.name)
    found = await database.read(lambda connection: connection.execute(names).all())
    assert {tuple(each) for each in found} == {("1", "a\ufffd"), ("2", "b\ufffd"), ("3", "3")}
    await database.close()


async def test_large_values_leave_the_database(database_url: str) -> None:
    """The journal row of a large value holds a reference."""
    world = sql_world(database_url)
    database: Database | None = world.database
    assert database is not None and isinstance(world.journal, SqlJournal)
    await start(world)
    await world.journal.append(write([node_finished(1, text="x" * 1_000_000)], 1))
    size = await database.read(
        lambda connection: connection.execute(text("SELECT max(length(facts)) FROM journal")).scalar()
    )
    assert size is not None and size < 1000
    await database.close()


async def test_reader_cannot_write(database_url: str) -> None:
    """A read that tries to write fails, and leaves the reader usable."""
    world = sql_world(database_url)
    assert world.database is not None
    with pytest.raises(DBAPIError, match=r"read-?only"):
        await world.database.read(lambda connection: connection.execute(text("DELETE FROM meta")).rowcount)
    assert await world.forms.waiting_count() == 0
    await world.database.close()


async def test_what_is_due_is_found_by_index(sqlite_url: str) -> None:
    """The timer reads the waiting forms in the order of their deadlines, and no others."""
    world = sql_world(sqlite_url)
    assert world.database is not None
    due = DUE.compile(dialect=sqlite.dialect(paramstyle="named"))
    explain, values = text(f"EXPLAIN QUERY PLAN {due}"), {**due.params, "key_until": NOW, "key_limit": 9}
    plan = await world.database.read(lambda connection: connection.execute(explain, values).all())
    assert [row.detail for row in plan] == ["SEARCH forms USING INDEX ix_forms_waiting (due_at<?)"]
    await world.database.close()
