"""``/v1``: conversations, their messages, variables and feedback, and whose they are."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from approval import PICTURE, approval
from chat_flow import APPROVE, ASK, approve, asked, echo, messages_of, reviewed, variables_of
from factories import answer, edge, node
from graph.parse_workflow import parse_document
from store.compression import decompress
from store.memory_apps import MemoryApps
from surface_world import World, events_of, make_world, names_of

UNKNOWN = "00000000-0000-0000-0000-000000000001"
MESSAGE = [
    "id", "conversation_id", "parent_message_id", "inputs", "query", "answer", "feedback", "retriever_resources",
    "created_at", "agent_thoughts", "message_files", "status", "error", "extra_contents",
]  # fmt: skip
DEFINITION = [
    "form_id", "node_id", "node_title", "form_content", "inputs", "actions", "display_in_ui", "form_token",
    "resolved_default_values", "expiration_time",
]  # fmt: skip


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the chatflow that echoes."""
    made = await make_world(echo(opening_statement="Hello."))
    yield made
    await made.runs.settle()


async def page(world: World, path: str, **query: Any) -> dict[str, Any]:
    """Return a page of a list."""
    async with world.client() as client:
        response = await client.get(path, params={"user": "u-1", **query})
    assert response.status_code == 200, response.text
    return response.json()


async def test_conversations_are_listed_by_their_last_message(world: World) -> None:
    """The newest come first, page by page, with names made of their first questions."""
    numbers = []
    async with world.client() as client:
        for query in ("Tea?", "Is " + "very " * 20 + "long?", "Third\n question"):
            numbers.append((await asked(client, query=query))["conversation_id"])
            world.clock.at += 10
        await asked(client, conversation_id=numbers[0])
        await asked(client, user="u-2")
    whole = await page(world, "/v1/conversations")
    assert (whole["limit"], whole["has_more"]) == (20, False)
    assert [each["id"] for each in whole["data"]] == [numbers[0], numbers[2], numbers[1]]
    first = whole["data"][0]
    assert list(first) == ["id", "name", "inputs", "status", "introduction", "created_at", "updated_at"]
    assert (first["name"], first["status"], first["introduction"]) == ("Tea?", "normal", "Hello.")
    assert first["updated_at"] - first["created_at"] == 30
    assert whole["data"][1]["name"] == "Third question" and len(whole["data"][2]["name"]) <= 50
    one = await page(world, "/v1/conversations", limit=1, last_id=numbers[0])
    assert ([each["id"] for each in one["data"]], one["has_more"]) == ([numbers[2]], True)
    rising = await page(world, "/v1/conversations", sort_by="created_at")
    assert [each["id"] for each in rising["data"]] == numbers
    async with world.client() as client:
        for query, status in (
            ({"last_id": UNKNOWN}, 404), ({"last_id": "x"}, 404), ({"limit": "101"}, 400), ({"limit": "0"}, 400),
            ({"limit": "many"}, 400), ({"sort_by": "name"}, 400),
        ):  # fmt: skip
            response = await client.get("/v1/conversations", params={"user": "u-1", **query})
            assert response.status_code == status, query


async def test_conversation_is_named_and_deleted(world: World) -> None:
    """A name is given or made; a deleted conversation is gone with its messages, and cannot be continued."""
    async with world.client() as client:
        body = await asked(client, auto_generate_name=False)
        number = body["conversation_id"]
        path = f"/v1/conversations/{number}"
        assert (await page(world, "/v1/conversations"))["data"][0]["name"] == "New conversation"
        named = await client.post(f"{path}/name", json={"name": "Drinks", "user": "u-1"})
        assert (named.status_code, named.json()["name"], named.json()["id"]) == (200, "Drinks", number)
        made = await client.post(f"{path}/name", json={"auto_generate": True, "user": "u-1"})
        assert made.json()["name"] == "Is tea good?"
        for wrong in ({}, {"name": " "}, {"name": "x" * 256}):
            response = await client.post(f"{path}/name", json={**wrong, "user": "u-1"})
            assert (response.status_code, response.json()["code"]) == (400, "invalid_param")
        for user, status in (("u-2", 404), ("u-1", 204), ("u-1", 404)):
            response = await client.request("DELETE", path, json={"user": user})
            assert response.status_code == status
            assert (response.content == b"") == (status == 204)
        assert (await page(world, "/v1/conversations"))["data"] == []
        response = await client.post("/v1/chat-messages", json={**ASK, "conversation_id": number})
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
        response = await client.get("/v1/messages", params={"conversation_id": number, "user": "u-1"})
        assert response.status_code == 404


