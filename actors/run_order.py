"""What is to run, in whose name: the one place where a new run is put together, for every surface and for Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import uuid_utils

from actors.trace_context import checked_traceparent
from store.account_record import EndUser
from store.app_record import AppRecord
from store.run_record import NewRun, RunRecord


@dataclass(frozen=True, slots=True)
class Starter:
    """Who starts runs: ``starter_id`` is an end user's or an account's, as ``role`` says.

    ``user``: the caller's own name for that person, "" for none. ``invoke_source``: through what they come; it decides
    who is asked by forms (spec/hitl.md 1.11).
    """

    role: Literal["end_user", "account"]
    starter_id: str
    user: str
    invoke_source: str

    @classmethod
    def of_end_user(cls, end_user: EndUser, invoke_source: str) -> "Starter":
        """Return ``end_user`` as somebody who starts runs."""
        return cls("end_user", end_user.end_user_id, end_user.session_id, invoke_source)

    def has_started(self, run: RunRecord) -> bool:
        """Whether ``run`` is one of this person, through whatever it was started."""
        return (run.created_by_role, run.created_by_id) == (self.role, self.starter_id)


def new_run(
    app: AppRecord,
    version_id: str,
    starter: Starter,
    inputs: Mapping[str, Any],
    at: float,
    traceparent: str | None = None,
) -> NewRun:
    """Return a run that is to be started, under an id of its own.

    Args:
        app: what runs.
        version_id: in which version.
        starter: for whom.
        inputs: checked start inputs.
        at: now, in Unix seconds.
        traceparent: the caller's trace as its header says; what follows no rule counts as none.
    """
    return NewRun(
        run_id=str(uuid_utils.uuid7()),
        workspace_id=app.workspace_id,
        app_id=app.app_id,
        version_id=version_id,
        mode=app.mode,
        invoke_source=starter.invoke_source,
        created_by_role=starter.role,
        created_by_id=starter.starter_id,
        user=starter.user,
        inputs=dict(inputs),
        created_at=at,
        traceparent=checked_traceparent(traceparent),
    )
