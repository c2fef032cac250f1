"""Forgets a person: what they started and own goes, what they did in other people's runs loses their name.

Deleted: their ended runs with all that hangs on them, in the tables and in the archive; their files; their
conversations with messages and feedback; their end users. In every other row their id and address become a pseudonym,
and the values that they answered or voted with are emptied. The facts of other people's runs stay: they are what
those runs computed with (``docs/retention.md``).

An account itself stays, as its workspace may be its own. Tables are found by their columns (``end_user_id``,
``account_id``, ``owner_id``, ``conversation_id``), so that one that is added later is not left out here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
import uuid_utils
from sqlalchemy import ColumnElement, Connection, Table, delete, exists, or_, select, update

from hitl.recipient import RecipientType
from store.archive import Archive
from store.archive_tables import archived_runs
from store.database import Database
from store.retention import RUNS_PER_BUNDLE
from store.run_record import TERMINAL
from store.run_tables import RowsOfRun, chunks, delete_in, delete_runs, ids_of, tables_of_runs
from store.tables import accounts, end_users, files, form_recipients, forms, is_waiting, metadata, runs

_PERSON_KEYS: Final = ("end_user_id", "account_id")
_EMPTY: Final = b"{}"
_VALUES: Final = "field_values"
_ADDRESS: Final = "email"
_CONVERSATION: Final = "conversation_id"
_OWNER: Final = "owner_id"
_BY_MAIL: Final = (RecipientType.EMAIL_EXTERNAL.value, RecipientType.EMAIL_MEMBER.value)
_ROWS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class ForgottenReport:
    """What was deleted, or would be, as counts. ``left_runs``: ids of runs that have not ended: stop them first."""

    runs: int = 0
    archived_runs: int = 0
    files: int = 0
    conversations: int = 0
    rewritten_rows: int = 0
    end_users: int = 0
    left_runs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Person:
    """Who is meant. ``ids``: of end users and an account; ``address``: as their mails name them, in small letters."""

    ids: tuple[str, ...]
    end_user_ids: tuple[str, ...]
    address: str
    app_id: str | None
    pseudonym: str


class Forgetting:
    """Deletes what the installation knows of one person. May be repeated; each step is a transaction of its own."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive

    async def forget(self, user: str, app_id: str | None, now: float, *, is_dry: bool = False) -> ForgottenReport:
        """Forget a person.

        Args:
            user: what callers of the API name an end user, an end user's id, or the address of an account.
            app_id: only what belongs to this app; None: everywhere.
            now: Unix seconds.
            is_dry: only count what goes.

        Raises:
            ArchiveDamagedError: a bundle that may name the person cannot be read.
            StoreUnavailableError: the store is away; forgetting again goes on from there.
        """
        person = await self._person(user, app_id)
        ended, left = await self._runs_of(person)
        archived = await self._archived_runs_of(person)
        report = await self._counted(person, len(ended), len(archived), left)
        if is_dry:
            return report
        for some in chunks(ended, RUNS_PER_BUNDLE):
            await self._database.write(_deleting_runs(some))
        rewritten = await self._database.write(lambda connection: _forget_rows(connection, person))
        # The archive after the tables: what a pass of retention moves meanwhile is there by now, or is renamed already.
        await self._rewrite_archive(person, await self._archived_runs_of(person), now)
        if not left:
            # Last: without their end users nobody finds what a crash has left.
            await self._database.write(lambda connection: _delete_end_users(connection, person))
        return replace(report, rewritten_rows=rewritten, left_runs=left)

    async def _person(self, user: str, app_id: str | None) -> _Person:
        named = select(end_users.c.end_user_id).where(
            or_(end_users.c.session_id == user, end_users.c.end_user_id == user)
        )
        if app_id is not None:
            named = named.where(end_users.c.app_id == app_id)
        address = user.strip().lower()
        account = select(accounts.c.account_id).where(accounts.c.email == address)

        def work(connection: Connection) -> tuple[list[str], list[str]]:
            return list(connection.execute(named).scalars()), list(connection.execute(account).scalars())

        found, account_ids = await self._database.read(work)
        pseudonym = f"forgotten-{uuid_utils.uuid4()}"
        return _Person((*found, *account_ids), tuple(found), address, app_id, pseudonym)

    async def _runs_of(self, person: _Person) -> tuple[list[str], tuple[str, ...]]:
        """Return the ids of the person's ended runs, and of those that go on."""
        statement = select(runs.c.run_id, runs.c.status).where(runs.c.created_by_id.in_(person.ids))
        if person.app_id is not None:
            statement = statement.where(runs.c.app_id == person.app_id)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        ended = [row.run_id for row in rows if row.status in TERMINAL]
        return ended, tuple(sorted(row.run_id for row in rows if row.status not in TERMINAL))

    async def _archived_runs_of(self, person: _Person) -> set[str]:
        statement = select(archived_runs.c.run_id).where(archived_runs.c.created_by_id.in_(person.ids))
        if person.app_id is not None:
            statement = statement.where(archived_runs.c.app_id == person.app_id)
        return set(await self._database.read(lambda connection: connection.execute(statement).scalars().all()))

    async def _counted(self, person: _Person, ended: int, archived: int, left: tuple[str, ...]) -> ForgottenReport:
        def work(connection: Connection) -> tuple[int, int]:
            of_files = connection.execute(select(files.c.file_id).where(_is_owned(files, person))).all()
            return len(of_files), len(_conversations_of(connection, person))

        file_count, conversation_count = await self._database.read(work)
        return ForgottenReport(ended, archived, file_count, conversation_count, 0, len(person.end_user_ids), left)

    async def _rewrite_archive(self, person: _Person, gone: set[str], now: float) -> None:
        """Take the person out of every bundle: it may name them in the runs of others."""

        def change(run_id: str, rows: RowsOfRun) -> RowsOfRun | None:
            return None if run_id in gone else _without(rows, person)

        for bundle in await self._archive.bundles():
            await self._archive.rewrite(bundle.bundle_id, change, now)


