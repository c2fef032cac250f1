"""kill -9 of each process while a run needs it, and a stop of everything: the run still finishes, over HTTP."""

import httpx2
import pytest

from backing import needs_hub
from child_processes import command_line
from factories import document, edge, end, human, llm, start
from served import PIECES, Served, events, start_run, wait_for

TEXT = "".join(PIECES)

_END_FOR_GOOD = """
import sys
import ray
ray.init(address=sys.argv[1], namespace="greenroom", log_to_driver=False)
for name in ("hitl-actor", "run-supervisor"):
    ray.kill(ray.get_actor(name), no_restart=True)
"""


def approval(name: str, model: str = "slow") -> dict:
    """Return start -> model -> form -> model -> end; a second end streams the first model's text."""
    nodes = [
        start("topic"),
        llm("draft", model=model),
        human("review", content="{{#draft.text#}}"),
        llm("polish", model="quick"),
        end("drafted", draft=["draft", "text"]),
        end(draft=["draft", "text"], comment=["review", "comment"], polished=["polish", "text"]),
    ]
    edges = [
        edge("start", "draft"), edge("draft", "drafted"), edge("draft", "review"),
        edge("review", "polish", "approve"), edge("polish", "end"),
    ]  # fmt: skip
    return {**document(nodes, edges), "app": {"name": name, "mode": "workflow"}}


@pytest.fixture(scope="module")
def key(server: Served) -> str:
    """A key of an app with a slow model before its form."""
    return server.import_app(approval("slow"))


@pytest.fixture(scope="module")
def quick_key(server: Served) -> str:
    """A key of an app with a quick model before its form."""
    return server.import_app(approval("quick", model="quick"))


def answer(client: httpx2.Client, token: str, comment: str = "fine") -> httpx2.Response:
    """Answer a form through the service API."""
    body = {"inputs": {"comment": comment}, "action": "approve", "user": "u-1"}
    return client.post(f"/v1/form/human_input/{token}", json=body)


def finished(client: httpx2.Client, run_id: str) -> dict:
    """Return the run's detail once it has ended."""

    def look() -> dict | None:
        detail = client.get(f"/v1/workflows/run/{run_id}").raise_for_status().json()
        return detail if detail["status"] not in ("running", "paused") else None

    return wait_for(look)


def told_text(stream: list[dict]) -> str:
    """Return the text that a reader has in the end: text_replace takes the place of all before."""
    text = ""
    for event in stream:
        if event["event"] == "text_chunk":
            text += event["data"]["text"]
        elif event["event"] == "text_replace":
            text = event["data"]["text"]
    return text


def test_run_goes_on_when_its_actor_is_killed_during_a_model_call(server: Served, key: str):
    """The stream that is open sees the run through; the start node does not run again, the text comes out whole."""
    with server.client(key) as client, start_run(client, topic="tea") as response:
        seen = []
        for event in events(response):
            seen.append(event)
            if event["event"] == "text_chunk" and not any(e["event"] == "killed" for e in seen):
                server.kill_actor_of(event["workflow_run_id"])
                seen.append({"event": "killed", "data": {}})
        assert seen[-1]["event"] == "workflow_paused"
        assert told_text(seen).startswith(TEXT)
        started = [e["data"]["node_id"] for e in seen if e["event"] == "node_started"]
        assert started.count("start") == 1
        ended = [e["data"]["node_id"] for e in seen if e["event"] == "node_finished"]
        assert ended.count("start") == ended.count("draft") == 1
        reason = seen[-1]["data"]["reasons"][0]
        assert answer(client, reason["form_token"]).status_code == 200
        detail = finished(client, seen[0]["workflow_run_id"])
        assert detail["status"] == "succeeded"
        assert detail["outputs"] == {"draft": TEXT, "comment": "fine", "polished": TEXT}


def test_form_survives_the_death_of_the_hitl_actor(server: Served, quick_key: str):
    """After a kill -9 of the HITL actor the same token works, and the answer counts once."""
    with server.client(quick_key) as client:
        paused = start_run(client, "blocking", topic="tea")["data"]
        token = paused["reasons"][0]["form_token"]
        server.kill("ray::HitlActor")
        assert answer(client, token).status_code == 200
        assert answer(client, token, "again").status_code == 412
        detail = finished(client, paused["id"])
        assert (detail["status"], detail["outputs"]["comment"]) == ("succeeded", "fine")


