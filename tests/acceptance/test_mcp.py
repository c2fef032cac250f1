"""``/mcp``: apps as tools of agents, by the client of the protocol's own package."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from approval import ANSWER, TOPIC, approval, straight, with_mail
from chat_flow import chat_document
from console_world import browser, person
from factories import answer, document, edge, end, human, node
from graph.errors import UnavailableError
from surface_world import World, make_world


async def code_of(world: World, app_id: str = "") -> str:
    """Return the code of a new server for the world's app, or another."""
    assert world.ports.mcp_servers is not None
    told = {"topic": "what it is about"}
    return (await world.ports.mcp_servers.create(app_id or world.app_id, "Writes reviews", told))[1]


@asynccontextmanager
async def agent(world: World, code: str) -> AsyncIterator[Client]:
    """An agent that has begun to talk to the server with this code."""
    transport = httpx2.ASGITransport(app=world.app)
    async with httpx2.AsyncClient(transport=transport) as http:
        connection = streamable_http_client(f"http://testserver/mcp/server/{code}/mcp", http_client=http)
        async with Client(connection) as client:
            yield client


async def called(world: World, **arguments: Any) -> Any:
    """Call the app once as an agent and return the result."""
    async with agent(world, await code_of(world)) as client:
        return await client.call_tool("test", arguments)


async def sent(world: World, code: str, message: Any, **options: Any) -> httpx2.Response:
    """Send one message as it is."""
    async with browser(world) as client:
        return await client.post(f"/mcp/server/{code}/mcp", json=message, **options)


def rpc(method: str, number: Any = 1, **params: Any) -> dict[str, Any]:
    """Return a request."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


async def test_agent_finds_one_tool_and_calls_it() -> None:
    """The client of the protocol's package begins, lists the app as one tool, and gets the outputs of a run as JSON."""
    world = await make_world(straight())
    async with agent(world, await code_of(world)) as client:
        (tool,) = (await client.list_tools()).tools
        result = await client.call_tool(tool.name, {"topic": "tea"})
    assert (tool.name, tool.description) == ("test", "Writes reviews")
    assert tool.input_schema == {
        "type": "object",
        "properties": {"topic": {"description": "what it is about", "type": "string", "maxLength": 10}},
        "required": ["topic"],
    }
    assert (result.is_error, json.loads(result.content[0].text)) == (False, {"answer": "tea"})
    (run,) = world.store.runs.values()
    (user,) = world.store.end_users.values()
    assert (run.invoke_source, run.created_by_id) == ("mcp", user.end_user_id)
    assert (user.type, user.session_id) == ("mcp", run.user)


@pytest.mark.parametrize(
    ("variable", "schema"),
    [
        ({"type": "paragraph"}, {"type": "string"}),
        ({"type": "select", "options": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}),
        ({"type": "number"}, {"type": "number"}),
        ({"type": "checkbox"}, {"type": "boolean"}),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "file"}, None),
        ({"type": "file-list"}, None),
    ],
)
async def test_start_form_becomes_parameters(variable: dict[str, Any], schema: dict[str, Any] | None) -> None:
    """Each input has its type and its label; files cannot be sent this way and are not offered."""
    start = node("start1", "start", variables=[{"variable": "x", "label": "An x", "required": True, **variable}])
    world = await make_world(document([start, end("end1", x=["start1", "x"])], [edge("start1", "end1")]))
    listed = (await sent(world, await code_of(world), rpc("tools/list"))).json()["result"]["tools"][0]["inputSchema"]
    expected = {} if schema is None else {"x": {"description": "An x", **schema}}
    assert (listed["properties"], listed["required"]) == (expected, list(expected))


