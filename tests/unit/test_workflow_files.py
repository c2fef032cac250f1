"""Workflow files of other people, read in place: each one imports, and what it lacks is told."""

from pathlib import Path

import pytest

from fixtures_path import workflow_files
from graph.nodes.table import KINDS
from graph.parse_workflow import parse_workflow
from graph.plan import compile_plan


@pytest.mark.parametrize("path", [*workflow_files("dify"), *workflow_files("community")])
def test_published_file_imports(path: Path):
    """A file that works in Dify has no fault but node kinds that cannot run yet, each told at its place."""
    parsed = parse_workflow(path.read_bytes())
    assert parsed.workflow is not None
    assert parsed.status in ("completed", "completed-with-warnings")
    lacking = [node for node in parsed.workflow.nodes if node.type not in KINDS]
    assert [fault.path for fault in parsed.faults] == [f"{node.path}.data.type" for node in lacking]
    assert all(fault.blocks == "nothing" for fault in parsed.faults)
    assert compile_plan(parsed.workflow).top.nodes
