"""Servers of the product whose processes may be killed: one behind HAProxy, one behind Serve's own proxy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from served import Served, served

HERE = Path(__file__).parent
PIECES = [f"{word} " for word in "one two three four five six seven eight".split()]
MODELS: dict[str, Any] = {
    "default": "scripted",
    "targets": {
        "scripted": {
            "kind": "scripted",
            "script": {
                "rules": [
                    {"model": "slow", "replies": [{"chunks": PIECES, "pause_s": 0.5}]},
                    {"model": "quick", "replies": [{"chunks": PIECES}]},
                ]
            },
        }
    },
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder: they kill processes of a cluster of their own."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.chaos)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A Greenroom as ``dev/up`` starts it, with scripted models."""
    with served(tmp_path_factory.mktemp("chaos"), MODELS) as running:
        yield running
