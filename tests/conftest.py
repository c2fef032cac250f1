"""How Hypothesis works here, and what the Greenrooms of this session stand on, for the head of the report."""

from hypothesis import settings

from backing import IS_POSTGRES, IS_REDIS

# An example may take its time, as machines that do other things have pauses.
settings.register_profile("unhurried", settings.default, deadline=None)
settings.load_profile("unhurried")


def pytest_report_header() -> str:
    """Say what ``backing`` gives."""
    return f"greenrooms on {'PostgreSQL' if IS_POSTGRES else 'SQLite'}, hints over {'Redis' if IS_REDIS else 'the hub'}"
