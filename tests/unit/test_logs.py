"""What a process logs of an error."""

import pytest
import structlog

from actors.logs import configure_logs


def test_logged_exception_shows_no_variable(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback names the error and its place, never the values around it."""
    configure_logs()
    secret = "value-of-a-variable"
    try:
        raise ValueError(f"wrong by {len(secret)}")
    except ValueError:
        structlog.get_logger().exception("it failed", run_id="run-1")
    shown = capsys.readouterr().out
    assert "wrong by 19" in shown
    assert "run-1" in shown
    assert secret not in shown
