"""Implements graph.ports.CodeSandbox: checks sizes, hands jobs to workers, turns what went wrong into node errors."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from effects.code_sandbox.errors import ImageMissingError, OutOfTimeError, WorkerFailedError
from effects.code_sandbox.image import built_image
from effects.code_sandbox.limits import MIB, SandboxLimits
from effects.code_sandbox.workers import Workers
from graph.errors import NodeError

CODE_ERROR = "CodeExecutionError"
"""What a fail branch sees as ``error_type`` of everything that goes wrong in the executor, as with Dify."""
MAX_REASON_CHARACTERS = 2_000

_LANGUAGES = {"python3": "python3", "javascript": "javascript", "jinja2": "python3"}
"""Language of a job -> the workers that run it."""
_TYPE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


class WasmCodeSandbox:
    """Runs code and templates in worker processes. Starts none before the first job; belongs to one event loop."""

    def __init__(
        self,
        limits: SandboxLimits | None = None,
        worker_count: int = 2,
        find_image: Callable[[], Path] = built_image,
    ) -> None:
        """Prepare; nothing happens yet.

        Args:
            limits: of each run.
            worker_count: how many runs of one language go on at a time in this process.
            find_image: returns the image that Python runs in, or raises ImageMissingError.
        """
        self._find_image = find_image
        self._limits = limits or SandboxLimits()
        names = sorted(set(_LANGUAGES.values()))
        self._workers = {name: Workers(name, worker_count, self._limits) for name in names}

    async def run_code(self, language: str, code: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return what ``main`` of ``code`` returned, as JSON values.

        Raises:
            NodeError: the code failed, went over a limit, or the sandbox is not built; type ``CodeExecutionError``.
        """
        if language not in ("python3", "javascript"):
            raise NodeError(f"the language {language!r} is not supported", CODE_ERROR)
        reply = await self._run(language, code, inputs)
        if "result" not in reply:
            self._refuse(reply, "code")
        value = _parse(reply["result"])
        if not isinstance(value, dict):
            raise NodeError(f"main must return an object, not {type(value).__name__}", CODE_ERROR)
        return value

    async def render(self, template: str, values: dict[str, Any]) -> str:
        """Return the Jinja2 ``template`` rendered with JSON ``values``, with Jinja2's defaults.

        Raises:
            NodeError: the template failed (type: the class of its error), went over a limit, or the sandbox is not
                built.
        """
        reply = await self._run("jinja2", template, values)
        if "result" not in reply:
            self._refuse(reply, "template")
        value = _parse(reply["result"])
        if not isinstance(value, str):
            raise NodeError("the sandbox gave no text", CODE_ERROR)
        return value

    async def close(self) -> None:
        """End the workers."""
        for workers in self._workers.values():
            await workers.close()

    async def _run(self, language: str, code: str, inputs: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(inputs)
        if len(text) + len(code) > self._limits.max_input_bytes:
            raise NodeError(f"the inputs are larger than {_mib(self._limits.max_input_bytes)}", CODE_ERROR)
        job = {"language": language, "code": code.encode("utf-8", "replace").decode(), "inputs": text}
        name = _LANGUAGES[language]
        try:
            return await self._workers[name].run(job, self._find_image() if name == "python3" else None)
        except OutOfTimeError:
            return {"kind": "time"}
        except (ImageMissingError, WorkerFailedError) as error:
            raise NodeError(str(error), CODE_ERROR) from error

    def _refuse(self, reply: dict[str, Any], what: str) -> NoReturn:
        """Raise what a reply without a result means. It may have been made up by the code: nothing in it is trusted."""
        match reply.get("kind"):
            case "time":
                reason = f"the {what} ran longer than {self._limits.time_s:g} s and was stopped"
            case "memory":
                reason = f"the {what} used more than {_mib(self._limits.memory_bytes)} of memory"
            case "recursion":
                reason = f"the {what} called itself too deeply"
            case "size":
                reason = f"the result is longer than {self._limits.max_output_characters} characters"
            case "raised":
                _raise_reported(reply, what)
            case _:
                reason = f"the {what} crashed the interpreter it ran in"
        raise NodeError(reason, CODE_ERROR)


def _raise_reported(reply: dict[str, Any], what: str) -> NoReturn:
    error_type = str(reply.get("type", ""))
    if not _TYPE_NAME.fullmatch(error_type):
        error_type = "Error"
    reason = str(reply.get("reason", ""))[:MAX_REASON_CHARACTERS].encode("utf-8", "replace").decode()
    line = reply.get("line")
    place = f" (line {line})" if isinstance(line, int) else ""
    if what == "template" and error_type == "TemplateSyntaxError" and place:
        raise NodeError(f"the template has a fault at line {line}: {reason}", error_type)
    if what == "template":
        raise NodeError(f"the template failed: {reason}{place}", error_type)
    raise NodeError(f"{error_type}: {reason}{place}" if reason else f"{error_type}{place}", CODE_ERROR)


def _parse(text: Any) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, TypeError, RecursionError) as error:
        raise NodeError(f"the result is no JSON: {error}", CODE_ERROR) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has no {name}")


def _mib(count: int) -> str:
    return f"{count / MIB:g} MiB"
