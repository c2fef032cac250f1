"""The trace of a caller, and the count of open streams, over HTTP."""

import pytest

from approval import RUN, approval, straight
from chat_flow import echo
from console_world import person
from surface_world import OpenStream, make_world
from surfaces import sse

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [({"traceparent": CALLER}, CALLER), ({"traceparent": "nonsense"}, None), ({}, None)],
)
async def test_traceparent_of_a_start_is_kept_with_the_run(sent: dict[str, str], kept: str | None) -> None:
    """The header is stored as it came if it follows the rules, and never makes a start fail."""
    world = await make_world(straight())
    async with world.client() as client:
        response = await client.post("/v1/workflows/run", json=RUN, headers=sent)
    assert response.status_code == 200
    assert world.store.runs[response.json()["workflow_run_id"]].traceparent == kept
    assert "traceparent" not in response.text


async def test_every_surface_hands_the_trace_on() -> None:
    """A message of a chatflow and runs of the console join the caller's trace as runs of ``/v1`` do."""
    sent = {"traceparent": CALLER}
    chat = await make_world(echo())
    async with chat.client() as client:
        await client.post("/v1/chat-messages", json={"query": "hi", "inputs": {}, "user": "u"}, headers=sent)
    world = await make_world(straight())
    async with await person(world) as ann:
        for path in (f"/apps/{world.app_id}/workflows/draft/run", f"/installed-apps/{world.app_id}/workflows/run"):
            assert (await ann.post(path, {"inputs": {"topic": "tea"}}, headers=sent)).status_code == 200
    kept = [run.traceparent for each in (chat, world) for run in each.store.runs.values()]
    assert kept == [CALLER] * 3


async def test_open_streams_are_counted_until_they_end() -> None:
    """A stream counts while a client holds it, and no longer, however it ends."""
    world = await make_world(approval())
    async with world.client() as client:
        run_id = (await client.post("/v1/workflows/run", json=RUN)).json()["workflow_run_id"]
    before = sse._STREAMS._open_count
    path = f"/v1/workflow/{run_id}/events"
    async with OpenStream(world, path, "user=u-1&continue_on_pause=true") as stream:
        assert stream.status == 200 and sse._STREAMS._open_count == before + 1
    assert sse._STREAMS._open_count == before
    await world.runs.stop(run_id, "enough")
    await world.runs.settle()
    async with OpenStream(world, path, "user=u-1") as stream:
        assert [event["event"] async for event in stream.events()] == ["workflow_finished"]
    assert sse._STREAMS._open_count == before