async def test_run_outlives_its_deleted_conversation() -> None:
    """A waiting message can be decided and followed when its conversation is gone; nothing of that comes back."""
    world = await make_world(reviewed())
    async with world.client() as client:
        body = await asked(client)
        path = f"/v1/conversations/{body['conversation_id']}"
        assert (await client.request("DELETE", path, json={"user": "u-1"})).status_code == 204
        query = {"user": "u-1", "include_state_snapshot": "true"}
        events = events_of((await client.get(f"/v1/workflow/{body['task_id']}/events", params=query)).text)
        assert names_of(events)[:2] == ["workflow_started", "message_replace"]
        assert {each["conversation_id"] for each in events[1:]} == {body["conversation_id"]}
        await approve(world, client, body["data"]["reasons"][0]["form_token"])
        detail = (await client.get(f"/v1/workflows/run/{body['task_id']}")).json()
    assert detail["status"] == "succeeded" and detail["outputs"]["answer"].endswith("Reviewed: Quite. (1)")
    assert (world.store.conversations, world.store.messages) == ({}, {})
    assert world.store.variables.get(body["conversation_id"], {}) == {}


async def test_messages_are_paged_backwards(world: World) -> None:
    """A page holds the newest messages oldest first; first_id asks for those before it."""
    async with world.client() as client:
        number = (await asked(client))["conversation_id"]
        for _ in range(2):
            world.clock.at += 1
            await asked(client, conversation_id=number)
    newest = await page(world, "/v1/messages", conversation_id=number, limit=2)
    assert list(newest) == ["limit", "has_more", "data"] and newest["has_more"]
    assert [each["answer"][-2:] for each in newest["data"]] == ["#2", "#3"]
    message = newest["data"][0]
    assert list(message) == MESSAGE
    assert (message["status"], message["error"], message["feedback"], message["extra_contents"]) == (
        "normal", None, None, [],
    )  # fmt: skip
    older = await page(world, "/v1/messages", conversation_id=number, limit=2, first_id=message["id"])
    assert ([each["answer"][-2:] for each in older["data"]], older["has_more"]) == (["#1"], False)
    assert message["parent_message_id"] == older["data"][0]["id"]
    async with world.client() as client:
        for query, status in (
            ({}, 400), ({"conversation_id": "x"}, 400), ({"conversation_id": UNKNOWN}, 404),
            ({"conversation_id": number, "first_id": UNKNOWN}, 404), ({"conversation_id": number, "user": "u-2"}, 404),
        ):  # fmt: skip
            response = await client.get("/v1/messages", params={"user": "u-1", **query})
            assert response.status_code == status, query


async def test_message_shows_what_people_were_asked() -> None:
    """A waiting form comes with the form token of this surface, an answered one with its answer and no form token."""
    world = await make_world(reviewed())
    async with world.client() as client:
        body = await asked(client)
        number = body["conversation_id"]
        (waiting,) = (await messages_of(client, number))[0]["extra_contents"]
        assert list(waiting) == [
            "workflow_run_id", "submitted", "form_definition", "form_submission_data", "type",
        ]  # fmt: skip
        definition = waiting["form_definition"]
        assert list(definition) == DEFINITION
        assert (waiting["submitted"], waiting["form_submission_data"], waiting["type"]) == (False, None, "human_input")
        assert waiting["workflow_run_id"] == body["workflow_run_id"]
        assert definition["form_token"] == body["data"]["reasons"][0]["form_token"]
        assert (definition["node_title"], definition["form_content"]) == (
            "Review",
            "Send this?\n\n{{#$output.comment#}}",
        )
        await approve(world, client, definition["form_token"])
        (answered,) = (await messages_of(client, number))[0]["extra_contents"]
        used = await client.post(f"/v1/form/human_input/{definition['form_token']}", json=APPROVE)
    assert (answered["submitted"], answered["form_definition"]["form_token"]) == (True, None)
    assert answered["form_submission_data"] == {
        "node_id": "hi1",
        "node_title": "Review",
        "rendered_content": "Send this?\n\nQuite.",
        "action_id": "approve",
        "action_text": "Approve",
        "submitted_data": {"comment": "Quite."},
    }
    assert used.status_code == 412


