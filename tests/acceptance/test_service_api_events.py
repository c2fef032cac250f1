"""``/v1/workflow/{run_id}/events``: readers who come to a run, come back, or stay through its pauses."""

from typing import Any

import pytest

from actors.messages import SubmitOrder
from approval import ANSWER, RUN, approval, straight, two_approvals
from hitl.surface import Surface
from surface_world import OpenStream, World, events_of, make_world, names_of

SHOT = [
    "workflow_started", "node_started", "node_finished", "node_started", "node_finished", "human_input_required",
    "workflow_paused",
]  # fmt: skip
RESUMED = [
    "workflow_started", "node_started", "human_input_form_filled", "text_chunk", "node_finished", "node_started",
    "node_finished", "workflow_finished",
]  # fmt: skip


async def started(world: World) -> tuple[str, str]:
    """Start a run and return its id and the token of its form."""
    async with world.client() as client:
        data = (await client.post("/v1/workflows/run", json=RUN)).json()["data"]
    return data["id"], data["reasons"][0]["form_token"]


async def answer(world: World, token: str) -> None:
    """Answer a form through ``/v1`` and let the run go on as far as it can."""
    async with world.client() as client:
        response = await client.post(f"/v1/form/human_input/{token}", json=ANSWER)
    assert response.status_code == 200, response.text
    await world.runs.settle()


async def read(world: World, run_id: str, query: str = "", **headers: str) -> list[dict[str, Any]]:
    """Return the events of a stream that closes by itself."""
    async with world.client() as client:
        response = await client.get(f"/v1/workflow/{run_id}/events?user=u-1{query}", headers=headers)
    assert response.status_code == 200, response.text
    return events_of(response.text)


async def test_finished_run_is_one_event() -> None:
    """A finished run gives workflow_finished alone, spaced, without a ping, with or without a snapshot."""
    world = await make_world(straight())
    async with world.client() as client:
        run_id = (await client.post("/v1/workflows/run", json=RUN)).json()["workflow_run_id"]
        response = await client.get(f"/v1/workflow/{run_id}/events?user=u-1")
    assert response.text.startswith(
        f'data: {{"event": "workflow_finished", "task_id": "{run_id}", "workflow_run_id": "{run_id}", "data": {{"id"'
    )
    assert response.text.count("data: ") == 1
    assert response.headers["cache-control"] == "no-cache"
    assert names_of(await read(world, run_id, "&include_state_snapshot=true")) == ["workflow_finished"]


async def test_snapshot_of_a_paused_run_closes_after_the_pause() -> None:
    """The snapshot shows nodes, the form and the pause; without continue_on_pause the stream closes there."""
    world = await make_world(approval())
    run_id, token = await started(world)
    events = await read(world, run_id, "&include_state_snapshot=TRUE")
    assert events[0] == {"event": "ping"}
    assert names_of(events) == SHOT
    assert events[-2]["data"]["form_token"] == token


async def test_stream_stays_open_through_a_pause_to_the_end() -> None:
    """With continue_on_pause one stream shows the snapshot, the answer and the end, as in the transcript."""
    world = await make_world(approval())
    run_id, token = await started(world)
    path, seen = f"/v1/workflow/{run_id}/events", []
    async with OpenStream(world, path, "user=u-1&include_state_snapshot=true&continue_on_pause=true") as stream:
        async for event in stream.events():
            seen.append(event)
            if event["event"] == "workflow_paused":
                await answer(world, token)
    assert names_of(seen) == SHOT + RESUMED
    resumed = seen[len(SHOT)]
    assert resumed["data"]["reason"] == "resumption"
    assert seen[-1]["data"]["outputs"] == {"answer": "ok"}


async def test_continue_on_pause_without_snapshot_closes_at_the_end() -> None:
    """A live stream through a pause ends with workflow_finished."""
    world = await make_world(approval())
    run_id, token = await started(world)
    seen = []
    async with OpenStream(world, f"/v1/workflow/{run_id}/events", "user=u-1&continue_on_pause=true") as stream:
        await answer(world, token)
        seen = [event async for event in stream.events()]
    assert names_of(seen) == RESUMED


