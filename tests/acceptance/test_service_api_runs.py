"""``/v1``: runs, their replies, streams and end, over HTTP."""

import json
from collections.abc import AsyncIterator
from typing import Any

import jsonschema
import pytest

from actors.errors import ActorAwayError, QueueFullError
from approval import ANSWER, RUN, STREAMED, approval, started, straight, two_approvals, written
from factories import document, edge, end, human
from fixtures_path import fixtures_path
from surface_world import OpenStream, World, events_of, make_world, names_of
from surfaces.schemas import MAX_DEPTH


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow."""
    made = await make_world(approval())
    yield made
    await made.runs.settle()


def check_schema(name: str, value: object) -> None:
    """Check ``value`` against a schema of the public API description, where that is at hand."""
    folder = fixtures_path()
    if folder is None:
        pytest.skip("the API description is absent; set GREENROOM_FIXTURES to its folder")
    described = json.loads((folder / "openapi_service.json").read_text(encoding="utf-8"))
    schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
    # OpenAPI 3.0 says nullable where JSON Schema lists the type null.
    jsonschema.validate(value, _with_nulls(schema))


def _with_nulls(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_nulls(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _with_nulls(value) for name, value in schema.items()}
    if plain.get("nullable") is True and isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"], "null"]
    return plain


async def test_blocking_run_returns_its_outputs() -> None:
    """A blocking run answers 200 with task, run and data, as ASCII JSON with a charset."""
    world = await make_world(straight())
    async with world.client() as client:
        response = await client.post("/v1/workflows/run", json={"inputs": {"topic": "thé"}, "user": "u-1"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert '"answer": "th\\u00e9"' in response.text
    body = response.json()
    assert list(body) == ["task_id", "workflow_run_id", "data"]
    assert body["task_id"] == body["workflow_run_id"] == body["data"]["id"]
    assert list(body["data"]) == [
        "id", "workflow_id", "status", "outputs", "error", "elapsed_time", "total_tokens", "total_steps", "created_at",
        "finished_at",
    ]  # fmt: skip
    assert (body["data"]["status"], body["data"]["outputs"]) == ("succeeded", {"answer": "thé"})
    check_schema("WorkflowBlockingResponse", body)


async def test_blocking_run_that_pauses_answers_at_once(world: World) -> None:
    """A blocking run that waits for a person answers 200 with the reasons and a token that works."""
    async with world.client() as client:
        data = (await client.post("/v1/workflows/run", json=RUN)).json()["data"]
        (reason,) = data["reasons"]
        form = await client.get(f"/v1/form/human_input/{reason['form_token']}")
    assert (data["status"], data["outputs"], data["finished_at"], data["paused_nodes"]) == ("paused", {}, None, ["hi1"])
    assert list(reason) == [
        "TYPE", "form_id", "form_content", "inputs", "actions", "node_id", "node_title", "resolved_default_values",
        "form_token", "approval_channels", "expiration_time",
    ]  # fmt: skip
    assert reason["approval_channels"] == ["console"]
    assert form.status_code == 200


async def test_stream_tells_the_transcript(world: World) -> None:
    """A streamed run begins with a ping, tells its events in order and closes at the pause."""
    async with world.client() as client:
        response = await client.post("/v1/workflows/run", json=STREAMED)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.text.startswith("event: ping\n\n")
    assert "\nid:" not in response.text
    events = events_of(response.text)
    assert names_of(events) == [
        "workflow_started", "node_started", "node_finished", "node_started", "human_input_required", "workflow_paused",
    ]  # fmt: skip
    started, required = events[1], events[-2]["data"]
    assert list(started) == ["event", "workflow_run_id", "task_id", "data"]
    assert list(started["data"]["inputs"])[2:] == [
        "sys.files", "sys.user_id", "sys.app_id", "sys.timestamp", "sys.workflow_id", "sys.workflow_run_id",
    ]  # fmt: skip
    assert required["form_content"] == "Write about tea?\n\n{{#$output.comment#}}"
    assert len(required["form_token"]) == 43
    for event in events[1:]:
        check_schema("ChunkWorkflowEvent", event)


async def test_streamed_text_comes_piece_by_piece() -> None:
    """The text of a model reaches the reader as it is made, and once."""
    world = await make_world(written())
    world.chat.script["llm1"] = ["Hello", " tea"]
    async with world.client() as client:
        events = events_of((await client.post("/v1/workflows/run", json=STREAMED)).text)
    chunks = [event["data"] for event in events if event["event"] == "text_chunk"]
    assert [chunk["text"] for chunk in chunks] == ["Hello", " tea"]
    assert chunks[0]["from_variable_selector"] == ["llm1", "text"]
    assert events[-1]["data"]["outputs"] == {"answer": "Hello tea"}


async def test_ids_stand_on_frames_only_on_request() -> None:
    """A stream that is asked for with a cursor carries ids."""
    world = await make_world(straight())
    async with world.client() as client:
        events = events_of((await client.post("/v1/workflows/run?cursor=0", json=STREAMED)).text)
    assert [event.get("id") for event in events][:3] == [None, "1.1", "2.1"]


async def test_run_detail_has_inputs_as_text(world: World) -> None:
    """Run detail shows a paused run without outputs and its inputs as a JSON string with sys values."""
    async with world.client() as client:
        run_id = (await client.post("/v1/workflows/run", json=RUN)).json()["workflow_run_id"]
        response = await client.get(f"/v1/workflows/run/{run_id}")
    body = response.json()
    assert response.text.endswith("\n")
    assert (body["status"], body["outputs"], body["finished_at"]) == ("paused", {}, None)
    inputs = json.loads(body["inputs"])
    assert (inputs["topic"], inputs["sys.user_id"], inputs["sys.workflow_run_id"]) == ("tea", "u-1", run_id)
    check_schema("WorkflowRunDetailResponse", body)


async def test_run_detail_of_an_unknown_or_foreign_run_is_404(world: World) -> None:
    """A run of another app, an unknown one and no id at all are not found."""
    _, _, other_key = await world.add_app(straight())
    async with world.client() as client, world.client(other_key) as other:
        run_id = (await client.post("/v1/workflows/run", json=RUN)).json()["workflow_run_id"]
        answers = [
            await other.get(f"/v1/workflows/run/{run_id}"),
            await client.get("/v1/workflows/run/00000000-0000-7000-8000-00000000ffff"),
            await client.get("/v1/workflows/run/nonsense"),
        ]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(404, "not_found")] * 3
    assert answers[0].json()["message"] == "Workflow run not found."


async def test_named_version_runs(world: World) -> None:
    """A run may name a version of the app; other ids are refused as in Dify."""
    _, foreign, _ = await world.add_app(straight())
    async with world.client() as client:
        good = await client.post(f"/v1/workflows/{world.version_id}/run", json=RUN)
        unknown = await client.post(f"/v1/workflows/{foreign}/run", json=RUN)
        malformed = await client.post("/v1/workflows/draft/run", json=RUN)
    assert good.json()["data"]["workflow_id"] == world.version_id
    assert (unknown.status_code, unknown.json()["message"]) == (404, f"Workflow not found with id: {foreign}")
    assert (malformed.status_code, malformed.json()["code"]) == (400, "bad_request")
    assert malformed.json()["message"].startswith("Invalid workflow_id format: 'draft'.")


async def test_remote_file_becomes_a_file_value(world: World) -> None:
    """A remote file mapping in an input is a file value in the run's inputs."""
    picture = {"type": "image", "transfer_method": "remote_url", "url": "https://example.org/a/b.png"}
    body = {**STREAMED, "inputs": {"topic": "tea", "picture": picture}}
    async with world.client() as client:
        events = events_of((await client.post("/v1/workflows/run", json=body)).text)
    value = events[1]["data"]["inputs"]["picture"]
    assert value["dify_model_identity"] == "__dify__file__"
    assert (value["filename"], value["extension"], value["size"]) == ("b.png", ".png", -1)


