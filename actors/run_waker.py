"""Gets a run to look into its inbox: tells the actor that executes it, or resumes it on another one."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import structlog

from actors.background import Background
from actors.calls import SUPERVISOR, ask, tell
from actors.errors import ActorAwayError, BusyError, RunElsewhereError
from actors.messages import Lease
from graph.errors import GreenroomError, UnavailableError
from store.errors import FencedError
from store.forms import Resumable

_log = structlog.get_logger()

RETRY_S = 1.0


class ResumeLeases(Protocol):
    """Lends leases, each to resume one run."""

    def hold(self) -> None:
        """Begin to hold a lease in advance. May be called often."""
        ...

    def lease(self) -> AbstractAsyncContextManager[Lease]:
        """Lend a lease until the block is left."""
        ...


class RunWaker(Protocol):
    """Wakes runs, in the background."""

    def warm_up(self) -> None:
        """Prepare for the first run. May be called often."""
        ...

    def wake(self, run: Resumable) -> None:
        """Have a run take up what its inbox holds. May be called as often as one likes."""
        ...


class LeasedWaker:
    """Implements RunWaker on run actors; a run is being resumed once at a time. Belongs to one event loop.

    What it was told and has not done is lost with its process: then the reconciler wakes again.
    """

    def __init__(self, leases: ResumeLeases) -> None:
        self._leases = leases
        self._background = Background()
        self._resuming: dict[str, bool] = {}
        """Run id -> whether something came in since it was last begun with."""
        self._actors: dict[str, str] = {}

    @property
    def resuming_count(self) -> int:
        """How many runs are being resumed."""
        return len(self._resuming)

    def warm_up(self) -> None:
        """Begin to hold a lease, so that resuming a run is one call; see RunWaker."""
        self._leases.hold()

    def wake(self, run: Resumable) -> None:
        """Have a run take up what its inbox holds; see RunWaker."""
        if run.run_status == "running":
            if run.actor:
                tell(run.actor, "wake", run.run_id)
        elif run.run_status == "paused":
            if run.run_id in self._resuming:
                # Its actor may have read the inbox before this item came in, or paused the run again already.
                self._resuming[run.run_id] = True
                if actor := self._actors.get(run.run_id):
                    tell(actor, "wake", run.run_id)
            else:
                self._resuming[run.run_id] = False
                self._background.start(self._resume(run.run_id), run.run_id)

    async def _resume(self, run_id: str) -> None:
        try:
            while True:
                self._resuming[run_id] = False
                try:
                    await self._go_on(run_id)
                    # No await between this and the end: what comes in later begins anew.
                    if not self._resuming[run_id]:
                        return
                except UnavailableError as error:
                    _log.warning("a run cannot be resumed yet", run_id=run_id, reason=str(error))
                    await asyncio.sleep(RETRY_S)
        except GreenroomError as error:
            _log.error("a run cannot be resumed", run_id=run_id, reason=str(error))
        except Exception:  # boundary: HITL loop  # noqa: BLE001
            _log.exception("a run could not be resumed", run_id=run_id)
        finally:
            self._actors.pop(run_id, None)
            self._resuming.pop(run_id, None)

    async def _go_on(self, run_id: str) -> None:
        """Resume a run and wait until its segment is over, or somebody else is found to execute it."""
        while True:
            try:
                async with self._leases.lease() as lease:
                    self._actors[run_id] = lease.actor_name
                    await ask(lease.actor_name, "resume", run_id, lease.lease_id, call_name=run_id, patience_s=0.0)
                return
            except BusyError:
                # The lease was taken back.
                pass
            except ActorAwayError as error:
                if error.actor == SUPERVISOR:
                    raise
                # If it died with the run, the supervisor recovers it, and the next actor says that the run is
                # elsewhere; if it died before, the next one resumes it.
            except RunElsewhereError as error:
                tell(error.actor, "wake", run_id)
                return
            except FencedError:
                # Whoever was faster may have read the inbox before the item came in.
                pass
