"""How processes log: one line an event, plain tracebacks without the values of variables, which may be secret."""

import structlog


def configure_logs() -> None:
    """Set structlog up for this process; may be called again."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
    )