async def test_variables_are_listed_and_set(world: World) -> None:
    """Variables have their values as text; a new value must be of the type, and the next message starts with it."""
    async with world.client() as client:
        number = (await asked(client))["conversation_id"]
        path = f"/v1/conversations/{number}/variables"
        listed = await page(world, path)
        assert [each["id"] for each in listed["data"]] == ["v-count", "v-seen"]
        assert listed["data"][1] == {
            "id": "v-seen",
            "name": "seen",
            "value_type": "array[string]",
            "value": "[]",
            "description": "answers given",
            "created_at": listed["data"][1]["created_at"],
            "updated_at": listed["data"][1]["updated_at"],
        }
        assert listed["data"][0]["value_type"] == "number"
        assert [each["name"] for each in (await page(world, path, variable_name="seen"))["data"]] == ["seen"]
        paged = await page(world, path, limit=1)
        assert paged["has_more"] and (await page(world, path, last_id="v-count"))["data"] == listed["data"][1:]
        world.clock.at += 5
        changed = await client.put(f"{path}/v-seen", json={"value": ["x"], "user": "u-1"})
        assert (changed.status_code, changed.json()["value"]) == (200, '["x"]')
        assert changed.json()["updated_at"] == changed.json()["created_at"] + 5
        assert (await client.put(f"{path}/v-count", json={"value": 1.5, "user": "u-1"})).status_code == 200
        for name, value, status, code in (
            ("v-seen", "x", 400, "bad_request"), ("v-seen", [1], 400, "bad_request"),
            ("v-count", True, 400, "bad_request"), ("v-count", None, 400, "bad_request"),
            ("v-seen", ["x" * 300_000] * 30_000, 413, "request_entity_too_large"), ("v-other", 1, 404, "not_found"),
        ):  # fmt: skip
            response = (
                await client.put(f"{path}/{name}", json={"value": value, "user": "u-1"}) if status != 413 else None
            )
            assert response is None or (response.status_code, response.json()["code"]) == (status, code)
        assert (await client.put(f"{path}/v-seen", json={"user": "u-1"})).json()["code"] == "invalid_param"
        assert (await client.get(path, params={"user": "u-1", "last_id": "x"})).status_code == 404
        assert await variables_of(client, number) == {"count": "1.5", "seen": '["x"]'}
        await asked(client, conversation_id=number)
        started = decompress(world.store.journal[list(world.store.runs)[-1]][0].facts)
    assert b'"seen":["x"]' in started and b'"count":1.5' in started


async def test_stored_value_that_fits_no_more_gives_way_to_the_default() -> None:
    """When a new version declares another type, or another variable, the conversation goes on with defaults."""
    document = echo()
    world = await make_world(document)
    async with world.client() as client:
        number = (await asked(client))["conversation_id"]
        await client.put(f"/v1/conversations/{number}/variables/v-seen", json={"value": ["x"], "user": "u-1"})
    changed = echo()
    changed["workflow"]["graph"]["nodes"][1]["data"]["answer"] = "{{#conversation.seen#}}/{{#conversation.more#}}"
    variables = changed["workflow"]["conversation_variables"]
    variables[0] |= {"value_type": "string", "value": "default"}
    variables.append({"name": "more", "value_type": "string", "value": "new"})
    parsed = parse_document(changed).workflow
    assert parsed is not None
    await MemoryApps(world.store).import_app(world.workspace_id, parsed, None, app_id=world.app_id)
    async with world.client() as client:
        assert (await asked(client, conversation_id=number))["answer"] == "default/new"
        assert (await variables_of(client, number))["more"] == "new"


async def test_feedback_is_given_and_taken_back(world: World) -> None:
    """A rating shows at the message and in the list of the app; null takes it back, once."""
    async with world.client() as client:
        body = await asked(client)
        path = f"/v1/messages/{body['id']}/feedbacks"
        for rating in ("like", "dislike"):
            response = await client.post(path, json={"rating": rating, "content": "Hm.", "user": "u-1"})
            assert (response.status_code, response.json()) == (200, {"result": "success"})
            (message,) = await messages_of(client, body["conversation_id"])
            assert message["feedback"] == {"rating": rating}
        (row,) = (await page(world, "/v1/app/feedbacks"))["data"]
        assert list(row) == [
            "id", "app_id", "conversation_id", "message_id", "rating", "content", "from_source", "from_end_user_id",
            "from_account_id", "created_at", "updated_at",
        ]  # fmt: skip
        assert (row["rating"], row["content"], row["message_id"]) == ("dislike", "Hm.", body["id"])
        assert row["created_at"].endswith("Z") and (await page(world, "/v1/app/feedbacks", page=2))["data"] == []
        for status in (200, 400):
            response = await client.post(path, json={"rating": None, "user": "u-1"})
            assert response.status_code == status
        assert (await client.post(path, json={"rating": "love", "user": "u-1"})).json()["code"] == "invalid_param"
        assert (await client.post(path, json={"rating": "like", "user": "u-2"})).status_code == 404
        unknown = await client.post(f"/v1/messages/{UNKNOWN}/feedbacks", json={"rating": "like", "user": "u-1"})
        assert (unknown.status_code, unknown.json()["message"]) == (404, "Message Not Exists.")


