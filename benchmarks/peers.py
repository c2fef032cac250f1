"""Other engines, measured in environments of their own, which are made on demand beside .venv.

A peer is a process that runs its driver and answers line by line, so that rounds of it and of ours can take turns. A
case that a peer cannot do, or not in time, is left out; ``notes`` says which and why.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
ASKED_PYTHON = "GREENROOM_PEER_PYTHON"
PATIENCE_S = 180.0
_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PeerKind:
    """What to install for a peer. ``lowest`` and ``beyond``: the Python versions it runs on, None for ours."""

    name: str
    requirements: tuple[str, ...]
    lowest: tuple[int, int] | None = None
    beyond: tuple[int, int] = (4, 0)

    @property
    def environment(self) -> Path:
        """The folder of its environment."""
        return ROOT / f".bench-venv-{self.name}"

    @property
    def command(self) -> list[str]:
        """The program and arguments that start its driver."""
        return [str(self.environment / "bin" / "python"), str(ROOT / "benchmarks" / f"{self.name}_driver.py")]


PEERS = (
    PeerKind("graphon", ("graphon==0.8.0",), (3, 12), (3, 14)),
    PeerKind("langgraph", ("langgraph==1.2.22", "langgraph-checkpoint-sqlite==3.1.2")),
)


class UnavailableHereError(Exception):
    """A peer, or one case of it, cannot be measured; its text says why."""


class Peer:
    """One peer's process, started when first asked; an async context manager that ends it."""

    def __init__(self, name: str, command: Sequence[str], patience_s: float = PATIENCE_S) -> None:
        self.name = name
        self.notes: list[str] = []
        self._command = command
        self._patience_s = patience_s
        self._process: asyncio.subprocess.Process | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in __aexit__
        self._prepared: set[str] = set()
        self._given_up: set[str] = set()

    async def __aenter__(self) -> "Peer":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()
        self._errors.close()

    async def seconds(self, case: str, workflow: dict[str, Any], budget_s: float, least: int) -> list[float]:
        """Return the seconds of each run of ``case``; none once it was given up, with a note.

        Args:
            case: its name.
            workflow: what the driver needs to know of it (driver_loop).
            budget_s: how long to repeat it.
            least: how often at least.
        """
        if case in self._given_up:
            return []
        try:
            if case not in self._prepared:
                await self._ask({"case": case, **workflow})
                self._prepared.add(case)
            answer = await self._ask({"case": case, "budget_s": budget_s, "least": least})
        except UnavailableHereError as error:
            self._given_up.add(case)
            self.notes.append(f"{self.name}: {case} is left out, {error}")
            return []
        return list(answer["seconds"])

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            line = await asyncio.wait_for(self._exchange(json.dumps(message)), self._patience_s)
        except TimeoutError:
            await self._end()
            raise UnavailableHereError(f"no answer within {self._patience_s:g} s") from None
        except OSError as error:
            await self._end()
            raise UnavailableHereError(f"its driver cannot be talked to: {error}") from error
        if not line:
            reason = self._last_words()
            await self._end()
            raise UnavailableHereError(f"its driver ended: {reason}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise UnavailableHereError(answer["error"])
        return answer

    async def _exchange(self, line: str) -> bytes:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=self._errors,
                limit=_ANSWER_BYTES,
                env={**os.environ, "LANGSMITH_TRACING": "false"},
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(line.encode() + b"\n")
        await process.stdin.drain()
        return await process.stdout.readline()

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    async def _end(self) -> None:
        process, self._process = self._process, None
        self._prepared.clear()
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()


def prepare_peers(console: Console, names: Collection[str] | None = None) -> list[Peer]:
    """Return the peers that can be measured here; what stands against the others goes to ``console``.

    Args:
        console: for people.
        names: which peers are wanted; None: all.
    """
    peers = []
    for kind in PEERS:
        if names is not None and kind.name not in names:
            continue
        try:
            install(kind, console)
        except UnavailableHereError as error:
            console.print(f"{kind.name}: unavailable, {error}", markup=False)
        else:
            peers.append(Peer(kind.name, kind.command))
    return peers


def install(kind: PeerKind, console: Console) -> None:
    """Make the environment of a peer, unless it is there; ``.complete`` in it says of what it consists.

    Raises:
        UnavailableHereError: there is no Python for it, or installing failed.
    """
    marker = kind.environment / ".complete"
    asked = os.environ.get(ASKED_PYTHON) if kind.lowest else None
    required = ",".join(kind.requirements)
    content = f"{required} {asked or ''}".strip()
    held = marker.read_text(encoding="utf-8") if marker.exists() else ""
    if held == content or (not asked and held.split(" ")[0] == required):
        return
    python = find_python(kind, asked)
    console.print(f"{kind.name}: installing {required} into {kind.environment.name} (some minutes) …")
    uv = str(Path(sys.executable).with_name("uv"))
    inside = str(kind.environment / "bin" / "python")
    try:
        for command in (
            [uv, "venv", "--quiet", "--clear", "--python", python, str(kind.environment)],
            [uv, "pip", "install", "--quiet", "--python", inside, *kind.requirements],
        ):
            subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnavailableHereError(f"installing it failed: {error}") from error
    marker.write_text(content, encoding="utf-8")


def find_python(kind: PeerKind, asked: str | None) -> str:
    """Return a Python that the peer runs on: the one asked for, or ours, one on PATH, or one that pyenv keeps.

    Raises:
        UnavailableHereError: none of them starts with a version that fits.
    """
    if kind.lowest is None:
        return sys.executable
    kept = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin/python"))
    names = [f"python3.{minor}" for minor in range(kind.lowest[1], kind.beyond[1])]
    check = f"import sys; sys.exit(not {kind.lowest} <= sys.version_info[:2] < {kind.beyond})"
    for candidate in [asked] if asked else [sys.executable, *names, *map(str, kept)]:
        try:
            if subprocess.run([candidate, "-c", check], capture_output=True, check=False).returncode == 0:
                return candidate
        except OSError:
            continue
    lowest, beyond = (".".join(map(str, version)) for version in (kind.lowest, kind.beyond))
    found = f"{ASKED_PYTHON} ({asked}) is none" if asked else f"none was found; {ASKED_PYTHON} may name one"
    raise UnavailableHereError(f"it needs a Python >= {lowest} and < {beyond}: {found}")
