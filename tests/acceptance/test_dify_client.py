"""A published client of Dify's API, unchanged and over real HTTP: its models take every reply and event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from dify_client import AsyncClient, errors, models
from dify_client.models import ResponseMode, StreamEvent

from approval import ANSWER, approval, straight
from chat_flow import approve, echo, reviewed
from hosted import hosted
from surface_world import World, make_world

TOPIC = {"topic": "tea"}


@asynccontextmanager
async def connected(document: dict[str, Any]) -> AsyncIterator[tuple[World, AsyncClient]]:
    """A Greenroom with one app, and a client of that app."""
    world = await make_world(document)
    async with hosted(world.app) as address:
        yield world, AsyncClient(api_key=world.key, api_base=f"{address}/v1")
        await world.runs.settle()


def run_request(mode: ResponseMode, **inputs: Any) -> models.WorkflowsRunRequest:
    """A start of a workflow."""
    return models.WorkflowsRunRequest(inputs=inputs, response_mode=mode, user="u-1")


def chat_request(mode: ResponseMode, query: str, conversation_id: str = "") -> models.ChatRequest:
    """A message of a chat."""
    return models.ChatRequest(query=query, response_mode=mode, user="u-1", conversation_id=conversation_id)


async def test_blocking_run() -> None:
    """The reply has its status, its outputs and its times."""
    async with connected(straight()) as (_, client):
        reply = await client.arun_workflows(run_request(ResponseMode.BLOCKING, **TOPIC))
    assert (reply.data.status, reply.data.outputs) == ("succeeded", {"answer": "tea"})
    assert reply.task_id == reply.workflow_run_id == reply.data.id


async def test_streaming_run_pauses_and_goes_on() -> None:
    """Each event is one that the client knows, and none is taken for another."""
    async with connected(approval()) as (world, client):
        stream = await client.arun_workflows(run_request(ResponseMode.STREAMING, **TOPIC))
        seen = [event async for event in stream]
        assert all(isinstance(event.event, StreamEvent) for event in seen)
        assert [event.event for event in seen][-2:] == [StreamEvent.HUMAN_INPUT_REQUIRED, StreamEvent.WORKFLOW_PAUSED]
        models.WorkflowStartedData.model_validate(seen[0].data, from_attributes=True)
        models.NodeFinishedData.model_validate(next(event for event in seen if event.event == "node_finished").data)
        path = f"{client.api_base}/form/human_input/{seen[-2].data['form_token']}"
        await client.arequest(path, "POST", json=ANSWER)
        await world.runs.settle()
        detail = await client.arequest(f"{client.api_base}/workflows/run/{seen[0].workflow_run_id}", "GET")
    assert (detail.json()["status"], detail.json()["outputs"]) == ("succeeded", {"answer": "ok"})


async def test_stop() -> None:
    """A paused run is stopped through the client's own call."""
    async with connected(approval()) as (_, client):
        paused = await client.arun_workflows(run_request(ResponseMode.BLOCKING, **TOPIC))
        assert paused.data.status == "paused"
        assert (await client.astop_workflows(paused.task_id, models.StopRequest(user="u-1"))).result == "success"
        detail = await client.arequest(f"{client.api_base}/workflows/run/{paused.task_id}", "GET")
    assert detail.json()["status"] == "stopped"


async def test_refusals_arrive_as_the_errors_of_the_client() -> None:
    """Its classes follow from the code of the answer."""
    async with connected(straight()) as (_, client):
        with pytest.raises(errors.DifyInvalidParam, match="topic"):
            await client.arun_workflows(run_request(ResponseMode.BLOCKING))
        with pytest.raises(errors.DifyNotChatApp):
            await client.achat_messages(chat_request(ResponseMode.BLOCKING, "Well?"))
        with pytest.raises(errors.DifyAPIError) as caught:
            await AsyncClient(api_key="app-none", api_base=client.api_base).arun_workflows(
                run_request(ResponseMode.BLOCKING, **TOPIC)
            )
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")


async def test_upload() -> None:
    """A file comes back with its id, size and type."""
    async with connected(straight()) as (_, client):
        asked = models.UploadFileRequest(user="u-1")
        stored = await client.aupload_files(("notes.txt", b"three notes", "text/plain"), asked)
    assert (stored.name, stored.size, stored.extension, stored.mime_type) == ("notes.txt", 11, "txt", "text/plain")


async def test_chat_in_both_modes() -> None:
    """A conversation of two messages, the first streamed and the second blocking."""
    async with connected(echo()) as (_, client):
        seen = [event async for event in await client.achat_messages(chat_request(ResponseMode.STREAMING, "tea"))]
        (end,) = [event for event in seen if isinstance(event, models.MessageEndStreamResponse)]
        second = chat_request(ResponseMode.BLOCKING, "more", end.conversation_id)
        reply = await client.achat_messages(second)
    assert all(isinstance(event.event, StreamEvent) for event in seen)
    told = [event for event in seen if isinstance(event, models.MessageStreamResponse)]
    assert "".join(event.answer for event in told) == "tea #1"
    assert end.metadata is not None
    assert (reply.mode, reply.answer) == ("advanced-chat", "more #2")


async def test_chat_that_waits_for_a_person() -> None:
    """The pause comes as an event, and feedback is given on the message that the answer completed."""
    async with connected(reviewed()) as (world, client):
        seen = [event async for event in await client.achat_messages(chat_request(ResponseMode.STREAMING, "Well?"))]
        paused = next(event for event in seen if event.event is StreamEvent.WORKFLOW_PAUSED)
        async with world.client() as plain:
            await approve(world, plain, paused.data["reasons"][0]["form_token"])
        rating = models.FeedbackRequest(rating=models.Rating.LIKE, user="u-1")
        assert (await client.afeedback_messages(seen[0].message_id, rating)).result == "success"
