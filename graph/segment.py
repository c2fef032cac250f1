"""What the engine holds between two pauses and a crash takes away."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from graph.nodes.kind import FormAsked, NodeResult, VariableUpdate
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
    """One stretch of a run in one process."""

    effects: list[tuple[Execution, float]] = field(default_factory=list)
    """Executions whose task starts once the facts before are durable, with the seconds it waits first."""
    tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    cut: list["asyncio.Task[Any]"] = field(default_factory=list)
    """Cancelled tasks of executions that were stopped."""
    ended: deque[Ended] = field(default_factory=deque)
    inbox: deque[InboxItem] = field(default_factory=deque)
    early: list[InboxItem] = field(default_factory=list)
    """Items for forms that the state does not know: as long as something moves, they may still be opened."""
    seen: set[str] = field(default_factory=set)
    """Ids of every inbox item that was handed in."""
    updates: deque[VariableUpdate] = field(default_factory=deque)
    """Variables that a command gives new values."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    steps: int = 0
    abort: str | None = None
    """Error text of a stop, an expiry or a limit; the first one ends the run as stopped."""
    pause: str | None = None
    """Reason of a command to pause: nothing new starts, and the run pauses once nothing executes."""
    is_leaving: bool = False
    """Whether nothing new starts because the run is to go on in another process."""

    @property
    def may_begin(self) -> bool:
        """Whether nodes that are ready may start."""
        return self.pause is None and not self.is_leaving

    def stop(self, reason: str) -> None:
        """End the run as stopped with ``reason``, unless it was stopped before."""
        if self.abort is None:
            self.abort = reason
        self.wake.set()
