"""Work that is begun again until it comes to its end, and a supervision that nothing ends."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from actors import run_supervisor
from actors.background import insist
from actors.run_supervisor import RunSupervisor
from actors.settings import Settings
from store.errors import StoreUnavailableError


def failing(*errors: Exception) -> Callable[[], asyncio.Future[str]]:
    """Return work that fails with these errors, one a time, then is done."""
    left = list(errors)

    async def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return lambda: asyncio.ensure_future(work())


async def test_work_is_begun_anew_after_every_error() -> None:
    """Errors of ours and others alike; each is logged once in a row, and only others with where they come from."""
    away, fault = StoreUnavailableError("away"), ValueError("x")
    with capture_logs() as logs:
        assert await insist("it", failing(away, away, fault, fault, away), first_delay_s=0.0) == "done"
    assert [(line["event"], line["log_level"], "exc_info" in line) for line in logs] == [
        ("a task waits", "warning", False), ("a task failed", "error", True), ("a task waits", "warning", False),
    ]  # fmt: skip


async def test_other_errors_reach_the_caller() -> None:
    """What is not waited for is told at once."""
    with pytest.raises(ValueError, match="x"):
        await insist("it", failing(StoreUnavailableError("away"), ValueError("x")), StoreUnavailableError, 0.0)


async def test_delay_grows_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays away is asked less and less often."""
    slept: list[float] = []

    async def sleep(delay_s: float) -> None:
        slept.append(delay_s)

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", sleep)
        await insist("it", failing(*[StoreUnavailableError("away")] * 5), StoreUnavailableError, 0.25, 1.0)
    assert slept == [0.25, 0.5, 1.0, 1.0, 1.0]


async def test_no_error_ends_the_supervision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours in the look for runs without an actor is logged, and they are looked for again."""
    monkeypatch.setattr(run_supervisor, "CHECK_S", 0.0)
    looks, has_looked_again = 0, asyncio.Event()

    async def recover_orphans() -> int:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise ZeroDivisionError
        if looks > 3:
            has_looked_again.set()
            await asyncio.Event().wait()
        return 0

    async def adopt() -> None:
        """Find no actor."""

    with patch.object(RunSupervisor, "_live", lambda self: asyncio.sleep(0)):
        supervisor = RunSupervisor(Settings(data_dir=tmp_path).plain)
    monkeypatch.setattr(supervisor._crew, "adopt", adopt)
    monkeypatch.setattr(supervisor._crew, "look_after", adopt)
    monkeypatch.setattr(supervisor._recovery, "recover_orphans", recover_orphans)
    with capture_logs() as logs:
        living = supervisor._background.start(supervisor._live())
        async with asyncio.timeout(60):
            await has_looked_again.wait()
        assert not living.done()
    await supervisor._background.close()
    await supervisor._ports.close()
    assert [(line["event"], line["what"]) for line in logs] == [("a task failed", "check")]
