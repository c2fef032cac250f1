"""A PostgreSQL for Greenrooms on several nodes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom_on_nodes import World, world
from local_postgres import LocalPostgres, local_postgres

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder: they lose nodes of a cluster of their own."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.chaos)
            item.add_marker(pytest.mark.timeout(420))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add to the report of a failed test how its nodes stand; they are ended afterwards, with their logs."""
    report: Any = yield
    if report.when == "call" and report.failed:
        worlds = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, World)]
        report.sections.extend(("the nodes of the test", opened.nodes.account()) for opened in worlds)
    return report


@pytest.fixture(scope="module")
def database() -> Iterator[LocalPostgres]:
    """A PostgreSQL for the tests of one file."""
    with local_postgres() as started:
        yield started


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder that goes with the database: the key of its form tokens is there."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
async def nodes(data: Path, database: LocalPostgres) -> AsyncIterator[World]:
    """A world without nodes."""
    async with world(data, database) as opened:
        yield opened
