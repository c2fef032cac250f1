"""Chat on local weights as a Ray Serve deployment.

A replica loads one GGUF file and serves as many calls at a time as the target has slots; further calls wait in the
replica, where they can still be cancelled. Everything that takes time runs in threads, so health checks and streams of
other calls go on. It has no HTTP route: only handles reach it.

A caller that closes, is cancelled or dies ends its generation within half a second. Death is noticed where Serve's
calls go over gRPC (``RAY_SERVE_THROUGHPUT_OPTIMIZED=1``); elsewhere the answer runs to its ``max_tokens``.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from graph.ports import ChatDelta, ChatRequest
from models.catalog import LocalTarget
from models.errors import ModelCallRefusedError, ModelWeightsError
from models.llama_engine import ChunkReader, LlamaEngine, llama_body
from models.weights import checked_weights

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SlotReport:
    """How a replica is used: slots in all and busy now, calls that wait for one; since its start: tokens, cut calls."""

    slots: int
    busy_count: int
    waiting_count: int
    generated_tokens: int
    cancelled_count: int


class ChatDeployment:
    """A replica: one engine, its slots and its threads."""

    def __init__(self, target_name: str, target: LocalTarget) -> None:
        self._target_name = target_name
        self._target = target
        self._engine: LlamaEngine | None = None
        self._loading = asyncio.Lock()
        self._slots = asyncio.Semaphore(target.slots)
        self._threads = ThreadPoolExecutor(target.slots, thread_name_prefix="generate")
        self._busy_count = 0
        self._waiting_count = 0
        self._generated_tokens = 0
        self._cancelled_count = 0

    async def check_health(self) -> None:
        """Load the weights if they are not; Serve sends calls only after this was fine once.

        Missing or wrong weights are a fault of the configuration, which a restart does not mend: the replica stays and
        tells every caller what to set.

        Raises:
            RuntimeError: llama.cpp cannot load the weights; Serve replaces the replica.
        """
        try:
            await self._loaded()
        except ModelWeightsError as error:
            _log.warning("%s", error)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Yield the answer; what arrived together comes as one piece. Cancelling or closing it frees the slot.

        Raises:
            ModelWeightsError: there are no usable weights.
            ModelCallRefusedError: a parameter or the prompt's length does not fit.
            ModelUnavailableError: the engine failed or broke off.
        """
        body = llama_body(request, self._target)
        engine = await self._loaded()
        self._waiting_count += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting_count -= 1
        async with aclosing(self._generate(engine, request.name, body)) as deltas:
            async for delta in deltas:
                yield delta

    async def report(self) -> SlotReport:
        """Return how this replica is used now."""
        return SlotReport(
            self._target.slots, self._busy_count, self._waiting_count, self._generated_tokens, self._cancelled_count
        )

    async def _loaded(self) -> LlamaEngine:
        async with self._loading:
            if self._engine is None:
                self._engine = await asyncio.to_thread(self._load)
            return self._engine

    def _load(self) -> LlamaEngine:
        weights = checked_weights(self._target_name, self._target.model_path, self._target.sha256)
        try:
            return LlamaEngine(weights, self._target)
        except ModuleNotFoundError as error:
            reason = f"the package {error.name} is not installed (requirements-local.lock)"
            raise ModelWeightsError(self._target_name, reason) from None

    async def _generate(self, engine: LlamaEngine, name: str, body: dict[str, Any]) -> AsyncGenerator[ChatDelta, None]:
        """Run one call in a thread; the slot taken by the caller is given back when that thread is done."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        is_left = threading.Event()

        def on_chunk(chunk: dict[str, Any]) -> bool:
            if not is_left.is_set():
                loop.call_soon_threadsafe(arrived.put_nowait, chunk)
            return is_left.is_set()

        def on_done(done: asyncio.Future[None]) -> None:
            done.exception()  # seen, also when nobody waits for the answer any more
            self._busy_count -= 1
            self._slots.release()
            arrived.put_nowait(None)

        self._busy_count += 1
        generation = loop.run_in_executor(self._threads, engine.generate, body, on_chunk)
        generation.add_done_callback(on_done)
        reader = ChunkReader(name)
        is_complete = False
        try:
            is_open = True
            while is_open:
                chunks = [await arrived.get()]
                while not arrived.empty():
                    chunks.append(arrived.get_nowait())
                is_open = chunks[-1] is not None
                text = reader.read(chunk for chunk in chunks if chunk is not None)
                if text:
                    yield ChatDelta(text=text)
            _raise_engine_error(generation, name)
            is_complete = True
            yield reader.end()
        finally:
            is_left.set()
            self._generated_tokens += reader.token_count
            self._cancelled_count += not is_complete


def _raise_engine_error(generation: "asyncio.Future[None]", name: str) -> None:
    try:
        generation.result()
    except ValueError as error:  # the engine's answer to a body that it cannot read
        raise ModelCallRefusedError(name, str(error)) from None
