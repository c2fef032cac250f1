"""Conversations on the product as a user starts it: by HTTP, through pauses, and through the death of a run actor."""

from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any

import httpx2
import pytest

from chat_flow import chat_document, reviewed
from factories import answer, assigner, edge, human, llm
from served import PIECES, Served, events, wait_for

USER = {"user": "u-1"}
SAID = "".join(PIECES)


def dying() -> dict[str, Any]:
    """Return a chatflow that counts, then speaks for four seconds, then asks a person, and remembers the answer."""
    nodes = [
        assigner("count", (["conversation", "count"], "+=", 1)),
        llm("draft", "Speak.", model="slow"),
        answer("drafted", "{{#draft.text#}}"),
        human("hi1"),
        assigner("note", (["conversation", "seen"], "append", ["hi1", "comment"])),
        answer("told", "{{#hi1.comment#}} {{#conversation.count#}}"),
    ]
    order = ["start1", "count", "draft", "drafted", "hi1"]
    edges = [edge(source, target) for source, target in pairwise(order)]
    made = chat_document(nodes, [*edges, edge("hi1", "note", "approve"), edge("note", "told")])
    return {**made, "app": {"name": "dying", "mode": "advanced-chat"}}


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[httpx2.Client]:
    """A client with the key of the reviewed chatflow."""
    with server.client(server.import_app(reviewed("quick"))) as opened:
        yield opened


def send(client: httpx2.Client, **more: Any) -> dict[str, Any]:
    """Send a message in blocking mode and return the reply."""
    body = {"inputs": {}, "query": "Is tea good?", **USER, **more}
    return client.post("/v1/chat-messages", json=body).raise_for_status().json()


def page(client: httpx2.Client, path: str, **query: str) -> list[dict[str, Any]]:
    """Return the items of a list."""
    return client.get(path, params={**USER, **query}).raise_for_status().json()["data"]


def approve(client: httpx2.Client, token: str, comment: str) -> None:
    """Answer a form."""
    answered = {"inputs": {"comment": comment}, "action": "approve", **USER}
    client.post(f"/v1/form/human_input/{token}", json=answered).raise_for_status()


def answer_of(told: list[dict[str, Any]]) -> str:
    """Return the answer that a reader has in the end."""
    text = ""
    for event in told:
        if event["event"] == "message":
            text += event["answer"]
        elif event["event"] == "message_replace":
            text = event["answer"]
    return text


def test_conversation_goes_on_through_a_person(client: httpx2.Client) -> None:
    """A message waits for its form, shows it, is completed by its answer; the next one knows what was before."""
    body = {"inputs": {}, "query": "Is tea good?", "response_mode": "streaming", **USER}
    with client.stream("POST", "/v1/chat-messages", json=body) as response:
        told = list(events(response))
    assert [event["event"] for event in told[-2:]] == ["human_input_required", "workflow_paused"]
    number, run_id = told[-1]["conversation_id"], told[-1]["workflow_run_id"]
    (message,) = page(client, "/v1/messages", conversation_id=number)
    form = message["extra_contents"][0]["form_definition"]
    assert (message["status"], form["form_token"]) == ("paused", told[-2]["data"]["form_token"])

    query = {**USER, "include_state_snapshot": "true", "continue_on_pause": "true"}
    with client.stream("GET", f"/v1/workflow/{run_id}/events", params=query) as response:
        stream = events(response)
        before = []
        for event in stream:
            before.append(event)
            if event["event"] == "workflow_paused":
                break
        approve(client, form["form_token"], "Quite.")
        rest = list(stream)
    assert [event["event"] for event in before[:2]] == ["workflow_started", "message_replace"]
    assert [event["event"] for event in rest[-2:]] == ["message_end", "workflow_finished"]
    (message,) = page(client, "/v1/messages", conversation_id=number)
    assert message["status"] == "normal" and message["answer"] == answer_of([*before, *rest])
    assert message["answer"].endswith("Reviewed: Quite. (1)")
    assert message["extra_contents"][0]["form_submission_data"]["submitted_data"] == {"comment": "Quite."}

    second = send(client, query="And coffee?", conversation_id=number)
    draft = page_of_run(client, second["workflow_run_id"])
    prompts = [(each["role"], each["text"]) for each in draft["process_data"]["prompts"]]
    assert ("user", "Is tea good?") in prompts and ("assistant", message["answer"]) in prompts
    approve(client, second["data"]["reasons"][0]["form_token"], "Too.")
    last = wait_for(lambda: ended(client, number))
    assert last["answer"].endswith("Reviewed: Too. (2)")
    values = {each["name"]: each["value"] for each in page(client, f"/v1/conversations/{number}/variables")}
    assert values == {"count": "2", "seen": '["Quite.", "Too."]'}
    assert [each["id"] for each in page(client, "/v1/conversations")] == [number]


def page_of_run(client: httpx2.Client, run_id: str) -> dict[str, Any]:
    """Return how the draft of a run ended, from a snapshot."""
    query = {**USER, "include_state_snapshot": "true"}
    with client.stream("GET", f"/v1/workflow/{run_id}/events", params=query) as response:
        told = [event["data"] for event in events(response) if event["event"] == "node_finished"]
    return next(data for data in told if data["node_id"] == "draft")


def ended(client: httpx2.Client, conversation_id: str) -> dict[str, Any] | None:
    """Return the newest message of a conversation once it is complete."""
    message = page(client, "/v1/messages", conversation_id=conversation_id)[-1]
    return message if message["status"] == "normal" else None


def test_killed_run_actor_loses_nothing_of_the_conversation(server: Served) -> None:
    """When the actor dies while the model speaks, the answer is whole and variables changed exactly once."""
    with server.client(server.import_app(dying())) as client:
        body = {"inputs": {}, "query": "Go on.", "response_mode": "streaming", **USER}
        told: list[dict[str, Any]] = []
        with client.stream("POST", "/v1/chat-messages", json=body) as response:
            stream = events(response)
            for event in stream:
                told.append(event)
                if event["event"] == "message":
                    break
            number, run_id = told[-1]["conversation_id"], told[-1]["task_id"]
            values = page(client, f"/v1/conversations/{number}/variables")
            assert {each["name"]: each["value"] for each in values} == {"count": "1", "seen": "[]"}
            server.kill_actor_of(run_id)
            told += list(chain(stream))
        assert told[-1]["event"] == "workflow_paused"
        assert "message_replace" in [event["event"] for event in told]
        assert answer_of(told) == SAID
        (message,) = page(client, "/v1/messages", conversation_id=number)
        assert (message["status"], message["answer"]) == ("paused", SAID)
        approve(client, told[-1]["data"]["reasons"][0]["form_token"], "Fine.")
        message = wait_for(lambda: ended(client, number))
        assert message["answer"] == f"{SAID}Fine. 1"
        values = page(client, f"/v1/conversations/{number}/variables")
        assert {each["name"]: each["value"] for each in values} == {"count": "1", "seen": '["Fine."]'}
