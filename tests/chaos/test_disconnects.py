"""A client that goes away, at any moment, under both of Serve's proxies, changes nothing for its run."""

import json
import socket
from collections.abc import Callable, Iterator
from functools import partial

import httpx2
import pytest

from factories import document, edge, end, human, llm, start
from served import PAUSE, SCRIPTED_MODELS, Served, served, start_run, wait_for

# From "before the server has read the request" to "in the middle of the run".
MOMENTS_S = (0.0, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)


@pytest.fixture(scope="module", params=["haproxy", "own proxy"])
def proxied(
    request: pytest.FixtureRequest, server: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A Greenroom behind each of the two proxies."""
    if request.param == "haproxy":
        yield server
        return
    with served(tmp_path_factory.mktemp("own-proxy"), SCRIPTED_MODELS, is_haproxy=False) as running:
        yield running


@pytest.fixture(scope="module")
def key(proxied: Served) -> str:
    """A key of start -> quick model -> form -> end, with the model's text streamed."""
    nodes = [start(), llm("draft", model="quick"), human("review"), end("drafted", t=["draft", "text"])]
    nodes.append(end(comment=["review", "comment"]))
    edges = [
        edge("start", "draft"),
        edge("draft", "drafted"),
        edge("draft", "review"),
        edge("review", "end", "approve"),
    ]
    return proxied.import_app({**document(nodes, edges), "app": {"name": "disconnect", "mode": "workflow"}})


def send_and_leave(proxied: Served, key: str, path: str, body: dict, wait: Callable[[], object]) -> None:
    """Send a request and close the connection when ``wait`` returns, whatever has come by then."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", proxied.port)) as connection:
        connection.sendall(head.encode() + content)
        wait()


@pytest.mark.parametrize("mode", ["streaming", "blocking"])
def test_run_whose_client_left_comes_to_its_pause_and_end(proxied: Served, key: str, mode: str):
    """Whenever the starter leaves, the run pauses with its form and finishes when that is answered."""
    users = [f"{mode}-{number}" for number in range(len(MOMENTS_S))]
    for user, moment_s in zip(users, MOMENTS_S, strict=True):
        body = {"inputs": {}, "response_mode": mode, "user": user}
        send_and_leave(proxied, key, "/v1/workflows/run", body, partial(PAUSE.wait, moment_s))

    # A request that was cut off before the server had read it may have left nothing behind; this one was read.
    last = f"{mode}-last"
    begun = partial(proxied.rows, 'SELECT run_id FROM runs WHERE "user" = ?', last)
    body = {"inputs": {}, "response_mode": mode, "user": last}
    send_and_leave(proxied, key, "/v1/workflows/run", body, partial(wait_for, begun))

    def all_paused() -> list[tuple]:
        rows = proxied.rows('SELECT run_id, "user", status FROM runs WHERE "user" LIKE ?', f"{mode}-%")
        return rows if {status for *_, status in rows} == {"paused"} else []

    paused = [(run_id, user) for run_id, user, _ in wait_for(all_paused)]
    assert last in {user for _, user in paused}
    assert len(paused) == len({user for _, user in paused}), "no request started two runs"
    with proxied.client(key) as client:
        for run_id, user in paused:
            finish(client, proxied, run_id, user)


def finish(client: httpx2.Client, proxied: Served, run_id: str, user: str) -> None:
    """Answer the run's form by the token of its snapshot; it must succeed."""
    query = {"user": user, "include_state_snapshot": "true"}
    snapshot = client.get(f"/v1/workflow/{run_id}/events", params=query).raise_for_status().text
    paused = json.loads(snapshot.strip().splitlines()[-1].removeprefix("data: "))
    token = paused["data"]["reasons"][0]["form_token"]
    body = {"inputs": {"comment": "ok"}, "action": "approve", "user": user}
    assert client.post(f"/v1/form/human_input/{token}", json=body).status_code == 200
    wait_for(lambda: has_succeeded(proxied, run_id))


def has_succeeded(proxied: Served, run_id: str) -> bool:
    """Whether the run has ended well."""
    return proxied.rows("SELECT status FROM runs WHERE run_id = ?", run_id) == [("succeeded",)]


def test_answer_whose_sender_left_counts_once_or_can_be_given_again(proxied: Served, key: str):
    """An answer cut off at any moment either counts, once, or leaves the form open for the next try."""
    with proxied.client(key) as client:
        for number, moment_s in enumerate(MOMENTS_S[:-2]):
            user = f"answer-{number}"
            body = {"inputs": {}, "response_mode": "blocking", "user": user}
            paused = client.post("/v1/workflows/run", json=body).raise_for_status().json()["data"]
            path = f"/v1/form/human_input/{paused['reasons'][0]['form_token']}"
            answer = {"inputs": {"comment": "first"}, "action": "approve", "user": user}
            send_and_leave(proxied, key, path, answer, partial(PAUSE.wait, moment_s))
            again = client.post(path, json={**answer, "inputs": {"comment": "second"}})
            assert again.status_code in (200, 412)
            wait_for(lambda run_id=paused["id"]: has_succeeded(proxied, run_id))
            detail = client.get(f"/v1/workflows/run/{paused['id']}").json()
            assert detail["outputs"]["comment"] == ("second" if again.status_code == 200 else "first")
            submissions = proxied.rows(
                "SELECT count(*) FROM submissions JOIN forms USING (form_id) WHERE run_id = ?", paused["id"]
            )
            assert submissions == [(1,)]


def test_server_still_serves_after_all_of_it(proxied: Served, key: str):
    """Connections cut off by the dozen leave no actor leased and no slot taken."""
    with proxied.client(key) as client:
        replies = [start_run(client, "blocking") for _ in range(4)]
    assert [reply["data"]["status"] for reply in replies] == ["paused"] * 4