async def test_stop_ends_a_paused_run(world: World) -> None:
    """Stopping answers success, ends the run as stopped, and its form takes no answer any more."""
    async with world.client() as client:
        data = (await client.post("/v1/workflows/run", json=RUN)).json()["data"]
        stopped = await client.post(f"/v1/workflows/tasks/{data['id']}/stop", json={"user": "u-1"})
        await world.runs.settle()
        detail = (await client.get(f"/v1/workflows/run/{data['id']}")).json()
        late = await client.post(f"/v1/form/human_input/{data['reasons'][0]['form_token']}", json=ANSWER)
    assert (stopped.status_code, stopped.json()) == (200, {"result": "success"})
    assert (detail["status"], detail["error"]) == ("stopped", "Stopped by user.")
    assert (late.status_code, late.json()["code"]) == (412, "human_input_form_expired")


async def test_stop_of_somebody_elses_run_changes_nothing(world: World) -> None:
    """Another user, another app and an unknown task get success too, and nothing happens."""
    _, _, other_key = await world.add_app(straight())
    async with world.client() as client, world.client(other_key) as other:
        run_id = (await client.post("/v1/workflows/run", json=RUN)).json()["workflow_run_id"]
        path = f"/v1/workflows/tasks/{run_id}/stop"
        answers = [
            await client.post(path, json={"user": "u-2"}),
            await other.post(path, json={"user": "u-1"}),
            await client.post("/v1/workflows/tasks/nonsense/stop", json={"user": "u-1"}),
        ]
        await world.runs.settle()
        detail = (await client.get(f"/v1/workflows/run/{run_id}")).json()
    assert [each.json() for each in answers] == [{"result": "success"}] * 3
    assert detail["status"] == "paused"


