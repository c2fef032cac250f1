"""``/v1/chat-messages`` and the streams of chatflows: shapes, orders, pauses, reconnects, refusals."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.errors import QueueFullError
from approval import approval
from chat_flow import ASK, OUTER, approve, asked, chat_document, echo, messages_of, reviewed, streamed, variables_of
from factories import answer, assigner, edge, iteration, llm, node
from graph.inbox import STOPPED_BY_USER
from graph.ports import ChatDelta, ChatRequest
from surface_world import OpenStream, World, events_of, make_world, names_of

USAGE = [
    "prompt_tokens", "prompt_unit_price", "prompt_price_unit", "prompt_price", "completion_tokens",
    "completion_unit_price", "completion_price_unit", "completion_price", "total_tokens", "total_price", "currency",
    "latency", "time_to_first_token", "time_to_generate",
]  # fmt: skip
REPLY = ["event", "task_id", "id", "message_id", "conversation_id", "mode", "answer", "metadata", "created_at"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the reviewed chatflow."""
    made = await make_world(reviewed())
    yield made
    await made.runs.settle()


def answer_of(events: list[dict[str, Any]]) -> str:
    """Return the answer that a reader of a stream has in the end."""
    told = ""
    for event in events:
        if event["event"] == "message":
            told += event["answer"]
        elif event["event"] == "message_replace":
            told = event["answer"]
    return told


async def test_stream_tells_a_message_from_start_to_end() -> None:
    """Every event carries conversation, message and task in order; message_end comes before workflow_finished."""
    world = await make_world(echo())
    async with world.client() as client:
        events = await streamed(client)
    assert names_of(events) == [
        "workflow_started", "message", "message", "message", "node_started", "node_finished", "node_started",
        "node_finished", "message_end", "workflow_finished",
    ]  # fmt: skip
    assert answer_of(events) == "Is tea good? #1"
    told = [event for event in events if event["event"] != "ping"]
    assert all(list(event)[:5] == OUTER for event in told)
    assert (
        len({(each["conversation_id"], each["message_id"], each["created_at"], each["task_id"]) for each in told}) == 1
    )
    by_name = {event["event"]: event for event in told}
    assert list(by_name["workflow_started"]) == [*OUTER, "workflow_run_id", "data"]
    inputs = by_name["workflow_started"]["data"]["inputs"]
    assert list(inputs) == [
        "sys.query", "sys.files", "sys.user_id", "sys.app_id", "sys.workflow_id", "sys.workflow_run_id",
        "sys.dialogue_count",
    ]  # fmt: skip
    assert list(by_name["message"]) == [*OUTER, "id", "answer", "from_variable_selector"]
    end = by_name["message_end"]
    assert list(end) == [*OUTER, "id", "metadata", "files"] and end["files"] == []
    assert list(end["metadata"]) == ["annotation_reply", "retriever_resources", "usage"]
    assert list(end["metadata"]["usage"]) == USAGE and end["metadata"]["usage"]["total_tokens"] == 0
    assert by_name["workflow_finished"]["data"]["outputs"]["answer"] == "Is tea good? #1"


async def test_blocking_reply_has_the_whole_message() -> None:
    """Without a response mode the reply is the message with its answer and the usage of all its models."""
    nodes = [llm("one"), llm("two"), answer("told", "{{#one.text#}} {{#two.text#}}")]
    world = await make_world(chat_document(nodes, [edge("start1", "one"), edge("one", "two"), edge("two", "told")]))
    world.chat.script = {"one": ["Tea", "!"], "two": ["Yes."]}
    async with world.client() as client:
        response = await client.post("/v1/chat-messages", json=ASK)
    body = response.json()
    assert response.status_code == 200 and response.headers["content-type"] == "application/json; charset=utf-8"
    assert list(body) == REPLY
    assert (body["event"], body["mode"], body["answer"]) == ("message", "advanced-chat", "Tea! Yes.")
    assert body["id"] == body["message_id"] == body["task_id"]
    usage = body["metadata"]["usage"]
    assert list(usage) == USAGE
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (6, 3, 9)
    assert (usage["latency"], usage["total_price"], usage["time_to_first_token"]) == (1.0, "0", 0.1)


async def test_blocking_pause_shows_form_and_answer_so_far(world: World) -> None:
    """A message that waits is answered at once, with the form token of this surface and the answer so far."""
    async with world.client() as client:
        body = await asked(client)
        (message,) = await messages_of(client, body["conversation_id"])
    assert list(body) == [*REPLY, "workflow_run_id", "data"]
    assert (body["event"], body["answer"]) == ("workflow_paused", "Draft: This is scripted. ")
    data = body["data"]
    assert list(data) == [
        "id", "mode", "conversation_id", "message_id", "workflow_run_id", "answer", "metadata", "created_at",
        "paused_nodes", "reasons", "status", "elapsed_time", "total_tokens", "total_steps",
    ]  # fmt: skip
    assert (data["paused_nodes"], data["status"], data["total_tokens"]) == (["hi1"], "paused", 6)
    (reason,) = data["reasons"]
    assert reason["TYPE"] == "human_input_required" and len(reason["form_token"]) == 43
    assert (message["status"], message["answer"]) == ("paused", "Draft: This is scripted. ")


