"""The figures of runs, as Ray shows them to Prometheus on every node, each behind ``ray_``.

    greenroom_run_segments_total       stretches of runs by how they ended: paused, or the status of the run's end
    greenroom_run_seconds              what ended runs had executed, without waiting for people, by status
    greenroom_journal_append_seconds   from handing facts to the store until they are durable, repetitions included
    greenroom_running_runs             runs that execute, by the journal
    greenroom_run_actors               run actors by state: free, held (leased), busy
    greenroom_queue_length             starts that wait for a run actor in the supervisor
    greenroom_recoveries_total         runs taken over after their actor died
    greenroom_open_streams             event streams open to clients, by ingress process

A label is a word from a fixed list or the number of a process, never a token, a person or an id. Only memory of the
process is touched; Ray reports every few seconds.
"""

import os
from collections.abc import Mapping
from typing import Final

from ray.util.metrics import Counter, Gauge, Histogram

from actors.pool import SlotState

RUN_BOUNDARIES_S: Final = [0.01, 0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 1200.0, 3600.0]
APPEND_BOUNDARIES_S: Final = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0]


class SegmentMetrics:
    """The figures of one run actor."""

    def __init__(self) -> None:
        self._segments = Counter("greenroom_run_segments", "Stretches of runs by how they ended.", ("end",))
        self._seconds = Histogram("greenroom_run_seconds", "Seconds that runs executed.", RUN_BOUNDARIES_S, ("status",))
        self._append = Histogram("greenroom_journal_append_seconds", "Seconds until facts are durable.",
                                 APPEND_BOUNDARIES_S)  # fmt: skip

    def count_segment(self, status: str, elapsed_s: float) -> None:
        """Count a stretch that ended as ``status``; ``elapsed_s``: what the run has executed altogether."""
        self._segments.inc(1, {"end": status})
        if status != "paused":
            self._seconds.observe(elapsed_s, {"status": status})

    def note_append(self, seconds: float) -> None:
        """Note how long facts took to become durable."""
        self._append.observe(seconds)


class PoolMetrics:
    """The figures of the supervisor."""

    def __init__(self) -> None:
        self._actors = Gauge("greenroom_run_actors", "Run actors by state.", ("state",))
        self._queue = Gauge("greenroom_queue_length", "Starts that wait for a run actor.")
        self._running = Gauge("greenroom_running_runs", "Runs that execute.")
        self._recoveries = Counter("greenroom_recoveries", "Runs taken over after their actor died.")

    def show_pool(self, count_by_state: Mapping[SlotState, int], waiting_count: int) -> None:
        """Show how many actors are in each state (name every state, also with 0), and how many starts wait."""
        for state, count in count_by_state.items():
            self._actors.set(count, {"state": state})
        self._queue.set(waiting_count)

    def show_running(self, count: int) -> None:
        """Show how many runs execute."""
        self._running.set(count)

    def count_recovery(self) -> None:
        """Count a run that another actor takes over."""
        self._recoveries.inc(1)


class StreamMetrics:
    """The figures of one ingress process."""

    def __init__(self) -> None:
        self._open_count = 0
        self._open = Gauge("greenroom_open_streams", "Event streams open to clients.", ("process",))
        self._open.set_default_tags({"process": str(os.getpid())})

    def opened(self) -> None:
        """Note that a stream was opened."""
        self._change(1)

    def closed(self) -> None:
        """Note that a stream was closed."""
        self._change(-1)

    def _change(self, by: int) -> None:
        self._open_count += by
        self._open.set(self._open_count)
