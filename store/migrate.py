"""Brings a database to the schema that this version needs: the revisions in ``store/migrations``, in order.

Only ``greenroom migrate`` and the start script call this; everything else refuses an old schema. Revisions are
numbered, lie directly in the folder, run on SQLite and PostgreSQL, and only add.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, func, select, text

from store.database import parse_url, sqlite_path, stored_revision
from store.postgres_lane import driver_options
from store.sqlite_lane import sqlite_engine

FOLDER: Final = Path(__file__).parent / "migrations"
_LOCK_NUMBER = 0x6772_6565_6E72_6F6F
"""Any number, the same in every version: two migrations of one PostgreSQL database wait for each other."""
_SESSION_SETTINGS: Final = {"idle_in_transaction_session_timeout": "30s", "tcp_user_timeout": "30s"}
"""A machine that is lost in the middle of a transaction leaves its locks behind, and PostgreSQL would keep them for two
hours: nobody could go on with the run whose row is locked. Kept with the role, so that it holds behind a pooler too."""


def migrate(url: str) -> list[str]:
    """Apply the revisions that the database at ``url`` lacks, all in one transaction; a SQLite file is created.

    In PostgreSQL the role of ``url`` also gets the time limits of ``_SESSION_SETTINGS`` for this database, where nobody
    has set others. May be called again, and by several processes at once.

    Returns:
        The revisions applied, empty where the database was up to date or ahead.

    Raises:
        UnsupportedDatabaseError: ``url`` names neither a SQLite file nor PostgreSQL.
    """
    path = sqlite_path(parse_url(url))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Forms and answers are in it: for its owner alone. SQLite gives its side files the same mode.
        path.touch(mode=0o600)
    script = ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])
    with _transaction(url) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK_NUMBER)))
        found = stored_revision(connection)
        revisions = reversed(list(script.walk_revisions()))
        missing = [each for each in revisions if found is None or each.revision > found]
        context = MigrationContext.configure(connection)
        with Operations.context(context):
            for each in missing:
                each.module.upgrade()
                context.stamp(script, each.revision)
        if connection.dialect.name == "postgresql":
            _limit_lost_sessions(connection)
    return [each.revision for each in missing]


def current_revision(url: str) -> str | None:
    """Return the schema revision of the database at ``url``, None where there is none.

    Raises:
        UnsupportedDatabaseError: ``url`` names neither a SQLite file nor PostgreSQL.
    """
    path = sqlite_path(parse_url(url))
    if path is not None and not path.exists():
        return None
    with _transaction(url) as connection:
        return stored_revision(connection)


def _limit_lost_sessions(connection: Connection) -> None:
    preparer = connection.dialect.identifier_preparer
    database = preparer.quote(connection.execute(select(func.current_database())).scalar_one())
    is_unset = text("SELECT source = 'default' FROM pg_settings WHERE name = :name")
    for name, value in _SESSION_SETTINGS.items():
        if connection.execute(is_unset, {"name": name}).scalar_one():
            connection.execute(text(f"ALTER ROLE CURRENT_USER IN DATABASE {database} SET {name} = '{value}'"))


@contextmanager
def _transaction(url: str) -> Iterator[Connection]:
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    if path is not None:
        engine = sqlite_engine(path, is_writer=True)
    else:
        # Also for asyncpg, which has no blocking calls.
        plain, options = driver_options(parsed.difference_update_query(["prepared_statement_cache_size"]))
        engine = create_engine(plain.set(drivername="postgresql+psycopg"), hide_parameters=True, connect_args=options)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
