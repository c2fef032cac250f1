"""What the Greenrooms of tests stand on: SQLite and the event hub, or a real PostgreSQL and a real Valkey.

``dev/test --postgres --redis`` chooses, by the environment. Suites that have a store under test are not meant: they run
on each kind anyway.
"""

import atexit
import os
from contextlib import ExitStack
from functools import cache
from itertools import count

import psycopg
import pytest
from sqlalchemy import make_url

from local_postgres import postgres_server
from local_valkey import local_valkey

IS_POSTGRES = os.environ.get("GREENROOM_TEST_DATABASE", "sqlite") == "postgres"
IS_REDIS = os.environ.get("GREENROOM_TEST_REDIS", "") == "1"
needs_sqlite = pytest.mark.skipif(IS_POSTGRES, reason="looks into the SQLite file")
needs_hub = pytest.mark.skipif(IS_REDIS, reason="there is no event hub beside Redis")

_servers = ExitStack()
_numbers = count(1)
atexit.register(_servers.close)


def backing() -> dict[str, str]:
    """Return the settings that name the database and the Redis of a new Greenroom; empty: the product's own choice."""
    chosen = {}
    if IS_POSTGRES:
        chosen["database_url"] = _new_database()
    if IS_REDIS:
        chosen["redis_url"] = f"{_redis_url().rstrip('/')}/{next(_numbers) % 16}"
    return chosen


def _new_database() -> str:
    server, name = _postgres_url(), f"greenroom_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return make_url(server).set(drivername="postgresql", database=name).render_as_string(hide_password=False)


@cache
def _postgres_url() -> str:
    return _servers.enter_context(postgres_server()).get_uri()


@cache
def _redis_url() -> str:
    return _servers.enter_context(local_valkey()).url
