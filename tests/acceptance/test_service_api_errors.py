"""``/v1``: what bad requests get, in the order of its checks."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from approval import ANSWER, RUN, STREAMED, approval, straight
from factories import document, edge, node
from surface_world import World, events_of, make_world

RUN_PATH = "/v1/workflows/run"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow."""
    made = await make_world(approval())
    yield made
    await made.runs.settle()


def told(response: Any) -> tuple[int, str, str]:
    """Return status, code and message of an error after checking its envelope."""
    body = response.json()
    assert list(body) == ["code", "message", "status"]
    assert body["status"] == response.status_code
    assert response.headers["content-type"] == "application/json"
    return response.status_code, body["code"], body["message"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "Authorization header must be provided and start with 'Bearer'"),
        ("Bearer", "Authorization header must be provided and start with 'Bearer'"),
        ("Basic abc", "Authorization scheme must be 'Bearer'"),
        ("Bearer app-000000000000000000000000", "Access token is invalid"),
        ("Bearer ", "Access token is invalid"),
    ],
)
async def test_bad_key_is_401(world: World, header: str | None, message: str) -> None:
    """A missing, ill-formed or unknown key is 401 and says which scheme is wanted."""
    async with world.client("") as client:
        for request in (
            client.build_request("GET", "/v1/info"),
            client.build_request("POST", RUN_PATH, json=RUN),
            client.build_request("GET", "/v1/form/human_input/x"),
        ):
            if header is not None:
                request.headers["authorization"] = header
            response = await client.send(request)
            assert told(response) == (401, "unauthorized", message)
            assert response.headers["www-authenticate"] == 'Bearer realm="api"'


async def test_scheme_is_read_without_regard_to_case(world: World) -> None:
    """``bearer`` in any case counts."""
    async with world.client("") as client:
        response = await client.get("/v1/info", headers={"Authorization": f"bEARER {world.key}"})
    assert response.status_code == 200


@pytest.mark.parametrize("user", ["absent", None, ""])
@pytest.mark.parametrize("path", [RUN_PATH, "/v1/workflows/tasks/x/stop", "/v1/form/human_input/x"])
async def test_missing_user_is_refused_before_anything_else(world: World, path: str, user: str | None) -> None:
    """Without a user the answer is 400 invalid_param, whatever else is wrong with the body."""
    body = {} if user == "absent" else {"user": user}
    async with world.client() as client:
        response = await client.post(path, json=body)
    assert told(response) == (400, "invalid_param", "Arg user must be provided.")


async def test_user_that_is_no_string_is_taken_as_one(world: World) -> None:
    """A number as user is the same user as its text."""
    async with world.client() as client:
        run_id = (await client.post(RUN_PATH, json={**RUN, "user": 7})).json()["workflow_run_id"]
        events = await client.get(f"/v1/workflow/{run_id}/events?user=7&include_state_snapshot=true")
    assert events.status_code == 200


async def test_user_is_checked_before_the_mode() -> None:
    """On an app of another mode a missing user is told first, then the mode."""
    nodes = [node("start1", "start", variables=[]), node("answer1", "answer", answer="hi")]
    world = await make_world(document(nodes, [edge("start1", "answer1")], "advanced-chat"))
    async with world.client() as client:
        assert told(await client.post(RUN_PATH, json={}))[2] == "Arg user must be provided."
        assert told(await client.post(RUN_PATH, json={"user": "u"}))[:2] == (400, "not_workflow_app")
        stop = await client.post("/v1/workflows/tasks/x/stop", json={"user": "u"})
        assert told(stop)[:2] == (400, "not_workflow_app")


