"""Makes the facts of one run durable, then tells them: the run's only writer while it holds the epoch."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from actors.announcer import Announcer
from actors.tail import SegmentTail
from graph.events import Fact, NodeFinished, RunFinished, TextPart
from graph.ports import InboxItem
from store.chat_record import NewMessage
from store.errors import StoreUnavailableError
from store.journal import Journal
from store.run_record import JournalWrite, NewRun, as_numbered

Result = TypeVar("Result")

PATIENCE_S = 60.0
"""How long a write is repeated while the store is away, before the run leaves this actor."""
_FIRST_DELAY_S = 0.05
_LONGEST_DELAY_S = 2.0


@dataclass(slots=True)
class Ownership:
    """Who writes a run, and how far it is.

    ``found_epoch`` is the epoch of the writer before, the same as ``epoch`` once the first write is through.
    ``new_run`` is set until then for a run that is not in the store yet, ``message`` too if it is one of a
    conversation; ``is_message`` says that of any run. ``form_nodes``: ids of the nodes that open forms.
    """

    run_id: str
    actor: str
    lease_id: str = field(repr=False)
    epoch: int = 1
    found_epoch: int = 1
    head: int = 0
    new_run: NewRun | None = None
    form_nodes: frozenset[str] = frozenset()
    is_message: bool = False
    message: NewMessage | None = None

    def write(self, facts: Sequence[Fact], taken: Sequence[str]) -> JournalWrite:
        """Return the next write of this owner."""
        is_first = self.epoch != self.found_epoch or self.new_run is not None
        return JournalWrite(
            self.run_id,
            self.epoch,
            self.found_epoch,
            self.head,
            facts,
            tuple(taken),
            self.new_run,
            self.actor if is_first else "",
            self.lease_id if is_first else "",
            cut=self._cut(facts),
            is_message=self.is_message,
            message=self.message,
        )

    def _cut(self, facts: Sequence[Fact]) -> tuple[str, ...]:
        """Return the executions of form nodes that ``facts`` cut off; the end of a run closes its forms anyway."""
        if not self.form_nodes or (facts and type(facts[-1]) is RunFinished):
            return ()
        ended = (fact for fact in facts if type(fact) is NodeFinished and fact.status == "stopped")
        return tuple(fact.execution_id for fact in ended if fact.node_id in self.form_nodes)


class RunRecorder:
    """Implements graph.ports.Recorder over the journal: one write in flight, repeated while the store is away.

    A write of which no answer came may have been stored. It is repeated as it was: the journal recognises it.
    """

    def __init__(
        self,
        journal: Journal,
        tail: SegmentTail,
        owner: Ownership,
        on_border: Callable[[int], None] = lambda head: None,
        patience_s: float = PATIENCE_S,
        announcer: Announcer | None = None,
        on_durable: Callable[[Sequence[Fact]], None] | None = None,
        note_seconds: Callable[[float], None] | None = None,
    ) -> None:
        """Prepare; nothing happens yet.

        Args:
            journal: where facts go.
            tail: told of them afterwards.
            owner: whose run it is.
            on_border: called with the head when a run that waited or lost its actor is taken over.
            patience_s: how long a write is repeated while the store is away.
            announcer: has events of the run sent; None where nobody is told.
            on_durable: called with facts once they are durable.
            note_seconds: called with how long that took.
        """
        self._announcer = announcer
        self._journal = journal
        self._tail = tail
        self._owner = owner
        self._on_border = on_border
        self._patience_s = patience_s
        self._on_durable = on_durable
        self._note_seconds = note_seconds

    @property
    def head(self) -> int:
        """Number of the last durable fact."""
        return self._owner.head

    @property
    def has_written(self) -> bool:
        """Whether this owner has written anything, and so owns the run."""
        return self._owner.new_run is None and self._owner.epoch == self._owner.found_epoch

    async def append(self, facts: Sequence[Fact], taken: Sequence[str] = ()) -> None:
        """Store ``facts``, then tell them; see graph.ports.Recorder.

        Raises:
            FencedError: another actor has taken the run over; nothing was told.
            RunExistsError: a run with the id of this new one exists.
            StoreUnavailableError: the store was away too long; the facts may be stored.
        """
        write = self._next_write(facts, taken)
        await self._repeat(lambda: self._journal.append(write))
        self._tell(write)

    async def pause(self, facts: Sequence[Fact], taken: Sequence[str], snapshot: bytes) -> Sequence[InboxItem]:
        """Store ``facts`` and ``snapshot`` unless the inbox has more; same errors as ``append``."""
        write = self._next_write(facts, taken)
        items = await self._repeat(lambda: self._journal.pause(write, snapshot))
        if not items:
            self._tell(write)
        return items

    def tell(self, part: TextPart) -> None:
        """Tell text of a node in flight."""
        self._tail.add_part(part)

    def _next_write(self, facts: Sequence[Fact], taken: Sequence[str]) -> JournalWrite:
        write = self._owner.write(list(facts), taken)
        return self._announcer.added_to(write) if self._announcer else write

    def _tell(self, write: JournalWrite) -> None:
        if self._announcer is not None and write.outbox:
            self._announcer.hint()
        owner = self._owner
        is_taken_over = not self.has_written and owner.new_run is None
        owner.head = write.new_head
        owner.found_epoch = owner.epoch
        owner.new_run = owner.message = None
        self._tail.add_facts(as_numbered(owner.head, write.facts))
        if self._on_durable is not None:
            self._on_durable(write.facts)
        if is_taken_over:
            # Readers of a run that waited or lost its actor learn where it goes on.
            self._on_border(owner.head)

    async def _repeat(self, work: Callable[[], Awaitable[Result]]) -> Result:
        begun_at = asyncio.get_running_loop().time()
        give_up_at = begun_at + self._patience_s
        delay_s = _FIRST_DELAY_S
        while True:
            try:
                result = await work()
                if self._note_seconds is not None:
                    self._note_seconds(asyncio.get_running_loop().time() - begun_at)
                return result
            except StoreUnavailableError:
                if asyncio.get_running_loop().time() + delay_s > give_up_at:
                    raise
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
