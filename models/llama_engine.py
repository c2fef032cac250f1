"""The only module that knows xllamacpp: a request in its words, generation in the calling thread, chunks read back.

xllamacpp batches the slots of one server continuously and is thread-safe: each call blocks its own thread only. It is
an optional package, imported when an engine is made.
"""

import importlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graph.ports import ChatDelta, ChatRequest, ChatUsage
from models.catalog import LocalTarget
from models.errors import ModelCallRefusedError, ModelUnavailableError
from models.parameters import split_parameters
from models.structured_output import with_schema

# Between two prompt batches a generation can be cancelled. A thread reads about 150 prompt tokens a second of a small
# model, so 64 means half a second; it costs 2 % against the usual 512.
_PROMPT_BATCH_TOKENS = 64


def llama_body(request: ChatRequest, target: LocalTarget) -> dict[str, Any]:
    """Return the call as the engine takes it.

    Parameters that the engine does not have are left out: files carry those of their author's provider.

    Raises:
        ModelCallRefusedError: a parameter has a value that it cannot have, or the prompt has images.
    """
    if any(message.images for message in request.messages):
        raise ModelCallRefusedError(
            request.name, "it reads text only: take the images out of the prompt, or name a model that sees them"
        )
    request = with_schema(request, "json_schema")
    known, _ = split_parameters(request.name, {**target.parameters, **request.parameters})
    if "repetition_penalty" in known:
        known.setdefault("repeat_penalty", known.pop("repetition_penalty"))
    body: dict[str, Any] = {
        "max_tokens": target.max_tokens,
        **known,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }
    if request.mode == "completion":
        body["prompt"] = "\n\n".join(message.text for message in request.messages)
    else:
        body["messages"] = [{"role": message.role, "content": message.text} for message in request.messages]
        body["reasoning_format"] = "none"
    return body


class LlamaEngine:
    """One loaded GGUF file with its slots."""

    def __init__(self, weights: Path, target: LocalTarget) -> None:
        """Load ``weights``; takes a second and more, so call it in a thread.

        Raises:
            ModuleNotFoundError: xllamacpp is not installed.
            RuntimeError: llama.cpp cannot load the file.
        """
        xllamacpp = importlib.import_module("xllamacpp")
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(weights)
        parameters.n_ctx = target.context_tokens * target.slots
        parameters.n_parallel = target.slots
        parameters.n_batch = max(_PROMPT_BATCH_TOKENS, target.slots)
        parameters.n_ubatch = parameters.n_batch
        parameters.cpuparams.n_threads = target.threads
        parameters.cpuparams_batch.n_threads = target.threads
        parameters.verbosity = -1
        parameters.cache_ram_mib = 0  # its default keeps up to 8 GiB of old prompts
        # The engine also listens on a port of 127.0.0.1, which cannot be turned off: nobody knows this key.
        parameters.api_keys = [secrets.token_urlsafe(32)]
        parameters.n_threads_http = 1
        parameters.ui = False
        self._server = xllamacpp.Server(parameters)

    def generate(self, body: dict[str, Any], on_chunk: Callable[[dict[str, Any]], bool]) -> None:
        """Generate in the calling thread, which is blocked until the end; ``on_chunk`` cancels by returning True.

        Raises:
            ValueError: the engine cannot read ``body``.
        """
        if "prompt" in body:
            self._server.handle_completions(body, on_chunk)
        else:
            self._server.handle_chat_completions(body, on_chunk)


@dataclass(slots=True)
class ChunkReader:
    """Reads the engine's chunks of one call; ``token_count`` counts those that carried text."""

    name: str
    token_count: int = 0
    finish_reason: str | None = None
    usage: ChatUsage | None = None

    def read(self, chunks: Iterable[dict[str, Any]]) -> str:
        """Return the text of ``chunks``, in order; remembers the finish reason and usage that came with them.

        Raises:
            ModelCallRefusedError: the engine refused the call.
            ModelUnavailableError: the engine failed.
        """
        parts = []
        for chunk in chunks:
            if "error" in chunk:
                raise self._failure(chunk["error"])
            for choice in chunk.get("choices", ()):
                text = choice["text"] if "text" in choice else choice.get("delta", {}).get("content")
                if text:
                    parts.append(text)
                    self.token_count += 1
                self.finish_reason = choice.get("finish_reason") or self.finish_reason
            if "usage" in chunk:
                usage = chunk["usage"]
                self.usage = ChatUsage(usage["prompt_tokens"], usage["completion_tokens"])
        return "".join(parts)

    def end(self) -> ChatDelta:
        """Return the last delta of the call.

        Raises:
            ModelUnavailableError: the engine stopped without saying that the answer is complete.
        """
        if self.finish_reason is None:
            raise ModelUnavailableError(self.name, "the answer broke off")
        return ChatDelta(finish_reason=self.finish_reason, usage=self.usage or ChatUsage())

    def _failure(self, error: dict[str, Any]) -> ModelCallRefusedError | ModelUnavailableError:
        reason = str(error.get("message", "the engine gave no reason"))
        is_refused = 400 <= int(error.get("code", 500)) < 500
        return ModelCallRefusedError(self.name, reason) if is_refused else ModelUnavailableError(self.name, reason)
