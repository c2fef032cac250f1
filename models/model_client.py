"""The chat model that nodes call: finds out what a name means, and streams from there.

It works in any process of the cluster. Serve and the handles are taken at the first call of a target, which costs a
fresh process a second once. It never retries: that is the policy of the node.
"""

import asyncio
import importlib
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

import httpx2
import ray.exceptions

from graph.errors import GreenroomError
from graph.ports import ChatDelta, ChatRequest, ChatUsage
from models.catalog import Catalog, LocalTarget, NamedTarget, OpenAITarget, ScriptedTarget
from models.errors import ModelUnavailableError
from models.openai_upstream import OpenAIUpstream, api_key_of

LOCAL_DEPLOYMENT: Final = "chat"
SCRIPTED_DEPLOYMENT: Final = "scripted-chat"


def application_name(target_name: str) -> str:
    """Return the name of the Serve application of a target."""
    return f"model-{target_name}"


def deployment_name(target: LocalTarget | ScriptedTarget) -> str:
    """Return the name of the deployment in the application of a target."""
    return LOCAL_DEPLOYMENT if isinstance(target, LocalTarget) else SCRIPTED_DEPLOYMENT


def plain_http_client() -> httpx2.AsyncClient:
    """Return a client without a guard, that follows no redirect and heeds no proxy variable."""
    return httpx2.AsyncClient(follow_redirects=False, trust_env=False)


def _no_secret(_: str) -> None:
    return None


class ServeChatModel:
    """Implements graph.ports.ChatModel over the targets of a catalog. Belongs to one event loop."""

    def __init__(
        self,
        catalog: Catalog,
        http_client: Callable[[], httpx2.AsyncClient] = plain_http_client,
        secret: Callable[[str], str | None] = _no_secret,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the client; touches neither Serve nor the network.

        Args:
            catalog: what provider and model names mean.
            http_client: makes the guarded client of the calls to upstreams.
            secret: name -> value of the secrets file, or None.
            monotonic: seconds, for latencies.
        """
        self._catalog = catalog
        self._http_client = http_client
        self._secret = secret
        self._monotonic = monotonic
        self._handles: dict[str, Any] = {}
        self._upstreams: dict[str, OpenAIUpstream] = {}

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Yield the answer piece by piece; the last one carries finish reason and usage with latencies.

        Closing the iterator (``contextlib.aclosing``) or cancelling the task that waits for it cancels the generation.

        Raises:
            ModelNotConfiguredError: no target is configured for the name.
            ModelWeightsError: the weights of the target are missing or wrong.
            ModelCallRefusedError: the model refused this call.
            ModelUnavailableError: the model is not there, or its answer broke off.
            ScriptedError: the script of the target fails this call.
        """
        named = self._catalog.resolve(request.provider, request.name)
        started = self._monotonic()
        first: float | None = None
        source = self._upstream(named).stream(request) if _is_upstream(named) else self._serve_stream(named, request)
        async with aclosing(source) as deltas:
            async for delta in deltas:
                if delta.text and first is None:
                    first = self._monotonic() - started
                if delta.finish_reason is None:
                    yield delta
                    continue
                latency = self._monotonic() - started
                usage = replace(delta.usage or ChatUsage(), latency_s=latency, time_to_first_token_s=first)
                yield replace(delta, usage=usage)

    async def close(self) -> None:
        """Close the connections to upstreams."""
        upstreams, self._upstreams = self._upstreams, {}
        for upstream in upstreams.values():
            await upstream.close()

    async def _serve_stream(self, named: NamedTarget, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        handle = await self._handle(named)
        response = handle.stream.remote(request)
        is_open = True
        try:
            async for delta in response:
                yield delta
            is_open = False
        except ray.exceptions.RayTaskError as error:
            raise _cause(error, request.name) from None
        except _transport_errors() as error:
            self._handles.pop(named.name, None)
            raise ModelUnavailableError(request.name, _sentence(error)) from None
        finally:
            if is_open:
                response.cancel()

    async def _handle(self, named: NamedTarget) -> Any:
        handle = self._handles.get(named.name)
        if handle is None:
            handle = (await asyncio.to_thread(_take_handle, named)).options(stream=True)
            self._handles[named.name] = handle
        return handle

    def _upstream(self, named: NamedTarget) -> OpenAIUpstream:
        upstream = self._upstreams.get(named.name)
        if upstream is None:
            assert isinstance(named.target, OpenAITarget)
            key = api_key_of(named, os.environ.get, self._secret)
            upstream = self._upstreams[named.name] = OpenAIUpstream(named.target, key, self._http_client)
        return upstream


def _is_upstream(named: NamedTarget) -> bool:
    return isinstance(named.target, OpenAITarget)


def _serve() -> Any:
    # A second and the whole web stack, which a run actor without model calls must not pay for.
    return importlib.import_module("ray.serve")


def _transport_errors() -> tuple[type[Exception], ...]:
    # Serve's calls go over gRPC where it is optimised for throughput, and some of its errors come through bare.
    rpc_error = importlib.import_module("grpc").RpcError
    return (ray.exceptions.RayError, _serve().exceptions.RayServeException, rpc_error)


def _take_handle(named: NamedTarget) -> Any:
    assert not isinstance(named.target, OpenAITarget)
    serve = _serve()
    try:
        return serve.get_deployment_handle(deployment_name(named.target), app_name=application_name(named.name))
    except _transport_errors() as error:
        raise ModelUnavailableError(named.name, _sentence(error)) from None
    except KeyError:
        raise ModelUnavailableError(
            named.name, f"the Serve application {application_name(named.name)} is not deployed"
        ) from None


def _cause(error: ray.exceptions.RayTaskError, name: str) -> GreenroomError:
    """Return the error as the replica raised it: Ray's own text carries the remote traceback."""
    cause = error.cause
    if isinstance(cause, GreenroomError):
        return cause
    return ModelUnavailableError(name, f"{type(cause).__name__}: {cause}")


def _sentence(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