async def test_reader_who_answers_first_gets_the_segment_of_its_answer() -> None:
    """A client that posts its answer and then listens misses nothing, as often as it asks."""
    world = await make_world(two_approvals())
    run_id, token = await started(world)
    await answer(world, token)
    first, second = await read(world, run_id), await read(world, run_id)
    assert first == second
    assert names_of(first) == [
        "workflow_started", "node_started", "human_input_form_filled", "node_finished", "node_started",
        "human_input_required", "workflow_paused",
    ]  # fmt: skip
    assert first[1]["data"]["reason"] == "resumption"
    assert first[-2]["data"]["form_token"] is not None


async def test_paused_run_without_an_answer_pings_until_it_moves() -> None:
    """A reader who comes to a waiting run gets pings, and the events once somebody answers."""
    world = await make_world(approval(), ping_interval_s=0.01)
    run_id, token = await started(world)
    async with OpenStream(world, f"/v1/workflow/{run_id}/events", "user=u-1") as stream:
        await answer(world, token)
        assert [event["event"] async for event in stream.events()] == RESUMED


async def test_answer_through_the_page_is_not_replayed_on_v1() -> None:
    """An answer that came from elsewhere begins no segment for readers of ``/v1``: they wait for what comes next."""
    world = await make_world(two_approvals())
    run_id, _ = await started(world)
    (form,) = world.store.forms.values()
    recipient = next(each for each in world.store.recipients.values() if each.type == "standalone_web_app")
    order = SubmitOrder(form.form_id, recipient.recipient_id, 1, "approve", {"comment": "ok"}, via=Surface.WEB)
    await world.hitl.submit(order)
    await world.runs.settle()
    shot = await read(world, run_id, "&include_state_snapshot=true")
    async with OpenStream(world, f"/v1/workflow/{run_id}/events", "user=u-1") as stream:
        await answer(world, shot[-2]["data"]["form_token"])
        assert [event["event"] async for event in stream.events()] == RESUMED


@pytest.mark.parametrize("keep", range(1, 7))
async def test_reader_who_comes_back_with_an_id_gets_the_rest(keep: int) -> None:
    """Wherever a stream breaks off, the last id leads to exactly the events after it."""
    world = await make_world(approval())
    run_id, token = await started(world)
    whole = await read(world, run_id, "&cursor=0")
    rest = await read(world, run_id, "&cursor=0", **{"Last-Event-ID": whole[keep]["id"]}) if keep < 6 else []
    assert whole[1 : keep + 1] + [event for event in rest if event["event"] != "ping"] == whole[1:]
    await answer(world, token)
    end = await read(world, run_id, f"&cursor={whole[-1]['id']}")
    assert names_of(end) == RESUMED


async def test_replayed_pause_carries_no_used_token() -> None:
    """A pause of the past shows its form without a token: whoever stops at the first form is not misled."""
    world = await make_world(approval())
    run_id, token = await started(world)
    await answer(world, token)
    replay = await read(world, run_id, "&cursor=0&continue_on_pause=true")
    (form,) = [event for event in replay if event["event"] == "human_input_required"]
    assert (form["data"]["form_token"], form["data"]["approval_channels"]) == (None, [])
    assert replay[-1]["event"] == "workflow_finished"


async def test_run_of_somebody_else_is_not_found() -> None:
    """Another user, another app, an unknown run and a malformed id get the same 404."""
    world = await make_world(approval())
    run_id, _ = await started(world)
    _, _, other_key = await world.add_app(approval())
    unknown = "00000000-0000-7000-8000-00000000ffff"
    async with world.client() as client, world.client(other_key) as other:
        answers = [
            await client.get(f"/v1/workflow/{run_id}/events?user=u-2"),
            await other.get(f"/v1/workflow/{run_id}/events?user=u-1"),
            await client.get(f"/v1/workflow/{unknown}/events?user=u-1"),
            await client.get("/v1/workflow/nonsense/events?user=u-1"),
        ]
        no_user = await client.get(f"/v1/workflow/{run_id}/events")
    body = {"code": "not_found", "message": "Workflow run not found", "status": 404}
    assert [each.json() for each in answers] == [body] * 4
    assert (no_user.status_code, no_user.json()["message"]) == (400, "Arg user must be provided.")
