"""Files that users of Dify have published: each imports, and each whose nodes are all supported runs to an end."""

import asyncio
from pathlib import Path

import pytest

from cli.simulation import SimulatedRun
from cli.simulation_script import Script
from fixtures_path import workflow_files
from graph.events import NodeFinished, RunFinished
from graph.nodes.table import KINDS
from graph.parse_workflow import parse_workflow

FILES = workflow_files("community")


@pytest.mark.parametrize("path", FILES)
def test_community_file_imports_without_a_fault_that_blocks(path: Path) -> None:
    """What a file lacks here is a warning with its place, never a refusal."""
    parsed = parse_workflow(path.read_bytes())
    assert parsed.workflow is not None, parsed.faults
    assert parsed.status in ("completed", "completed-with-warnings")
    assert {fault.blocks for fault in parsed.faults} <= {"nothing"}


@pytest.mark.parametrize("path", FILES)
def test_community_file_runs_to_an_end_by_default_answers(path: Path) -> None:
    """With made-up models, tools and people a file whose kinds are supported ends; only its own code may fail it.

    Code really runs: some of it cannot read what a made-up model says, or wants a package that the sandbox lacks.
    """
    workflow = parse_workflow(path.read_bytes()).workflow
    assert workflow is not None
    unsupported = {node.type for node in workflow.nodes} - set(KINDS)
    if unsupported:
        return
    run = SimulatedRun(workflow, Script())
    inputs = {variable["variable"]: some_value(variable) for variable in run.plan.start_form}
    outcome = asyncio.run(run.run(inputs, "hello"))
    assert isinstance(outcome, RunFinished)
    if outcome.status == "failed":
        kinds = {node.id: node.type for node in workflow.nodes}
        failed = next(f for f in run.facts if isinstance(f, NodeFinished) and f.status == "failed")
        assert kinds[failed.node_id] == "code", outcome.error
    else:
        assert outcome.status in ("succeeded", "partial-succeeded"), outcome.error


def some_value(variable: dict) -> object:
    """Return something that fits a variable of a start form."""
    match variable["type"]:
        case "number":
            return 1
        case "select":
            return variable["options"][0]
        case "file":
            return {"type": "document", "transfer_method": "remote_url", "url": "https://example.com/a.txt"}
        case "file-list":
            return [{"type": "document", "transfer_method": "remote_url", "url": "https://example.com/a.txt"}]
        case _:
            return "text"