@pytest.mark.parametrize("with_link", [False, True])
async def test_paused_run_tells_the_channels_and_its_link_only_where_that_is_allowed(with_link: bool) -> None:
    """Without ``mcp_link`` an agent gets no token in any form; with it, a link to the page for people."""
    rules = {"greenroom": {"mcp_link": True}} if with_link else {}
    world = await make_world(with_mail(approval(**rules)))
    result = await called(world, topic="tea")
    told = json.loads(result.content[0].text)
    (reason,) = told["reasons"]
    (run,) = world.store.runs.values()
    assert (result.is_error, told["status"], told["workflow_run_id"]) == (False, "paused", run.run_id)
    assert (reason["node_title"], "form_token" in reason) == ("Review", False)
    if not with_link:
        assert (reason["form_url"], reason["approval_channels"]) == (None, ["console", "email", "web_app"])
        assert {row.surface for row in world.store.tokens.values()} == {"service_api", "openapi", "web", "console"}
        return
    assert reason["approval_channels"] == ["console", "email"]
    async with browser(world) as client:
        page = await client.get(reason["form_url"], follow_redirects=True)
        token = reason["form_url"].rpartition("/")[2]
        answered = await client.post(f"/api/form/human_input/{token}", json=ANSWER)
    await world.runs.settle()
    assert (page.status_code, answered.status_code) == (200, 200)
    assert world.store.runs[run.run_id].outputs == {"answer": "ok"}
    async with world.client() as client:
        assert (await client.get(f"/v1/form/human_input/{token}")).status_code == 404


@pytest.mark.parametrize(
    "data",
    [
        {"delivery_methods": [{"type": "webapp", "enabled": False}]},
        {"greenroom": {"mcp_link": True, "approval": {"quorum": 2}}},
    ],
)
async def test_link_needs_the_web_app_of_the_node(data: dict[str, Any]) -> None:
    """Where the node's web app is off, or only approvers count, there is no link to give."""
    world = await make_world(approval(**{"greenroom": {"mcp_link": True}, **data}))
    (reason,) = json.loads((await called(world, topic="tea")).content[0].text)["reasons"]
    assert (reason["form_url"], reason["approval_channels"]) == (None, ["console"])
    assert not [row for row in world.store.tokens.values() if row.surface == "mcp"]


async def test_runs_of_others_mint_no_token_for_agents() -> None:
    """What a caller of ``/v1`` starts has no token for agents, whatever the node allows."""
    world = await make_world(approval(greenroom={"mcp_link": True}))
    async with world.client() as client:
        await client.post("/v1/workflows/run", json={"inputs": {"topic": "tea"}, "user": "u"})
    assert {row.surface for row in world.store.tokens.values()} == {"service_api", "openapi", "web", "console"}


async def test_chatflow_takes_a_message() -> None:
    """A chatflow's tool has the parameter ``query``, and its result is the answer."""
    world = await make_world(chat_document([answer("a", "You say {{#sys.query#}}")], [edge("start1", "a")]))
    async with agent(world, await code_of(world)) as client:
        (tool,) = (await client.list_tools()).tools
        result = await client.call_tool(tool.name, {"query": "hello"})
        with pytest.raises(Exception, match="query is required"):
            await client.call_tool(tool.name, {"query": " "})
    assert tool.input_schema["required"] == ["query"]
    assert "hello" in result.content[0].text and not result.is_error


async def test_chatflow_that_waits_tells_for_what() -> None:
    """Behind the answer so far an agent reads which people are asked, and where they decide."""
    edges = [edge("start1", "hi1"), edge("hi1", "a", "approve")]
    world = await make_world(chat_document([human("hi1"), answer("a", "done")], edges))
    async with agent(world, await code_of(world)) as client:
        result = await client.call_tool("test", {"query": "hello"})
    (reason,) = json.loads(result.content[-1].text)["reasons"]
    assert (reason["form_url"], reason["approval_channels"]) == (None, ["console", "web_app"])


async def test_refused_and_failed_calls_say_why() -> None:
    """Arguments that do not fit are the agent's to mend; a run that fails gives its reason as a result."""
    start = node("start1", "start", variables=[TOPIC])
    boom = node("x", "http-request", method="get", url="ftp://nowhere", authorization={"type": "no-auth"})
    world = await make_world(document([start, boom, end("e")], [edge("start1", "x"), edge("x", "e")]))
    code = await code_of(world)
    missing = (await sent(world, code, rpc("tools/call", name="test", arguments={}))).json()["error"]
    unknown = (await sent(world, code, rpc("tools/call", name="other", arguments={}))).json()["error"]
    shape = (await sent(world, code, rpc("tools/call", name="test", arguments=[1]))).json()["error"]
    failed = (await sent(world, code, rpc("tools/call", name="test", arguments={"topic": "tea"}))).json()["result"]
    assert (missing["code"], missing["message"]) == (-32602, "topic is required in input form")
    assert missing["data"] == {"code": "invalid_param"}
    assert (unknown["code"], unknown["message"]) == (-32602, "Unknown tool: other")
    assert (shape["code"], shape["message"]) == (-32602, "arguments must be an object")
    assert failed["isError"] is True and failed["content"][0]["text"]


