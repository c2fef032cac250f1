"""The http-request node: what it sends, what it gives, how it fails."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

import fakes
from graph.errors import NodeError
from graph.file_value import stored_file
from graph.nodes.kind import EffectContext, FormAsked, NodeResult
from graph.nodes.table import KINDS
from graph.ports import Effects, HttpCall, HttpReply
from graph.variable_pool import SecretText, VariablePool

KIND = KINDS["http-request"]
FILE = stored_file("f1", "r.txt", "text/plain", 3, "", kind="document")


@dataclass
class OneReply:
    """Keeps the calls and gives the same answer to each; reads any file as its name. An error is raised."""

    reply: HttpReply | Exception = field(default_factory=lambda: HttpReply(200, {"x": "1"}, "hi"))
    calls: list[HttpCall] = field(default_factory=list)

    async def send(self, call: HttpCall) -> HttpReply:
        """Keep ``call`` and answer."""
        self.calls.append(call)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    async def read(self, file: dict[str, Any]) -> bytes:
        """Return the name of the file."""
        return file["filename"].encode()

    async def put(self, content: bytes, filename: str, mime_type: str) -> dict[str, Any]:
        """Store nothing."""
        raise NotImplementedError

    async def extract_text(self, file: dict[str, Any]) -> str:
        """Read nothing."""
        raise NotImplementedError


def checked(**data: Any) -> Any:
    """Return checked node data."""
    return KIND.data.model_validate({"type": KIND.type, "method": "get", "url": "https://x.test/a", **data})


async def run(http: OneReply | None = None, **data: Any) -> tuple[NodeResult, HttpCall]:
    """Run one node; return its result and the call it made."""
    http = http or OneReply()
    known = fakes.effects()
    effects = Effects(known.chat, known.forms, http=http, files=http)
    pool = VariablePool()
    pool.put("m", {"q": "tea", "lines": "A: 1\nB:2", "f": FILE, "fs": [FILE, FILE], "o": {"k": "ä"}, "empty": ""})
    pool.put("env", {"key": SecretText("hunter2")})
    assert KIND.compile_effect is not None
    context = EffectContext("run", "n", "exec-1", effects, lambda *_: None)
    result = await KIND.compile_effect(checked(**data))(pool, context)
    assert not isinstance(result, FormAsked)
    return result, http.calls[0]


async def test_request_is_made_of_templates():
    """URL, parameters and headers are rendered; parameters keep order and duplicates, a header text may hold lines."""
    result, call = await run(
        method="GET",
        url="https://x.test/{{#m.q#}}",
        params="a: {{#m.q#}} \n\n:none\nb\na:x:y",
        headers="X-One : 1\n{{#m.lines#}}",
    )
    assert (call.method, call.url) == ("GET", "https://x.test/tea")
    assert call.params == (("a", "tea"), ("b", ""), ("a", "x:y"))
    assert call.headers == (("X-One", "1"), ("A", "1"), ("B", "2"))
    assert (call.body, call.idempotency_key) == (None, "exec-1")
    assert result.outputs == {"status_code": 200, "body": "hi", "headers": {"x": "1"}, "files": []}


async def test_timeouts_and_tls_have_defaults():
    """Absent and zero times are the defaults, larger ones are not cut, null means verify."""
    _, call = await run(timeout={"connect": 0, "read": None, "write": 5000, "max_read_timeout": 7}, ssl_verify=None)
    assert (call.connect_timeout_s, call.read_timeout_s, call.write_timeout_s, call.verify_tls) == (10, 600, 5000, True)
    _, call = await run(ssl_verify=False, timeout=None)
    assert (call.read_timeout_s, call.verify_tls) == (600, False)


@pytest.mark.parametrize(
    ("config", "header"),
    [
        ({"type": "bearer", "api_key": "{{#env.key#}}"}, ("Authorization", "Bearer hunter2")),
        ({"type": "basic", "api_key": "u:p"}, ("Authorization", "Basic dTpw")),
        ({"type": "basic", "api_key": "dTpw"}, ("Authorization", "Basic dTpw")),
        ({"type": "custom", "api_key": "k", "header": "X-Key"}, ("X-Key", "k")),
    ],
)
async def test_key_goes_into_its_header(config, header):
    """Each kind of key has its form; the record of the node hides it."""
    result, call = await run(authorization={"type": "api-key", "config": config}, url="https://x.test/?k={{#env.key#}}")
    assert call.headers == (header,) and call.url == "https://x.test/?k=hunter2"
    assert result.process_data is not None
    shown = result.process_data["request"]
    assert "hunter2" not in shown and f"{header[0]}: ************" in shown and "GET /?k=************ HTTP/1.1" in shown
    assert "hunter2" not in repr(checked(authorization={"type": "api-key", "config": config | {"api_key": "hunter2"}}))


@pytest.mark.parametrize(
    ("body", "content", "content_type"),
    [
        ({"type": "raw-text", "data": "q={{#m.q#}}"}, b"q=tea", "text/plain"),
        ({"type": "json", "data": [{"type": "text", "value": '{"q": "{{#m.q#}}", "o": {{#m.o#}}}'}]},
         '{"q":"tea","o":{"k":"ä"}}'.encode(), "application/json"),
        ({"type": "json", "data": "{q: 'tea', \"l\": [1, 2,"}, b'{"q":"tea","l":[1,2]}', "application/json"),
        ({"type": "x-www-form-urlencoded", "data": [{"key": "a", "value": "{{#m.q#}} x"}, {"key": "b", "value": None}]},
         b"a=tea+x&b=", "application/x-www-form-urlencoded"),
        ({"type": "binary", "data": [{"type": "file", "file": ["m", "f"]}]}, b"r.txt", None),
        ({"type": "none", "data": ""}, None, None),
    ],
)  # fmt: skip
async def test_body_is_sent_by_its_type(body, content, content_type):
    """Each type of body has its bytes and its content type; JSON that is nearly JSON is repaired."""
    _, call = await run(method="post", body=body)
    assert (call.method, call.body) == ("POST", content)
    assert dict(call.headers).get("Content-Type") == content_type


async def test_content_type_of_the_user_stays():
    """A content type among the headers is not replaced."""
    _, call = await run(method="post", headers="content-type: text/x", body={"type": "json", "data": "[]"})
    assert call.headers == (("content-type", "text/x"),)


async def test_form_data_has_texts_then_files():
    """A list of files is a part for each; the user's content type goes, since it lacks the boundary."""
    data = [
        {"key": "t", "type": "text", "value": "{{#m.q#}}"},
        {"key": "f", "type": "file", "file": ["m", "fs"]},
        {"key": "gone", "type": "file", "file": ["m", "q"]},
    ]
    result, call = await run(
        method="post", headers="Content-Type: multipart/form-data", body={"type": "form-data", "data": data}
    )
    assert call.is_multipart and call.body == (("t", "tea"), ("f", FILE), ("f", FILE)) and call.headers == ()
    assert result.process_data is not None
    assert result.process_data["request"].endswith("t: tea\r\nf: <file r.txt>\r\nf: <file r.txt>")