async def test_suggestions_are_off_unless_the_file_turns_them_on(world: World) -> None:
    """Suggested questions are refused where the file has them off, and none where it has them on."""
    for made, status in (
        (world, 400),
        (await make_world(echo(suggested_questions_after_answer={"enabled": True})), 200),
    ):
        async with made.client() as client:
            number = (await asked(client))["id"]
            response = await client.get(f"/v1/messages/{number}/suggested", params={"user": "u-1"})
            assert response.status_code == status
            assert response.json().get("data") == ([] if status == 200 else None)
            assert (await client.get(f"/v1/messages/{UNKNOWN}/suggested?user=u-1")).status_code == 404


async def test_files_of_a_question_are_shown_with_it() -> None:
    """A file that came with a message is listed there, with a link that is signed for the reader."""
    document = echo()
    document["workflow"]["graph"]["nodes"] = [node("start1", "start", title="Start", variables=[PICTURE]),
                                              answer("told", "{{#sys.files#}}")]  # fmt: skip
    document["workflow"]["graph"]["edges"] = [edge("start1", "told")]
    world = await make_world(document)
    async with world.client() as client:
        sent = {"file": ("a.png", b"png", "image/png")}
        upload = (await client.post("/v1/files/upload", files=sent, data={"user": "u-1"})).json()
        mapping = {"type": "image", "transfer_method": "local_file", "upload_file_id": upload["id"]}
        remote = {"type": "document", "transfer_method": "remote_url", "url": "https://example.com/b.pdf"}
        body = await asked(client, files=[mapping, remote], inputs={"picture": mapping})
        # The inputs of the first message hold for the next one, files among them.
        await asked(client, conversation_id=body["conversation_id"])
        first, second = await messages_of(client, body["conversation_id"])
        stored, other = first["message_files"]
        assert list(stored) == [
            "id", "filename", "type", "url", "mime_type", "size", "transfer_method", "belongs_to", "upload_file_id",
        ]  # fmt: skip
        assert (stored["filename"], stored["upload_file_id"], stored["belongs_to"]) == ("a.png", upload["id"], "user")
        assert (other["url"], other["upload_file_id"]) == ("https://example.com/b.pdf", None)
        assert (await client.get(stored["url"].removeprefix("http://127.0.0.1:8000"))).content == b"png"
        assert second["message_files"] == [] and second["inputs"]["picture"]["related_id"] == upload["id"]


async def test_key_of_a_workflow_has_no_conversations(world: World) -> None:
    """Every endpoint of conversations refuses the key of a workflow app, after the user and before the rest."""
    key = (await world.add_app(approval()))[2]
    talk = f"/v1/conversations/{UNKNOWN}"
    async with world.client(key) as client:
        for method, path, body in (
            ("GET", "/v1/conversations?limit=none", None),
            ("DELETE", talk, {"user": "u"}),
            ("POST", f"{talk}/name", {}),
            ("GET", f"{talk}/variables", None),
            ("PUT", f"{talk}/variables/x", {}),
            ("GET", "/v1/messages", None),
            ("POST", f"/v1/messages/{UNKNOWN}/feedbacks", {}),
            ("GET", f"/v1/messages/{UNKNOWN}/suggested", None),
            ("POST", "/v1/chat-messages/x/stop", {"user": "u"}),
        ):
            response = await client.request(method, path, json=body)
            assert (response.status_code, response.json()["code"]) == (400, "not_chat_app"), path
    async with world.client("") as client:
        assert (await client.get("/v1/conversations")).status_code == 401


async def test_callers_without_a_user_share_one(world: World) -> None:
    """Who names nobody is the default user, whose conversations are nobody else's."""
    async with world.client() as client:
        await asked(client)
        assert (await client.get("/v1/conversations")).json()["data"] == []
