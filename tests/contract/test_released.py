"""Databases as released versions left them are brought up to date: what waited goes on, what ended reads the same.

``tests/released`` keeps one for each version; ``tests/released/keep.py`` says how they are made.
"""

import ast
import inspect
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url

from graph.events import NodeFinished, decode_facts
from kept_sql import copy_rows, load
from one_process import OneProcess, World, clock
from store.migrate import FOLDER, current_revision, migrate
from store.tables import SCHEMA_REVISION
from stored_http import http_client
from surface_world import SetClock

__all__ = ["clock"]

ROOT = Path(__file__).parents[2]
RELEASED = ROOT / "tests" / "released"
MINUTE_S = 60.0
ADDING = {"create_table", "create_index", "add_column"}
KEPT = sorted(path.parent for path in RELEASED.glob("*/database.sql"))


@dataclass(frozen=True, slots=True)
class Kept:
    """A released version's database, loaded and not yet migrated. ``expected``: what its clients were told."""

    data: Path
    url: str
    expected: dict[str, Any]


@pytest.fixture(params=KEPT, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest) -> Path:
    """What is kept of a released version."""
    return request.param


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Iterator[Kept]:
    """The database of a released version, in SQLite and in PostgreSQL."""
    expected = json.loads((folder / "expected.json").read_text())
    shutil.copy(folder / "secrets.json", tmp_path / "secrets.json").chmod(0o600)
    file = tmp_path / "greenroom.db"
    load((folder / "database.sql").read_text(), str(file))
    if request.param == "sqlite":
        yield Kept(tmp_path, f"sqlite:///{file}", expected)
        return
    url = request.getfixturevalue("new_postgres_url")
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    script = ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])
    found = current_revision(f"sqlite:///{file}")
    with engine.begin() as connection:
        context = MigrationContext.configure(connection)
        with Operations.context(context):
            for each in reversed(list(script.walk_revisions("base", str(found)))):
                each.module.upgrade()
                context.stamp(script, each.revision)
    copy_rows(str(file), engine)
    engine.dispose()
    yield Kept(tmp_path, url, expected)


async def test_released_database_is_migrated_and_goes_on(kept: Kept, clock: SetClock):
    """A waiting run takes an answer by its old token, an ended one reads the same, a crashed one repeats nothing."""
    migrate(kept.url)
    assert current_revision(kept.url) == SCHEMA_REVISION
    clock.at = kept.expected["at"] + MINUTE_S
    world = World()
    process = OneProcess(kept.data, world, clock, name="next", database_url=kept.url)
    finished, paused, crashed = (kept.expected[name] for name in ("finished", "paused", "crashed"))

    async def live() -> None:
        assert await _detail(process, finished) == finished["detail"]
        read = [fact for _, fact in await process.ports.journal.read(finished["run_id"])]
        assert read == decode_facts(json.dumps(finished["facts"]).encode())

        client = await http_client(process, paused["key"])
        path = f"/v1/form/human_input/{paused['token']}"
        asked = await client.get(path)
        assert (asked.status_code, asked.json()["form_content"]) == (200, "Well?")
        answer = {"inputs": {"comment": "late"}, "action": "approve", "user": "somebody"}
        assert (await client.post(path, json=answer)).status_code == 200
        assert (await client.post(path, json=answer)).status_code == 412
        await process.settle()
        detail = await _detail(process, paused)
        assert (detail["status"], detail["outputs"]) == ("succeeded", {"out": "late", "text": "tea!"})

        await process.recover()
        assert (await _detail(process, crashed))["status"] == "succeeded"
        facts = [fact for _, fact in await process.ports.journal.read(crashed["run_id"])]
        ended = [fact.node_id for fact in facts if isinstance(fact, NodeFinished)]
        assert ended == ["start", "first", "second", "end"]
        assert [request.name for request in world.chat.requests] == ["second"]

    assert await process.live(live())


async def _detail(process: OneProcess, run: dict[str, Any]) -> Any:
    client = await http_client(process, run["key"])
    reply = await client.get(f"/v1/workflows/run/{run['run_id']}")
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_every_released_version_is_kept():
    """Each version that CHANGELOG.md names, and the one that pyproject.toml builds, has its folder."""
    changes = (ROOT / "CHANGELOG.md").read_text()
    built = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert built is not None
    versions = {*re.findall(r"^## \[(\d+\.\d+\.\d+)]", changes, re.M), built[1]}
    missing = versions - {path.name for path in KEPT}
    assert not missing, f"keep them: .venv/bin/python tests/released/keep.py {' '.join(sorted(missing))}"


def test_kept_database_of_this_version_has_its_schema(tmp_path: Path):
    """A migration that was changed after its version was kept would never reach whoever has that version."""
    for folder in KEPT:
        file = tmp_path / f"{folder.name}.db"
        load((folder / "database.sql").read_text(), str(file))
        migrate(f"sqlite:///{file}")
        fresh = tmp_path / f"fresh-{folder.name}.db"
        migrate(f"sqlite:///{fresh}")
        assert _schema(file) == _schema(fresh), (
            f"{folder.name} does not come to the schema of a new database: a migration has changed. Write a new one, "
            f"or, before the version is released, keep its database again (tests/released/keep.py)"
        )


def test_migrations_only_add():
    """Additive first: processes of the version before go on with the new schema. What must go, goes a version later."""
    script = ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])
    for each in script.walk_revisions():
        calls = {
            node.func.attr
            for node in ast.walk(ast.parse(inspect.getsource(each.module)))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "op"
        }
        others = calls - ADDING - {"get_bind"}
        assert not others, f"revision {each.revision} calls {sorted(others)}; say in it why, and add it here"


def test_added_columns_can_be_left_out():
    """The version before writes rows without them: a new column is nullable or has a default in the database."""
    script = ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])
    columns = []
    for each in script.walk_revisions():
        for node in ast.walk(ast.parse(inspect.getsource(each.module))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_column":
                (column,) = [part for part in node.args if isinstance(part, ast.Call)]
                columns.append({word.arg: ast.unparse(word.value) for word in column.keywords})
    assert columns
    assert [each for each in columns if each.get("nullable") != "True" and "server_default" not in each] == []


def _schema(path: Path) -> list[tuple[Any, ...]]:
    """Return the tables, indexes and columns of a SQLite file, in order of their names."""
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(
                'SELECT m.type, m.name, c.name, c.type, c."notnull", c.pk FROM sqlite_master m '
                "LEFT JOIN pragma_table_info(m.name) c ON m.type = 'table' ORDER BY 1, 2, 3"
            )
            return [tuple(row) for row in rows]
    finally:
        engine.dispose()
