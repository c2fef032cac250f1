"""Gets a run to look into its inbox: tells the actor that executes it, or resumes it on another one."""

import asyncio

import structlog

from actors.background import Background
from actors.calls import SUPERVISOR, ask, tell
from actors.errors import ActorAwayError, BusyError, RunElsewhereError
from actors.leases import LeaseHolder
from graph.errors import GreenroomError, UnavailableError
from store.errors import FencedError
from store.forms import Resumable

_log = structlog.get_logger()

RETRY_S = 1.0


class RunWaker:
    """Wakes runs in the background; a run is being resumed once at a time. Belongs to one event loop.

    Nothing depends on it being carried out: while an item is not taken up, the reconciler wakes again.
    """

    def __init__(self, leases: LeaseHolder) -> None:
        self._leases = leases
        self._background = Background()
        self._resuming: set[str] = set()
        self._actors: dict[str, str] = {}

    def wake(self, run: Resumable) -> None:
        """Have a run take up what its inbox holds. May be called as often as one likes."""
        if run.run_status == "running":
            if run.actor:
                tell(run.actor, "wake", run.run_id)
        elif run.run_status == "paused":
            if run.run_id in self._resuming:
                # Its actor may have read the inbox before this item came in.
                if actor := self._actors.get(run.run_id):
                    tell(actor, "wake", run.run_id)
            else:
                self._resuming.add(run.run_id)
                self._background.start(self._resume(run.run_id), run.run_id)

    async def _resume(self, run_id: str) -> None:
        try:
            while True:
                try:
                    await self._go_on(run_id)
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
            self._resuming.discard(run_id)

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
                return
