"""Makes sure that a SQLite file serves one machine only: on a second one its path names another file, or none."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import ray

from actors.errors import SingleNodeDatabaseError
from actors.settings import Settings


async def check_nodes(settings: Settings) -> None:
    """Return when the database of ``settings`` can serve every node of the cluster as it is now.

    Raises:
        SingleNodeDatabaseError: it is a SQLite file, and the cluster has more than one node.
    """
    if settings.database_url.startswith("sqlite"):
        check_single_node(await asyncio.to_thread(ray.nodes))


def check_single_node(nodes: Iterable[Mapping[str, Any]]) -> None:
    """Return when no more than one of ``nodes``, as Ray lists them, is alive.

    Raises:
        SingleNodeDatabaseError: several are.
    """
    count = sum(1 for node in nodes if node["Alive"])
    if count > 1:
        raise SingleNodeDatabaseError(count)
