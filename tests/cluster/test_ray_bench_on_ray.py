"""The measurement of Greenroom on Ray, as the command runs it: with a Ray of its own, in a process of its own."""

import pytest

from benchmarks.options import Options
from benchmarks.ray_bench import measure

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def test_measuring_gives_every_figure():
    """It gives positive figures under the agreed keys."""
    figures = measure(Options(live_count=2))
    added_ms = figures.pop("ttft_added_ms")
    assert set(figures) == {
        "cold_start_s", "start_vs_bare_call", "start_ms", "bare_call_ms", "http_blocking_vs_echo",
        "http_blocking_rps", "http_echo_rps", "stream_tokens_vs_direct", "burst_tokens_vs_direct",
        "burst_tokens_per_s", "concurrent_runs_max", "rss_mb_per_live_run", "pss_mb_per_live_run",
        "rss_mb_idle_run_actor", "pss_mb_idle_run_actor", "rss_mb_bare_actor", "pss_mb_bare_actor",
    }  # fmt: skip
    assert all(value > 0 for value in figures.values())
    assert abs(added_ms) < 60_000
    assert figures["concurrent_runs_max"] == 2
