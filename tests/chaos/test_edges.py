"""The HTTP edges of the whole stack, HAProxy in front: nonsense gets a 4xx, and a stream comes event by event."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from factories import document, edge, end, human, llm, start
from served import PIECES, Served, start_run, wait_for

RUN = "/v1/workflows/run"
FORM = "/v1/form/human_input"
PING = b"event: ping\n\n"
CHANGING = ("date", "x-request-id")
"""Headers that differ from answer to answer."""


def workflow(name: str, model: str) -> dict[str, Any]:
    """Return start -> model -> form -> end; a second end streams the model's text."""
    nodes = [
        start("topic"),
        llm("draft", model=model),
        human("review"),
        end("drafted", text=["draft", "text"]),
        end(comment=["review", "comment"]),
    ]
    edges = [
        edge("start", "draft"),
        edge("draft", "drafted"),
        edge("draft", "review"),
        edge("review", "end", "approve"),
    ]
    return {**document(nodes, edges), "app": {"name": name, "mode": "workflow"}}


@pytest.fixture(scope="module")
def key(server: Served) -> str:
    """A key of an app with a quick model before its form."""
    return server.import_app(workflow("quick", "quick"))


@pytest.fixture(scope="module")
def slow_key(server: Served) -> str:
    """A key of an app with a slow model before its form."""
    return server.import_app(workflow("slow", "slow"))


@pytest.fixture
def client(server: Served, key: str) -> Iterator[httpx2.Client]:
    """A client of the quick app."""
    with server.client(key) as made:
        yield made


def status_of(answer: bytes) -> int:
    """Return the status of the last response in ``answer``; 0 when the connection was closed without one."""
    lines = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.")]
    return int(lines[-1].split()[1]) if lines else 0


def request(key: str, *headers: str, method: str = "POST", path: str = RUN, body: bytes = b"") -> bytes:
    """Return a request as bytes, with nothing put right."""
    own = (f"Authorization: Bearer {key}", "Content-Type: application/json", "Host: x", "Connection: close")
    return "\r\n".join([f"{method} {path} HTTP/1.1", *own, *headers, "", ""]).encode("latin-1") + body


BODY = b'{"inputs": {}, "response_mode": "other", "user": "u-1"}'
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = f"Content-Length: {len(BODY)}"

