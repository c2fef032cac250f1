"""Keeps a database as this version leaves it: ``.venv/bin/python tests/released/keep.py 0.1.0`` before its release.

The folder of that name gets ``database.sql`` (the statements that make the SQLite file, with the packed values of each
row readable beside it), ``secrets.json`` with the form token key, ``expected.json`` with what clients were told, and
``contracts.json`` with what crosses processes. ``tests/contract/test_released.py`` and ``tests/unit/test_contracts.py``
read them for good.
"""

import asyncio
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

import crossing  # noqa: E402
import factories as f  # noqa: E402
from actors.key_check import check_key  # noqa: E402
from actors.messages import RunOrder, order_run  # noqa: E402
from graph.events import _KINDS, FACTS_VERSION, encode_facts  # noqa: E402
from graph.run_state import RunState  # noqa: E402
from graph.snapshot import SNAPSHOT_VERSION, dump_state  # noqa: E402
from hitl.disposition import dispositions  # noqa: E402
from hitl.surface import Surface  # noqa: E402
from kept_sql import dump  # noqa: E402
from one_process import OneProcess, World, set_clock  # noqa: E402
from run_on_stage import graph  # noqa: E402
from store.migrate import migrate  # noqa: E402
from store.run_record import NewRun  # noqa: E402
from store_world import make_id  # noqa: E402
from stored_http import http_client  # noqa: E402
from surface_world import SetClock  # noqa: E402

ASKING = (
    [f.start("topic"), f.template("t", "{{ x }}!", x=["start", "topic"]), f.human(),
     f.end(out=["human", "comment"], text=["t", "output"])],
    [f.edge("start", "t"), f.edge("t", "human"), f.edge("human", "end", "approve"), f.edge("human", "end", "reject")],
)  # fmt: skip
MODEL = (
    [f.start("topic"), f.llm("first", "{{#start.topic#}}"), f.llm("second", "{{#first.text#}}"),
     f.end(out=["second", "text"])],
    [f.edge("start", "first"), f.edge("first", "second"), f.edge("second", "end")],
)  # fmt: skip
WRITES_BEFORE_DEATH = 3
"""How many writes the process survives that executes the run ``crashed``: the second model call is under way."""


def main() -> None:
    """Keep the database of the version that is named."""
    (name,) = sys.argv[1:]
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data, pytest.MonkeyPatch.context() as patch:
        expected = asyncio.run(built(Path(data), set_clock(patch)))
        with closing(sqlite3.connect(Path(data) / "greenroom.db")) as database:
            (folder / "database.sql").write_text(dump(database, name), encoding="utf-8")
        (folder / "secrets.json").write_text((Path(data) / "secrets.json").read_text())
    _write(folder / "expected.json", expected)
    _write(folder / "contracts.json", shapes())


async def built(data: Path, clock: SetClock) -> dict[str, Any]:
    """Fill a data folder: a finished run, one that waits for a person, one whose process died; return what is told."""
    migrate(f"sqlite:///{data}/greenroom.db")
    world = World()
    expected: dict[str, Any] = {"at": clock.now()}
    orders: list[RunOrder] = []

    async def live() -> None:
        await check_key(process.ports.secrets.token_key, process.ports.installation)
        orders.append(await _order(process, "crashed", MODEL, expected))
        for name in ("finished", "paused"):
            outcome = await process.start(await _order(process, name, ASKING, expected))
            form_id = outcome.forms[0].form_id
            recipients = await process.ports.forms.recipients([form_id])
            shown = dispositions(recipients, Surface.SERVICE_API, process.ports.secrets.token_key)
            expected[name]["token"] = shown[form_id].form_token
        client = await http_client(process, expected["finished"]["key"])
        answer = {"inputs": {"comment": "good"}, "action": "approve", "user": "somebody"}
        reply = await client.post(f"/v1/form/human_input/{expected['finished']['token']}", json=answer)
        assert reply.is_success, reply.text
        await process.settle()
        expected["finished"]["detail"] = await _detail(process, expected["finished"])
        facts = [fact for _, fact in await process.ports.journal.read(expected["finished"]["run_id"])]
        expected["finished"]["facts"] = json.loads(encode_facts(facts))

    async def die() -> None:
        await process.start(orders[0])

    process = OneProcess(data, world, clock)
    assert await process.live(live())
    process = OneProcess(data, world, clock, name="dead", dies_at=WRITES_BEFORE_DEATH)
    assert not await process.live(die())
    return expected


async def _order(process: OneProcess, name: str, nodes: Any, expected: dict[str, Any]) -> RunOrder:
    """Return the order of a run of an app of its own; ``expected`` gets the run's id and the app's key."""
    ports = process.ports
    workspace = await ports.accounts.ensure_workspace("Team")
    app_id, version_id = await ports.apps.import_app(workspace.workspace_id, f.workflow(*nodes), None)
    _, key = await ports.apps.create_key(app_id)
    user = await ports.accounts.end_user(workspace.workspace_id, app_id, "somebody", "service-api")
    run = NewRun(
        make_id(name), workspace.workspace_id, app_id, version_id, "workflow", "service-api", "end_user",
        user.end_user_id, "somebody", {"topic": "tea"}, process.clock.now(),
    )  # fmt: skip
    expected[name] = {"run_id": run.run_id, "key": key}
    return order_run(run)


async def _detail(process: OneProcess, run: dict[str, Any]) -> Any:
    client = await http_client(process, run["key"])
    reply = await client.get(f"/v1/workflows/run/{run['run_id']}")
    assert reply.is_success, reply.text
    return reply.json()


def shapes() -> dict[str, Any]:
    """Return what of this version the version before and the next one must understand."""
    return {
        "methods": crossing.methods(),
        "kinds": {crossing.name_of(kind): crossing.fields_of(kind) for kind in crossing.kinds()},
        "facts": {
            "version": FACTS_VERSION,
            "kinds": {name: [each.name for each in fields(kind)] for name, kind in _KINDS.items()},
        },
        "snapshot": {
            "version": SNAPSHOT_VERSION,
            "parts": sorted(json.loads(dump_state(RunState(graph([f.start()], []))))),
        },
    }


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
