"""How processes log: one line an event, plain tracebacks without the values of variables, which may be secret.

What is bound in the context of a task (``run_id`` where a run is executed, recovered or answered) is in every line
that is logged from there.
"""

from typing import Any, Literal

import structlog

LogFormat = Literal["console", "json"]


def configure_logs(log_format: LogFormat = "console") -> None:
    """Set structlog up for this process; may be called again."""
    renderers: dict[LogFormat, list[Any]] = {
        "console": [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)],
        "json": [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
    }
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers[log_format],
        ],
    )
