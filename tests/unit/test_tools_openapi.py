"""The operations of an HTTP API as tools: what is sent, and what comes back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from effect_fakes import ScriptedHttp, a_file
from effects.tools.catalog import OpenApiSource
from effects.tools.errors import ToolFailedError, ToolNotConfiguredError, ToolParameterError, ToolSourceError
from effects.tools.openapi import OpenApiTools
from effects.tools.source import Request
from graph.errors import NodeError
from graph.ports import HttpCall, HttpReply, ToolMessage

KEY = "very-secret-key"
DESCRIPTION: dict[str, Any] = {
    "openapi": "3.0.3",
    "servers": [{"url": "https://{region}.example.com/v1/", "variables": {"region": {"default": "eu"}}}],
    "paths": {
        "/items/{id}": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "get": {
                "operationId": "getItem",
                "parameters": [
                    {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                    {"name": "deep", "in": "query", "schema": {"type": "boolean"}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                    {"name": "session", "in": "cookie", "schema": {"type": "string"}},
                ],
            },
            "delete": {},
        },
        "/items": {
            "post": {
                "operationId": "addItem",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}},
                },
            },
        },
        "/list": {
            "post": {
                "operationId": "addList",
                "requestBody": {"content": {"application/json": {"schema": {"type": "array"}}}},
            }
        },
        "/form": {
            "post": {
                "operationId": "sendForm",
                "requestBody": {
                    "content": {
                        "application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": {"a": {}}}}
                    }
                },
            }
        },
        "/upload": {
            "post": {
                "operationId": "upload",
                "requestBody": {
                    "content": {"multipart/form-data": {"schema": {"type": "object", "properties": {"f": {}, "n": {}}}}}
                },
            }
        },
    },
    "components": {
        "parameters": {"Id": {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}},
        "schemas": {
            "Named": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
            "Item": {
                "allOf": [
                    {"$ref": "#/components/schemas/Named"},
                    {"type": "object", "properties": {"count": {"type": "integer"}, "tags": {"type": "array"}}},
                ]
            },
        },
    },
}


@pytest.fixture
def api(tmp_path: Path) -> Callable[..., tuple[OpenApiTools, ScriptedHttp]]:
    """Makes the tools of DESCRIPTION over an HTTP port that answers as told."""

    def make(reply: HttpReply | None = None, document: Any = None, **source: Any) -> tuple[OpenApiTools, ScriptedHttp]:
        file = tmp_path / "api.yml"
        file.write_text(json.dumps(DESCRIPTION if document is None else document))
        http = ScriptedHttp(lambda call: reply or HttpReply(200, {}, '{"ok": true}'))
        made = OpenApiSource.model_validate({"kind": "openapi", "file": file, **source})
        return OpenApiTools("shop", made, http, {"SHOP_KEY": KEY}.get), http

    return make


async def called(tools: OpenApiTools, tool: str, **parameters: Any) -> list[ToolMessage]:
    """What a call gives."""
    return [message async for message in tools.call(Request("shop", tool, parameters, "e-1"))]


async def sent(made: tuple[OpenApiTools, ScriptedHttp], tool: str, **parameters: Any) -> HttpCall:
    """The request that a call makes."""
    await called(made[0], tool, **parameters)
    return made[1].calls[0]


async def test_parameters_go_to_their_places(api) -> None:
    """Path, query, header and cookie parameters are typed and put where the description says."""
    call = await sent(
        api(), "getItem", id="a/b", tag='["x", "y"]', deep="True", **{"X-Trace": "t"}, session="s 1", unknown=1
    )
    assert (call.method, call.url) == ("GET", "https://eu.example.com/v1/items/a%2Fb")
    assert call.params == (("tag", "x"), ("tag", "y"), ("deep", "true"))
    assert call.headers == (("X-Trace", "t"), ("Cookie", "session=s%201"))
    assert call.body is None and call.idempotency_key == "e-1"


async def test_body_fields_are_parameters(api) -> None:
    """The fields of a JSON body are parameters by name, or come whole in the parameter body."""
    call = await sent(api(), "addItem", name="tea", count="3", tags="green", other=1)
    assert json.loads(call.body) == {"name": "tea", "count": 3, "tags": ["green"]}
    assert call.headers == (("Content-Type", "application/json"),)
    call = await sent(api(), "addItem", body='{"name": "tea", "extra": 1}', count=2)
    assert json.loads(call.body) == {"name": "tea", "extra": 1, "count": 2}


async def test_other_bodies(api) -> None:
    """A body that is no object is the parameter body; forms and uploads go in their own ways."""
    assert json.loads((await sent(api(), "addList", body="[1, 2]")).body) == [1, 2]
    assert (await sent(api(), "addList")).body is None
    assert (await sent(api(), "sendForm", a="x y")).body == b"a=x+y"
    upload = await sent(api(), "upload", f=a_file("a.png"), n=5)
    assert upload.is_multipart and upload.body == (("f", a_file("a.png")), ("n", "5"))


async def test_operation_without_an_id_is_called_by_method_and_path(api) -> None:
    """Method and path name an operation as well as its id does."""
    assert (await sent(api(), "delete /items/{id}", id="1")).method == "DELETE"
    with pytest.raises(ToolNotConfiguredError):
        await called(api()[0], "putItem")


@pytest.mark.parametrize(
    ("tool", "parameters"),
    [
        ("getItem", {}), ("getItem", {"id": ".."}), ("getItem", {"id": ""}), ("getItem", {"id": "1", "deep": "maybe"}),
        ("getItem", {"id": "1", "X-Trace": "a\r\nHost: evil"}), ("addItem", {"count": 1}),
        ("addItem", {"name": "a", "count": "many"}),
    ],
)  # fmt: skip
async def test_parameters_that_do_not_fit_are_refused(api, tool, parameters) -> None:
    """Missing and ill-typed parameters, and those that would leave their place, fail before anything is sent."""
    tools, http = api()
    with pytest.raises(ToolParameterError):
        await called(tools, tool, **parameters)
    assert not http.calls


@pytest.mark.parametrize("place", ["header", "query"])
async def test_key_goes_along_and_is_never_told(api, place) -> None:
    """The key of the environment goes into the call, and out of every error."""
    auth = {"in": place, "name": "X-Key", "env": "SHOP_KEY", "prefix": "Bearer "}
    made = api(HttpReply(401, {}, f"bad key {KEY}"), auth=auth)
    with pytest.raises(ToolFailedError, match=r"401: bad key \[secret\]"):
        await called(made[0], "getItem", id="1")
    call = made[1].calls[0]
    assert ("X-Key", f"Bearer {KEY}") in (call.headers if place == "header" else call.params)
    with pytest.raises(ToolSourceError, match="environment variable OTHER"):
        await called(api(auth={**auth, "env": "OTHER"})[0], "getItem", id="1")


async def test_transport_errors_lose_the_key(api) -> None:
    """An error of the HTTP port that shows the address does not show the key."""
    tools, http = api(auth={"in": "query", "name": "key", "env": "SHOP_KEY"})

    def refuse(call: HttpCall) -> HttpReply:
        raise NodeError(f"no way to {call.url}?key={KEY}", "AddressNotAllowed")

    http.answer = refuse
    with pytest.raises(NodeError, match="no way") as caught:
        await called(tools, "getItem", id="1")
    assert KEY not in str(caught.value) and caught.value.error_type == "AddressNotAllowed"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (HttpReply(200, {}, '{"a": 1}'), [("text", '{"a": 1}'), ("json", {"a": 1})]),
        (HttpReply(200, {}, "[1, {}]"), [("text", "[1, {}]"), ("json", {"result": 1}), ("json", {})]),
        (HttpReply(200, {}, "plain"), [("text", "plain")]), (HttpReply(204, {}, ""), [("text", "")]),
        (HttpReply(200, {}, "", a_file("a.png")), [("file", a_file("a.png"))]),
    ],
)  # fmt: skip
async def test_answers_become_messages(api, reply, expected) -> None:
    """JSON gives its text and objects, other text itself, a binary answer its file."""
    messages = await called(api(reply)[0], "getItem", id="1")
    assert [(message.kind, message.value) for message in messages] == expected


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "no OpenAPI"), ({"swagger": "2.0", "paths": {}}, "OpenAPI 3"),
        ({"openapi": "3.1.0", "paths": {"/a": {"$ref": "other.yml#/a"}}}, "out of the file"),
        ({"openapi": "3.1.0", "paths": {"/a": {"$ref": "#/paths/~1a"}}}, "circle"),
        ({"openapi": "3.1.0", "paths": {"/a": {"$ref": "#/gone"}}}, "nowhere"),
        ({"openapi": "3.1.0", "paths": {"/a": {"get": {"operationId": "getItem"}}}}, "base_url"),
    ],
)  # fmt: skip
async def test_unusable_description_is_told(api, document, reason) -> None:
    """A description that cannot be used fails the tool with what is wrong with it."""
    with pytest.raises(ToolSourceError, match=reason):
        await called(api(document=document)[0], "getItem", id="1")


async def test_base_url_replaces_the_servers(api) -> None:
    """The tools file may send the calls elsewhere."""
    call = await sent(api(base_url="https://test.example.com"), "getItem", id="1")
    assert call.url == "https://test.example.com/items/1"