def _deleting_runs(run_ids: Sequence[str]) -> Any:
    def work(connection: Connection) -> None:
        delete_runs(connection, ids_of(connection, run_ids, is_locking=True))

    return work


def _delete_end_users(connection: Connection, person: _Person) -> None:
    delete_in(connection, end_users, end_users.c.end_user_id, person.end_user_ids)


def _forget_rows(connection: Connection, person: _Person) -> int:
    """Delete what the person owns and rename them in what is left; return how many rows were rewritten."""
    connection.execute(delete(files).where(_is_owned(files, person)))
    conversations = _conversations_of(connection, person)
    for table in _tables_with(_CONVERSATION):
        delete_in(connection, table, table.c[_CONVERSATION], conversations)
    count = _rename_recipients(connection, person)
    for each in tables_of_runs():
        for key in _PERSON_KEYS:
            if key in each.table.c:
                count += _rename(connection, each.table, key, person)
    return count


def _rename(connection: Connection, table: Table, key: str, person: _Person) -> int:
    """Put the pseudonym where a row of ``table`` names the person under ``key``, and empty their values."""
    values: dict[str, Any] = {key: person.pseudonym}
    if _ADDRESS in table.c:
        values[_ADDRESS] = person.pseudonym
    if _VALUES in table.c:
        values[_VALUES] = _EMPTY
    condition = table.c[key].in_(person.ids)
    if person.app_id is not None and "form_id" in table.c:
        condition &= exists().where(forms.c.form_id == table.c.form_id, forms.c.app_id == person.app_id)
    return connection.execute(update(table).where(condition).values(values)).rowcount


def _rename_recipients(connection: Connection, person: _Person) -> int:
    """Put the pseudonym where closed forms were sent to the address of the person; return how many."""
    columns = (form_recipients.c.recipient_id, form_recipients.c.payload)
    closed = select(forms.c.form_id).where(~is_waiting)
    if person.app_id is not None:
        closed = closed.where(forms.c.app_id == person.app_id)
    statement = (
        select(*columns)
        .where(form_recipients.c.type.in_(_BY_MAIL), form_recipients.c.form_id.in_(closed))
        .order_by(form_recipients.c.recipient_id)
        .limit(_ROWS_AT_ONCE)
    )
    count, after = 0, ""
    while rows := connection.execute(statement.where(form_recipients.c.recipient_id > after)).all():
        for row in rows:
            payload = orjson.loads(row.payload)
            if _renamed_payload(payload, person) != payload:
                changed = update(form_recipients).where(form_recipients.c.recipient_id == row.recipient_id)
                connection.execute(changed.values(payload=orjson.dumps(_renamed_payload(payload, person))))
                count += 1
        after = rows[-1].recipient_id
    return count


def _without(rows: RowsOfRun, person: _Person) -> RowsOfRun:
    """Return archived rows of a run with the pseudonym for the person."""
    if person.app_id is not None and rows["runs"][0]["app_id"] != person.app_id:
        return rows
    return {name: [_without_row(row, person) for row in each] for name, each in rows.items()}


def _without_row(row: dict[str, Any], person: _Person) -> dict[str, Any]:
    changes: dict[str, Any] = {key: person.pseudonym for key in _PERSON_KEYS if row.get(key) in person.ids}
    if changes and _ADDRESS in row:
        changes[_ADDRESS] = person.pseudonym
    if changes and _VALUES in row:
        changes[_VALUES] = {"text": _EMPTY.decode()}
    if row.get("type") in _BY_MAIL:
        payload = orjson.loads(row["payload"]["text"])
        changes["payload"] = {"text": orjson.dumps(_renamed_payload(payload, person)).decode()}
    return {**row, **changes}


def _renamed_payload(payload: dict[str, Any], person: _Person) -> dict[str, Any]:
    is_theirs = str(payload.get(_ADDRESS) or "").strip().lower() == person.address
    return {**payload, _ADDRESS: person.pseudonym} if is_theirs else payload


def _is_owned(table: Table, person: _Person) -> ColumnElement[bool]:
    condition = table.c[_OWNER].in_(person.ids)
    return condition if person.app_id is None else condition & (table.c.app_id == person.app_id)


def _conversations_of(connection: Connection, person: _Person) -> list[str]:
    """Return the ids of the person's conversations."""
    found: list[str] = []
    for table in _tables_with(_CONVERSATION):
        if _OWNER in table.c:
            found += connection.execute(select(table.c[_CONVERSATION]).where(_is_owned(table, person))).scalars()
    return found


def _tables_with(column_name: str) -> list[Table]:
    return [table for table in metadata.tables.values() if column_name in table.c]