async def test_pause_closes_the_stream_and_events_go_on_behind_it(world: World) -> None:
    """The stream ends at the pause without message_end; the reconnect tells the rest of the same message."""
    async with world.client() as client:
        first = await streamed(client)
        assert names_of(first)[-2:] == ["human_input_required", "workflow_paused"]
        assert answer_of(first) == "Draft: This is scripted. "
        form, pause = first[-2], first[-1]
        assert list(form) == list(pause) == [*OUTER, "workflow_run_id", "data"] and pause["data"]["outputs"] == {}
        path, query = f"/v1/workflow/{pause['workflow_run_id']}/events", "user=u-1&continue_on_pause=true"
        async with OpenStream(world, path, query) as stream:
            await approve(world, client, form["data"]["form_token"])
            rest = [event async for event in stream.events()]
        (message,) = await messages_of(client, pause["conversation_id"])
    assert names_of(rest)[:3] == ["workflow_started", "node_started", "human_input_form_filled"]
    assert names_of(rest)[-2:] == ["message_end", "workflow_finished"]
    assert rest[0]["data"]["reason"] == "resumption"
    assert {(each["conversation_id"], each["message_id"]) for each in [*first[1:], *rest]} == {
        (pause["conversation_id"], pause["message_id"])
    }
    assert answer_of(rest) == "Reviewed: Quite. (1)"
    assert rest[-2]["metadata"]["usage"]["total_tokens"] == 6
    assert (message["status"], message["answer"]) == ("normal", answer_of(first) + answer_of(rest))


async def test_snapshot_gives_the_answer_so_far(world: World) -> None:
    """A reader who comes with a snapshot gets message_replace with what was answered, right after the start."""
    async with world.client() as client:
        pause = (await streamed(client))[-1]
        path = f"/v1/workflow/{pause['workflow_run_id']}/events?user=u-1&include_state_snapshot=true"
        events = [event for event in events_of((await client.get(path)).text) if event["event"] != "ping"]
        assert names_of(events)[:2] == ["workflow_started", "message_replace"]
        replace = events[1]
        assert list(replace) == [*OUTER, "answer", "reason"]
        assert (replace["answer"], replace["reason"]) == ("Draft: This is scripted. ", "")
        assert names_of(events)[-2:] == ["human_input_required", "workflow_paused"]
        await approve(world, client, events[-2]["data"]["form_token"])
        ended = events_of((await client.get(path)).text)
    assert names_of(ended) == ["workflow_finished"]
    assert list(ended[0]) == ["event", "task_id", "workflow_run_id", "data"]


async def test_ids_bring_a_reader_back_into_the_message(world: World) -> None:
    """A reader that comes back with an id gets what follows it, also the text and the end of the message."""
    async with world.client() as client:
        headers = {"Last-Event-ID": "0"}
        pause = (await streamed(client))[-1]
        await approve(world, client, pause["data"]["reasons"][0]["form_token"])
        path = f"/v1/workflow/{pause['workflow_run_id']}/events?user=u-1&continue_on_pause=true"
        whole = events_of((await client.get(path, headers=headers)).text)[1:]
        place = names_of(whole).index("message_end")
        rest = events_of((await client.get(path, headers={"Last-Event-ID": whole[place]["id"]})).text)
    assert answer_of(whole) == "Draft: This is scripted. Reviewed: Quite. (1)"
    assert names_of(rest) == ["workflow_finished"]


async def test_failed_message_is_400_blocking_and_ends_in_an_error_streaming() -> None:
    """A failed run of a chatflow is refused in blocking mode; a stream says it by workflow_finished and error."""
    world = await make_world(chat_document([llm("llm1"), answer("told", "So: {{#llm1.text#}}")],
                                           [edge("start1", "llm1"), edge("llm1", "told")]))  # fmt: skip
    world.chat.script = {"llm1": [RuntimeError("boom")]}
    async with world.client() as client:
        response = await client.post("/v1/chat-messages", json=ASK)
        events = await streamed(client)
        (message,) = await messages_of(client, events[-1]["conversation_id"])
    body = response.json()
    assert (response.status_code, body["code"], body["status"]) == (400, "invalid_param", 400)
    assert body["message"].startswith("Run failed: ") and "boom" in body["message"]
    assert names_of(events)[-2:] == ["workflow_finished", "error"] and "message_end" not in names_of(events)
    assert events[-2]["data"]["status"] == "failed"
    assert list(events[-1]) == ["event", "conversation_id", "message_id", "created_at", "code", "message", "status"]
    assert (events[-1]["code"], events[-1]["message"]) == ("invalid_param", body["message"])
    assert message["status"] == "error" and "boom" in message["error"]


