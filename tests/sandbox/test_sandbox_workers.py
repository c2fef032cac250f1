"""The worker processes: what they may, how they end, and what a process without an image does."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from child_processes import children_with
from effects.code_sandbox import image as images
from effects.code_sandbox.errors import ImageMissingError
from effects.code_sandbox.limits import SandboxLimits
from effects.code_sandbox.sandbox import WasmCodeSandbox
from fakes import ListForms, ListRecorder, ScriptedChat, TickClock
from graph.engine import Engine
from graph.errors import NodeError
from graph.parse_workflow import parse_document
from graph.plan import compile_plan
from graph.ports import Effects
from graph.run_state import RunState

pytestmark = pytest.mark.service

ECHO = "def main(x):\n    return {'x': x}"
ENDLESS = "def main():\n    while True: pass"
ENDED_S = 60.0
"""How long the end of a process may take to show."""
LIMITS = SandboxLimits(time_s=31.0)
"""Of the sandboxes of this file and of no other: by them their workers are known."""
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
async def own() -> AsyncIterator[WasmCodeSandbox]:
    """A sandbox of this test only."""
    made = WasmCodeSandbox(LIMITS)
    yield made
    await made.close()


def workers() -> set[int]:
    """Process ids of the workers of this file's sandboxes, of which there is one at a time."""
    return {child.pid for child in children_with(json.dumps(asdict(LIMITS)))}


async def new_worker(sandbox: WasmCodeSandbox) -> int:
    """Start the first worker of ``sandbox`` and return its process id."""
    assert await sandbox.run_code("python3", ECHO, {"x": 1}) == {"x": 1}
    (worker,) = workers()
    return worker


async def begun(sandbox: WasmCodeSandbox, worker: int) -> asyncio.Task[Any]:
    """Begin a run that does not end by itself; return its task once ``worker`` is at it."""
    process = psutil.Process(worker)
    before_s = process.cpu_times().user
    task = asyncio.create_task(sandbox.run_code("python3", ENDLESS, {}))
    while process.cpu_times().user < before_s + 0.1:
        assert not task.done()
        await asyncio.sleep(0.01)
    return task


async def has_ended(handle: int) -> bool:
    """Say whether the process that ``handle`` means ends; close the handle."""
    ended, _, _ = await asyncio.to_thread(select.select, [handle], [], [], ENDED_S)
    os.close(handle)
    return bool(ended)


