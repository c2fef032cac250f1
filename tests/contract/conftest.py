"""The stores under test: in memory, on a SQLite file, on a real PostgreSQL, in a real Valkey."""

import shutil
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from sqlalchemy import make_url

import local_postgres
from local_valkey import LocalValkey, local_valkey
from store.migrate import migrate
from store_world import StoreWorld, memory_world, sql_world

_numbers = count(1)
_TEMPLATE = "greenroom_template"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL that lives as long as the tests; without one they are skipped, on CI they fail."""
    with local_postgres.postgres_server() as server:
        url = server.get_uri()
        # The sync to disk is the system's matter and most of the time of these tests.
        for statement in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
            _on_server(url, statement)
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """The URL of a server with a migrated database to copy."""
    migrate(_create(postgres_server, _TEMPLATE, "template1"))
    return postgres_server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated SQLite file without rows."""
    return _database_url("sqlite", request, tmp_path)


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated PostgreSQL database without rows."""
    return _database_url("postgresql", request, tmp_path)


@pytest.fixture
def new_postgres_url(postgres_server: str) -> str:
    """The URL of a PostgreSQL database without any table."""
    return _create(postgres_server, f"empty_{next(_numbers)}", "template1")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any table, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/greenroom.db"
    return request.getfixturevalue("new_postgres_url")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated database without rows, of each kind."""
    return _database_url(request.param, request, tmp_path)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreWorld]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield memory_world()
        return
    built = sql_world(_database_url(request.param, request, tmp_path))
    yield built
    assert built.database is not None
    await built.database.close()


def _database_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if kind == "sqlite":
        path = folder / "greenroom.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    return _create(request.getfixturevalue("postgres_template"), f"test_{next(_numbers)}", _TEMPLATE)


def _create(server: str, name: str, template: str) -> str:
    _on_server(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _on_server(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[LocalValkey]:
    """A Valkey that lives as long as the tests; without one they are skipped, on CI they fail."""
    with local_valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_server: LocalValkey) -> str:
    """The URL of a Valkey without keys."""
    with Redis.from_url(valkey_server.url) as client:
        client.flushall()
    return valkey_server.url


@pytest.fixture
def own_valkey() -> Iterator[LocalValkey]:
    """A Valkey for one test, which may kill it."""
    with local_valkey() as server:
        yield server
