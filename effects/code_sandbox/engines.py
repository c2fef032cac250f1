"""One run inside a worker: of Python and templates by the image, of JavaScript by QuickJS; both in WebAssembly.

An engine's ``run`` answers with ``{"result": JSON text}`` or with ``{"kind": why not, …}``: ``raised`` (with
``type``, ``reason``, ``line``), ``time``, ``memory``, ``recursion``, ``size`` or ``broken``.
"""

import asyncio
import json
import re
import threading
import time
from pathlib import Path
from typing import Any, Protocol

import quickjs_rs
import wasmtime
from wasmtime import component

from effects.code_sandbox.image import load_component, make_engine
from effects.code_sandbox.limits import MIB, SandboxLimits

Reply = dict[str, Any]

_JAVASCRIPT_OVERHEAD_BYTES = 16 * MIB
_SCRIPT_LINE = re.compile(r"eval_script:(\d+)")
_CONSOLE = (
    "globalThis.console = {}; for (const n of ['log','info','warn','error','debug','trace']) console[n] = () => {}"
)


class SandboxEngine(Protocol):
    """Runs jobs of the languages it knows, each in an instance of its own."""

    def run(self, language: str, code: str, inputs: str, limits: SandboxLimits) -> Reply:
        """Run ``code`` with the JSON text ``inputs``."""
        ...


class Deadline:
    """Interrupts the run of one engine at its end of time, from a thread that waits while there is none."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._changed = threading.Condition()
        self._ends_at: float | None = None
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()

    def begin(self, seconds: float) -> None:
        """Interrupt ``seconds`` from now unless ``end`` is called before."""
        with self._changed:
            self._ends_at = time.monotonic() + seconds
            self._changed.notify()

    def end(self) -> None:
        """Do not interrupt any more."""
        with self._changed:
            self._ends_at = None
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                left = None if self._ends_at is None else self._ends_at - time.monotonic()
                if left is not None and left <= 0:
                    self._ends_at = None
                    self._engine.increment_epoch()
                else:
                    self._changed.wait(left)


class PythonEngine:
    """Runs Python code and Jinja2 templates in the image."""

    def __init__(self, image: Path) -> None:
        self._engine = make_engine()
        self._component = load_component(self._engine, image)
        self._linker = component.Linker(self._engine)
        self._linker.add_wasip2()
        self._deadline = Deadline(self._engine)

    def run(self, language: str, code: str, inputs: str, limits: SandboxLimits) -> Reply:
        """Run ``main`` of ``code``, or render it, in a fresh instance."""
        store = wasmtime.Store(self._engine)
        try:
            store.set_limits(memory_size=limits.memory_bytes)
            store.set_epoch_deadline(1)
            store.set_wasi(wasmtime.WasiConfig())
            self._deadline.begin(limits.time_s)
            export: Any = self._linker.instantiate(store, self._component).get_func(store, "run")
            answer = export(store, language, code, inputs, limits.max_output_characters)
        except wasmtime.WasmtimeError as error:
            return {"kind": _trap_kind(str(error))}
        finally:
            self._deadline.end()
            store.close()
        if answer.tag == "ok":
            return _sized(answer.payload, limits)
        return _failure_of(answer.payload)


def _trap_kind(text: str) -> str:
    """Return what ended an instance, by the last line of what wasmtime says."""
    cause = text.rpartition("Caused by:")[2]
    for sign, kind in (("interrupt", "time"), ("call stack exhausted", "recursion"), ("memory", "memory")):
        if sign in cause:
            return kind
    return "broken"


def _failure_of(text: str) -> Reply:
    """Return what the image says about a failure; what it says may have been made by the code itself."""
    try:
        failure = json.loads(text)
        return {name: failure[name] for name in ("kind", "type", "reason", "line") if name in failure}
    except (ValueError, TypeError, RecursionError):
        return {"kind": "broken"}


def _sized(text: str, limits: SandboxLimits) -> Reply:
    return {"kind": "size"} if len(text) > limits.max_output_characters else {"result": text}


class JavaScriptEngine:
    """Runs JavaScript in QuickJS."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, language: str, code: str, inputs: str, limits: SandboxLimits) -> Reply:
        """Run ``main`` of ``code``, which may be async, with the inputs as its one argument."""
        ends_at = time.monotonic() + limits.time_s
        call = f"JSON.stringify((await main(JSON.parse({json.dumps(inputs)}))) ?? null)"
        try:
            with quickjs_rs.Runtime(memory_limit=limits.memory_bytes) as runtime:
                with runtime.new_context(timeout=limits.time_s) as context:
                    # QuickJS counts what it allocates itself but not what typed arrays hold: this caps both.
                    instance = context._engine_ctx._inst
                    instance.store.set_limits(memory_size=limits.memory_bytes + _JAVASCRIPT_OVERHEAD_BYTES)
                    try:
                        context.eval_handle(_CONSOLE).dispose()
                        context.eval_handle(code).dispose()
                        left = max(0.01, ends_at - time.monotonic())
                        text = self._loop.run_until_complete(context.eval_async(call, timeout=left))
                    except quickjs_rs.JSError as error:
                        # Without memory for an error there is none: null is thrown.
                        used = instance.mem.data_len(instance.store)
                        is_full = error.message == "null" and used > limits.memory_bytes // 2
                        return {"kind": "memory"} if is_full else _raised(error)
        except quickjs_rs.TimeoutError:
            return {"kind": "time"}
        except quickjs_rs.MemoryLimitError:
            return {"kind": "memory"}
        except quickjs_rs.DeadlockError:
            return {"kind": "raised", "type": "Error", "reason": "the promise that main returned never resolves"}
        except wasmtime.Trap as trap:
            is_overflow = trap.trap_code is wasmtime.TrapCode.STACK_OVERFLOW
            return {"kind": "recursion" if is_overflow else "broken"}
        return _sized(text, limits) if isinstance(text, str) else {"kind": "broken"}


def _raised(error: quickjs_rs.JSError) -> Reply:
    line = _SCRIPT_LINE.search(error.stack or "")
    if "out of memory" in error.message or "string too long" in error.message:
        return {"kind": "memory"}
    return {
        "kind": "raised",
        "type": error.name,
        "reason": error.message,
        "line": int(line.group(1)) if line else None,
    }
