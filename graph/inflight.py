"""Text that nodes in flight stream: told as it comes where the reader waits for it, kept for the node's end."""

from collections.abc import Callable

from graph.events import NodeFinished, TextPart
from graph.plan import PlanNode
from graph.ports import Recorder
from graph.run_state import Execution, RunState


class _Stream:
    """One output being streamed. ``told_count``, ``told_chars``: how much of ``pieces`` the reader has."""

    __slots__ = ("id", "name", "node_id", "pieces", "scope", "told_chars", "told_count")

    def __init__(self, scope: str, node_id: str, name: str, stream: str) -> None:
        self.id = stream
        self.scope = scope
        self.node_id = node_id
        self.name = name
        self.pieces: list[str] = []
        self.told_count = 0
        self.told_chars = 0


def stream_id(execution: Execution, name: str) -> str:
    """Return the name of one output that an attempt of an execution streams, as TextPart and TextEmitted carry it."""
    attempt = f"#{execution.retries}" if execution.retries else ""
    return f"{execution.execution_id}/{name}{attempt}"


class InFlight:
    """The streams of all nodes in flight of one run."""

    def __init__(self, state: RunState, recorder: Recorder) -> None:
        self._state = state
        self._recorder = recorder
        self._streams: dict[str, dict[str, _Stream]] = {}

    def begin(
        self, execution: Execution, node: PlanNode, can_tell: Callable[[], bool]
    ) -> Callable[[str, str, bool], None]:
        """Return the function through which the execution streams; text that no answer uses is dropped.

        ``can_tell``: whether parts may be told at this moment; if not, ``tell`` makes up for it.
        """
        selectors = self._state.scopes[execution.scope].plan.response_selectors
        streams = self._streams[execution.execution_id] = {}

        def emit(name: str, text: str, is_final: bool) -> None:
            if (node.id, name) not in selectors:
                return
            stream = streams.get(name)
            if stream is None:
                stream = streams[name] = _Stream(execution.scope, node.id, name, stream_id(execution, name))
            if text or is_final:
                stream.pieces.append(text)
            if self._streams.get(execution.execution_id) is streams and can_tell():
                self._tell(stream)

        return emit

    def end(self, execution: Execution) -> None:
        """Forget an execution that ended without streaming."""
        self._streams.pop(execution.execution_id, None)

    def withdraw(self, execution: Execution) -> list[str]:
        """Forget what an attempt that failed has streamed; return the streams of which readers have text."""
        streams = self._streams.pop(execution.execution_id, None)
        return [stream.id for stream in streams.values() if stream.told_chars] if streams else []

    def end_node(self, fact: NodeFinished) -> dict[str, list[str]] | None:
        """Put what the node streamed into ``fact.streamed``, for ``apply``.

        Of a failed node only what the reader already has counts.

        Returns:
            What the stored fact shall carry instead: the same without the pieces that its TextEmitted facts carry.
        """
        streams = self._streams.pop(fact.execution_id, None)
        if not streams:
            return None
        waiting_for = self._state.scopes[fact.scope].stream.waiting_for
        is_audible = self._state.is_audible(fact.scope)
        full: dict[str, list[str]] = {}
        stored: dict[str, list[str]] = {}
        for name, stream in streams.items():
            pieces = stream.pieces if fact.status == "succeeded" else stream.pieces[: stream.told_count]
            if pieces:
                full[name] = pieces
                stored[name] = [] if is_audible and waiting_for == (fact.node_id, name) else pieces
        fact.streamed = full or None
        return stored or None

    def tell(self) -> None:
        """Tell all text that the reader waits for and does not have yet."""
        for streams in self._streams.values():
            for stream in streams.values():
                self._tell(stream)

    def _tell(self, stream: _Stream) -> None:
        state = self._state
        if state.scopes[stream.scope].stream.waiting_for != (stream.node_id, stream.name):
            return
        if not state.is_audible(stream.scope):
            return
        for text in stream.pieces[stream.told_count :]:
            stream.told_count += 1
            if text:
                self._recorder.tell(
                    TextPart(
                        stream.id,
                        state.attempt,
                        stream.told_chars,
                        stream.node_id,
                        [stream.node_id, stream.name],
                        text,
                        stream.scope,
                    )
                )
                stream.told_chars += len(text)
