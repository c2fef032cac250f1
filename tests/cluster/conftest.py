"""One Ray with Serve for the whole session: it takes seconds to start and a gigabyte."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_cluster import LocalCluster, local_cluster

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder: they need a real local Ray."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
async def ray_cluster() -> AsyncIterator[LocalCluster]:
    """The running cluster; this process is its driver. Use Serve's handles in async tests only."""
    async with local_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def serve_port(ray_cluster: LocalCluster) -> int:
    """The port of Serve's HTTP ingress on 127.0.0.1."""
    return ray_cluster.serve_port
