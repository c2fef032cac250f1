"""The scripted model as a Ray Serve deployment: exact answers through the same handles as real weights.

One replica only: the script counts its calls. It has no HTTP route.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from graph.ports import ChatDelta, ChatRequest
from models.scripted_model import Script, ScriptedCall, ScriptedModel


class ScriptedDeployment:
    """A replica with one ScriptedModel."""

    def __init__(self, script: Script) -> None:
        self._model = ScriptedModel(script)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Yield the scripted answer.

        Raises:
            ScriptedError: the script says so, or says nothing about this call.
        """
        async with aclosing(self._model.stream(request)) as deltas:
            async for delta in deltas:
                yield delta

    async def replace_script(self, script: Script) -> None:
        """Start over with ``script``; calls that wait are released."""
        self._model.replace_script(script)

    async def calls(self) -> list[ScriptedCall]:
        """Return every call since the script was set, in order of arrival."""
        return list(self._model.calls)

    async def release(self) -> None:
        """Let the calls go on that wait at ``hold_after``, and those that would."""
        self._model.release()

    async def wait_held(self, count: int = 1) -> None:
        """Return once ``count`` calls wait at ``hold_after`` at the same time."""
        await self._model.wait_held(count)
