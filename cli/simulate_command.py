"""``greenroom simulate``: unit-test a workflow file without a cluster."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.import_command import read_file
from cli.simulation import SimulatedRun
from cli.simulation_edges import EdgeWatch
from cli.simulation_script import InvalidScriptError, Script
from graph.errors import InvalidWorkflowError
from graph.events import Fact, RunFinished, TextPart
from graph.parse_workflow import parse_workflow
from graph.plan import Plan
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
    edges: Annotated[bool, typer.Option("--edges", help="Print each edge taken or skipped, too.")] = False,
) -> None:
    """Run a workflow file without a cluster, with scripted nodes and people; the last line is the outcome.

    Exit code 0: succeeded, partly succeeded or paused; 1: failed or stopped; 2: the file or the script is wrong.
    """
    told = _Printer(events, edges) if events or edges else None
    workflow = read_workflow(file)
    run = SimulatedRun(
        workflow,
        Script.read(script),
        on_fact=told.fact if told else lambda _number, _fact: None,
        on_part=told.part if told else lambda _part: None,
    )
    if told:
        told.begin(run.run_id, run.plan)
    outcome = asyncio.run(
        run.run(_json_object(inputs, "--inputs"), query, _json_object(conversation, "--conversation"))
    )
    is_finished = isinstance(outcome, RunFinished)
    outputs = outcome.outputs
    line = {
        "status": outcome.status if is_finished else "paused",
        "outputs": outputs,
        "error": outcome.error if is_finished else None,
        "answer": outputs.get("answer"),
    }
    typer.echo(json.dumps(line, ensure_ascii=False))
    raise typer.Exit(1 if is_finished and outcome.status in ("failed", "stopped") else 0)


def read_workflow(file: Path) -> Workflow:
    """Return the workflow in ``file``.

    Raises:
        UnreadableFileError: it cannot be read.
        InvalidWorkflowError: it has faults that keep it from running; all are listed.
    """
    parsed = parse_workflow(read_file(file))
    blocking = tuple(str(fault) for fault in parsed.faults if fault.blocks != "nothing")
    if parsed.workflow is None or blocking:
        raise InvalidWorkflowError(blocking)
    return parsed.workflow


def _json_object(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidScriptError(f"{option} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidScriptError(f"{option} must be a JSON object")
    return value


class _Printer:
    """Prints each event as the service API would send it, and how edges are settled."""

    def __init__(self, is_events: bool, is_edges: bool) -> None:
        self._is_events = is_events
        self._is_edges = is_edges
        self._projection: RunProjection | None = None
        self._watch: EdgeWatch | None = None

    def begin(self, run_id: str, plan: Plan) -> None:
        workflow = plan.workflow
        created_by = {"id": "simulated", "user": "simulated"}
        label = RunLabel(run_id, workflow.content_hash, created_by, node_labels(workflow), Surface.SERVICE_API)
        self._projection = RunProjection(label) if self._is_events else None
        self._watch = EdgeWatch(plan) if self._is_edges else None

    def fact(self, number: int, fact: Fact) -> None:
        if self._projection is not None:
            dispositions = dict.fromkeys(forms_shown_by(fact), _DISPOSITION)
            self._print([told.event for told in self._projection.project(number, fact, dispositions)])
        if self._watch is not None:
            self._print(self._watch.observe(fact))

    def part(self, part: TextPart) -> None:
        if self._projection is not None:
            self._print([told.event for told in self._projection.project_part(part)])

    def _print(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            typer.echo(json.dumps(event, ensure_ascii=False))