NONSENSE: dict[str, tuple[tuple[str, ...], bytes]] = {
    "chunk size that is none": (("Transfer-Encoding: chunked",), b"zz\r\nabc\r\n0\r\n\r\n"),
    "chunk size beyond 64 bits": (("Transfer-Encoding: chunked",), b"ffffffffffffffffff\r\nabc"),
    "chunks that break off": (("Transfer-Encoding: chunked",), b'ff\r\n{"a":'),
    "chunks and a length": (("Transfer-Encoding: chunked", "Content-Length: 5"), CHUNKED),
    "unknown transfer encoding": (("Transfer-Encoding: xchunked",), CHUNKED),
    "two lengths": (("Content-Length: 5", LENGTH), BODY),
    "negative length": (("Content-Length: -5",), BODY),
    "length beyond 64 bits": (("Content-Length: 99999999999999999999999",), BODY),
    "length of terabytes": (("Content-Length: 9999999999999",), BODY),
    "body that breaks off": (("Content-Length: 500",), BODY),
    "more headers than fit": (tuple(f"X-{number}: y" for number in range(300)), b""),
    "header longer than fits": (("X-A: " + "a" * 40_000, LENGTH), BODY),
    "header with a NUL": (("X-A: a\0b", LENGTH), BODY),
    "header with a space before the colon": (("X-A : a", LENGTH), BODY),
    "forged way here": (("X-Forwarded-For: 1.2.3.4, x", "X-Forwarded-Host: evil.example", LENGTH), BODY),
    "trace headers that are none": (("traceparent: x", "X-Trace-Id: !", "X-Request-Id: " + "z" * 3000, LENGTH), BODY),
    "upgrade": (("Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13", LENGTH), BODY),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_on_the_wire_is_a_4xx_or_a_closed_connection(server: Served, key: str, name: str):
    """Whatever a connection carries, the answer is no 5xx, holds no traceback, and no run begins."""
    headers, body = NONSENSE[name]
    before = server.rows("SELECT count(*) FROM runs")
    answer = server.exchanged(request(key, *headers, body=body))
    assert status_of(answer) == 0 or 400 <= status_of(answer) < 500, answer
    assert b"Traceback" not in answer
    assert server.rows("SELECT count(*) FROM runs") == before


@pytest.mark.parametrize(
    "path",
    [
        "/", "//", "/v1", "//v1/info", "/v1//info", "/V1/info", "/v1/info/", "/v1/info%00", "/v1/../v1/info", "/%",
        "/v1/workflows/run/%00", "/v1/workflows/run/" + "1" * 8000, "/v1/workflow/%ff/events?user=%ff%00",
        "/v1/workflow/x/events?user=u&cursor=%ff", "/form/", "/form/%0d%0aSet-Cookie:a=b", "/form/f/%00", "*",
        "http://evil.example/v1/info", "/v1/info\xff", "/v1/in fo",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE", "TRACE", "get"])
def test_odd_addresses_and_methods_are_a_4xx(server: Served, key: str, method: str, path: str):
    """No address is served by accident, and none makes a fault of ours."""
    answer = server.exchanged(request(key, LENGTH, method=method, path=path, body=BODY))
    assert 400 <= status_of(answer) < 500, answer
    assert b"Traceback" not in answer
    assert b"Set-Cookie" not in answer


@pytest.mark.parametrize(
    "body",
    [
        b'{"user": "u", "inputs": {"topic": NaN}}',
        b'{"user": "u", "inputs": {"topic": 1e999}}',
        b'{"user": "\\ud800", "inputs": {}}',
        b'{"user": "\xff", "inputs": {}}',
        b'\xef\xbb\xbf{"user": "u", "inputs": {}}',
        b'{"user": "u", "user": "", "inputs": {}}',
        b'{"user": "u", "inputs": {"topic": 123456789012345678901234567890}}',
        b'{"user": "u", "inputs": {"topic": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"inputs":' * 5000 + b"1" + b"}" * 5000,
        b'{"user": "' + "😀".encode() * 300 + b'", "inputs": {}}',
        b'{"user": "u", "inputs": {"topic": {}}, "files": [[]]}',
    ],
)
def test_body_that_cannot_be_meant_is_a_400_envelope(client: httpx2.Client, body: bytes):
    """Every unreadable or ill-typed body is 400 with the envelope of the API."""
    response = client.post(RUN, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert list(response.json()) == ["code", "message", "status"]


def paused(client: httpx2.Client, topic: str = "tea") -> dict[str, Any]:
    """Start a run and return its pause."""
    data = start_run(client, "blocking", topic=topic)["data"]
    assert data["status"] == "paused", data
    return data


def answer_to(reason: dict[str, Any], comment: str = "fine", user: str = "u-1") -> tuple[str, dict[str, Any]]:
    """Return path and body of an answer."""
    return f"{FORM}/{reason['form_token']}", {"inputs": {"comment": comment}, "action": "approve", "user": user}


def test_every_kind_of_miss_is_one_and_the_same_404(server: Served, client: httpx2.Client):
    """Unknown, malformed and foreign tokens cannot be told apart by anything in the answer."""
    reason = paused(client)["reasons"][0]
    with server.client(server.import_app(workflow("foreign", "quick"))) as other:
        foreign = paused(other)["reasons"][0]["form_token"]
        assert other.get(f"{FORM}/{foreign}").status_code == 200
    tokens = [
        "A" * 43, "x", "B" * 5000, "%00", "%ff%fe", "%F0%9F%98%80", "%E0%A4%A", "..%3b", foreign,
        reason["form_token"].swapcase(), reason["form_token"] + "%00", reason["form_id"],
    ]  # fmt: skip
    body = answer_to(reason)[1]
    misses = [client.get(f"{FORM}/{token}") for token in tokens]
    misses += [client.post(f"{FORM}/{token}", json=body) for token in tokens]
    seen = {
        (miss.status_code, miss.text, *sorted((n, v) for n, v in miss.headers.items() if n not in CHANGING))
        for miss in misses
    }
    assert len(seen) == 1
    assert misses[0].status_code == 404
    assert client.get(f"{FORM}/{reason['form_token']}").status_code == 200


def test_answers_at_the_same_moment_have_one_winner(server: Served, client: httpx2.Client):
    """Of many answers sent at once one is 200 and the others 412; the run ends with the winner's."""
    data = paused(client)
    path, body = answer_to(data["reasons"][0])

    def sent(number: int) -> tuple[int, int]:
        own = {**body, "inputs": {"comment": f"by {number}"}, "user": f"u-{number}"}
        return client.post(path, json=own).status_code, number

    with ThreadPoolExecutor(max_workers=12) as pool:
        results = list(pool.map(sent, range(12)))
    assert Counter(status for status, _ in results) == {200: 1, 412: 11}
    winner = next(number for status, number in results if status == 200)
    detail = ended(client, data["id"])
    assert (detail["status"], detail["outputs"]["comment"]) == ("succeeded", f"by {winner}")


def test_refused_answers_leave_the_form_open_and_large_ones_are_kept(client: httpx2.Client):
    """Bad answers are 400 and change nothing; then an answer of 10 MB counts, character by character."""
    data = paused(client)
    path, body = answer_to(data["reasons"][0], comment="ü😀\0" + "a" * 10_000_000, user="ü\0😀")
    for change in ({"action": "a" * 1_000_000}, {"inputs": {}}, {"inputs": {"comment": [[]]}}, {"inputs": None}):
        refused = client.post(path, json={**body, **change})
        assert refused.status_code == 400
        assert len(refused.content) < 10_000
    too_large = client.post(path, json={**body, "inputs": {"comment": "a" * 16_000_000}})
    assert too_large.status_code == 413
    assert client.post(path, json=body).status_code == 200
    assert ended(client, data["id"])["outputs"]["comment"] == body["inputs"]["comment"]


def ended(client: httpx2.Client, run_id: str) -> dict[str, Any]:
    """Return the run's detail once it has ended."""

    def look() -> dict[str, Any] | None:
        detail = client.get(f"{RUN}/{run_id}").raise_for_status().json()
        return detail if detail["status"] not in ("running", "paused") else None

    return wait_for(look)


def frames(response: httpx2.Response) -> Iterator[bytes]:
    """Yield the frames of a stream as they come."""
    rest = b""
    for part in response.iter_raw():
        *whole, rest = (rest + part).split(b"\n\n")
        yield from (frame + b"\n\n" for frame in whole)
    assert rest == b"", "a stream ends with a whole frame"


def event_of(frame: bytes) -> dict[str, Any]:
    """Return the event of a frame."""
    return json.loads(frame.removeprefix(b"data: "))


def test_events_come_one_by_one_while_the_run_goes_on(server: Served, client: httpx2.Client, slow_key: str):
    """Text reaches the reader while the model still writes: nothing on the way holds a stream back."""
    told = []
    with server.client(slow_key) as slow, start_run(slow, topic="tea") as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert "content-length" not in response.headers
        stream = frames(response)
        assert next(stream) == PING
        for frame in stream:
            if frame == PING:
                continue
            event = event_of(frame)
            told.append(event["event"])
            if told.count("text_chunk") == 2 and event["event"] == "text_chunk":
                # Between two events of this stream: the run is not over, and another stream comes and goes.
                assert slow.get(f"{RUN}/{event['workflow_run_id']}").json()["status"] == "running"
                with start_run(client, topic="tea") as quick:
                    between = [event_of(each)["event"] for each in frames(quick) if each != PING]
                assert between[-1] == "workflow_paused"
                told.append("another stream")
    assert told.count("text_chunk") == len(PIECES)
    assert told.index("another stream") < len(told) - 1 - told[::-1].index("text_chunk")
    assert told[-1] == "workflow_paused"


def test_every_stream_begins_with_a_ping(client: httpx2.Client):
    """A refused start, a snapshot and a reconnect begin with a ping; a finished run is told by one event alone."""
    data = paused(client)
    events = f"/v1/workflow/{data['id']}/events?user=u-1"
    body = {"inputs": {"topic": 5}, "response_mode": "streaming", "user": "u-1"}
    refused = client.post(RUN, json=body)
    snapshot = client.get(f"{events}&include_state_snapshot=true")
    for response in (refused, snapshot):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.content.startswith(PING)
    assert event_of(refused.content.split(b"\n\n")[1])["code"] == "invalid_param"
    with client.stream("GET", f"{events}&include_state_snapshot=true&continue_on_pause=true") as open_stream:
        live = frames(open_stream)
        assert next(live) == PING
        path, answer = answer_to(data["reasons"][0])
        assert client.post(path, json=answer).status_code == 200
        assert [event_of(frame)["event"] for frame in live if frame != PING][-1] == "workflow_finished"
    finished = client.get(events)
    assert event_of(finished.content)["event"] == "workflow_finished"
