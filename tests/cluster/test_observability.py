"""What Prometheus and a collector get from running actors."""

import gzip
import re
from pathlib import Path

import httpx2
import pytest
import ray
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from actors.trace_context import context_of_run
from local_cluster import LocalCluster
from local_server import LocalServer, local_server
from stage import open_stage

pytestmark = pytest.mark.timeout(300)

SHOWN = {
    "greenroom_run_segments_total", "greenroom_run_seconds_count", "greenroom_journal_append_seconds_bucket",
    "greenroom_running_runs", "greenroom_run_actors", "greenroom_queue_length",
}  # fmt: skip


async def shown_figures() -> dict[str, str]:
    """Return name -> line of Greenroom's figures, as this node shows them to Prometheus, without ``ray_``."""
    (node,) = ray.nodes()
    async with httpx2.AsyncClient(timeout=90.0) as client:
        text = (await client.get(f"http://127.0.0.1:{node['MetricsExportPort']}/metrics")).text
    return {found[1]: found[0] for found in re.finditer(r"^ray_(greenroom_\w+)\{.*$", text, re.MULTILINE)}


def spans_of(collector: LocalServer, trace_id: str) -> set[str]:
    """Return the names of the spans of one trace that have arrived."""
    names = set()
    for asked in collector.asked:
        body = gzip.decompress(asked.body) if asked.headers.get("content-encoding") == "gzip" else asked.body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            spans = [span for scope in resource.scope_spans for span in scope.spans]
            names |= {span.name for span in spans if span.trace_id.hex() == trace_id}
    return names


async def test_figures_and_spans_of_a_run_that_a_person_answers(ray_cluster: LocalCluster, tmp_path: Path) -> None:
    """The documented figures are there under their names; the spans of all actors make one trace."""
    async with local_server() as collector:
        collector.reply("/v1/traces", b"")
        async with open_stage(tmp_path, pool_size=1, runs_per_actor=1, otlp_url=collector.url) as stage:
            order = await stage.order("asking")
            assert (await stage.ports.runs.start(order)).status == "paused"
            await stage.answer(order.run_id)
            await stage.until_status(order.run_id, "succeeded")
            trace_id = context_of_run(order.run_id, None).trace_id
            wanted = {"node start", "node template-transform", "form", "node human-input", "node end", "run"}
            await stage.until(lambda: wanted <= spans_of(collector, trace_id), "the spans of the run")

            async def are_shown() -> bool:
                return set(await shown_figures()) >= SHOWN

            await stage.until(are_shown, "the figures")
            figures = await shown_figures()
    for line in figures.values():
        labels = set(re.findall(r"(\w+)=", line.partition("{")[2].partition("}")[0]))
        assert order.run_id not in line
        assert labels & {"run_id", "form_id", "user", "token"} == set()