async def test_body_without_json_content_type_is_415(world: World) -> None:
    """A body that does not say it is JSON is not read."""
    async with world.client() as client:
        response = await client.post(RUN_PATH, content=b'{"user":"u"}', headers={"Content-Type": "text/plain"})
        assert told(response)[:2] == (415, "unsupported_media_type")
        assert told(await client.post(RUN_PATH))[:2] == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_request"),
        (b"{", "bad_request"),
        (b'{"user": NaN}', "bad_request"),
        (b'{"user": "\\ud800"}', "bad_request"),
        (b"[" * 5000, "bad_request"),
        (b'{"user":"u","inputs":{"topic":' + b"[" * 99 + b"]" * 99 + b"}}", "bad_request"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "bad_request"),
        (b"\xff", "bad_request"),
        (b"[]", "invalid_param"),
        (b"null", "invalid_param"),
        (b'"text"', "invalid_param"),
    ],
)
async def test_unreadable_body_is_400(world: World, body: bytes, code: str) -> None:
    """What is no JSON is bad_request; JSON that is no object is invalid_param."""
    async with world.client() as client:
        response = await client.post(RUN_PATH, content=body, headers={"Content-Type": "application/json"})
    assert told(response)[:2] == (400, code)


async def test_too_large_body_is_413() -> None:
    """A body beyond the limit is refused, announced or not."""
    world = await make_world(straight(), max_body_bytes=100)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 10

    async with world.client() as client:
        announced = await client.post(RUN_PATH, json={"user": "u" * 200})
        unannounced = await client.post(RUN_PATH, content=chunks(), headers={"Content-Type": "application/json"})
    assert told(announced)[:2] == told(unannounced)[:2] == (413, "request_entity_too_large")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"inputs": None}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"response_mode": "other"}, "response_mode"),
        ({"files": "x"}, "files"),
        ({"files": ["x"]}, "files.0"),
    ],
)
async def test_ill_typed_body_is_400_and_names_the_field(world: World, change: dict[str, Any], field: str) -> None:
    """A body that does not fit its schema is invalid_param with each field and what is wrong."""
    async with world.client() as client:
        status, code, message = told(await client.post(RUN_PATH, json={**RUN, **change}))
    assert (status, code) == (400, "invalid_param")
    assert message.splitlines()[0] == "1 validation error for WorkflowRunPayload"
    assert message.splitlines()[1] == field


LOCAL = {"type": "image", "transfer_method": "local_file", "upload_file_id": "f"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": {}}, "topic is required in input form"),
        ({"inputs": {"topic": 5}}, "(type 'text-input') topic in input form must be a string"),
        ({"inputs": {"topic": "x" * 11}}, "topic in input form must be less than 10 characters"),
        ({"inputs": {"topic": "t", "picture": "p"}}, "picture in input form must be a file"),
        (
            {"inputs": {"topic": "t", "picture": LOCAL}},
            "picture.upload_file_id names no uploaded file of this user",
        ),
        (
            {"inputs": {"topic": "t", "picture": {"type": "image", "transfer_method": "remote_url", "url": "ftp://x"}}},
            "picture.url must be an http or https address",
        ),
        ({"files": [LOCAL]}, "files[0].upload_file_id names no uploaded file of this user"),
    ],
)
async def test_bad_inputs_are_400_blocking_and_an_error_event_streaming(
    world: World, change: dict[str, Any], message: str
) -> None:
    """Inputs that do not fit the start form are told by field: as 400, or as the only event of the stream."""
    async with world.client() as client:
        blocking = await client.post(RUN_PATH, json={**RUN, **change})
        streaming = await client.post(RUN_PATH, json={**STREAMED, **change})
    assert told(blocking) == (400, "invalid_param", message)
    assert streaming.status_code == 200
    error = {"event": "error", "workflow_run_id": None, "code": "invalid_param", "message": message, "status": 400}
    assert events_of(streaming.text) == [{"event": "ping"}, error]
    assert world.store.runs == {}


@pytest.mark.parametrize("cursor", ["x", "1.2.3.4", "-1"])
async def test_malformed_cursor_is_400(world: World, cursor: str) -> None:
    """An id that is none of ours is a bad request, as header and as query."""
    async with world.client() as client:
        run_id = (await client.post(RUN_PATH, json=RUN)).json()["workflow_run_id"]
        path = f"/v1/workflow/{run_id}/events?user=u-1"
        as_query = await client.get(f"{path}&cursor={cursor}")
        as_header = await client.get(path, headers={"Last-Event-ID": cursor})
        beyond = await client.get(f"{path}&cursor=9999.1")
    assert told(as_query)[:2] == told(as_header)[:2] == told(beyond)[:2] == (400, "bad_request")


