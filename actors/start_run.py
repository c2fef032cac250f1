"""Starts a run on a leased actor and sees it to its outcome, whatever happens to leases and actors meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from actors.calls import SUPERVISOR, ask
from actors.death_cause import death_cause
from actors.errors import ActorAwayError, BusyError, RunElsewhereError, RunGivenUpError
from actors.messages import Lease, RunOrder, RunOutcome
from actors.run_segment import outcome_of
from graph.events import FormOpened, RunPaused
from store.errors import FencedError, RunNotFoundError
from store.journal import Journal

REREAD_S = 1.0
"""How long to wait for a hint before the journal is read again."""
MOST_DEATHS = 5
"""How many actors a new run may lose before its first fact."""


class Leases(Protocol):
    """Lends leases, each for one run."""

    def lease(self) -> AbstractAsyncContextManager[Lease]:
        """Lend a lease until the block is left."""
        ...


class Hints(Protocol):
    """Tells when to look at a run again."""

    def wait(self, run_id: str, number: int) -> Awaitable[None]:
        """Return when the run may have facts after ``number``, or soon."""
        ...


class TimedHints:
    """Hints by the clock alone, for rare waits."""

    async def wait(self, run_id: str, number: int) -> None:
        """Return after a while."""
        await asyncio.sleep(REREAD_S)


class Deaths:
    """Counts the actors that a new run has lost before its first fact: nothing is stored that could tell."""

    def __init__(self) -> None:
        self._count = 0

    def note(self, error: ActorAwayError) -> None:
        """Note one more; nothing of the run was started there.

        Raises:
            RunGivenUpError: it is the last one; the run would end every actor of the pool again and again.
        """
        self._count += 1
        if self._count == MOST_DEATHS:
            raise RunGivenUpError(MOST_DEATHS - 1, death_cause(error)) from error


async def run_on(leases: Leases, order: RunOrder) -> RunOutcome:
    """Have an actor that ``leases`` lend execute a new run, by a call of its own; raises as ``RunActor.run``.

    Raises:
        QueueFullError: too many starts wait; nothing was started.
        ActorAwayError: the actor died, before, during or after the run; or the supervisor is away.
    """
    async with leases.lease() as lease:
        return await ask(lease.actor_name, "run", order, lease.lease_id, call_name=order.run_id, patience_s=0.0)


async def start_run(
    order: RunOrder, run: Callable[[RunOrder], Awaitable[RunOutcome]], journal: Journal, hints: Hints
) -> RunOutcome:
    """Execute a new run until it finishes or pauses; may be repeated with the same run id.

    Args:
        order: the run.
        run: has it executed on a leased actor, as ``run_on``.
        journal: knows what became of it where that fails.
        hints: tell when to look there again.

    Raises:
        QueueFullError: too many starts wait; nothing was started.
        RunGivenUpError: its actors died, one after the other, before its first fact; nothing was started.
        GreenroomError: the run actor's; the run was not started.
    """
    run_id = order.run_id
    deaths = Deaths()
    while True:
        try:
            return await run(order)
        except BusyError:
            pass
        except (RunElsewhereError, FencedError):
            return await stored_outcome(run_id, journal, hints)
        except ActorAwayError as error:
            if error.actor == SUPERVISOR:
                raise
            # It may have died before, during or after the run; only the journal knows.
            if await journal.get(run_id) is not None:
                return await stored_outcome(run_id, journal, hints)
            deaths.note(error)


async def stored_outcome(run_id: str, journal: Journal, hints: Hints) -> RunOutcome:
    """Return how a run stands once it does not execute any more, by its journal.

    Raises:
        RunNotFoundError: there is no such run.
    """
    while True:
        record = await journal.get(run_id)
        if record is None:
            raise RunNotFoundError(run_id)
        if record.is_terminal:
            return outcome_of(record, [])
        # What lies in the inbox is about to be taken up.
        if record.status == "paused" and not await journal.inbox(run_id):
            facts = [fact for _, fact in await journal.read(run_id)]
            if isinstance(facts[-1], RunPaused):
                open_ids = facts[-1].form_ids
                forms = {fact.form_id: fact for fact in facts if isinstance(fact, FormOpened)}
                return outcome_of(record, [forms[form_id] for form_id in open_ids])
        await hints.wait(run_id, record.head)
