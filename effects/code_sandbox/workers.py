"""The worker processes of one process: started at need, kept warm, one run at a time each, killed at its end of time.

Everything here belongs to one event loop, which never waits for a worker otherwise than by awaiting.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from effects.code_sandbox.errors import OutOfTimeError, WorkerFailedError
from effects.code_sandbox.frames import encode_frame, receive_frame
from effects.code_sandbox.limits import SandboxLimits

START_TIME_S = 120.0
"""Most of it for a machine whose image is not compiled yet."""
GRACE_S = 2.0
"""After the end of its time a worker should have stopped the run itself; then it is killed."""

_ROOT = Path(__file__).resolve().parents[2]
_BOOT = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from effects.code_sandbox.worker import main; main()"
_MAX_READY_BYTES = 64 * 1024
_ESCAPED = 6
"""How many bytes a character takes in a message at most, quotes of JSON inside JSON included."""


class Worker:
    """One worker process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        # A number of a process may be given to another; this handle never means another. Only Linux has it.
        self._handle = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else None
        self._input = process.stdin
        self._output = process.stdout

    @classmethod
    async def start(cls, language: str, image: Path | None, limits: SandboxLimits) -> "Worker":
        """Start a worker for ``language`` and wait until it is ready.

        Raises:
            WorkerFailedError: it does not start; the text says why.
        """
        order = {"language": language, "image": str(image), "limits": asdict(limits)}
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-c", _BOOT, json.dumps(order),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                env={}, cwd="/", close_fds=True, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise WorkerFailedError(f"no worker process can be started: {error}") from error
        worker = cls(process)
        try:
            async with asyncio.timeout(START_TIME_S):
                answer = await receive_frame(worker._output, _MAX_READY_BYTES)
        except TimeoutError:
            await worker.kill()
            raise WorkerFailedError(f"a worker was not ready after {START_TIME_S:g} s") from None
        except (asyncio.IncompleteReadError, ValueError):
            await worker.kill()
            raise WorkerFailedError("a worker ended before it was ready") from None
        except BaseException:  # boundary: whoever is cancelled leaves no process behind
            worker.kill_soon()
            raise
        if "failed" in answer:
            await worker.kill()
            raise WorkerFailedError(str(answer["failed"]))
        return worker

    @property
    def is_alive(self) -> bool:
        """Whether the process runs, as far as is known."""
        return self._process.returncode is None

    async def run(self, job: dict[str, Any], limits: SandboxLimits) -> dict[str, Any]:
        """Run ``job`` and return the worker's reply. After any error the worker cannot be used any more.

        Raises:
            OutOfTimeError: no answer came in time.
            WorkerFailedError: the process ended, or answered with what is no reply.
        """
        try:
            async with asyncio.timeout(limits.time_s + GRACE_S):
                self._input.write(encode_frame(job))
                await self._input.drain()
                return await receive_frame(self._output, _ESCAPED * limits.max_output_characters + _MAX_READY_BYTES)
        except TimeoutError:
            raise OutOfTimeError from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise WorkerFailedError("the worker ended in the middle of the run") from None
        except ValueError as error:
            raise WorkerFailedError(f"the worker answered with {error}") from None

    def kill_soon(self) -> asyncio.Task[None]:
        """Kill the process; the task ends when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            if self._handle is None:
                self._process.kill()
            else:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        return asyncio.get_running_loop().create_task(self._reap())

    async def kill(self) -> None:
        """Kill the process and wait until it is gone."""
        await self.kill_soon()

    async def _reap(self) -> None:
        self._input.close()
        await self._process.wait()
        if self._handle is not None:
            os.close(self._handle)
        with contextlib.suppress(ConnectionError):
            await self._input.wait_closed()


class Workers:
    """At most ``count`` workers for one language."""

    def __init__(self, language: str, count: int, limits: SandboxLimits) -> None:
        self._language = language
        self._limits = limits
        self._slots = asyncio.Semaphore(count)
        self._free: list[Worker] = []
        self._dying: set[asyncio.Task[None]] = set()

    async def run(self, job: dict[str, Any], image: Path | None) -> dict[str, Any]:
        """Run ``job`` as soon as a worker is free; a run that is cancelled or goes wrong takes its worker along.

        Raises:
            OutOfTimeError: no answer came in time.
            WorkerFailedError: no worker starts, or it ended in the middle of the run.
        """
        async with self._slots:
            worker = self._take() or await Worker.start(self._language, image, self._limits)
            try:
                reply = await worker.run(job, self._limits)
            except BaseException:  # boundary: cancelled or not, this worker is of no use any more
                self._drop(worker)
                raise
            self._free.append(worker)
            return reply

    def _take(self) -> Worker | None:
        while self._free:
            worker = self._free.pop()
            if worker.is_alive:
                return worker
            self._drop(worker)
        return None

    def _drop(self, worker: Worker) -> None:
        task = worker.kill_soon()
        self._dying.add(task)
        task.add_done_callback(self._dying.discard)

    async def close(self) -> None:
        """End the workers that are free and wait for those that are being ended."""
        while self._free:
            self._drop(self._free.pop())
        await asyncio.gather(*self._dying)
