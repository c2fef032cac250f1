"""Simulated runs in tests: a file under a script, run to its end in this process."""

from pathlib import Path
from typing import Any

from cli.simulation import SimulatedRun
from cli.simulation_script import Script
from graph.engine import Outcome
from graph.events import TextEmitted
from graph.parse_workflow import parse_document, parse_workflow
from graph.workflow import Workflow
from run_on_stage import check_replay, long_story


class Simulated:
    """A run that has ended or waits. ``outcome``: how; ``facts``: all it told."""

    def __init__(self, run: SimulatedRun, outcome: Outcome) -> None:
        self.run = run
        self.outcome = outcome
        self.facts = run.facts

    @property
    def status(self) -> str:
        """How it ended, or ``paused``."""
        return getattr(self.outcome, "status", "paused")

    @property
    def outputs(self) -> dict[str, Any]:
        """Its outputs."""
        return self.outcome.outputs

    @property
    def error(self) -> str:
        """Why it failed, "" if it did not."""
        return getattr(self.outcome, "error", None) or ""

    def text(self, scope: str | None = None) -> str:
        """Return the text that the reader got, all of it or what nodes in the passes of a container said."""
        told = [fact for fact in self.facts if isinstance(fact, TextEmitted)]
        return "".join(text for fact in told if scope is None or fact.scope.startswith(scope) for text in fact.texts)

    def check_replay(self) -> None:
        """Assert that the state at the end, the replay of the facts and a restored snapshot are the same."""
        check_replay(self.run._state, self.facts)

    def story(self) -> list[str]:
        """Return the facts in short; a "!" behind text that closes what is told."""
        lines: list[str] = []
        for fact in self.facts:
            lines += long_story([fact])
            if isinstance(fact, TextEmitted) and fact.is_final:
                lines[-1] += "!"
        return lines


def workflow_of(source: Path | dict[str, Any]) -> Workflow:
    """Return the workflow of a file, or of the mapping that a file would hold."""
    parsed = parse_document(source) if isinstance(source, dict) else parse_workflow(source.read_bytes())
    assert parsed.workflow is not None, parsed.faults
    return parsed.workflow


async def simulated(
    source: Path | dict[str, Any], script: dict[str, Any] | None = None, query: str = "", **options: Any
) -> Simulated:
    """Run ``source`` under ``script``; ``options``: inputs and conversation."""
    run = SimulatedRun(workflow_of(source), Script.parse(script or {}))
    outcome = await run.run(options.get("inputs", {}), query, options.get("conversation"))
    return Simulated(run, outcome)
