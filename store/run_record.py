"""What the store knows about a run: the values that go into a journal and come out of it.

Which facts change which fields of a run is decided here, once for every kind of store. Times are Unix seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from graph.events import Fact, RunEnd, RunFinished, RunPaused, RunRecovered, RunResumed, RunStarted
from graph.ports import InboxItem
from store.chat_record import NewMessage
from store.outbox_record import OutboxEntry

RunStatus = Literal["running", "paused"] | RunEnd

TERMINAL: Final = frozenset({"succeeded", "failed", "stopped", "partial-succeeded"})
"""The statuses of a run that nothing changes any more."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """Who runs what: the part of a run that never changes.

    ``created_by_role``: "end_user" or "account"; ``user``: the caller's own name for that person; ``inputs``:
    the checked start inputs. ``version_id`` names an immutable workflow version.
    """

    run_id: str
    workspace_id: str
    app_id: str
    version_id: str
    mode: str
    invoke_source: str
    created_by_role: str
    created_by_id: str
    user: str
    inputs: dict[str, Any]
    created_at: float
    traceparent: str | None = None
    """The caller's trace (W3C Trace Context), which the spans of the run join; None: a trace of its own."""

    @property
    def is_message(self) -> bool:
        """Whether the run is of a chatflow, and so a message of a conversation."""
        return self.mode == "advanced-chat"


@dataclass(frozen=True, slots=True)
class RunRecord(NewRun):
    """A run as its facts have left it, with who writes it.

    ``status``: running, paused or one of TERMINAL. ``epoch`` rises by one with every writer; ``head`` is the
    number of the last fact. ``total_tokens`` and ``total_steps`` are those of the last pause or the end, ``elapsed_s``
    also that of the last recovery.
    """

    status: RunStatus = "running"
    epoch: int = 1
    head: int = 0
    actor: str = ""
    lease_id: str = field(default="", repr=False)
    outputs: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    total_steps: int = 0
    total_tokens: int = 0
    elapsed_s: float = 0.0
    exceptions_count: int = 0
    paused_at: float | None = None
    finished_at: float | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended."""
        return self.status in TERMINAL


_STORED_FIELDS: Final = tuple(part.name for part in fields(RunRecord) if part.name not in ("inputs", "outputs"))


@dataclass(frozen=True, slots=True)
class JournalWrite:
    """The next facts of a run, and who claims to be its writer.

    ``head``: number of the last fact before these. ``found_epoch``: the epoch that the writer knows of;
    ``epoch``: the same for the owner, one more for a successor that takes the run over with this write.
    ``taken``: ids of inbox items that these facts take up. ``new_run``: set for the first write of a run (then
    ``head`` is 0 and ``epoch`` 1). ``actor`` and ``lease_id`` replace those of the run where not empty. ``cut``: node
    executions that these facts end while the run goes on, and whose forms are therefore to be closed. ``outbox``:
    what these facts have sent. ``is_message``: the run is a message of a conversation, which the facts change too;
    ``message``: that message, with the first write.
    """

    run_id: str
    epoch: int
    found_epoch: int
    head: int
    facts: Sequence[Fact]
    taken: Sequence[str] = ()
    new_run: NewRun | None = None
    actor: str = ""
    lease_id: str = field(default="", repr=False)
    cut: Sequence[str] = ()
    outbox: Sequence[OutboxEntry] = ()
    is_message: bool = False
    message: NewMessage | None = None

    @property
    def new_head(self) -> int:
        """Number of the last of these facts."""
        return self.head + len(self.facts)


@dataclass(frozen=True, slots=True)
class StoredRun:
    """All that a successor needs: the record, the last snapshot, the numbered facts after it, what is not taken.

    ``snapshot`` is None and ``snapshot_head`` 0 while the run has never paused.
    """

    record: RunRecord
    snapshot: bytes | None
    snapshot_head: int
    facts: list[tuple[int, Fact]]
    inbox: list[InboxItem]


def run_changes(facts: Sequence[Fact]) -> dict[str, Any]:
    """Return field of RunRecord -> new value, as ``facts`` change it; empty for most facts."""
    changes: dict[str, Any] = {}
    for fact in facts:
        match fact:
            case RunStarted() | RunResumed():
                changes |= {"status": "running", "paused_at": None}
            case RunRecovered():
                changes |= {"status": "running", "paused_at": None, "elapsed_s": fact.elapsed_s}
            case RunPaused():
                changes |= {
                    "status": "paused",
                    "paused_at": fact.at,
                    "elapsed_s": fact.elapsed_s,
                    "total_tokens": fact.total_tokens,
                    "total_steps": fact.total_steps,
                }
            case RunFinished():
                changes |= {
                    "status": fact.status,
                    "paused_at": None,
                    "finished_at": fact.at,
                    "outputs": fact.outputs,
                    "error": fact.error,
                    "elapsed_s": fact.elapsed_s,
                    "total_tokens": fact.total_tokens,
                    "total_steps": fact.total_steps,
                    "exceptions_count": fact.exceptions_count,
                }
            case _:
                pass
    return changes


def owner_changes(write: JournalWrite) -> dict[str, Any]:
    """Return field of RunRecord -> new value for the writer that ``write`` names."""
    return {name: value for name, value in (("actor", write.actor), ("lease_id", write.lease_id)) if value}


def stop_item_id(run_id: str) -> str:
    """Return the id of the one stop item that a run can have."""
    return f"stop-{run_id}"


def as_numbered(last_number: int, facts: Sequence[Fact]) -> list[tuple[int, Fact]]:
    """Return ``facts`` with their numbers, the last one being ``last_number``."""
    return list(enumerate(facts, start=last_number - len(facts) + 1))


def record_of(row: Mapping[str, Any], inputs: dict[str, Any], outputs: dict[str, Any]) -> RunRecord:
    """Return the record of a stored ``row``, which may hold more, with its unpacked ``inputs`` and ``outputs``."""
    values: dict[str, Any] = {name: row[name] for name in _STORED_FIELDS}
    return RunRecord(**values, inputs=inputs, outputs=outputs)