async def test_stop_ends_a_waiting_message(world: World) -> None:
    """Stopping answers success always; the message keeps its partial answer and is normal, its form open no more."""
    async with world.client() as client:
        body = await asked(client)
        stop = f"/v1/chat-messages/{body['task_id']}/stop"
        for user, status in (("u-2", "paused"), ("u-1", "normal")):
            response = await client.post(stop, json={"user": user})
            assert (response.status_code, response.json()) == (200, {"result": "success"})
            await world.runs.settle()
            (message,) = await messages_of(client, body["conversation_id"])
            assert message["status"] == status
        assert message["answer"] == "Draft: This is scripted. "
        shown = message["extra_contents"][0]
        assert (shown["submitted"], shown["form_definition"]["form_token"]) == (False, None)
        for task in ("nonsense", body["conversation_id"]):
            again = await client.post(f"/v1/chat-messages/{task}/stop", json={"user": "u-1"})
            assert again.json() == {"result": "success"}
        assert (await client.post(stop, json={})).json()["code"] == "invalid_param"


async def test_stop_keeps_what_was_told() -> None:
    """A message that is stopped while its model speaks has in store just what its reader was told."""
    nodes = [llm("llm1"), answer("told", "So: {{#llm1.text#}}")]
    world = await make_world(chat_document(nodes, [edge("start1", "llm1"), edge("llm1", "told")]))
    stops: list[asyncio.Future[None]] = []

    async def speak(request: ChatRequest) -> AsyncIterator[ChatDelta]:
        yield ChatDelta(text="Tea ")
        yield ChatDelta(text="is")
        # What it has said is told by then, and it never ends.
        (run_id,) = world.store.runs
        stops.append(asyncio.ensure_future(world.runs.stop(run_id, STOPPED_BY_USER)))
        await asyncio.Event().wait()

    world.chat.stream = speak
    async with world.client() as client:
        events = await streamed(client)
        (message,) = await messages_of(client, events[-1]["conversation_id"])
    assert names_of(events)[-2:] == ["message_end", "workflow_finished"]
    assert events[-1]["data"]["status"] == "stopped"
    assert answer_of(events) == message["answer"] == "So: Tea is"
    assert (message["status"], message["error"]) == ("normal", None)


async def test_next_message_sees_history_and_variables(world: World) -> None:
    """A second message continues the conversation: count, variables, and earlier turns for models with memory."""
    async with world.client() as client:
        first = await asked(client)
        number = first["conversation_id"]
        await approve(world, client, first["data"]["reasons"][0]["form_token"])
        assert await variables_of(client, number) == {"count": "1", "seen": '["Quite."]'}
        second = await asked(client, query="And coffee?", conversation_id=number)
        await approve(world, client, second["data"]["reasons"][0]["form_token"], inputs={"comment": "Too."})
        messages = await messages_of(client, number)
        detail = (await client.get(f"/v1/workflows/run/{second['workflow_run_id']}")).json()
    assert second["conversation_id"] == number
    assert [each["answer"].split(". ", 1)[1] for each in messages] == ["Reviewed: Quite. (1)", "Reviewed: Too. (2)"]
    assert [each["parent_message_id"] for each in messages] == [None, first["message_id"]]
    prompt = [(message.role, message.text) for message in world.chat.requests[-1].messages]
    assert ("user", "Is tea good?") in prompt and ("assistant", messages[0]["answer"]) in prompt
    assert prompt[-1] == ("user", "And coffee?")
    assert "history" not in detail["inputs"] and '"sys.dialogue_count": 2' in detail["inputs"]


async def test_history_is_limited_to_whole_messages() -> None:
    """What goes along are the newest messages that fit; with a limit of nothing there is no history."""
    for limit, expected in ((0, 0), (60, 1), (40_000, 2)):
        memory = {"window": {"enabled": False}, "query_prompt_template": "{{#sys.query#}}"}
        nodes = [llm("llm1", memory=memory), answer("told", "{{#llm1.text#}}")]
        world = await make_world(
            chat_document(nodes, [edge("start1", "llm1"), edge("llm1", "told")]), chat_history_chars=limit
        )
        world.chat.script = {"llm1": ["x" * 30]}
        async with world.client() as client:
            number = None
            for _ in range(3):
                number = (await asked(client, conversation_id=number))["conversation_id"]
        sent = world.chat.requests[-1].messages
        assert len([message for message in sent if message.role == "assistant"]) == expected


