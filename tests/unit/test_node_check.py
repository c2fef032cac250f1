"""A SQLite file serves one machine."""

import pytest
import ray

from actors.errors import SingleNodeDatabaseError
from actors.node_check import check_nodes
from actors.settings import Settings
from surfaces.error_table import answer_for

HERE, THERE, GONE = ({"NodeID": name, "Alive": name != "gone"} for name in ("here", "there", "gone"))
POSTGRES = Settings(database_url="postgresql://green@db/room")


@pytest.mark.parametrize("nodes", [[], [HERE], [HERE, GONE]], ids=["none yet", "one", "one left"])
async def test_sqlite_serves_one_node(nodes: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that have left the cluster do not count."""
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    await check_nodes(Settings())


async def test_sqlite_is_refused_on_two_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names the setting, crosses processes, and makes a replica answer that it is not ready."""
    monkeypatch.setattr(ray, "nodes", lambda: [HERE, THERE, GONE])
    with pytest.raises(SingleNodeDatabaseError, match=r"2 nodes.*GREENROOM_DATABASE_URL=postgresql://") as refused:
        await check_nodes(Settings())
    assert answer_for(refused.value).status == 503


async def test_postgresql_serves_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """With PostgreSQL nobody asks for the nodes."""
    monkeypatch.setattr(ray, "nodes", lambda: pytest.fail("asked"))
    await check_nodes(POSTGRES)