@pytest.mark.parametrize("mode", ["blocking", "streaming"])
async def test_full_queue_is_429_with_retry_after(world: World, mode: str) -> None:
    """A start that finds the queue full is refused before any stream opens."""
    world.runs.refusal = QueueFullError(100)
    async with world.client() as client:
        response = await client.post("/v1/workflows/run", json={**RUN, "response_mode": mode})
    assert (response.status_code, response.json()["code"]) == (429, "too_many_requests")
    assert response.headers["retry-after"] == "5"


@pytest.mark.parametrize("mode", ["blocking", "streaming"])
async def test_unavailable_part_is_503_with_retry_after(world: World, mode: str) -> None:
    """What is away for now is told as 503 and for how long."""
    world.runs.refusal = ActorAwayError("run-supervisor")
    async with world.client() as client:
        response = await client.post("/v1/workflows/run", json={**RUN, "response_mode": mode})
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_failed_node_fails_its_run_with_200() -> None:
    """A node that fails ends the run as failed, blocking and streamed, with the reason as error."""
    world = await make_world(written())
    world.chat.script["llm1"] = [RuntimeError("no such model")]
    async with world.client() as client:
        blocking = await client.post("/v1/workflows/run", json=RUN)
        events = events_of((await client.post("/v1/workflows/run", json=STREAMED)).text)
    assert (blocking.status_code, blocking.json()["data"]["status"]) == (200, "failed")
    assert "no such model" in blocking.json()["data"]["error"]
    assert names_of(events)[-2:] == ["node_finished", "workflow_finished"]
    assert (events[-1]["data"]["status"], events[-2]["data"]["status"]) == ("failed", "failed")


async def test_client_that_goes_away_leaves_the_run_alone() -> None:
    """A reader that disconnects in the middle changes nothing: the run pauses, is answered and finishes."""
    world = await make_world(two_approvals())
    async with world.client() as client:
        data = (await client.post("/v1/workflows/run", json=RUN)).json()["data"]
        path = f"/v1/workflow/{data['id']}/events"
        async with OpenStream(world, path, "user=u-1&include_state_snapshot=true&continue_on_pause=true") as stream:
            async for event in stream.events():
                if event["event"] == "workflow_paused":
                    break
        token = data["reasons"][0]["form_token"]
        await client.post(f"/v1/form/human_input/{token}", json=ANSWER)
        await world.runs.settle()
        detail = (await client.get(f"/v1/workflows/run/{data['id']}")).json()
    assert (detail["status"], detail["total_steps"]) == ("paused", 3)


async def test_input_nested_as_deep_as_allowed_goes_all_the_way() -> None:
    """What a body may hold can be journaled, paused with, told in every form, and given back at the end."""
    data: dict[str, Any] = {"end": [1]}
    for _ in range(MAX_DEPTH - 4):
        data = {"a": data}
    variable = {"variable": "data", "label": "Data", "type": "json_object", "required": True}
    nodes = [
        started(variable),
        human("hi1", content="{{#start1.data#}} {{#$output.comment#}}"),
        end("end1", data=["start1", "data"]),
    ]
    world = await make_world(document(nodes, [edge("start1", "hi1"), edge("hi1", "end1", "approve")]))
    body = {"inputs": {"data": data}, "user": "u-1"}
    async with world.client() as client:
        streamed = await client.post("/v1/workflows/run", json={**body, "response_mode": "streaming"})
        paused = (await client.post("/v1/workflows/run", json=body)).json()["data"]
        events = f"/v1/workflow/{paused['id']}/events?user=u-1"
        snapshot = await client.get(f"{events}&include_state_snapshot=true")
        answered = await client.post(f"/v1/form/human_input/{paused['reasons'][0]['form_token']}", json=ANSWER)
        await world.runs.settle()
        finished = (await client.get(f"/v1/workflows/run/{paused['id']}")).json()
        last = await client.get(events)
    assert names_of(events_of(streamed.text))[-1] == names_of(events_of(snapshot.text))[-1] == "workflow_paused"
    assert answered.status_code == 200
    assert finished["outputs"] == events_of(last.text)[-1]["data"]["outputs"] == {"data": data}
