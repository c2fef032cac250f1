"""What the engine holds between two pauses and a crash takes away."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from graph.events import Fact
from graph.nodes.kind import FormAsked, NodeResult
from graph.ports import InboxItem
from graph.run_state import Execution


@dataclass(slots=True)
class Ended:
    """An effect task came to its end: with a result or an error."""

    execution: Execution
    result: NodeResult | FormAsked | None
    error: Exception | None


@dataclass(slots=True)
class Segment:
    """One stretch of a run in one process. ``facts`` and ``taken`` wait for the next append."""

    facts: list[Fact] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    effects: list[Execution] = field(default_factory=list)
    """Executions whose task starts once the facts before are durable."""
    tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    ended: deque[Ended] = field(default_factory=deque)
    inbox: deque[InboxItem] = field(default_factory=deque)
    seen: set[str] = field(default_factory=set)
    """Ids of every inbox item that was handed in."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    steps: int = 0
    abort: str | None = None
    """Error text of a stop, an expiry or a limit; the first one ends the run as stopped."""
    failure: str | None = None
    """Error text of the first node that failed without a strategy; ends the run as failed."""

    @property
    def is_over(self) -> bool:
        """Whether the run is to end now."""
        return self.abort is not None or self.failure is not None

    def stop(self, reason: str) -> None:
        """End the run as stopped with ``reason``, unless it was stopped before."""
        if self.abort is None:
            self.abort = reason
        self.wake.set()
