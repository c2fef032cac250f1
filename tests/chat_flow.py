"""A chatflow with a person in it, in the variants that tests of conversations need, and small steps through it."""

from typing import Any

import httpx2

from factories import answer, assigner, document, edge, human, llm, node
from surface_world import World, events_of

ASK = {"inputs": {}, "query": "Is tea good?", "user": "u-1"}
STREAMED = {**ASK, "response_mode": "streaming"}
APPROVE = {"inputs": {"comment": "Quite."}, "action": "approve", "user": "u-1"}
OUTER = ["event", "conversation_id", "message_id", "created_at", "task_id"]


def chat_document(nodes: list[dict[str, Any]], edges: list[dict[str, Any]], **features: Any) -> dict[str, Any]:
    """Return a chatflow with the conversation variables ``seen`` and ``count``."""
    made = document([node("start1", "start", title="Start", variables=[]), *nodes], edges, "advanced-chat")
    made["workflow"]["features"] = features
    made["workflow"]["conversation_variables"] = [
        {"id": "v-seen", "name": "seen", "value_type": "array[string]", "value": [], "description": "answers given"},
        {"id": "v-count", "name": "count", "value_type": "number", "value": 0},
    ]
    return made


def reviewed(model: str = "draft", **features: Any) -> dict[str, Any]:
    """Return a chatflow: ``model`` drafts with memory, a person reviews, a variable remembers, the answer comes."""
    memory = {"window": {"enabled": False}, "query_prompt_template": "{{#sys.query#}}"}
    nodes = [
        llm("draft", "You answer.", model, memory=memory),
        answer("drafted", "Draft: {{#draft.text#}}. "),
        human("hi1", "Send this?\n\n{{#$output.comment#}}", title="Review"),
        assigner(
            "note",
            (["conversation", "seen"], "append", ["hi1", "comment"]),
            (["conversation", "count"], "+=", 1),
        ),
        answer("told", "Reviewed: {{#hi1.comment#}} ({{#conversation.count#}})"),
        answer("declined", "Nobody can say."),
    ]
    edges = [
        edge("start1", "draft"),
        edge("draft", "drafted"),
        edge("drafted", "hi1"),
        edge("hi1", "note", "approve"),
        edge("note", "told"),
        edge("hi1", "declined", "reject"),
    ]
    return chat_document(nodes, edges, **features)


def echo(**features: Any) -> dict[str, Any]:
    """Return start -> answer: it says what was asked, and how often."""
    text = "{{#sys.query#}} #{{#sys.dialogue_count#}}"
    return chat_document([answer("told", text)], [edge("start1", "told")], **features)


async def streamed(client: httpx2.AsyncClient, **more: Any) -> list[dict[str, Any]]:
    """Send a message and return the events of its stream."""
    response = await client.post("/v1/chat-messages", json={**STREAMED, **more})
    assert response.status_code == 200, response.text
    return events_of(response.text)


async def asked(client: httpx2.AsyncClient, **more: Any) -> dict[str, Any]:
    """Send a message in blocking mode and return the reply."""
    response = await client.post("/v1/chat-messages", json={**ASK, **more})
    assert response.status_code == 200, response.text
    return response.json()


async def approve(world: World, client: httpx2.AsyncClient, token: str, **more: Any) -> None:
    """Answer a form and wait until its run has gone on."""
    response = await client.post(f"/v1/form/human_input/{token}", json={**APPROVE, **more})
    assert response.status_code == 200, response.text
    await world.runs.settle()


async def messages_of(client: httpx2.AsyncClient, conversation_id: str, **more: Any) -> list[dict[str, Any]]:
    """Return the messages of a conversation."""
    query = {"conversation_id": conversation_id, "user": "u-1", **more}
    response = await client.get("/v1/messages", params=query)
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def variables_of(client: httpx2.AsyncClient, conversation_id: str) -> dict[str, str]:
    """Return name -> value of the variables of a conversation."""
    response = await client.get(f"/v1/conversations/{conversation_id}/variables", params={"user": "u-1"})
    assert response.status_code == 200, response.text
    return {each["name"]: each["value"] for each in response.json()["data"]}
