"""The measurement of Greenroom on Ray, in short."""

from pathlib import Path

import pytest

from local_cluster import LocalCluster

# Before Serve: it reads its switches when it is imported.
from benchmarks.ray_measure import Effort, measure  # isort: skip
from stage import named_actors

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


async def test_measuring_gives_every_figure(ray_cluster: LocalCluster, tmp_path: Path):
    """One short round gives positive figures under the agreed keys and leaves no actor behind."""
    told: list[str] = []
    figures = await measure(tmp_path, ray_cluster.serve_port, Effort(rounds=1, budget_s=0.0, live=2), told.append)
    added_ms = figures.pop("ray.ttft_added_ms")
    assert set(figures) == {
        "ray.cold_start_s", "ray.start_vs_bare_call", "ray.start_ms", "ray.bare_call_ms", "ray.http_blocking_vs_echo",
        "ray.http_blocking_rps", "ray.http_echo_rps", "ray.stream_tokens_vs_direct", "ray.burst_tokens_vs_direct",
        "ray.burst_tokens_per_s", "ray.concurrent_runs_max", "ray.rss_mb_per_live_run", "ray.pss_mb_per_live_run",
        "ray.rss_mb_idle_run_actor", "ray.pss_mb_idle_run_actor", "ray.rss_mb_bare_actor", "ray.pss_mb_bare_actor",
    }  # fmt: skip
    assert all(value > 0 for value in figures.values())
    assert abs(added_ms) < 60_000
    assert figures["ray.concurrent_runs_max"] == 2
    assert named_actors() == []
