"""``greenroom simulate``: unit-test a workflow file without a cluster."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.import_command import read_file
from cli.installation import harmless
from cli.simulation import SimulatedRun
from cli.simulation_edges import EdgeWatch
from cli.simulation_inputs import SIMULATED, json_object
from cli.simulation_script import Script
from graph.errors import InvalidWorkflowError
from graph.events import Fact, NodeFinished, RunFinished, TextPart
from graph.parse_workflow import parse_workflow
from graph.workflow import Workflow
from hitl.disposition import Disposition
from hitl.surface import Surface
from surfaces.event_shapes import RunLabel, node_labels
from surfaces.projections import RunProjection, forms_shown_by

_DISPOSITION = Disposition(form_token=None, approval_channels=[])


def simulate(
    file: Annotated[Path, typer.Argument(help="The workflow file (YAML or JSON).")],
    inputs: Annotated[str, typer.Option(help="Start inputs as a JSON object.")] = "{}",
    query: Annotated[str, typer.Option(help="What the user says (chatflows).")] = "",
    conversation: Annotated[str, typer.Option(help="Conversation variables as a JSON object.")] = "{}",
    script: Annotated[Path | None, typer.Option(help="How nodes and people behave (YAML or JSON).")] = None,
    events: Annotated[bool, typer.Option("--events", help="Print each event as a JSON line.")] = False,
    edges: Annotated[bool, typer.Option("--edges", help="Print each edge taken or skipped as a JSON line.")] = False,
    people: Annotated[bool, typer.Option("--people", help="Print reminders and escalation as JSON lines.")] = False,
) -> None:
    """Run a workflow file without a cluster, with scripted nodes and people; the last line is the outcome.

    Exit code 0: succeeded, partly succeeded or paused; 1: failed or stopped; 2: the file or the script is wrong.
    """
    workflow = read_workflow(file)
    told = _Printer(events, edges)
    on_moment = _print if people else lambda _moment: None
    run = SimulatedRun(workflow, Script.read(script), told.fact, told.part, on_moment)
    told.begin(run)
    outcome = asyncio.run(run.run(json_object(inputs, "--inputs"), query, json_object(conversation, "--conversation")))
    for note in run.notes:
        _warn(note)
    is_finished = isinstance(outcome, RunFinished)
    line = {
        "status": outcome.status if is_finished else "paused",
        "outputs": outcome.outputs,
        "error": outcome.error if is_finished else None,
        "answer": outcome.outputs.get("answer"),
    }
    _print(line)
    raise typer.Exit(1 if is_finished and outcome.status in ("failed", "stopped") else 0)


def read_workflow(file: Path) -> Workflow:
    """Return the workflow in ``file``.

    Raises:
        UnreadableFileError: it cannot be read.
        InvalidWorkflowError: it has faults that keep it from running; all are listed.
    """
    parsed = parse_workflow(read_file(file))
    for fault in parsed.faults:
        if fault.blocks == "nothing":
            _warn(str(fault))
    blocking = tuple(str(fault) for fault in parsed.faults if fault.blocks != "nothing")
    if parsed.workflow is None or blocking:
        raise InvalidWorkflowError(blocking)
    return parsed.workflow


class _Printer:
    """Prints each event as the service API would send it, and each edge as it is settled."""

    def __init__(self, has_events: bool, has_edges: bool) -> None:
        self._has_events = has_events
        self._has_edges = has_edges
        self._projection: RunProjection | None = None
        self._watch: EdgeWatch | None = None

    def begin(self, run: SimulatedRun) -> None:
        """Say which run is told."""
        workflow = run.plan.workflow
        who = {"id": SIMULATED, "user": SIMULATED}
        label = RunLabel(run.run_id, workflow.content_hash, who, node_labels(workflow), Surface.SERVICE_API)
        if workflow.mode == "advanced-chat":
            label = replace(label, conversation_id=SIMULATED, created_at=run.now())
        self._projection = RunProjection(label) if self._has_events else None
        self._watch = EdgeWatch(run.plan) if self._has_edges else None

    def fact(self, number: int, fact: Fact) -> None:
        """Print what a fact tells; the edges out of a node come before its end."""
        edges = self._watch.observe(fact) if self._watch else []
        told = []
        if self._projection:
            dispositions = dict.fromkeys(forms_shown_by(fact), _DISPOSITION)
            told = [item.event for item in self._projection.project(number, fact, dispositions)]
        for line in [*edges, *told] if isinstance(fact, NodeFinished) else [*told, *edges]:
            _print(line)

    def part(self, part: TextPart) -> None:
        """Print text of a node in flight."""
        for item in self._projection.project_part(part) if self._projection else ():
            _print(item.event)


def _warn(text: str) -> None:
    typer.echo(f"greenroom: warning: {harmless(text)}", err=True)


def _print(line: dict[str, Any]) -> None:
    typer.echo(json.dumps(line, ensure_ascii=False))
