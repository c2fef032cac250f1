"""Runs as a surface sees them: started, followed through pauses and crashes, stopped.

Nothing here owns a run. A reader that goes away, or this whole process, changes nothing for it.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any

from actors.background import Background
from actors.calls import SUPERVISOR, stream
from actors.errors import ActorAwayError, BusyError, RunElsewhereError
from actors.forms import FormsClient
from actors.leases import LeaseHolder
from actors.messages import Cursor, RunOrder, RunOutcome, TailBatch
from actors.start_run import Deaths, Hints, start_run, stored_outcome
from actors.tail import Reader
from actors.turns import Turns
from store.errors import FencedError, RunNotFoundError
from store.journal import Journal


class Runs:
    """Starts, follows and stops runs. One object for each process that serves requests, on one event loop."""

    def __init__(self, journal: Journal, forms: FormsClient, leases: LeaseHolder, hints: Hints) -> None:
        self._journal = journal
        self._forms = forms
        self._leases = leases
        self._turns = Turns(leases)
        self.hints = hints
        """Tell when to look at a run again."""
        self._background = Background()

    @classmethod
    def of(
        cls, journal: Journal, forms: FormsClient, hints: Hints, label: str, lease_ttl_s: float, queue_limit: int
    ) -> "Runs":
        """Return the runs of this process with a lease of its own, made at first use."""
        return cls(journal, forms, LeaseHolder(label, lease_ttl_s, queue_limit), hints)

    def warm_up(self) -> None:
        """Begin to hold a lease, so that the first start is one call too. Needs a running event loop."""
        self._leases.hold()

    async def start(self, order: RunOrder) -> RunOutcome:
        """Execute a new run and return how it stands when it has finished or paused.

        May be repeated: the same run id is the same run. A caller that is cancelled leaves the start under way.

        Raises:
            QueueFullError: too many starts wait; nothing was started.
            RunGivenUpError: its actors died, one after the other, before its first fact; nothing was started.
            UnavailableError: an actor or the store is away.
        """
        return await self._shielded(start_run(order, self._turns.run, self._journal, self.hints))

    async def start_and_follow(self, order: RunOrder) -> AsyncGenerator[TailBatch]:
        """Execute a new run and yield what it tells, from its first fact to its end or first pause.

        Raises:
            QueueFullError: too many starts wait; nothing was started.
            RunGivenUpError: its actors died, one after the other, before its first fact; nothing was started.
            UnavailableError: an actor or the store is away.
        """
        reader = Reader(Cursor())
        begun = _Begun()
        # The start is not the reader's: it goes on when the reader leaves, also while it waits for an actor.
        start = self._background.start(self._begin(order, begun), order.run_id)
        try:
            while (batch := await begun.batches.get()) is not None:
                yield reader.take(batch)
        finally:
            begun.is_left = True
        await start
        if not (reader.is_finished or reader.is_paused):
            followed = self._follow(order.run_id, reader, until_pause=True)
            async with aclosing(followed):
                async for batch in followed:
                    yield batch

    async def follow(self, run_id: str, cursor: Cursor, until_pause: bool = False) -> AsyncGenerator[TailBatch]:
        """Yield what a run tells after ``cursor``: from the journal, then text in flight, then live.

        It goes on through pauses and the death of actors to the last fact, or, if ``until_pause``, to the next pause
        after the cursor.

        Raises:
            RunNotFoundError: there is no such run.
            UnavailableError: the store is away.
        """
        followed = self._follow(run_id, Reader(cursor), until_pause)
        async with aclosing(followed):
            async for batch in followed:
                yield batch

    async def outcome(self, run_id: str) -> RunOutcome:
        """Return how a run stands once it has finished or paused.

        Raises:
            RunNotFoundError: there is no such run.
            UnavailableError: the store is away.
        """
        return await stored_outcome(run_id, self._journal, self.hints)

    async def stop(self, run_id: str, reason: str) -> None:
        """Stop a run; on return the request is durable. A run that has ended stays as it is.

        Raises:
            RunNotFoundError: there is no such run.
            UnavailableError: the request could not be stored.
        """
        await self._shielded(self._forms.stop(run_id, reason))

    async def close(self) -> None:
        """Let the leases of this process run out; runs go on."""
        await self._turns.close()
        await self._leases.close()

    async def _begin(self, order: RunOrder, begun: "_Begun") -> None:
        """Execute a new run and pass on what its actor tells of the first segment; may end before that does."""
        try:
            while not await self._has_begun(order, begun):
                pass
        finally:
            begun.batches.put_nowait(None)

    async def _has_begun(self, order: RunOrder, begun: "_Begun") -> bool:
        """Try one lease; False if nothing was started there."""
        try:
            async with self._leases.lease() as lease:
                items = stream(lease.actor_name, "run_and_tail", order, lease.lease_id, call_name=order.run_id)
                async with aclosing(items):
                    async for batch in items:
                        begun.pass_on(batch)
            return True
        except BusyError:
            return False
        except (RunElsewhereError, FencedError):
            return True
        except ActorAwayError as error:
            if error.actor == SUPERVISOR:
                raise
            # It may have died before the run had a first fact; then nothing was started.
            if begun.has_facts or await self._journal.get(order.run_id) is not None:
                return True
            begun.deaths.note(error)
            return False

    async def _follow(self, run_id: str, reader: Reader, until_pause: bool) -> AsyncGenerator[TailBatch]:
        while True:
            record = await self._journal.get(run_id)
            if record is None:
                raise RunNotFoundError(run_id)
            batch = reader.take_facts(await self._journal.read(run_id, reader.cursor.number))
            if batch.facts:
                yield batch
            if record.is_terminal and not batch.facts:
                return
            if reader.is_finished or (until_pause and reader.is_paused):
                return
            if record.status == "running" and not reader.is_paused:
                told = self._tail(run_id, record.actor, reader)
                async with aclosing(told):
                    async for batch in told:
                        yield batch
                if reader.is_finished or (until_pause and reader.is_paused):
                    return
            await self.hints.wait(run_id, reader.cursor.number)

    async def _tail(self, run_id: str, actor: str, reader: Reader) -> AsyncGenerator[TailBatch]:
        """Yield what the actor of a run tells; ends where the segment or the actor does."""
        batches = stream(actor, "tail", run_id, reader.cursor)
        try:
            async with aclosing(batches):
                async for batch in batches:
                    if reader.has_gap(batch):
                        yield reader.take_facts(await self._journal.read(run_id, reader.cursor.number))
                    taken = reader.take(batch)
                    if taken.facts or taken.parts:
                        yield taken
        except ActorAwayError:
            return

    async def _shielded(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await asyncio.shield(self._background.start(work))


class _Begun:
    """What the start of a run passes to its reader, as long as there is one; None ends it."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[TailBatch | None] = asyncio.Queue()
        self.deaths = Deaths()
        self.has_facts = False
        self.is_left = False

    def pass_on(self, batch: TailBatch) -> None:
        """Give a batch to the reader."""
        self.has_facts = self.has_facts or bool(batch.facts)
        if not self.is_left:
            self.batches.put_nowait(batch)
