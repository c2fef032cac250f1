"""The program inside the image: runs Python code and Jinja2 templates in CPython on WebAssembly.

The build puts ``box.wit`` and this file into the image. ``prepare`` runs once, while the image is built: what it
imports and holds is part of the memory that every run starts from, and nothing can be read from files later.
``run`` is the image's only export. It keeps nothing safe from the code it runs, nor need it: each run has an
instance of its own, and what it may use is limited from outside.
"""

import asyncio.selector_events
import importlib
import io
import json
import pkgutil
import random
import sys
import time
import types
import zoneinfo
from typing import Any

import jinja2

CODE_FILE = "<code>"
TEMPLATE_FILE = "<template>"
SLEEP_SLICE_S = 0.02
"""The longest that the clock of the host is waited for at a time: the deadline cuts between two slices."""
MAX_REASON_CHARACTERS = 2_000

_ABSENT = frozenset({"antigravity", "idlelib", "test", "this", "tkinter", "turtle", "turtledemo"})
_ABSENT_PARTS = ("__main__", ".test", ".tests", "ensurepip", "lib2to3", "multiprocessing.popen", "pydoc_data")
_BAKED = ("yaml", "jinja2", "markupsafe", "tzdata", "dateutil", "jsonpath_ng")
_zones: dict[str, zoneinfo.ZoneInfo] = {}


class _Dropped(io.TextIOBase):
    """A stream that takes all and keeps nothing."""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        return len(text)


def prepare() -> None:
    """Import all that code may import, and hold what would be read from files."""
    for name in sorted(sys.stdlib_module_names - _ABSENT):
        _import_all(name)
    for name in _BAKED:
        _import_all(name)
    for key in sorted(zoneinfo.available_timezones()):
        _zones[key] = zoneinfo.ZoneInfo(key)
    for module in map(importlib.import_module, ("dateutil.tz", "dateutil.tz.tz")):
        vars(module)["gettz"] = _gettz
    sys.stdout = sys.stderr = _Dropped()
    time.sleep = _sleep_in_slices
    _let_loops_run_without_sockets()


def _import_all(name: str) -> None:
    """Import a module and what lies below it; what this platform lacks stays absent."""
    if any(part in name for part in _ABSENT_PARTS):
        return
    try:
        module = importlib.import_module(name)
    except BaseException:  # boundary: modules of other platforms fail in ways of their own  # noqa: BLE001
        return
    for child in pkgutil.iter_modules(getattr(module, "__path__", [])):
        _import_all(f"{name}.{child.name}")


def _gettz(name: str | None = None) -> zoneinfo.ZoneInfo | None:
    """Stand in for the function of dateutil, which would look for files."""
    return _zones.get(name or "UTC")


_sleep = time.sleep


def _sleep_in_slices(seconds: Any, /) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        _sleep(min(left, SLEEP_SLICE_S))


def _let_loops_run_without_sockets() -> None:
    """Let asyncio make event loops: they wake themselves through a socket, which only other threads would need."""
    loops: Any = asyncio.selector_events.BaseSelectorEventLoop
    loops._make_self_pipe = loops._close_self_pipe = loops._write_to_self = lambda self: None


def run(language: str, code: str, inputs: str, max_characters: int) -> tuple[bool, str]:
    """Run ``code`` and return whether it worked, and the JSON text of its result or of its failure.

    Args:
        language: ``python3`` (calls ``main`` with the inputs as keywords) or ``jinja2``.
        code: the source.
        inputs: JSON text of an object.
        max_characters: length of the result from which on it is a failure.
    """
    random.seed()  # the generator's state is part of the image
    try:
        values = json.loads(inputs)
        made = _call_main(code, values) if language == "python3" else _render(code, values)
        text = json.dumps(made)
        if len(text) > max_characters:
            return False, json.dumps({"kind": "size"})
        return True, text
    except MemoryError:
        return False, '{"kind": "memory"}'
    except BaseException as error:  # boundary: whatever untrusted code raises is its result  # noqa: BLE001
        return False, json.dumps(_failure(error, CODE_FILE if language == "python3" else TEMPLATE_FILE))


def _call_main(code: str, values: dict[str, Any]) -> Any:
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    names = vars(module)
    exec(compile(code, CODE_FILE, "exec"), names)
    if "main" not in names:
        raise NameError("name 'main' is not defined")
    return names["main"](**values)


def _render(template: str, values: dict[str, Any]) -> str:
    return jinja2.Template(template).render(values).encode("utf-8", "replace").decode()


def _failure(error: BaseException, file: str) -> dict[str, Any]:
    try:
        reason = str(error.msg if isinstance(error, SyntaxError) else error)[:MAX_REASON_CHARACTERS]
    except BaseException:  # boundary: the text of an error is untrusted code too  # noqa: BLE001
        reason = ""
    line = getattr(error, "lineno", None)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return {
        "kind": "raised",
        "type": type(error).__name__,
        "reason": reason,
        "line": line if isinstance(line, int) else None,
    }