@pytest.mark.long
def test_named_actors_are_made_anew_when_they_are_gone_for_good(server: Served, quick_key: str):
    """Actors that Ray has forgotten are missed at two health checks of a replica in a row, and made anew."""
    with server.client(quick_key) as client:
        paused = start_run(client, "blocking", topic="tea")["data"]
        server.ask_ray(_END_FOR_GOOD)
        token = paused["reasons"][0]["form_token"]
        wait_for(lambda: answer(client, token).status_code == 200)
        assert finished(client, paused["id"])["status"] == "succeeded"
        again = start_run(client, "blocking", topic="tea")["data"]
        assert answer(client, again["reasons"][0]["form_token"]).status_code == 200


def test_run_actors_survive_the_death_of_the_supervisor(server: Served, key: str):
    """A run under way is not touched; a restarted supervisor adopts its actor, and new runs start."""
    with server.client(key) as client, start_run(client, topic="tea") as response:
        stream = events(response)
        seen = [next(stream)]
        before = {process.pid for process in server.processes("ray::RunActor")}
        server.kill("ray::RunSupervisor")
        seen.extend(stream)
        assert seen[-1]["event"] == "workflow_paused"
        assert told_text(seen).startswith(TEXT)
        assert not [event for event in seen if event["event"] == "text_replace"]
        assert answer(client, seen[-1]["data"]["reasons"][0]["form_token"]).status_code == 200
        assert finished(client, seen[0]["workflow_run_id"])["status"] == "succeeded"
        assert before & {process.pid for process in server.processes("ray::RunActor")}


@needs_hub
def test_hub_death_costs_no_event(server: Served, key: str):
    """The hub holds hints only: a reader that waits through a pause gets everything after its restart."""
    with server.client(key) as client, start_run(client, topic="tea") as response:
        first = list(events(response))
        run_id, token = first[0]["workflow_run_id"], first[-1]["data"]["reasons"][0]["form_token"]
        query = {"user": "u-1", "include_state_snapshot": "true", "continue_on_pause": "true"}
        with client.stream("GET", f"/v1/workflow/{run_id}/events", params=query) as response:
            response.raise_for_status()
            stream = events(response)
            while next(stream)["event"] != "workflow_paused":
                pass
            server.kill("ray::EventHub")
            assert answer(client, token).status_code == 200
            after = list(stream)
    assert [event["event"] for event in after].count("human_input_form_filled") == 1
    assert after[-1]["event"] == "workflow_finished"
    assert after[-1]["data"]["status"] == "succeeded"


def test_http_comes_back_when_its_proxy_dies(server: Served):
    """HAProxy, which takes every connection, is replaced; nobody has to start anything."""
    proxies = [process for process in server.tree() if "haproxy" in "".join(command_line(process)[:1])]
    assert proxies
    for proxy in proxies:
        proxy.kill()
        proxy.wait(60)

    def is_ready() -> bool:
        try:
            return httpx2.get(f"{server.url}/health/ready").status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    wait_for(is_ready)


def test_paused_run_survives_a_stop_of_everything(server: Served, key: str, quick_key: str):
    """Stop all, start again: a paused run takes the old token, an executing one goes on behind the node it was at."""
    with server.client(quick_key) as client:
        paused = start_run(client, "blocking", topic="tea")["data"]
    with server.client(key) as client, start_run(client, topic="tea") as response:
        executing = next(event["workflow_run_id"] for event in events(response) if event["event"] == "node_finished")
    server.stop()
    server.start()
    with server.client(quick_key) as client:
        assert client.get(f"/v1/workflows/run/{paused['id']}").json()["status"] == "paused"
        assert answer(client, paused["reasons"][0]["form_token"], "later").status_code == 200
        detail = finished(client, paused["id"])
        assert (detail["status"], detail["outputs"]["comment"]) == ("succeeded", "later")
    query = {"user": "u-1", "include_state_snapshot": "true"}
    with (
        server.client(key) as client,
        client.stream("GET", f"/v1/workflow/{executing}/events", params=query) as response,
    ):
        seen = list(events(response))
    assert seen[-1]["event"] == "workflow_paused"
    assert not [event for event in seen if event["event"] == "text_replace"]
    drafts = [event["event"] for event in seen if event["data"].get("node_id") == "draft"]
    assert drafts.count("node_started") == drafts.count("node_finished") == 1
