"""Kinds of Dify that do not run here: recognised, told at import, and a run that reaches one says why it fails."""

import pytest

import factories as f
from effect_fakes import ports_of
from fakes import ListRecorder, TickClock
from graph.engine import Engine
from graph.events import RunFinished
from graph.nodes.table import RECOGNISED
from graph.parse_workflow import parse_document
from graph.run_state import RunState


async def run(plan) -> RunFinished:
    """Run a plan to its end."""
    outcome = await Engine(plan, RunState(plan), "run", ports_of(), ListRecorder(), TickClock()).start({}, {})
    assert isinstance(outcome, RunFinished)
    return outcome


@pytest.mark.parametrize("kind", ["agent", "knowledge-retrieval", "knowledge-retrieval-v2"])
async def test_run_that_reaches_one_says_why(kind: str) -> None:
    """The run's error names the node, its kind and what to do instead, if anything."""
    outcome = await run(f.plan([f.start(), f.node("n", kind), f.end()], [f.edge("start", "n"), f.edge("n", "end")]))
    assert outcome.status == "failed"
    assert outcome.error is not None and outcome.error.startswith(f"n (n): nodes of kind '{kind}' are not supported: ")
    assert kind in RECOGNISED


@pytest.mark.parametrize("kind", ["trigger-webhook", "trigger-schedule", "trigger-plugin", "datasource"])
async def test_other_entries_are_told_at_import_and_at_run(kind: str) -> None:
    """A workflow that begins with a trigger or datasource imports with a warning, and its run says what is missing."""
    nodes, edges = [f.node("entry", kind), f.end()], [f.edge("entry", "end")]
    parsed = parse_document(f.document(nodes, edges))
    assert [fault.blocks for fault in parsed.faults if "cannot run yet" in str(fault)] == ["nothing"]
    outcome = await run(f.plan(nodes, edges))
    assert outcome.status == "failed" and "from a start node only" in (outcome.error or "")
