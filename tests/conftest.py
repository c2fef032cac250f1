"""How Hypothesis and Serve work here, which tests share a process, and what the Greenrooms of a session stand on."""

from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from backing import IS_POSTGRES, IS_REDIS
from serve_options import set_serve_options

# Serve reads its options when it is imported first, by whichever test that is.
set_serve_options()
# Examples may take their time: machines that do other things have pauses.
settings.register_profile("unhurried", settings.default, deadline=None)
settings.load_profile("unhurried")

ROOT = Path(__file__).parent.parent
RAY_SUITES = ("chaos", "cluster", "nodes")


class BySuite(LoadScopeScheduling):
    """Gives what needs a Ray of its own to one process, where it shares one; else the tests of a file stay together.

    The other process has what needs the processor meanwhile: with two Rays at once both would wait for it.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "ray" if _needs_ray(Path(file)) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> BySuite:
    """Distribute the tests in this way wherever several processes run them."""
    return BySuite(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: not _needs_ray(item.path.relative_to(ROOT)))


def _needs_ray(file: Path) -> bool:
    return file.parts[1] in RAY_SUITES


def pytest_report_header() -> str:
    """Say what ``backing`` gives."""
    return f"greenrooms on {'PostgreSQL' if IS_POSTGRES else 'SQLite'}, hints over {'Redis' if IS_REDIS else 'the hub'}"
