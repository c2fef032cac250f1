"""What a process logs of an error."""

import asyncio
import json

import pytest
import structlog

from actors.background import Background
from actors.logs import LogFormat, configure_logs


def log_an_error() -> str:
    """Log an exception and return what may not be shown."""
    secret = "value-of-a-variable"
    try:
        raise ValueError(f"wrong by {len(secret)}")
    except ValueError:
        structlog.get_logger().exception("it failed", run_id="run-1")
    return secret


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_logged_exception_shows_no_variable(log_format: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback names the error and its place, never the values around it."""
    configure_logs(log_format)
    secret = log_an_error()
    shown = capsys.readouterr().out
    assert "wrong by 19" in shown and "log_an_error" in shown
    assert "run-1" in shown
    assert secret not in shown


def test_json_log_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """For machines each event is one line, traceback and all."""
    configure_logs("json")
    log_an_error()
    structlog.get_logger().warning("second", count=2)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["event"], first["run_id"], first["level"]) == ("it failed", "run-1", "error")
    assert (second["event"], second["count"]) == ("second", 2) and "T" in second["timestamp"]


async def test_what_is_bound_in_a_task_stays_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A run's id is in every line of its task and of the tasks begun there, and in no line of another run."""
    configure_logs("json")
    log = structlog.get_logger()

    async def inner() -> None:
        log.info("inner")

    async def run(run_id: str) -> None:
        structlog.contextvars.bind_contextvars(run_id=run_id)
        await asyncio.create_task(inner())

    background = Background()
    await asyncio.gather(*(background.start(run(name)) for name in ("a", "b")))
    log.info("outer")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line.get("run_id")) for line in lines] == [("inner", "a"), ("inner", "b"), ("outer", None)]