async def test_unpublished_app_is_refused_in_both_modes(world: World) -> None:
    """Without a published workflow a run is invalid_param and the parameters are app_unavailable."""
    _, _, key = await world.add_app(straight(), is_published=False)
    async with world.client(key) as client:
        for body in (RUN, STREAMED):
            assert told(await client.post(RUN_PATH, json=body)) == (400, "invalid_param", "Workflow not published")
        assert told(await client.get("/v1/parameters"))[:2] == (400, "app_unavailable")


async def test_trace_session_of_impossible_length_is_400(world: World) -> None:
    """A trace session id has 1 to 200 characters."""
    async with world.client() as client:
        response = await client.post(RUN_PATH, json=RUN, headers={"X-Trace-Session-Id": "s" * 201})
    assert told(response)[:2] == (400, "bad_request")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/completion-messages", "/nothing", "/v1"])
async def test_unknown_path_is_a_404_envelope(world: World, path: str) -> None:
    """What does not exist is told in the envelope."""
    async with world.client() as client:
        assert told(await client.get(path))[:2] == (404, "not_found")


async def test_wrong_method_is_405(world: World) -> None:
    """A known path with another method is 405 and says what is allowed."""
    async with world.client() as client:
        response = await client.get(RUN_PATH)
    assert told(response)[:2] == (405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


async def test_fault_of_ours_says_nothing(world: World) -> None:
    """An unexpected error is a bare 500, with the version headers like everything else."""
    world.runs.refusal = ValueError("database password is hunter2")
    async with world.client() as client:
        response = await client.post(RUN_PATH, json=RUN, headers={"Origin": "https://a.example"})
    assert told(response) == (500, "unknown", "Internal Server Error")
    assert response.headers["x-version"] == "1.14.2"
    assert response.headers["access-control-allow-origin"] == "*"


async def test_fault_of_ours_in_a_stream_is_its_last_event(world: World) -> None:
    """A stream whose run cannot be followed ends with an error event that says nothing."""
    async with world.client() as client:
        run_id = (await client.post(RUN_PATH, json=RUN)).json()["workflow_run_id"]

        async def broken(*args: Any) -> AsyncIterator[Any]:
            for _ in args:
                raise ValueError("secret")
            yield

        world.runs.follow = broken  # type: ignore[method-assign]
        text = (await client.get(f"/v1/workflow/{run_id}/events?user=u-1")).text
    assert events_of(text)[-1] == {
        "event": "error",
        "workflow_run_id": run_id,
        "code": "internal_server_error",
        "message": "Internal Server Error, please contact support.",
        "status": 500,
    }


@pytest.mark.parametrize("path", ["/health", "/v1/", "/v1/info", "/nothing", "/form/x"])
async def test_every_answer_names_the_versions(world: World, path: str) -> None:
    """Dify's version, ours and the environment stand on every response."""
    async with world.client() as client:
        headers = (await client.get(path)).headers
    found = [headers[name] for name in ("x-version", "x-env", "x-greenroom-version")]
    assert found == ["1.14.2", "PRODUCTION", "0.0.test"]


async def test_other_origins_may_call_v1_and_nothing_else(world: World) -> None:
    """Cross-origin requests are allowed on ``/v1`` for its headers, and not on the form page."""
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    async with world.client() as client:
        allowed = await client.options(RUN_PATH, headers=preflight)
        simple = await client.get("/v1/info", headers={"Origin": "https://a.example"})
        page = await client.get("/form/x", headers={"Origin": "https://a.example"})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "*")
    assert simple.headers["access-control-expose-headers"] == "X-Version, X-Env, X-Trace-Id"
    assert "access-control-allow-origin" not in page.headers


async def test_form_answer_of_a_wrong_shape_is_invalid_param(world: World) -> None:
    """Inputs that are no object and a missing action are refused before the token is looked at."""
    async with world.client() as client:
        for body in ({**ANSWER, "inputs": []}, {"inputs": {}, "user": "u"}, {**ANSWER, "action": 5}):
            assert told(await client.post("/v1/form/human_input/x", json=body))[:2] == (400, "invalid_param")
