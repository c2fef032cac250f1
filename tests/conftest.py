"""How Hypothesis works here, which tests share a process, and what the Greenrooms of a session stand on."""

from pathlib import Path

import pytest
from hypothesis import settings

from backing import IS_POSTGRES, IS_REDIS

# Examples may take their time: machines that do other things have pauses.
settings.register_profile("unhurried", settings.default, deadline=None)
settings.load_profile("unhurried")

RAY_SUITES = ("chaos", "cluster", "nodes")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs a Ray of its own first and in one process, where it shares one; else a file stays together.

    The other process has what needs the processor meanwhile: with two Rays at once both would wait for it.
    """
    for item in items:
        suite = _suite(item)
        item.add_marker(pytest.mark.xdist_group("ray" if suite in RAY_SUITES else f"{suite}/{item.path.name}"))
    items.sort(key=lambda item: _suite(item) not in RAY_SUITES)


def _suite(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


def pytest_report_header() -> str:
    """Say what ``backing`` gives."""
    return f"greenrooms on {'PostgreSQL' if IS_POSTGRES else 'SQLite'}, hints over {'Redis' if IS_REDIS else 'the hub'}"
