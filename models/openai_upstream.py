"""An OpenAI-compatible upstream: the call in its words, its stream read back, its errors as ours.

The API key goes into the request header and nowhere else: it is cut out of every text that an upstream sends back.
"""

import importlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx2

from graph.ports import ChatDelta, ChatRequest, ChatUsage
from models.catalog import NamedTarget, OpenAITarget
from models.errors import ModelCallRefusedError, ModelUnavailableError
from models.images import content_of, images_in
from models.parameters import split_parameters
from models.structured_output import with_schema

_CHAT_PARAMETERS = frozenset(
    {"temperature", "top_p", "max_tokens", "seed", "presence_penalty", "frequency_penalty", "stop", "response_format"}
)
_COMPLETION_PARAMETERS = _CHAT_PARAMETERS - {"response_format"}
_NO_KEY = "no-key"
_REASON_CHARS = 500


class OpenAIUpstream:
    """One upstream with its connections; made where it is used, never sent between processes."""

    def __init__(
        self, target: OpenAITarget, api_key: str | None, http_client: Callable[[], httpx2.AsyncClient]
    ) -> None:
        """Prepare the upstream; nothing is imported or connected yet.

        Args:
            target: from the catalog.
            api_key: the key itself; None for an upstream that wants none.
            http_client: makes the client that guards where calls may go.
        """
        self._target = target
        self._api_key = api_key
        self._http_client = http_client
        self._client: Any = None

    def __repr__(self) -> str:
        return f"OpenAIUpstream({self._target.base_url})"

    def __reduce__(self) -> Any:
        raise TypeError("an upstream holds a key and connections and stays in its process")

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Yield the answer as the upstream sends it; closing the iterator closes the connection.

        Text that the upstream marks as reasoning comes between ``<think>`` and ``</think>``.

        Raises:
            ModelCallRefusedError: the upstream refused the call (4xx), or a parameter cannot be sent.
            ModelUnavailableError: it is not reachable, busy (429) or failed (5xx).
        """
        openai = _openai()
        client = self._opened(openai)
        usage = None
        finish_reason = None
        is_thinking = False
        try:
            async with await self._call(client, request) as events:
                async for event in events:
                    usage = event.usage or usage
                    for choice in event.choices[:1]:
                        finish_reason = choice.finish_reason or finish_reason
                        text, is_thinking = _text(choice, is_thinking)
                        images = images_in(getattr(choice, "delta", None))
                        if text or images:
                            yield ChatDelta(text=text, images=images)
        except openai.OpenAIError as error:
            raise self._failure(request.name, error, openai) from None
        except httpx2.HTTPError as error:
            raise ModelUnavailableError(request.name, self._reason(error)) from None
        if finish_reason is None:
            raise ModelUnavailableError(request.name, "the answer broke off")
        yield ChatDelta(
            text="</think>" if is_thinking else "",
            finish_reason=finish_reason,
            usage=ChatUsage(usage.prompt_tokens, usage.completion_tokens) if usage else ChatUsage(),
        )

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _opened(self, openai: Any) -> Any:
        if self._client is None:
            client = openai.AsyncOpenAI(
                api_key=self._api_key or _NO_KEY,
                base_url=self._target.base_url,
                http_client=self._http_client(),
                timeout=httpx2.Timeout(self._target.timeout_s, connect=10.0),
                max_retries=0,
            )
            # Taken from this process's environment by the library; not every upstream is the one they were meant for.
            client.organization = client.project = client.admin_api_key = None
            self._client = client
        return self._client

    async def _call(self, client: Any, request: ChatRequest) -> Any:
        request = with_schema(request, self._target.structured_output)
        known, rest = split_parameters(request.name, {**self._target.parameters, **request.parameters})
        is_completion = request.mode == "completion"
        named = _COMPLETION_PARAMETERS if is_completion else _CHAT_PARAMETERS
        call: dict[str, Any] = {key: value for key, value in known.items() if key in named}
        call["extra_body"] = {**rest, **{key: value for key, value in known.items() if key not in named}}
        headers = {"Idempotency-Key": request.idempotency_key, "traceparent": request.traceparent}
        call["extra_headers"] = {name: value for name, value in headers.items() if value}
        call |= {"model": self._target.model or request.name, "stream": True, "stream_options": {"include_usage": True}}
        if is_completion:
            return await client.completions.create(prompt="\n\n".join(m.text for m in request.messages), **call)
        messages = [{"role": message.role, "content": content_of(message)} for message in request.messages]
        return await client.chat.completions.create(messages=messages, **call)

    def _failure(self, name: str, error: Any, openai: Any) -> ModelCallRefusedError | ModelUnavailableError:
        if isinstance(error, openai.AuthenticationError):
            # The text of an upstream may show a part of the key.
            return ModelCallRefusedError(name, f"the upstream does not accept the API key ({self._key_source()})")
        if isinstance(error, openai.APIStatusError):
            reason = f"HTTP {error.status_code}: {self._reason(error)}"
            if error.status_code in (408, 409, 429) or error.status_code >= 500:
                return ModelUnavailableError(name, reason)
            return ModelCallRefusedError(name, reason)
        if isinstance(error, openai.APITimeoutError):
            return ModelUnavailableError(name, f"no answer within {self._target.timeout_s:g} s")
        return ModelUnavailableError(name, self._reason(error.__cause__ or error))

    def _reason(self, error: BaseException) -> str:
        body = getattr(error, "body", None)
        text = body.get("message") if isinstance(body, dict) else None
        text = str(text or error or type(error).__name__)
        if self._api_key:
            text = text.replace(self._api_key, "[API key]")
        return text[:_REASON_CHARS]

    def _key_source(self) -> str:
        if self._target.api_key_env:
            return f"environment variable {self._target.api_key_env}"
        if self._target.api_key_secret:
            return f"entry {self._target.api_key_secret} of the secrets file"
        return "none is configured: set api_key_env of the target"


def api_key_of(
    named: NamedTarget, environment: Callable[[str], str | None], secret: Callable[[str], str | None]
) -> str | None:
    """Return the key of an upstream target, or None where it names none.

    Raises:
        ModelCallRefusedError: the target names a key that this process does not have.
    """
    target = named.target
    if not isinstance(target, OpenAITarget):
        return None
    if target.api_key_env:
        key, place = environment(target.api_key_env), f"the environment variable {target.api_key_env}"
    elif target.api_key_secret:
        key, place = secret(target.api_key_secret), f"the entry {target.api_key_secret} of the secrets file"
    else:
        return None
    if not key:
        raise ModelCallRefusedError(named.name, f"its API key is not set: set {place} where Greenroom starts")
    return key


def _openai() -> Any:
    # 0.8 s and many megabytes that a process without upstream calls must not pay for.
    return importlib.import_module("openai")


def _text(choice: Any, is_thinking: bool) -> tuple[str, bool]:
    """Return the text of a choice of either mode, and whether the reasoning goes on after it."""
    delta = getattr(choice, "delta", None)
    if delta is None:
        return getattr(choice, "text", "") or "", False
    reasoning = getattr(delta, "reasoning_content", None) or ""
    content = delta.content or ""
    text = reasoning if is_thinking or not reasoning else f"<think>{reasoning}"
    is_thinking = is_thinking or bool(reasoning)
    if content and is_thinking:
        return f"{text}</think>{content}", False
    return text + content, is_thinking