async def test_variable_set_in_an_iteration_lasts() -> None:
    """A conversation variable written within a container is what the next message finds."""
    inner = assigner("set", (["conversation", "seen"], "append", ["it", "item"]))
    nodes = [
        *iteration("it", ["conversation", "seen"], ["it", "item"], inner),
        answer("told", "{{#conversation.seen#}}"),
    ]
    document = chat_document(nodes, [edge("start1", "it"), edge("itstart", "set"), edge("it", "told")])
    document["workflow"]["conversation_variables"][0]["value"] = ["a"]
    world = await make_world(document)
    async with world.client() as client:
        body = await asked(client)
        assert (await variables_of(client, body["conversation_id"]))["seen"] == '["a", "a"]'


async def test_refused_messages_leave_nothing(world: World) -> None:
    """A message that cannot be sent has the code of its fault, in the order of checks, and no conversation."""
    workflow_key = (await world.add_app(approval()))[2]
    draft_key = (await world.add_app(echo(), is_published=False))[2]
    unknown = "00000000-0000-0000-0000-000000000001"
    cases: list[tuple[str, dict[str, Any], int, str]] = [
        (workflow_key, {**ASK, "user": ""}, 400, "invalid_param"),
        (workflow_key, {}, 400, "invalid_param"),
        (workflow_key, {"user": "u"}, 400, "not_chat_app"),
        (draft_key, ASK, 400, "invalid_param"),
        (world.key, {"user": "u"}, 400, "invalid_param"),
        (world.key, {**ASK, "query": " \0"}, 400, "invalid_param"),
        (world.key, {**ASK, "query": 5}, 400, "invalid_param"),
        (world.key, {**ASK, "response_mode": "polling"}, 400, "invalid_param"),
        (world.key, {**ASK, "conversation_id": "nonsense"}, 400, "invalid_param"),
        (world.key, {**ASK, "conversation_id": unknown}, 404, "not_found"),
        (world.key, {**ASK, "workflow_id": "draft"}, 400, "bad_request"),
        (world.key, {**ASK, "workflow_id": unknown}, 404, "not_found"),
        (world.key, {**ASK, "files": [{"type": "image", "transfer_method": "pigeon"}]}, 400, "invalid_param"),
        (world.key, {**ASK, "trace_session_id": "x" * 201}, 400, "bad_request"),
        ("app-unknown", ASK, 401, "unauthorized"),
    ]
    for key, body, status, code in cases:
        async with world.client(key) as client:
            answered = await client.post("/v1/chat-messages", json=body)
        assert (answered.status_code, answered.json()["code"]) == (status, code), body
    world.runs.refusal = QueueFullError(1)
    async with world.client() as client:
        assert (await client.post("/v1/chat-messages", json=ASK)).status_code == 429
        world.runs.refusal = QueueFullError(1)
        assert (await client.post("/v1/chat-messages", json={**ASK, "response_mode": "streaming"})).status_code == 429
    assert (world.store.conversations, world.store.messages, world.store.runs) == ({}, {}, {})


async def test_foreign_conversation_does_not_exist(world: World) -> None:
    """Another user cannot write into a conversation, nor another app's key."""
    other_key = (await world.add_app(echo()))[2]
    async with world.client() as client:
        number = (await asked(client))["conversation_id"]
        response = await client.post("/v1/chat-messages", json={**ASK, "user": "u-2", "conversation_id": number})
        assert (response.status_code, response.json()["message"]) == (404, "Conversation Not Exists.")
    async with world.client(other_key) as client:
        response = await client.post("/v1/chat-messages", json={**ASK, "conversation_id": number})
        assert response.status_code == 404


async def test_bad_input_of_a_streamed_message_is_an_error_event() -> None:
    """In streaming mode an input that does not fit ends the stream with one error event; blocking it is 400."""
    document = echo()
    variable = {"variable": "topic", "label": "Topic", "type": "text-input", "required": True}
    document["workflow"]["graph"]["nodes"][0] = node("start1", "start", title="Start", variables=[variable])
    world = await make_world(document)
    async with world.client() as client:
        events = await streamed(client)
        assert names_of(events) == ["error"]
        assert list(events[-1]) == ["event", "conversation_id", "message_id", "created_at", "code", "message", "status"]
        assert events[-1]["message"] == "topic is required in input form" and events[-1]["status"] == 400
        assert (await client.post("/v1/chat-messages", json=ASK)).status_code == 400
        # A later message need not repeat the inputs of the first.
        number = (await asked(client, inputs={"topic": "tea"}))["conversation_id"]
        assert (await asked(client, conversation_id=number))["answer"] == "Is tea good? #2"
        (_, later) = await messages_of(client, number)
        assert later["inputs"] == {"topic": "tea"}
