"""What a worker process does: load one engine, give up its rights, run job after job until its parent is gone."""

import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from effects.code_sandbox.confine import confine
from effects.code_sandbox.engines import JavaScriptEngine, PythonEngine, SandboxEngine
from effects.code_sandbox.errors import WorkerFailedError
from effects.code_sandbox.frames import read_frame, write_frame
from effects.code_sandbox.limits import MIB, SandboxLimits

_WARM_UP_PYTHON = "def main(x):\n    return {'x': x}"
_WARM_UPS_PYTHON = (
    "import time\ndef main():\n    time.sleep(0.01)",  # the clock of the host starts threads
    "import os\ndef main():\n    os.abort()",
)
_WARM_UP_JAVASCRIPT = "function main({x}) { return {x} }"
_HOST_BYTES = 512 * MIB
"""What a worker needs besides the instance."""
_COPIES = 8
"""How often inputs and results may lie in memory at a time, in bytes per character."""


def main() -> None:
    """Serve jobs; the last argument is a JSON object: ``language``, ``image`` and the fields of SandboxLimits."""
    order = json.loads(sys.argv[-1])
    inbound, outbound = _take_pipes()
    try:
        limits = SandboxLimits(**order["limits"])
        engine = _load(order)
        confine(_HOST_BYTES + limits.memory_bytes + _COPIES * (limits.max_input_bytes + limits.max_output_characters))
    except Exception as error:  # boundary: the parent tells why no worker starts  # noqa: BLE001
        reason = error.reason if isinstance(error, WorkerFailedError) else f"{type(error).__name__}: {error}"
        write_frame(outbound, {"failed": reason})
        return
    write_frame(outbound, {"ready": True})
    while (job := read_frame(inbound, 2 * _COPIES * limits.max_input_bytes)) is not None:
        write_frame(outbound, _run(engine, job, limits))


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes of the parent; the standard streams lead nowhere from here on."""
    inbound, outbound = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return inbound, outbound


def _load(order: dict[str, Any]) -> SandboxEngine:
    """Return the engine after one run: what is made at first use is there before the rights are gone."""
    limits = SandboxLimits()
    if order["language"] == "javascript":
        engine: SandboxEngine = JavaScriptEngine()
        reply = engine.run("javascript", _WARM_UP_JAVASCRIPT, '{"x": 1}', limits)
        engine.run("javascript", "async function main() { throw new Error('x') }", "{}", limits)
    else:
        engine = PythonEngine(Path(order["image"]))
        reply = engine.run("python3", _WARM_UP_PYTHON, '{"x": 1}', limits)
        for code in _WARM_UPS_PYTHON:
            engine.run("python3", code, "{}", limits)
    if json.loads(reply.get("result", "null")) != {"x": 1}:
        raise WorkerFailedError(f"the engine does not work: {reply}")
    return engine


def _run(engine: SandboxEngine, job: dict[str, Any], limits: SandboxLimits) -> dict[str, Any]:
    try:
        return engine.run(job["language"], job["code"], job["inputs"], limits)
    except Exception:  # boundary: a run that breaks its instance in a new way must not end the worker  # noqa: BLE001
        return {"kind": "broken"}