@needs_proc
async def test_worker_has_no_rights(own: WasmCodeSandbox):
    """A worker is nobody where its parent is root, without variables, files, or leave to open or start anything."""
    worker = Path(f"/proc/{await new_worker(own)}")
    status = dict(line.split(":\t", 1) for line in (worker / "status").read_text().splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    assert set(status["Uid"].split()) == ({"65534"} if os.getuid() == 0 else {str(os.getuid())})
    if os.getuid() == 0:
        assert status["Groups"].strip() == ""
        assert set(status["CapEff"]) == {"0"}
        assert (worker / "environ").read_bytes() == b""
        targets = {os.readlink(link) for link in (worker / "fd").iterdir()}
        ours = {"/dev/null", "anon_inode:[eventpoll]", "anon_inode:[eventfd]", "/memfd:wasm-memory-image (deleted)"}
        assert not [t for t in targets - ours if not t.startswith("pipe:") and not t.endswith(".cwasm")]
    limits = {line[:25].strip(): line[26:46].strip() for line in (worker / "limits").read_text().splitlines()}
    assert [limits[f"Max {name}"] for name in ("processes", "open files", "file size", "core file size")] == ["0"] * 4


@needs_proc
async def test_no_worker_starts_before_the_first_run():
    """A sandbox that is not used costs nothing, and closing it is no work."""
    made = WasmCodeSandbox(LIMITS)
    assert workers() == set()
    await made.close()
    assert workers() == set()


@needs_proc
async def test_worker_is_kept_for_the_next_run(own: WasmCodeSandbox):
    """Runs one after the other use one worker; two at a time use two."""
    first = await new_worker(own)
    for number in range(3):
        assert await own.run_code("python3", ECHO, {"x": number}) == {"x": number}
    assert workers() == {first}
    results = await asyncio.gather(*(own.run_code("python3", ECHO, {"x": n}) for n in range(8)))
    assert results == [{"x": n} for n in range(8)]
    assert first in workers()
    assert len(workers()) == 2


@needs_proc
async def test_cancelled_run_takes_its_worker_along(own: WasmCodeSandbox):
    """Cancelling a run kills its worker at once; the next run has a new one."""
    worker = await new_worker(own)
    handle = os.pidfd_open(worker)
    task = await begun(own, worker)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await has_ended(handle)
    assert await own.run_code("python3", ECHO, {"x": 1}) == {"x": 1}


@needs_proc
async def test_killed_worker_fails_only_its_run(own: WasmCodeSandbox):
    """A worker that dies in the middle of a run fails that run with a text; the next run works."""
    worker = await new_worker(own)
    task = await begun(own, worker)
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(NodeError, match="the worker ended in the middle of the run"):
        await task
    assert await own.run_code("python3", ECHO, {"x": 1}) == {"x": 1}


@needs_proc
async def test_busy_worker_dies_with_its_parent():
    """A process that is killed leaves no worker behind, not even one in an endless loop."""
    program = (
        "import asyncio\nfrom effects.code_sandbox.sandbox import WasmCodeSandbox\n"
        "async def main():\n"
        "    sandbox = WasmCodeSandbox()\n"
        "    await sandbox.run_code('python3', 'def main():\\n    return {}', {})\n"
        "    print('started', flush=True)\n"
        "    await sandbox.run_code('python3', 'def main():\\n    while True: pass', {})\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        assert await asyncio.to_thread(parent.stdout.readline) == "started\n"
        (worker,) = psutil.Process(parent.pid).children()
        handle = os.pidfd_open(worker.pid)
        parent.kill()
        parent.wait()
        assert await has_ended(handle)


async def test_loop_goes_on_while_code_runs(own: WasmCodeSandbox):
    """The event loop serves others while a run computes."""
    task = asyncio.create_task(own.run_code("python3", "def main():\n    return {'r': sum(range(3_000_000))}", {}))
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert await task == {"r": sum(range(3_000_000))}
    assert turns > 100


async def test_without_an_image_python_fails_and_says_how_to_mend_it():
    """Where the image is not built, code and templates fail by that reason, and nothing runs outside of it."""

    def nothing() -> Path:
        raise ImageMissingError

    made = WasmCodeSandbox(find_image=nothing)
    for run in (made.run_code("python3", ECHO, {"x": 1}), made.render("{{ 1 }}", {})):
        with pytest.raises(NodeError, match="the code sandbox is not built: run `greenroom sandbox build`"):
            await run
    await made.close()


async def test_broken_image_fails_the_node(tmp_path: Path):
    """An image that is no WebAssembly fails the node with what wasmtime says."""
    broken = tmp_path / "sandbox-0.wasm"
    broken.write_bytes(b"\0asm but not really")
    made = WasmCodeSandbox(find_image=lambda: broken)
    with pytest.raises(NodeError, match="the code sandbox failed: "):
        await made.run_code("python3", ECHO, {"x": 1})
    await made.close()


def test_image_is_built_once():
    """Building again does nothing while the sources and versions are the same."""
    before = images.built_image().stat().st_mtime_ns
    path, is_new = images.build_image()
    assert not is_new
    assert path.stat().st_mtime_ns == before
    assert images.is_built()


async def test_nodes_run_in_the_engine(own: WasmCodeSandbox):
    """A workflow with code in both languages and a template without a bound runs to its end."""
    result = {"variable": "v", "value_selector": ["code", "n"]}
    nodes = [
        ("start", {"type": "start", "variables": [{"variable": "n", "type": "number", "label": "n"}]}),
        ("code", {"type": "code", "code_language": "python3", "code": "def main(n):\n    return {'n': n + 1}",
                  "variables": [{"variable": "n", "value_selector": ["start", "n"]}],
                  "outputs": {"n": {"type": "number"}}}),
        ("script", {"type": "code", "code_language": "javascript", "code": "function main({v}) { return {n: v * 2} }",
                    "variables": [result], "outputs": {"n": {"type": "number"}}}),
        ("text", {"type": "template-transform", "variables": [result],
                  "template": "{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(v) }}"}),
        ("end", {"type": "end", "outputs": [{"variable": "n", "value_selector": ["script", "n"]},
                                            {"variable": "t", "value_selector": ["text", "output"]}]}),
    ]  # fmt: skip
    names = [name for name, _ in nodes]
    graph = {
        "nodes": [{"id": name, "data": {"title": name, **data}} for name, data in nodes],
        "edges": [
            {"id": target, "source": source, "target": target, "sourceHandle": "source"}
            for source, target in pairwise(names)
        ],
    }
    document = {
        "app": {"mode": "workflow", "name": "x"},
        "kind": "app",
        "version": "0.6.0",
        "workflow": {"graph": graph},
    }
    workflow = parse_document(document).workflow
    assert workflow is not None
    plan = compile_plan(workflow)
    effects = Effects(ScriptedChat(), ListForms(), code=own)
    engine = Engine(plan, RunState(plan), "run-1", effects, ListRecorder(), TickClock())
    outcome = await engine.start({"n": 20}, {})
    assert outcome.error is None
    assert outcome.outputs == {"n": 42, "t": "<21>"}
