"""Code that wants out, or more than its share: it reaches nothing, ends in time, and the next run works."""

import os
import socket
from pathlib import Path

import pytest

from effects.code_sandbox.sandbox import WasmCodeSandbox
from graph.errors import NodeError

pytestmark = pytest.mark.service

SECRET = "hunter2-of-the-host"


def python(body: str) -> str:
    """Return code whose ``main`` has ``body`` (one line each)."""
    return "def main(**inputs):\n" + "".join(f"    {line}\n" for line in body.splitlines())


async def works(sandbox: WasmCodeSandbox) -> bool:
    """Whether the next runs of both languages give what they should."""
    by_python = await sandbox.run_code("python3", python("return inputs"), {"x": 1})
    by_javascript = await sandbox.run_code("javascript", "function main({x}) { return {x} }", {"x": 1})
    return by_python == by_javascript == {"x": 1}


@pytest.mark.parametrize(
    "attempt",
    [
        "return {'r': open(inputs['path']).read()}",
        "import os\nreturn {'r': os.listdir(inputs['folder'])}",
        "import pathlib\npathlib.Path(inputs['folder'], 'new').write_text('x')\nreturn {'r': 'written'}",
        "import os\nos.open(inputs['folder'], os.O_RDONLY)\nreturn {'r': 'opened'}",
        "import os\nos.chdir('/')\nreturn {'r': os.getcwd()}",
        "import os\nos.fdopen(3).read()\nreturn {'r': 'read'}",
        "import tempfile\ntempfile.mkstemp()\nreturn {'r': 'made'}",
        "import sqlite3\nreturn {'r': str(sqlite3.connect(inputs['path']))}",
        "import mmap\nmmap.mmap(0, 4096)\nreturn {'r': 'mapped'}",
    ],
)
async def test_no_file_is_reached(tight: WasmCodeSandbox, tmp_path: Path, attempt: str):
    """There is no file system: nothing opens, nothing is written, and the attempt fails as such."""
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    with pytest.raises(NodeError) as caught:
        await tight.run_code("python3", python(attempt), {"path": str(tmp_path / "secret"), "folder": str(tmp_path)})
    assert SECRET not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]
    assert await works(tight)


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket\nsocket.create_connection(('127.0.0.1', inputs['port']), 0.5)",
        "import socket\ns = socket.socket(type=socket.SOCK_DGRAM)\ns.sendto(b'x', ('127.0.0.1', inputs['port']))",
        "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))",
        "import socket\nsocket.getaddrinfo('localhost', 80)\nsocket.socket()",
        "import urllib.request\nurllib.request.urlopen(f\"http://127.0.0.1:{inputs['port']}/\", timeout=0.5)",
        "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', inputs['port']))",
    ],
)  # fmt: skip
async def test_no_socket_is_reached(tight: WasmCodeSandbox, attempt: str):
    """There is no network: a listener on this machine hears nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        with pytest.raises(NodeError):
            await tight.run_code("python3", python(f"{attempt}\nreturn {{}}"), {"port": listener.getsockname()[1]})
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert await works(tight)


@pytest.mark.parametrize(
    "attempt",
    [
        "import os\nreturn {'r': dict(os.environ)}",
        "import sys\nreturn {'r': sys.argv}",
        "import os\nreturn {'r': [os.getenv('HOME'), os.getenv('PATH')]}",
        "import os, platform\nreturn {'r': [platform.node().replace('(none)', '')]}",
    ],
)
async def test_nothing_is_known_of_the_host(tight: WasmCodeSandbox, attempt: str):
    """Code sees an environment without variables, arguments or names of the machine."""
    result = (await tight.run_code("python3", python(attempt), {}))["r"]
    assert not [value for value in (result if isinstance(result, list) else dict(result or {}).values()) if value]


@pytest.mark.parametrize(
    "attempt",
    [
        "import subprocess\nsubprocess.run(['id'])", "import os\nos.fork()", "import os\nos.execv('/bin/sh', ['sh'])",
        "import os\nos.system('id')\nraise OSError", "import os\nos.kill(1, 9)", "import ctypes", "import _ctypes",
        "import multiprocessing\nmultiprocessing.Process(target=print).start()",
        "import threading\nthreading.Thread(target=print).start()", "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('x', '/usr/lib/python3/x.py')\nspec.loader.exec_module(None)",
        "import os\nos.abort()", "import os\nos._exit(0)", "import signal\nsignal.raise_signal(signal.SIGKILL)",
        "import componentize_py_runtime as r\nr.call_import(None, 0, [], 0)",
        "import faulthandler\nfaulthandler._sigsegv()",
    ],
)  # fmt: skip
async def test_no_process_is_reached(tight: WasmCodeSandbox, attempt: str):
    """No process, thread or native code can be had, and a crash inside stays inside."""
    with pytest.raises(NodeError):
        await tight.run_code("python3", python(f"{attempt}\nreturn {{}}"), {})
    assert await works(tight)


async def test_classes_lead_nowhere(tight: WasmCodeSandbox):
    """Every class of the interpreter can be had, and none of them has anything of the host."""
    code = python(
        "import gc, sys\nfound = []\n"
        "for c in object.__subclasses__():\n"
        "    g = getattr(getattr(c, '__init__', None), '__globals__', {})\n"
        "    os = g.get('os') or g.get('sys', sys).modules.get('os')\n"
        "    try: found.append(os.popen('id').read())\n"
        "    except Exception as e: found.append('')\n"
        "frame = sys._getframe()\nwhile frame.f_back: frame = frame.f_back\n"
        "return {'r': ''.join(found), 'n': len(found), 'top': frame.f_code.co_filename, 'all': len(gc.get_objects())}"
    )
    result = await tight.run_code("python3", code, {})
    assert result["r"] == ""
    assert result["n"] > 50
    assert str(Path(__file__).parents[2]) not in result["top"]


async def test_each_run_begins_anew(tight: WasmCodeSandbox):
    """What a run changes in the interpreter is gone in the next one; random numbers differ."""
    change = "import builtins, json, random, sys\njson.dumps = lambda *_, **__: '{\"r\": 1}'\nbuiltins.x = sys.x = 1\n"
    assert await tight.run_code("python3", python(f"{change}return 7"), {}) == {"r": 1}
    code = python(
        "import builtins, random, sys\nreturn {'r': [hasattr(builtins, 'x'), hasattr(sys, 'x')], 'n': random.random()}"
    )
    first, second = await tight.run_code("python3", code, {}), await tight.run_code("python3", code, {})
    assert first["r"] == second["r"] == [False, False]
    assert first["n"] != second["n"]


@pytest.mark.parametrize(
    "forged", ["'{'", "'[' * 100_000", "'1' * 5000", "'{\"r\": Infinity}'", "b'x'", "7", "'\"\\ud800\"'"]
)
async def test_forged_results_are_refused(tight: WasmCodeSandbox, forged: str):
    """Code that replaces what writes its result gives no result, or one that is checked as any other."""
    with pytest.raises(NodeError):
        await tight.run_code("python3", python(f"import json\njson.dumps = lambda *_, **__: {forged}\nreturn {{}}"), {})
    assert await works(tight)


TIME = "ran longer than 2 s and was stopped"
MEMORY = "used more than 128 MiB of memory"
SIZE = "the result is longer than 65536 characters"
DEEP = "called itself too deeply|maximum recursion depth|exceeded"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("while True: pass", TIME), ("return {'r': 9 ** 9 ** 9}", TIME), ("return {'r': sum(range(10 ** 12))}", TIME),
        ("import re\nre.match('(a+)+$', 'a' * 60 + 'b')", TIME), ("import time\ntime.sleep(60)", TIME),
        ("import select\nselect.poll().poll(60_000)", TIME), ("while True:\n    try:\n        while True: pass\n"
        "    except BaseException: pass", TIME), ("import asyncio\nasyncio.run(asyncio.sleep(60))", TIME),
        ("a = []\nwhile True: a.append('x' * 1_000_000)", MEMORY), ("return {'r': 'x' * 10 ** 9}", MEMORY),
        ("a = [0] * 10 ** 9", MEMORY), ("a = 'x'\nwhile True: a += a", f"{MEMORY}|crashed the interpreter"),
        ("def f(): return f()\nreturn f()", DEEP), ("import sys\nsys.setrecursionlimit(10 ** 7)\ndef f(): return f()\n"
        "return f()", DEEP), ("a = []\nfor _ in range(10 ** 5): a = [a]\nreturn {'r': a}", DEEP),
        ("return {'r': 'x' * 70_000}", SIZE), ("return {'r': ['x'] * 70_000}", SIZE),
        ("return {'r': 'é' * 20_000}", SIZE), ("raise ValueError('x' * 10 ** 6)", "^ValueError: x{2000} "),
    ],
)  # fmt: skip
async def test_python_ends_within_its_limits(tight: WasmCodeSandbox, patient: WasmCodeSandbox, body: str, message: str):
    """Time, memory, depth and length of the result are bounded, inside of C code too."""
    sandbox = tight if TIME in message else patient
    with pytest.raises(NodeError, match=message) as caught:
        await sandbox.run_code("python3", python(body), {})
    assert caught.value.error_type == "CodeExecutionError"
    assert len(str(caught.value)) < 2_100
    assert await works(sandbox)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("while (true) {}", TIME), ("/(a+)+$/.test('a'.repeat(60) + 'b')", TIME),
        ("let a = []; while (true) a.push(new Uint8Array(1_000_000))", MEMORY),
        ("let a = []; while (true) a.push({})", f"{MEMORY}|{TIME}"),
        ("let a = []; while (true) a.push('abc'.repeat(10_000) + a.length)", MEMORY),
        ("new Uint8Array(2_000_000_000)", MEMORY),
        ("let a = 'x'; while (true) a += a", MEMORY),
        ("return main() + 1", DEEP), ("return {r: 'x'.repeat(70_000)}", SIZE),
        ("return {r: require('fs').readFileSync('/etc/passwd')}", "require is not defined"),
        ("return {r: process.env}", "process is not defined"),
        ("return {r: fetch('http://127.0.0.1')}", "fetch is not defined"),
        ("return import('fs')", "fs"), ("return import('/etc/passwd')", "passwd"),
    ],
)  # fmt: skip
async def test_javascript_ends_within_its_limits(
    tight: WasmCodeSandbox, patient: WasmCodeSandbox, body: str, message: str
):
    """JavaScript is bounded as Python is, and has neither files, network nor the environment."""
    sandbox = tight if TIME in message else patient
    with pytest.raises(NodeError, match=message):
        await sandbox.run_code("javascript", f"function main() {{ {body} }}", {})
    assert await works(sandbox)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", TIME),
        ("{{ 9 ** (9 ** 9) }}", TIME), ("{{ 'x' * 10 ** 9 }}", MEMORY), ("{{ 'x' * 70000 }}", SIZE),
    ],
)  # fmt: skip
async def test_templates_end_within_their_limits(
    tight: WasmCodeSandbox, patient: WasmCodeSandbox, template: str, message: str
):
    """A template has the limits of code."""
    sandbox = tight if TIME in message else patient
    with pytest.raises(NodeError, match=message):
        await sandbox.render(template, {})
    assert await works(sandbox)


async def test_template_reaches_nothing(tight: WasmCodeSandbox):
    """A template may find the interpreter around it; that one has nothing of the host."""
    reach = "{{ ''.__class__.__mro__[1].__subclasses__() | length > 50 }}"
    assert await tight.render(reach + "{{ cycler.__init__.__globals__.os.environ | length }}", {}) == "True0"
    with pytest.raises(NodeError):
        await tight.render("{{ cycler.__init__.__globals__.os.popen('id').read() }}", {})


async def test_inputs_have_a_limit(tight: WasmCodeSandbox):
    """Inputs over the limit never reach a worker."""
    with pytest.raises(NodeError, match=r"the inputs are larger than 0\.0625 MiB"):
        await tight.run_code("python3", python("return {}"), {"x": "y" * 70_000})


def test_the_environment_of_these_tests_holds_something():
    """The tests above would be worth nothing in a process without variables."""
    assert os.environ