async def test_faults_of_ours_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What is away is told as such; a fault is logged, and its text stays inside."""
    world = await make_world(straight())
    code = await code_of(world)
    message = rpc("tools/call", name="test", arguments={"topic": "tea"})
    world.runs.refusal = UnavailableError()
    away = await sent(world, code, message)
    world.runs.refusal = ValueError("inside")
    fault = await sent(world, code, message)
    assert (away.status_code, away.json()["error"]["code"]) == (200, -32603)
    assert away.json()["error"]["data"] == {"code": "unavailable"}
    assert fault.json()["error"] == {"code": -32603, "message": "Internal Server Error"}
    assert "inside" in caplog.text and code not in caplog.text


async def test_unpublished_app_cannot_be_called() -> None:
    """Without a published version there is neither a tool nor a run."""
    world = await make_world(straight())
    app_id, _, _ = await world.add_app(straight(), is_published=False)
    code = await code_of(world, app_id)
    for message in (rpc("tools/list"), rpc("tools/call", name="test", arguments={})):
        error = (await sent(world, code, message)).json()["error"]
        assert (error["code"], error["message"]) == (-32602, "Workflow not published")


@pytest.mark.parametrize(
    ("asked", "given"),
    [("2024-11-05", "2024-11-05"), ("2025-06-18", "2025-06-18"), ("1999-01-01", "2025-11-25"), (None, "2025-11-25")],
)
async def test_version_is_agreed_on(asked: str | None, given: str) -> None:
    """A version that is spoken here is taken, for any other the newest is offered; the person is known from here on."""
    world = await make_world(straight())
    response = await sent(world, await code_of(world), rpc("initialize", "a", protocolVersion=asked))
    assert response.json() == {
        "jsonrpc": "2.0",
        "id": "a",
        "result": {
            "protocolVersion": given,
            "capabilities": {"tools": {"listChanged": False}},
            "serverInfo": {"name": "Greenroom", "version": "0.0.test"},
            "instructions": "Writes reviews",
        },
    }
    assert [user.type for user in world.store.end_users.values()] == ["mcp"]


@pytest.mark.parametrize(
    ("message", "status", "number"),
    [
        (rpc("resources/list"), 200, -32601),
        ({**rpc("ping"), "id": None}, 200, -32600),
        ({**rpc("ping"), "id": True}, 200, -32600),
        ({"jsonrpc": "2.0", "method": "tools/call"}, 200, -32600),
        ({**rpc("ping"), "jsonrpc": "1.0"}, 200, -32600),
        ({**rpc("ping"), "params": [1]}, 200, -32600),
        ({"jsonrpc": "2.0", "id": 1}, 200, -32601),
        ([rpc("ping")], 400, -32600),
        ("ping", 400, -32600),
    ],
)
async def test_what_is_no_request_is_an_error_object(message: Any, status: int, number: int) -> None:
    """Whatever is sent is answered in the protocol's own way."""
    world = await make_world(straight())
    response = await sent(world, await code_of(world), message)
    body = response.json()
    assert (response.status_code, body["jsonrpc"], body["error"]["code"]) == (status, "2.0", number)


async def test_bodies_are_bounded_and_read_for_known_servers_alone() -> None:
    """No JSON is -32700, what is too large is refused, and an unknown code is 404 whatever the body is."""
    world = await make_world(straight(), max_body_bytes=1000)
    code = await code_of(world)
    async with browser(world) as client:
        path = f"/mcp/server/{code}/mcp"
        broken = await client.post(path, content=b"{")
        large = await client.post(path, content=b'"' + b"x" * 1000 + b'"')
        unknown = await client.post(f"/mcp/server/{'x' * 32}/mcp", content=b"{" * 5000)
        odd = await client.post("/mcp/server/%00%ff/mcp", json=rpc("ping"))
        methods = [await client.request(method, path) for method in ("GET", "DELETE")]
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, -32700)
    assert (large.status_code, large.json()["error"]["code"]) == (413, -32600)
    for miss in (unknown, odd):
        assert (miss.status_code, miss.json()["id"], miss.json()["error"]["message"]) == (404, None, "Server Not Found")
    assert {each.status_code for each in methods} == {405}


