"""A PostgreSQL that goes away under the HTTP application, and comes back: 503 meanwhile, and nothing is half done."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import factories as f
from actors.key_check import check_key
from graph.events import FormSubmitted, NodeFinished
from local_postgres import LocalPostgres, local_postgres
from one_process import OneProcess, World, clock
from stored_http import http_client
from surface_world import SetClock
from surfaces.error_table import STORE_AWAY

__all__ = ["clock"]

RETRY_FOR_S = 0.5
BOUND_S = 120.0
"""By far more than an answer takes on a slow machine, by far less than for ever."""
CROWD = 200
RUNS = 6
ASKING = (
    [f.start("topic"), f.human(), f.end(out=["human", "comment"])],
    [f.edge("start", "human"), f.edge("human", "end", "approve"), f.edge("human", "end", "reject")],
)
pytestmark = pytest.mark.service


@pytest.fixture
def postgres() -> Iterator[LocalPostgres]:
    """A PostgreSQL of the test's own."""
    with local_postgres() as server:
        yield server


@pytest.fixture
async def process(postgres: LocalPostgres, tmp_path: Path, clock: SetClock) -> OneProcess:
    """A Greenroom over it that does not repeat what fails for long."""
    made = OneProcess(tmp_path, World(), clock, database_url=postgres.url)
    made.ports.database._retry_for_s = RETRY_FOR_S
    return made


async def opened(process: OneProcess) -> httpx2.AsyncClient:
    """Import an app; return a client with its key."""
    ports = process.ports
    await check_key(ports.secrets.token_key, ports.installation)
    workspace = await ports.accounts.ensure_workspace("Team")
    app_id, _ = await ports.apps.import_app(workspace.workspace_id, f.workflow(*ASKING), None)
    _, key = await ports.apps.create_key(app_id)
    return await http_client(process, key)


async def started(client: httpx2.AsyncClient) -> tuple[str, str]:
    """Start a run that asks; return its id and the token of its form."""
    body = {"inputs": {"topic": "tea"}, "response_mode": "blocking", "user": "u"}
    reply = await client.post("/v1/workflows/run", json=body)
    assert reply.status_code == 200, reply.text
    paused = reply.json()["data"]
    return paused["id"], paused["reasons"][0]["form_token"]


async def answered(client: httpx2.AsyncClient, token: str, comment: str = "fine") -> httpx2.Response:
    """Answer a form."""
    body = {"inputs": {"comment": comment}, "action": "approve", "user": "u"}
    return await client.post(f"/v1/form/human_input/{token}", json=body)


def assert_says_later(reply: httpx2.Response) -> None:
    """Assert that a reply is the 503 that sends its client away for a while, and tells nothing of the database."""
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1"), reply.text
    assert reply.json()["code"] == "store_unavailable"
    assert reply.json()["message"] == STORE_AWAY


async def test_everything_is_answered_503_while_the_database_is_away(process: OneProcess, postgres: LocalPostgres):
    """Within a bound, also where many ask at once; what is repeated later is done, once."""

    async def live() -> None:
        client = await opened(process)
        run_id, token = await started(client)
        await asyncio.to_thread(postgres.stop)
        begun_at = time.monotonic()
        for work in (started_reply(client), answered(client, token), client.get(f"/v1/workflows/run/{run_id}")):
            assert_says_later(await work)
        crowd = [client.get(f"/v1/form/human_input/{token}") for _ in range(CROWD)]
        for reply in await asyncio.gather(*crowd):
            assert_says_later(reply)
        assert time.monotonic() - begun_at < BOUND_S
        await asyncio.to_thread(postgres.start)
        assert (await client.get(f"/v1/form/human_input/{token}")).status_code == 200
        assert (await answered(client, token)).status_code == 200
        await process.settle()
        detail = (await client.get(f"/v1/workflows/run/{run_id}")).json()
        assert (detail["status"], detail["outputs"]) == ("succeeded", {"out": "fine"})
        assert (await started(client))[0] != run_id

    assert await process.live(live())


async def started_reply(client: httpx2.AsyncClient) -> httpx2.Response:
    """Return what a start is answered."""
    return await client.post("/v1/workflows/run", json={"inputs": {}, "response_mode": "blocking", "user": "u"})


async def test_answers_count_once_when_the_database_dies_under_them(process: OneProcess, postgres: LocalPostgres):
    """Each is accepted or answered 503; repeated after the restart, each form has one answer and each run ends."""

    async def live() -> None:
        client = await opened(process)
        runs = [await started(client) for _ in range(RUNS)]
        stopping = asyncio.create_task(asyncio.to_thread(postgres.stop))
        replies = await asyncio.gather(*(answered(client, token, f"first {n}") for n, (_, token) in enumerate(runs)))
        await stopping
        assert {reply.status_code for reply in replies} <= {200, 503}
        await asyncio.to_thread(postgres.start)
        again = [await answered(client, token, f"second {number}") for number, (_, token) in enumerate(runs)]
        for first, second in zip(replies, again, strict=True):
            # One that was answered 503 may have been stored all the same.
            assert second.status_code in ({412} if first.status_code == 200 else {200, 412})
        await process.reconcile()
        for number, (run_id, _) in enumerate(runs):
            facts = [fact for _, fact in await process.ports.journal.read(run_id)]
            taken = [fact.values for fact in facts if isinstance(fact, FormSubmitted)]
            assert len(taken) == 1
            comment = f"second {number}" if again[number].status_code == 200 else f"first {number}"
            assert outputs_of(facts, "human")["comment"] == comment
            assert [fact.node_id for fact in facts if isinstance(fact, NodeFinished)] == ["start", "human", "end"]
            assert await process.ports.journal.inbox(run_id) == []

    assert await process.live(live())


def outputs_of(facts: list[Any], node_id: str) -> dict[str, Any]:
    """Return what a node gave."""
    return next(fact.outputs for fact in facts if isinstance(fact, NodeFinished) and fact.node_id == node_id)
