"""An OpenAI-compatible upstream, spoken to over a real client whose transport answers in process."""

import json
import pickle
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import httpx2
import pytest

from graph.ports import ChatDelta, ChatMessage, ChatRequest
from models.catalog import Catalog, OpenAITarget
from models.errors import ModelCallRefusedError, ModelUnavailableError
from models.model_client import ServeChatModel
from models.openai_upstream import OpenAIUpstream

KEY = "sk-very-secret-key"
CATALOG = Catalog.parse(
    {
        "targets": {
            "up": {
                "kind": "openai",
                "base_url": "https://models.example.com/v1",
                "api_key_secret": "upstream_key",
                "model": "their-name",
                "parameters": {"top_p": 0.5},
            },
            "open": {"kind": "openai", "base_url": "https://models.example.com/v1"},
        },
        "models": [{"provider": "a", "target": "up"}, {"provider": "b", "target": "open"}],
    }
)
REQUEST = ChatRequest(
    "a", "m", (ChatMessage("user", "hi"),), {"temperature": 0.2, "enable_thinking": True}, idempotency_key="e-1"
)


def sse(*events: dict[str, Any]) -> httpx2.Response:
    """A stream of events as an upstream sends it."""
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text=text)


def chunk(content: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One chunk of a chat answer."""
    choice = {"index": 0, "delta": {"content": content, **delta}, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "their-name", "choices": [choice]}


def usage(prompt: int, completion: int) -> dict[str, Any]:
    """The chunk that counts tokens."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {**chunk(), "choices": [], "usage": counts}


def model_over(answer: Callable[[httpx2.Request], httpx2.Response], key: str | None = KEY) -> ServeChatModel:
    """A client whose upstream is ``answer``."""
    return ServeChatModel(
        CATALOG,
        http_client=lambda: httpx2.AsyncClient(transport=httpx2.MockTransport(answer)),
        secret={"upstream_key": key}.get,
    )


async def answer_of(model: ServeChatModel, request: ChatRequest = REQUEST) -> list[ChatDelta]:
    """The whole answer."""
    return [delta async for delta in model.stream(request)]


async def test_answer_is_streamed_with_usage_and_latencies() -> None:
    """Text comes chunk by chunk; the end has the upstream's numbers and our clock."""
    deltas = await answer_of(model_over(lambda _: sse(chunk("He"), chunk("y"), chunk(finish="stop"), usage(5, 2))))
    assert [delta.text for delta in deltas] == ["He", "y", ""]
    end = deltas[-1]
    assert end.finish_reason == "stop"
    assert end.usage is not None
    assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (5, 2)
    assert end.usage.time_to_first_token_s is not None
    assert 0 <= end.usage.time_to_first_token_s <= end.usage.latency_s


async def test_call_carries_parameters_key_and_idempotency_key() -> None:
    """The upstream gets its own model name, the node's parameters over the target's, and both keys."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return sse(chunk("x", finish="stop"))

    await answer_of(model_over(answer))
    body = json.loads(seen[0].content)
    assert seen[0].url == "https://models.example.com/v1/chat/completions"
    assert seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert seen[0].headers["idempotency-key"] == "e-1"
    assert body == {
        "model": "their-name",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.2,
        "top_p": 0.5,
        "enable_thinking": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_completion_mode_sends_a_prompt() -> None:
    """A completion model is asked at its own address."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        choice = {"index": 0, "text": " Paris", "finish_reason": "stop", "logprobs": None}
        return sse({"id": "1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]})

    request = ChatRequest("b", "m", (ChatMessage("user", "The capital is"),), mode="completion")
    deltas = await answer_of(model_over(answer), request)
    assert [delta.text for delta in deltas] == [" Paris", ""]
    assert seen[0].url.path == "/v1/completions"
    assert json.loads(seen[0].content)["prompt"] == "The capital is"
    assert KEY not in seen[0].headers["authorization"]


async def test_reasoning_comes_between_think_tags() -> None:
    """Reasoning that the upstream keeps apart is put into the text, marked."""
    events = [chunk(reasoning_content="hm"), chunk(reasoning_content=" so"), chunk("yes"), chunk(finish="stop")]
    deltas = await answer_of(model_over(lambda _: sse(*events)))
    assert "".join(delta.text for delta in deltas) == "<think>hm so</think>yes"


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (400, ModelCallRefusedError),
        (404, ModelCallRefusedError),
        (429, ModelUnavailableError),
        (503, ModelUnavailableError),
    ],
)
async def test_status_of_the_upstream_is_a_refusal_or_an_outage(status: int, family: type[Exception]) -> None:
    """The error has the status and the upstream's reason, without the key that it repeats."""
    body = {"error": {"message": f"no good: {KEY}"}}
    with pytest.raises(family, match=rf"HTTP {status}: no good: \[API key\]"):
        await answer_of(model_over(lambda _: httpx2.Response(status, json=body)))


async def test_refused_key_is_named_by_its_place_only() -> None:
    """A wrong key is reported by where it is configured; what the upstream says of it is not repeated."""
    body = {"error": {"message": f"Incorrect API key provided: {KEY[:5]}***{KEY[-4:]}"}}
    with pytest.raises(ModelCallRefusedError, match="entry upstream_key of the secrets file") as caught:
        await answer_of(model_over(lambda _: httpx2.Response(401, json=body)))
    assert KEY[-4:] not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_missing_key_is_refused_before_any_call() -> None:
    """A key that this process does not have is named; nothing is sent."""

    def unasked(_: httpx2.Request) -> httpx2.Response:
        raise AssertionError("the upstream was called")

    with pytest.raises(ModelCallRefusedError, match="set the entry upstream_key"):
        await answer_of(model_over(unasked, key=None))


async def test_unreachable_upstream_is_unavailable() -> None:
    """A connection that fails says why."""

    def unreachable(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("address not allowed: models.example.com", request=request)

    with pytest.raises(ModelUnavailableError, match=r"address not allowed: models\.example\.com"):
        await answer_of(model_over(unreachable))


async def test_stream_that_stops_early_broke_off() -> None:
    """Text without a finish reason never passes for a whole answer."""
    with pytest.raises(ModelUnavailableError, match="broke off"):
        await answer_of(model_over(lambda _: sse(chunk("half"))))


async def test_error_event_within_the_stream_ends_it() -> None:
    """An upstream that fails after some text ends the call with its reason."""
    with pytest.raises(ModelUnavailableError, match="overloaded"):
        await answer_of(model_over(lambda _: sse(chunk("half"), {"error": {"message": "overloaded"}})))


class EndlessStream(httpx2.AsyncByteStream):
    """The body of an answer that never ends by itself; knows whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    async def __aiter__(self) -> Any:
        while True:
            yield f"data: {json.dumps(chunk('a'))}\n\n".encode()

    async def aclose(self) -> None:
        """Note it."""
        self.is_closed = True


async def test_closing_the_stream_closes_the_connection() -> None:
    """A reader that goes away ends the upstream's answer."""
    body = EndlessStream()
    headers = {"content-type": "text/event-stream"}
    model = model_over(lambda _: httpx2.Response(200, headers=headers, stream=body))
    async with aclosing(model.stream(REQUEST)) as deltas:
        assert (await anext(deltas)).text == "a"
        assert not body.is_closed
    assert body.is_closed


async def test_environment_of_the_library_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and organisations that the library would take from the environment never reach another upstream."""
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "from-the-environment")
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return sse(chunk("x", finish="stop"))

    await answer_of(model_over(answer), ChatRequest("b", "m", REQUEST.messages))
    assert "from-the-environment" not in str(seen[0].headers.raw)


def test_upstream_shows_no_key() -> None:
    """The representation of an upstream has its address only, and it cannot be sent anywhere."""
    target = CATALOG.targets["up"]
    assert isinstance(target, OpenAITarget)
    upstream = OpenAIUpstream(target, KEY, httpx2.AsyncClient)
    assert KEY not in repr(upstream)
    with pytest.raises(TypeError):
        pickle.dumps(upstream)