async def test_notifications_are_taken_without_a_word() -> None:
    """A notification, and an answer to nothing, is 202 without a body."""
    world = await make_world(straight())
    code = await code_of(world)
    for message in (
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
    ):
        response = await sent(world, code, message)
        assert (response.status_code, response.content) == (202, b"")
    assert (await sent(world, code, rpc("ping"))).json()["result"] == {}


async def test_server_is_made_changed_and_refreshed_in_the_console() -> None:
    """The code is shown by the reply that makes it; a new one ends the old one; switched off, the server is unknown."""
    world = await make_world(straight())
    path = f"/apps/{world.app_id}/server"
    async with await person(world) as ann:
        nothing = await ann.get(path)
        made = await ann.post(path, {"parameters": {"topic": "What about?"}, "description": ""})
        again = await ann.post(path, {"parameters": {}})
        shown = (await ann.get(path)).json()
        code, server_id = made.json()["server_code"], made.json()["id"]
        assert (nothing.json(), made.status_code, again.status_code) == ({}, 201, 400)
        assert again.json()["code"] == "mcp_server_exists"
        assert (len(code), shown["server_code"], shown["status"]) == (32, "********", "active")
        assert list(made.json()) == ["id", "name", "server_code", "description", "status", "parameters",
                                     "created_at", "updated_at"]  # fmt: skip
        tool = (await sent(world, code, rpc("tools/list"))).json()["result"]["tools"][0]
        assert tool["inputSchema"]["properties"]["topic"]["description"] == "What about?"
        change = {"id": server_id, "description": "Other", "parameters": {}, "status": "inactive"}
        changed = await ann.client.put(f"/console/api{path}", json=change)
        assert (changed.json()["description"], changed.json()["status"]) == ("Other", "inactive")
        assert (await sent(world, code, rpc("ping"))).status_code == 404
        await ann.client.put(f"/console/api{path}", json={**change, "status": "active"})
        assert (await sent(world, code, rpc("ping"))).status_code == 200
        renewed = (await ann.get(f"/apps/{server_id}/server/refresh")).json()["server_code"]
        assert (await sent(world, code, rpc("ping"))).status_code == 404
        assert (await sent(world, renewed, rpc("ping"))).status_code == 200
        for odd in ({**change, "id": "x"}, {**change, "id": world.app_id}):
            missed = await ann.client.put(f"/console/api{path}", json=odd)
            assert (missed.status_code, missed.json()["code"]) == (404, "mcp_server_not_found")
        wrong = await ann.client.put(f"/console/api{path}", json={**change, "status": "odd"})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_param")


async def test_servers_are_for_editors_of_the_workspace() -> None:
    """Other roles only look, other workspaces see nothing, and a link elsewhere changes nothing."""
    world = await make_world(straight())
    path = f"/apps/{world.app_id}/server"
    other = await world.ports.console.accounts.ensure_workspace("other")
    async with await person(world) as ann, await person(world, "bob@example.org", "normal") as bob:
        server_id = (await ann.post(path, {"parameters": {}})).json()["id"]
        refresh = f"/apps/{server_id}/server/refresh"
        assert (await bob.get(path)).status_code == 200
        refused = [await bob.post(path, {"parameters": {}}), await bob.post(refresh), await bob.get(refresh)]
        assert {each.status_code for each in refused} == {403}
        del ann.client.headers["X-CSRF-Token"]
        assert (await ann.get(refresh)).status_code == 401
    async with await person(world, "eve@example.org", "owner", other.workspace_id) as eve:
        assert (await eve.get(path)).status_code == 404
        assert (await eve.post(refresh)).json()["code"] == "mcp_server_not_found"
        assert (await eve.post("/apps/odd/server/refresh")).status_code == 404
