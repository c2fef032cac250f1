"""A PostgreSQL that is ended and started again under a whole Greenroom: clients are told to come again, and can."""

from collections.abc import Iterator

import pytest

from factories import document, edge, end, human, start
from local_postgres import LocalPostgres, local_postgres
from served import SCRIPTED_MODELS, Served, served, start_run, wait_for

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def database() -> Iterator[LocalPostgres]:
    """A PostgreSQL of this module's own."""
    with local_postgres() as made:
        yield made


@pytest.fixture(scope="module")
def server(database: LocalPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A Greenroom on it."""
    folder = tmp_path_factory.mktemp("restart")
    with served(folder, SCRIPTED_MODELS, database_url=database.url, database_connections=2) as running:
        yield running


def test_clients_come_again_after_a_restart_of_the_database(server: Served, database: LocalPostgres):
    """While it is away each call ends as 503 with Retry-After, said by Greenroom; later the same calls go through."""
    nodes = [start("topic"), human(), end(out=["human", "comment"])]
    edges = [edge("start", "human"), edge("human", "end", "approve"), edge("human", "end", "reject")]
    key = server.import_app(document(nodes, edges))
    with server.client(key) as client:
        paused = start_run(client, "blocking", topic="tea")["data"]
        path = f"/v1/form/human_input/{paused['reasons'][0]['form_token']}"
        answer = {"inputs": {"comment": "fine"}, "action": "approve", "user": "u-1"}
        database.stop()
        for reply in (client.get(path), client.post(path, json=answer)):
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
            assert "x-greenroom-version" in reply.headers
        database.start()
        wait_for(lambda: client.post(path, json=answer).status_code in (200, 412))
        wait_for(lambda: client.get(f"/v1/workflows/run/{paused['id']}").json().get("status") == "succeeded")
        detail = client.get(f"/v1/workflows/run/{paused['id']}").json()
        assert detail["outputs"] == {"out": "fine"}
        assert server.rows("SELECT count(*) FROM submissions") == [(1,)]
        assert start_run(client, "blocking", topic="more")["data"]["status"] == "paused"
