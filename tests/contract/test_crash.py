"""What is left of a writing process that is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from store_world import make_id, sql_world

ROOT = Path(__file__).resolve().parents[2]
RUNS = 4
WRITER = f"""
import asyncio, sys
from store_world import new_run, node_finished, sql_world, start, write

async def append_forever(world, name):
    run, head = await start(world, new_run(name)), 1
    while True:
        print(name, head, flush=True)
        head = await world.journal.append(write([node_finished(head + 1, text="x" * 2000)] * 2, head, run=run))

async def main():
    world = sql_world(sys.argv[1])
    await asyncio.gather(*(append_forever(world, f"run-{{number}}") for number in range({RUNS})))

asyncio.run(main())
"""


def write_until_killed(url: str, acknowledged_count: int) -> dict[str, int]:
    """Kill a writing process after so many acknowledged appends, some of each run.

    Returns:
        Run name -> last acknowledged head.
    """
    heads: dict[str, int] = {}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-c", WRITER, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout is not None
        for number, line in enumerate(writer.stdout):
            if number >= acknowledged_count and len(heads) == RUNS:
                writer.send_signal(signal.SIGKILL)
            if line.endswith("\n"):
                name, head = line.split()
                heads[name] = int(head)
    assert writer.returncode == -signal.SIGKILL
    return heads


@pytest.mark.parametrize("acknowledged_count", [10, 500])
async def test_killed_writer_loses_nothing_it_was_told_is_stored(acknowledged_count: int, sqlite_url: str) -> None:
    """After kill -9 every acknowledged fact is there, and no number is missing or there twice."""
    heads = write_until_killed(sqlite_url, acknowledged_count)
    world = sql_world(sqlite_url)
    for name, head in heads.items():
        numbers = [number for number, _ in await world.journal.read(make_id(name))]
        record = await world.journal.get(make_id(name))
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= head
        assert record is not None and record.head == len(numbers)
    assert len(heads) == RUNS
    assert world.database is not None
    await world.database.close()