async def test_file_answer_leaves_the_body_empty():
    """An answer that is a file stands in ``files``."""
    result, _ = await run(OneReply(HttpReply(200, {}, "", FILE)))
    assert (result.outputs["body"], result.outputs["files"]) == ("", [FILE])


@pytest.mark.parametrize(
    ("data", "error_type"),
    [
        ({"url": "{{#m.empty#}}"}, "InvalidURLError"),
        ({"url": "ftp://x"}, "InvalidURLError"),
        ({"method": "options"}, "InvalidHttpMethodError"),
        ({"authorization": {"type": "api-key", "config": {"type": "bearer", "api_key": "{{#m.empty#}}"}}},
         "AuthorizationConfigError"),
        ({"body": {"type": "json", "data": []}}, "RequestBodyError"),
        ({"body": {"type": "json", "data": "no json at all"}}, "RequestBodyError"),
        ({"body": {"type": "json", "data": "[" * 100_000}}, "RequestBodyError"),
        ({"body": {"type": "binary", "data": [{"type": "file", "file": ["m", "q"]}]}}, "FileFetchError"),
    ],
)  # fmt: skip
async def test_request_that_cannot_be_made_fails_by_its_type(data, error_type):
    """Nothing is sent, and the type of the error says what is wrong."""
    http = OneReply()
    with pytest.raises(NodeError) as failed:
        await run(http, **data)
    assert failed.value.error_type == error_type and http.calls == []


async def test_failed_status_is_a_success_unless_failing_is_dealt_with():
    """A status that is no success fails the node only where a retry or an error strategy is set; outputs stay."""
    gone = HttpReply(404, {}, "gone")
    result, _ = await run(OneReply(gone))
    assert result.outputs["status_code"] == 404
    for dealt in ({"error_strategy": "fail-branch"}, {"retry_config": {"retry_enabled": True, "max_retries": 1}}):
        with pytest.raises(NodeError, match="Request failed with status code 404") as failed:
            await run(OneReply(gone), **dealt)
        assert failed.value.error_type == "HTTPResponseCodeError"
        assert failed.value.outputs == {"status_code": 404, "body": "gone", "headers": {}, "files": []}
        assert "GET /a HTTP/1.1" in (failed.value.process_data or {})["request"]


async def test_transport_failure_keeps_its_type_and_shows_the_request():
    """What the port refuses fails the node as the port says."""
    with pytest.raises(NodeError, match="too large") as failed:
        await run(OneReply(NodeError("too large", "ResponseSizeError")))
    assert failed.value.error_type == "ResponseSizeError"
    assert (failed.value.process_data or {})["request"].startswith("GET /a HTTP/1.1\r\nHost: x.test")


def test_bad_node_data_is_refused():
    """A key without its configuration and an unknown method are faults of the file."""
    for data in ({"authorization": {"type": "api-key"}}, {"method": "brew"}):
        with pytest.raises(ValidationError):
            checked(**data)
