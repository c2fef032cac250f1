"""A person is forgotten: their runs, files and names, in the tables and in the archive."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from hitl.recipient import Recipient, RecipientType
from store.archive import Archive
from store.archive_tables import archived_runs
from store.bundle import path_of
from store.errors import ArchiveDamagedError
from store.file_record import FileOwner, FileRecord
from store.forget import Forgetting, ForgottenReport
from store.form_record import Submitter
from store.kept_objects import KeptObjects, open_objects
from store.retention import Retention
from store.tables import audit, end_users, files, form_recipients, runs, submissions
from store_world import ANSWER, NOW, StoreWorld, finished, given, make_id, new_form, new_run, sql_world, start, write

LATER = NOW + 1000
ADA = "ada@example.org"


@dataclass(slots=True)
class People:
    """A database in which Ada and Bob do things."""

    world: StoreWorld
    objects: KeptObjects
    ada: str
    bob: str

    @property
    def archive(self) -> Archive:
        """The archive of the database."""
        return Archive(self.world.database, self.objects)

    async def forget(self, user: str, app_id: str | None = None, *, is_dry: bool = False) -> ForgottenReport:
        """Forget ``user``."""
        return await Forgetting(self.world.database, self.archive).forget(user, app_id, LATER, is_dry=is_dry)

    async def ended_run(self, name: str, creator: str, answerer: str) -> str:
        """Make a run of ``creator`` that mailed Ada a form, which ``answerer`` answered; return its id."""
        run = await start(self.world, new_run(name, created_by_id=creator))
        form = new_form(run)
        recipient = Recipient(
            make_id("mail", name), form.form_id, RecipientType.EMAIL_EXTERNAL, payload={"email": "Ada@example.org"}
        )
        await self.world.forms.open(form, [recipient], [])
        by = Submitter(end_user_id=answerer, via="web")
        await self.world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), by, NOW + 6)
        taken = {"taken": [form.form_id]}
        await self.world.journal.append(write([finished()], 1, run=run, **taken))
        return run.run_id

    async def column(self, column: Any) -> list[Any]:
        """Return the values of a column."""
        read = self.world.database.read
        values = await read(lambda connection: connection.execute(select(column)).scalars().all())
        return sorted(value for value in values if value is not None)

    async def text_of_everything(self) -> str:
        """Return all that tables of people and bundles say, as one text."""
        found = [
            repr(
                await self.world.database.read(lambda connection, table=table: connection.execute(select(table)).all())
            )
            for table in (runs, submissions, audit, files, end_users, form_recipients, archived_runs)
        ]
        for bundle in await self.archive.bundles():
            found.append(orjson.dumps(await self.archive.read(bundle.bundle_id)).decode())
        return "\n".join(found)


@pytest.fixture
async def people(database_url: str, tmp_path: Path) -> AsyncIterator[People]:
    """Ada and Bob as end users of an app, with a file each."""
    world = sql_world(database_url)
    ids = []
    for name in ("ada", "bob"):
        user = await world.accounts.end_user(make_id("workspace"), make_id("app"), name, "service-api")
        ids.append(user.end_user_id)
        owner = FileOwner(make_id("workspace"), make_id("app"), "end_user", user.end_user_id)
        await world.files.add(FileRecord(make_id(name), owner, "a.txt", "text/plain", ".txt", 1, "0" * 64, NOW))
    yield People(world, open_objects("", tmp_path), *ids)
    assert world.database is not None
    await world.database.close()


async def test_person_is_forgotten_in_tables_and_archive(people: People) -> None:
    """Own runs and files go everywhere; in the runs of others a pseudonym stands and their answers are empty."""
    archived = [await people.ended_run("archived own", people.ada, people.bob)]
    archived += [await people.ended_run("archived other", people.bob, people.ada)]
    await Retention(people.world.database, people.archive).archive_runs(NOW + 100, NOW + 200)
    await people.ended_run("own", people.ada, people.bob)
    other = await people.ended_run("other", people.bob, people.ada)
    planned = await people.forget("ada", is_dry=True)
    assert (planned.runs, planned.archived_runs, planned.files, planned.end_users) == (1, 1, 1, 1)
    done = await people.forget("ada")
    assert (done.runs, done.archived_runs, done.files, done.left_runs) == (1, 1, 1, ())
    assert people.ada not in await people.text_of_everything()
    assert people.bob in await people.text_of_everything()
    assert await people.column(runs.c.run_id) == [other]
    assert await people.column(submissions.c.field_values) == [b"{}"]
    assert all(name.startswith("forgotten-") for name in await people.column(audit.c.end_user_id))
    assert await people.column(archived_runs.c.run_id) == [archived[1]]
    (bundle,) = await people.archive.bundles()
    rows = (await people.archive.read(bundle.bundle_id))[archived[1]]
    assert rows["submissions"][0]["field_values"] == {"text": "{}"}
    assert rows["submissions"][0]["end_user_id"].startswith("forgotten-")
    assert await people.forget("ada") == ForgottenReport()


async def test_address_is_forgotten_where_forms_were_sent_to_it(people: People) -> None:
    """An address in recipients of closed forms becomes a pseudonym, in any letter case; open forms keep theirs."""
    await people.ended_run("archived", people.bob, people.bob)
    await Retention(people.world.database, people.archive).archive_runs(NOW + 100, NOW + 200)
    await people.ended_run("closed", people.bob, people.bob)
    waiting = await start(people.world, new_run("waiting"))
    form = new_form(waiting)
    await people.world.forms.open(
        form, [Recipient(make_id("open"), form.form_id, RecipientType.EMAIL_EXTERNAL, payload={"email": ADA})], []
    )
    assert (await people.forget(ADA)).rewritten_rows == 1
    text = await people.text_of_everything()
    assert "Ada@example.org" not in text and text.count(ADA) == 1


async def test_runs_that_go_on_are_left_and_named(people: People) -> None:
    """A run of the person that has not ended stays whole and is named, and so does the person until it has ended."""
    run = await start(people.world, new_run("executes", created_by_id=people.ada))
    assert (await people.forget("ada")).left_runs == (run.run_id,)
    assert await people.column(end_users.c.end_user_id) == sorted([people.ada, people.bob])
    await people.world.journal.append(write([finished("stopped")], 1, run=run))
    assert (await people.forget("ada")).left_runs == ()
    assert await people.column(end_users.c.end_user_id) == [people.bob]
    assert await people.column(runs.c.run_id) == []


async def test_other_apps_are_left_alone_where_one_is_named(people: People) -> None:
    """With an app named, only what belongs to it is forgotten."""
    elsewhere = await people.world.accounts.end_user(make_id("workspace"), "another", "ada", "service-api")
    row = {"app_id": "another", "created_by_id": elsewhere.end_user_id}
    run = await start(people.world, new_run("elsewhere", **row))
    await people.world.journal.append(write([finished()], 1, run=run))
    await people.ended_run("own", people.ada, people.bob)
    done = await people.forget("ada", make_id("app"))
    assert (done.runs, done.end_users) == (1, 1)
    assert await people.column(runs.c.run_id) == [run.run_id]
    assert elsewhere.end_user_id in await people.column(end_users.c.end_user_id)


async def test_run_that_is_archived_meanwhile_is_forgotten_too(people: People) -> None:
    """A pass of retention between looking and deleting does not save a run."""
    await people.ended_run("own", people.ada, people.bob)
    other = await people.ended_run("other", people.bob, people.ada)
    retention = Retention(people.world.database, people.archive)

    class Meddling(Forgetting):
        async def _counted(self, *counted: Any) -> ForgottenReport:
            await retention.archive_runs(NOW + 100, NOW + 200)
            return await super()._counted(*counted)

    await Meddling(people.world.database, people.archive).forget("ada", None, LATER)
    assert people.ada not in await people.text_of_everything()
    assert await people.column(archived_runs.c.run_id) == [other]


async def test_broken_off_forgetting_is_done_again(people: People) -> None:
    """A bundle that cannot be read breaks it off; the person is still found, and gone after the next try."""
    await people.ended_run("own", people.ada, people.bob)
    await Retention(people.world.database, people.archive).archive_runs(NOW + 100, NOW + 200)
    (bundle,) = await people.archive.bundles()
    content = await people.objects.get(path_of(bundle.bundle_id))
    assert content is not None
    await people.objects.put(path_of(bundle.bundle_id), b"damaged")
    with pytest.raises(ArchiveDamagedError):
        await people.forget("ada")
    assert people.ada in await people.column(end_users.c.end_user_id)
    await people.objects.put(path_of(bundle.bundle_id), content)
    assert (await people.forget("ada")).archived_runs == 1
    assert people.ada not in await people.text_of_everything()


async def test_unknown_person_changes_nothing(people: People) -> None:
    """Nobody of the name: nothing is touched."""
    await people.ended_run("own", people.ada, people.bob)
    before = await people.text_of_everything()
    assert await people.forget("nobody") == ForgottenReport()
    assert await people.text_of_everything() == before
