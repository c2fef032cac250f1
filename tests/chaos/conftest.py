"""A server of the product whose processes may be killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from served import SCRIPTED_MODELS, Served, served

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder: they kill processes of a cluster of their own."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.chaos)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A Greenroom as ``dev/up`` starts it, with scripted models; one for all files, as it takes long to start."""
    with served(tmp_path_factory.mktemp("chaos"), SCRIPTED_MODELS, drain_s=40.0) as running:
        yield running
