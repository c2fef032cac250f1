"""The measurement of asking people on Ray, in short."""

from pathlib import Path

import pytest

from benchmarks.hitl_ray import hitl_rss_bytes, measure_ray
from local_cluster import LocalCluster
from stage import named_actors

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


async def test_measuring_on_ray_gives_every_figure(ray_cluster: LocalCluster, tmp_path: Path):
    """One short round gives positive figures under the agreed keys and leaves no actor behind."""
    told: list[str] = []
    figures = await measure_ray(tmp_path, 1, 0.0, told.append)
    assert set(figures) == {
        "ray.cycles_per_s", "ray.vs_relay", "ray.pause_p50_ms", "ray.resume_p50_ms", "ray.resume_vs_bare_call",
        "ray.bare_call_p50_ms",
    }  # fmt: skip
    assert all(value > 0 for value in figures.values())
    assert told == ["on Ray, round 1 of 1 …"]
    assert await hitl_rss_bytes(tmp_path, 1) > 10_000_000
    assert named_actors() == []
