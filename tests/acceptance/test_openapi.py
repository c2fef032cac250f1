"""``/openapi/v1`` for a program of an account: who it is, what it may run, what it is told."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from approval import ANSWER, approval, straight, written
from chat_flow import echo, reviewed
from console_world import person
from factories import document, edge, end, node
from openapi_world import Program, program
from store.errors import StoreUnavailableError
from store.listings import MemoryListings
from surface_world import OpenStream, World, events_of, make_world, names_of

INPUTS = {"inputs": {"topic": "tea"}}
NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
async def world() -> World:
    """A Greenroom whose app asks for an approval."""
    return await make_world(approval())


@pytest.fixture
async def ann(world: World) -> AsyncIterator[Program]:
    """A program of a member of its workspace."""
    async with await program(world) as ann:
        yield ann


async def test_surface_says_what_it_is(world: World) -> None:
    """Health and version need no token; an unknown path is a 404 in the surface's envelope."""
    async with world.client("") as client:
        assert (await client.get("/openapi/v1/_health")).json() == {"ok": True}
        version = (await client.get("/openapi/v1/_version")).json()
        unknown = await client.get("/openapi/v1/nothing")
        refused = await client.get("/openapi/v1/account")
    assert version == {"version": "1.14.2", "edition": "SELF_HOSTED"}
    assert (refused.status_code, refused.headers["x-frame-options"]) == (401, "DENY")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 401, "unauthorized"),
        ("Bearer", 401, "unauthorized"),
        ("Basic dfoa_x", 401, "unauthorized"),
        ("Bearer dfoa_unknown", 401, "unauthorized"),
        ("Bearer app-unknown", 401, "unauthorized"),
        ("Bearer dfoe_x", 403, "external_sso_requires_ee"),
    ],
)
async def test_credential_that_counts_for_nothing_is_refused(
    world: World, header: str | None, status: int, code: str
) -> None:
    """Nothing is told without a bearer token of an account, and a token of somebody outside gets a reason."""
    async with world.client("") as client:
        headers = {} if header is None else {"Authorization": header}
        reply = await client.get("/openapi/v1/account", headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert ("www-authenticate" in reply.headers) == (status == 401)


async def test_credentials_of_other_kinds_are_none(world: World, ann: Program) -> None:
    """An app's key and an access token of the console open nothing here, and a bearer token nothing elsewhere."""
    async with await person(world, "bob@example.org") as bob, world.client() as keyed:
        access = bob.client.cookies["access_token"]
        others = [
            await keyed.get("/openapi/v1/account"),
            await bob.client.get("/openapi/v1/account"),
            await bob.client.get("/openapi/v1/account", headers={"Authorization": f"Bearer {access}"}),
            await ann.client.get("/v1/info"),
            await ann.client.get("/console/api/apps"),
        ]
    assert [each.status_code for each in others] == [401] * 5


async def test_token_ends(world: World) -> None:
    """A token that has expired, or was revoked, counts for nothing at once."""
    async with await program(world, lifetime_s=10) as ann, await program(world) as other:
        assert (await ann.get("/account")).status_code == 200
        revoked = await other.client.delete(f"/openapi/v1/account/sessions/{ann.token.token_id}")
        assert revoked.json() == {"status": "revoked"}
        assert (await ann.get("/account")).status_code == 401
        again = await other.client.delete(f"/openapi/v1/account/sessions/{ann.token.token_id}")
        assert (again.status_code, again.json()["code"]) == (404, "not_found")
        assert (await other.client.delete("/openapi/v1/account/sessions/self")).status_code == 200
        assert (await other.get("/account")).status_code == 401
    async with await program(world, "eve@example.org", lifetime_s=10) as eve:
        world.clock.at += 11
        assert (await eve.get("/account")).status_code == 401


async def test_account_and_its_tokens_are_shown(world: World, ann: Program) -> None:
    """An account reads who it is and which tokens it has, by their first letters; those of others are not there."""
    async with await program(world, "bob@example.org"):
        account, sessions = (await ann.get("/account")).json(), (await ann.get("/account/sessions")).json()
    assert account == {
        "subject_type": "account",
        "subject_email": "ann@example.org",
        "subject_issuer": None,
        "account": {"id": ann.account.account_id, "email": "ann@example.org", "name": "Ann"},
        "workspaces": [{"id": world.workspace_id, "name": "test", "role": "normal"}],
        "default_workspace_id": world.workspace_id,
    }
    (row,) = sessions["data"]
    assert {name: sessions[name] for name in ("page", "limit", "total", "has_more")} == {
        "page": 1, "limit": 100, "total": 1, "has_more": False,
    }  # fmt: skip
    assert list(row) == ["id", "prefix", "client_id", "device_label", "created_at", "last_used_at", "expires_at"]
    assert ann.secret.startswith(row["prefix"]) and len(row["prefix"]) < 12 and row["last_used_at"]
    shown = (await ann.get("/workspaces")).json()["workspaces"]
    assert shown == [(await ann.get(f"/workspaces/{world.workspace_id}")).json()]
    assert (await ann.get(f"/workspaces/{NOBODY}")).status_code == 404


async def test_token_is_limited(world: World) -> None:
    """A token makes so many requests a minute, each by itself; then it hears when to try again."""
    limited = await make_world(straight(), bearer_rate_limit=2)
    async with await program(limited) as ann, await program(limited) as other:
        statuses = [(await ann.get("/account")).status_code for _ in range(3)]
        last, others = await ann.get("/account"), await other.get("/account")
    assert statuses == [200, 200, 429] and others.status_code == 200
    assert last.json()["code"] == "too_many_requests" and int(last.headers["retry-after"]) > 0


async def test_apps_are_listed(world: World, ann: Program) -> None:
    """The apps of one of the account's workspaces, by page, name, mode and id."""
    chat_id, *_ = await world.add_app({**echo(), "app": {"name": "A chat", "mode": "advanced-chat"}})
    of = {"workspace_id": world.workspace_id}

    async def ids(**query: Any) -> list[str]:
        response = await ann.get("/apps", params={**of, **query})
        assert response.status_code == 200, response.text
        return [row["id"] for row in response.json()["data"]]

    page = (await ann.get("/apps", params={**of, "limit": 1})).json()
    assert (page["total"], page["has_more"], len(page["data"])) == (2, True, 1)
    assert set(await ids()) == {chat_id, world.app_id}
    assert await ids(mode="advanced-chat") == await ids(name="a CHAT") == await ids(name=chat_id) == [chat_id]
    assert await ids(name=NOBODY) == await ids(tag="x") == await ids(name=chat_id, mode="workflow") == []
    assert await ids(name=chat_id, page=2) == []
    row = (await ann.get("/apps", params={**of, "name": chat_id})).json()["data"][0]
    assert (row["workspace_name"], row["tags"], row["mode"]) == ("test", [], "advanced-chat")


@pytest.mark.parametrize(
    ("query", "status"),
    [({}, 422), ({"workspace_id": "x"}, 422), ({"workspace_id": NOBODY}, 404)],
)
async def test_list_of_no_workspace_is_refused(ann: Program, query: dict[str, str], status: int) -> None:
    """A list is of one workspace that the account belongs to."""
    assert (await ann.get("/apps", params=query)).status_code == status


@pytest.mark.parametrize("query", [{"page": "0"}, {"limit": "201"}, {"limit": "x"}])
async def test_page_that_cannot_be_is_422(world: World, ann: Program, query: dict[str, str]) -> None:
    """Numbers of pages are whole and bounded."""
    reply = await ann.get("/apps", params={"workspace_id": world.workspace_id, **query})
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_param")


async def test_app_is_described(world: World, ann: Program) -> None:
    """Both spellings show info, parameters and a schema of the inputs; blocks that are not asked for are null."""
    whole = (await ann.get(f"/apps/{world.app_id}/describe")).json()
    assert whole == (await ann.get(f"/apps/{world.app_id}")).json()
    assert list(whole) == ["info", "parameters", "input_schema"]
    assert whole["info"]["id"] == world.app_id and whole["parameters"]["user_input_form"]
    inputs = whole["input_schema"]["properties"]["inputs"]
    assert inputs["properties"]["topic"] == {"type": "string", "maxLength": 10, "title": "Topic"}
    assert inputs["required"] == ["topic"] and whole["input_schema"]["required"] == ["inputs"]
    some = (await ann.get(f"/apps/{world.app_id}", params={"fields": "info"})).json()
    assert some == {"info": whole["info"], "parameters": None, "input_schema": None}
    assert (await ann.get(f"/apps/{world.app_id}", params={"fields": "info,x"})).status_code == 422


async def test_app_without_a_version_is_described(world: World, ann: Program) -> None:
    """Nothing published means no parameters, and is no error; a chatflow takes a query."""
    app_id, *_ = await world.add_app(echo(), is_published=False)
    told = (await ann.get(f"/apps/{app_id}")).json()
    assert told["parameters"] == {} and told["input_schema"]["required"] == ["query", "inputs"]


@pytest.mark.parametrize("path", ["", "/describe", "/tasks/x/events", "/form/human_input/x"])
async def test_app_of_another_workspace_does_not_exist(world: World, path: str) -> None:
    """Whoever belongs elsewhere, or names no app at all, gets the same 404."""
    other = await world.ports.console.accounts.ensure_workspace("other")
    async with await program(world, "eve@example.org", workspace_id=other.workspace_id) as eve:
        replies = [await eve.get(f"/apps/{app_id}{path}") for app_id in (world.app_id, NOBODY, "x", "%00")]
    assert {each.status_code for each in replies} == {404}
    assert {each.text for each in replies} == {'{"code": "not_found", "message": "app not found", "status": 404}\n'}


async def test_member_who_leaves_is_out_at_once(world: World, ann: Program) -> None:
    """A token opens the workspaces that its account belongs to now."""
    del world.store.members[world.workspace_id, ann.account.account_id]
    assert (await ann.get(f"/apps/{world.app_id}")).status_code == 404
    assert (await ann.get("/account")).json()["workspaces"] == []


@pytest.mark.parametrize("spelling", ["/run", ":run"])
async def test_run_is_a_stream_at_the_simple_level(spelling: str) -> None:
    """A run is told as it goes, node events without bodies, and kept as one of the account through this surface."""
    world = await make_world(straight())
    async with await program(world) as ann:
        response = await ann.post(f"/apps/{world.app_id}{spelling}", INPUTS)
    events = events_of(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert names_of(events)[-1] == "workflow_finished" and events[-1]["data"]["outputs"] == {"answer": "tea"}
    finished = next(each["data"] for each in events if each["event"] == "node_finished")
    assert finished["inputs"] is None and finished["outputs"] is None and "inputs_truncated" not in finished
    (run,) = world.store.runs.values()
    assert (run.invoke_source, run.created_by_role, run.created_by_id) == ("openapi", "account", ann.account.account_id)
    assert events[-1]["data"]["created_by"] == {
        "id": ann.account.account_id, "name": "Ann", "email": "ann@example.org",
    }  # fmt: skip


async def test_run_joins_the_callers_trace(world: World, ann: Program) -> None:
    """The caller's trace is kept with the run."""
    caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await ann.run(headers={"traceparent": caller})
    assert [run.traceparent for run in world.store.runs.values()] == [caller]


async def test_run_is_listed_in_the_console_as_one_of_an_account(world: World, ann: Program) -> None:
    """The logs show the run among those of the published app."""
    run_id, _ = await ann.paused()
    runs = await MemoryListings(world.store).runs_of(world.app_id, False, "", "", 10)
    assert [(run.run_id, run.invoke_source, run.created_by_role) for run in runs] == [(run_id, "openapi", "account")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({**INPUTS, "query": "hi"}, "query_not_supported_for_workflow"),
        ({**INPUTS, "workspace_id": NOBODY}, "workspace_id does not match app's workspace"),
        ({}, "Request validation failed"),
        ({"inputs": 1}, "Request validation failed"),
    ],
)
async def test_run_that_cannot_be_is_422(world: World, ann: Program, body: dict[str, Any], message: str) -> None:
    """What cannot run is refused before the stream begins, and starts nothing."""
    reply = await ann.post(f"/apps/{world.app_id}/run", body)
    told = reply.json()
    assert (reply.status_code, told["code"], told["message"], told["status"]) == (422, "invalid_param", message, 422)
    if "validation" in message:
        assert [(each["loc"], list(each)) for each in told["details"]] == [(["inputs"], ["type", "loc", "msg"])]
    assert not world.store.runs


async def test_run_of_nothing_published_is_422(world: World, ann: Program) -> None:
    """An app without a published version runs nothing."""
    app_id, *_ = await world.add_app(straight(), is_published=False)
    reply = await ann.post(f"/apps/{app_id}/run", INPUTS)
    assert (reply.status_code, reply.json()["message"]) == (422, "Workflow not published")


async def test_run_of_a_named_version(world: World, ann: Program) -> None:
    """A version of the app can be named; one of another app does not exist."""
    events = await ann.run({**INPUTS, "workflow_id": world.version_id})
    assert events[0]["data"]["workflow_id"] == world.version_id
    _, foreign, _ = await world.add_app(straight())
    assert (await ann.post(f"/apps/{world.app_id}/run", {**INPUTS, "workflow_id": foreign})).status_code == 404
    assert (await ann.post(f"/apps/{world.app_id}/run", {**INPUTS, "workflow_id": "x"})).status_code == 400


async def test_inputs_that_do_not_fit_are_the_streams_only_event(ann: Program) -> None:
    """What the start form refuses comes as an event, as on every surface that streams."""
    (event,) = await ann.run({"inputs": {}})
    assert (event["event"], event["code"]) == ("error", "invalid_param")


@pytest.mark.parametrize(("path", "message"), [("/run", "mode_not_runnable"),
    ("/tasks/x/events", "mode_not_supported_for_event_reconnect")])  # fmt: skip
async def test_app_of_another_mode_is_422(world: World, ann: Program, path: str, message: str) -> None:
    """Apps that are neither workflow nor chatflow can be neither run nor followed."""
    world.store.apps[world.app_id] = replace(world.store.apps[world.app_id], mode="completion")
    reply = await (ann.post(f"/apps/{world.app_id}{path}", INPUTS) if path == "/run"
                   else ann.get(f"/apps/{world.app_id}{path}"))  # fmt: skip
    assert (reply.status_code, reply.json()["message"]) == (422, message)


async def test_chatflow_runs_on_a_query_and_goes_on() -> None:
    """A chatflow needs a query; the next message continues the account's conversation, which nobody else has."""
    world = await make_world(echo())
    async with await program(world) as ann, await program(world, "bob@example.org") as bob:
        refused = await ann.post(f"/apps/{world.app_id}/run", {"inputs": {}})
        first = await ann.run({"inputs": {}, "query": "tea?"})
        again = {"inputs": {}, "query": "more", "conversation_id": first[0]["conversation_id"]}
        second, foreign = await ann.run(again), await bob.post(f"/apps/{world.app_id}/run", again)
    assert (refused.status_code, refused.json()["message"]) == (422, "query_required_for_chat")
    assert "".join(each["answer"] for each in second if each["event"] == "message") == "more #2"
    assert {run.invoke_source for run in world.store.runs.values()} == {"openapi"}
    end_of_message = next(each for each in first if each["event"] == "message_end")
    assert "usage" not in end_of_message["metadata"]
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")


async def test_chatflow_that_asks_gives_its_form() -> None:
    """The message of a chatflow pauses with a form that the account answers here."""
    world = await make_world(reviewed())
    world.chat.script = {"draft": ["Yes."]}
    async with await program(world) as ann:
        events = await ann.run({"inputs": {}, "query": "tea?"})
        asked = next(each["data"] for each in events if each["event"] == "human_input_required")
        reply = await ann.post(f"/apps/{world.app_id}/form/human_input/{asked['form_token']}", ANSWER)
        await world.runs.settle()
    assert (reply.status_code, reply.json()) == (200, {})
    assert [run.status for run in world.store.runs.values()] == ["succeeded"]


@pytest.mark.parametrize("spelling", ["/stop", ":stop"])
async def test_own_run_is_stopped_and_no_other(world: World, ann: Program, spelling: str) -> None:
    """Stopping says success whatever it meets, and stops only a run of the account."""
    run_id, _ = await ann.paused()
    async with await program(world, "bob@example.org", "owner") as bob:
        for task_id in (run_id, NOBODY, "x"):
            reply = await bob.post(f"/apps/{world.app_id}/tasks/{task_id}{spelling}")
            assert reply.json() == {"result": "success"}
    assert world.store.runs[run_id].status == "paused"
    assert (await ann.post(f"/apps/{world.app_id}/tasks/{run_id}{spelling}")).json() == {"result": "success"}
    await world.runs.settle()
    assert world.store.runs[run_id].status == "stopped"


async def test_run_is_followed_by_its_account_only(world: World, ann: Program) -> None:
    """Runs of others, of other apps, of end users and unknown ones are the same 404."""
    run_id, _ = await ann.paused()
    other_id, *_ = await world.add_app(straight())
    async with await program(world, "bob@example.org", "owner") as bob, world.client() as keyed:
        by_key = (await keyed.post("/v1/workflows/run", json={**INPUTS, "user": "u"})).json()["workflow_run_id"]
        replies = [
            await bob.get(f"/apps/{world.app_id}/tasks/{run_id}/events"),
            await ann.get(f"/apps/{other_id}/tasks/{run_id}/events"),
            await ann.get(f"/apps/{world.app_id}/tasks/{by_key}/events"),
            await ann.get(f"/apps/{world.app_id}/tasks/{NOBODY}/events"),
            await ann.get(f"/apps/{world.app_id}/tasks/x/events"),
        ]
    assert {each.text for each in replies} == {
        '{"code": "not_found", "message": "Workflow run not found", "status": 404}\n'
    }


async def test_reader_who_comes_back_gets_a_snapshot_and_the_rest(world: World, ann: Program) -> None:
    """The snapshot shows the same form token as the stream; with continue_on_pause the answer and the end follow."""
    run_id, asked = await ann.paused()
    path = f"/openapi/v1/apps/{world.app_id}/tasks/{run_id}/events"
    headers = {"authorization": f"Bearer {ann.secret}"}
    still = await ann.client.get(path, params={"include_state_snapshot": "true"})
    names = names_of(events_of(still.text))
    assert names[0] == "workflow_started" and names[-2:] == ["human_input_required", "workflow_paused"]
    query = "include_state_snapshot=true&continue_on_pause=true"
    told: list[dict[str, Any]] = []
    async with OpenStream(world, path, query, headers) as stream:
        async for event in stream.events():
            told.append(event)
            if event["event"] == "workflow_paused":
                token = event["data"]["reasons"][0]["form_token"]
                assert token == asked["form_token"]
                await ann.post(f"/apps/{world.app_id}/form/human_input/{token}", ANSWER)
    assert [each["event"] for each in told][-3:] == ["node_started", "node_finished", "workflow_finished"]
    assert "human_input_form_filled" in [each["event"] for each in told]
    done = events_of((await ann.client.get(path)).text)
    assert names_of(done) == ["workflow_finished"]


async def test_answer_here_is_followed_here(world: World, ann: Program) -> None:
    """Whoever answers first and listens after gets what came of the answer."""
    run_id, asked = await ann.paused()
    await ann.post(f"/apps/{world.app_id}/form/human_input/{asked['form_token']}", ANSWER)
    events = events_of((await ann.get(f"/apps/{world.app_id}/tasks/{run_id}/events")).text)
    assert names_of(events)[-1] == "workflow_finished"


@pytest.mark.parametrize("spelling", ["/files", "/files/upload"])
async def test_file_of_the_account_goes_into_its_runs(spelling: str) -> None:
    """An uploaded file belongs to the account in this app: its runs take it, those of others do not."""
    picture = {"variable": "picture", "label": "Picture", "type": "file", "required": True,
               "allowed_file_types": ["image"], "allowed_file_upload_methods": ["local_file"]}  # fmt: skip
    nodes = [node("start1", "start", title="Start", variables=[picture]), end("end1", answer=["start1", "picture"])]
    world = await make_world(document(nodes, [edge("start1", "end1")]))
    async with await program(world) as ann, await program(world, "bob@example.org") as bob:
        stored = await ann.post(f"/apps/{world.app_id}{spelling}", files={"file": ("a.png", b"x", "image/png")})
        assert (stored.status_code, stored.json()["created_by"]) == (201, ann.account.account_id)
        mapping = {"type": "image", "transfer_method": "local_file", "upload_file_id": stored.json()["id"]}
        own, foreign = await ann.run({"inputs": {"picture": mapping}}), await bob.run({"inputs": {"picture": mapping}})
    assert own[-1]["data"]["outputs"]["answer"]["filename"] == "a.png"
    assert [each["event"] for each in foreign] == ["error"]


async def test_upload_that_cannot_be_taken_has_its_own_code(ann: Program, world: World) -> None:
    """No file, and a file without a name, are told in this surface's words."""
    none = await ann.post(f"/apps/{world.app_id}/files", {})
    nameless = await ann.post(
        f"/apps/{world.app_id}/files",
        content=b'--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\nContent-Type: text/plain\r\n\r\nx'
        b"\r\n--b--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert (none.status_code, none.json()["code"]) == (400, "no_file_uploaded")
    assert (nameless.status_code, nameless.json()["code"]) == (400, "filename_not_exists")


async def test_fault_of_ours_says_nothing(world: World, ann: Program) -> None:
    """A fault is a 500 in the words of this surface; what is away is a 503 without its text."""
    world.runs.refusal = RuntimeError("password")
    reply = await ann.post(f"/apps/{world.app_id}/run", INPUTS)
    assert reply.json() == {"code": "internal_server_error", "message": "Internal Server Error", "status": 500}
    world.runs.refusal = StoreUnavailableError("the password is wrong")
    reply = await ann.post(f"/apps/{world.app_id}/run", INPUTS)
    assert reply.json() == {"code": "store_unavailable", "message": "Internal Server Error", "status": 503}
    assert "retry-after" in reply.headers


async def test_text_is_told_as_it_comes() -> None:
    """The text of a model goes out in parts here as well."""
    world = await make_world(written())
    async with await program(world) as ann:
        names = [each["event"] for each in await ann.run()]
    assert "text_chunk" in names and names[-1] == "workflow_finished"
