"""``greenroom simulate`` from outside: its lines, its exit codes, the example of docs/testing-workflows.md."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import factories as f
from cli.main import app, exit_code_of
from graph.errors import GreenroomError

ROOT = Path(__file__).resolve().parents[2]
APPROVAL = ROOT / "examples" / "approval.yml"
CHAT = ROOT / "examples" / "support_chat.yml"
SCRIPT = ROOT / "examples" / "approval.script.yml"
ESCALATION = ROOT / "examples" / "escalation.yml"
TOPIC = ("--inputs", '{"topic": "green tea"}')


@dataclass(frozen=True)
class Ended:
    """How the command ended. ``lines``: what it printed, ``told``: its errors and warnings."""

    exit_code: int
    lines: list[dict[str, Any]]
    told: str

    @property
    def outcome(self) -> dict[str, Any]:
        """The last line."""
        return self.lines[-1]


def simulate(*arguments: str | Path) -> Ended:
    """Run the command in this process."""
    result = CliRunner().invoke(app, ["simulate", *map(str, arguments)])
    if isinstance(result.exception, GreenroomError):
        return Ended(exit_code_of(result.exception), [], str(result.exception))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return Ended(result.exit_code, [json.loads(line) for line in result.stdout.splitlines()], result.stderr)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Return what writes a mapping as YAML and returns the path."""

    def write(document: dict[str, Any], name: str = "file.yml") -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    return write


def test_rejected_draft_says_why() -> None:
    """The example of the docs: a person rejects what the model wrote, and the page shows just what is printed."""
    ended = simulate(APPROVAL, *TOPIC, "--script", SCRIPT)
    assert ended.exit_code == 0
    outputs = {"draft": "Green tea keeps you awake.", "decision": "Reject", "comment": "Too short."}
    assert ended.lines == [{"status": "succeeded", "outputs": outputs, "error": None, "answer": None}]
    page = (ROOT / "docs" / "testing-workflows.md").read_text(encoding="utf-8")
    assert json.loads(page.split("```json\n")[1].split("```")[0]) == ended.outcome


def test_chatflow_is_told_as_a_message() -> None:
    """The events of a chatflow are those of a message, and its answer is the last line's."""
    script = ("--script", CHAT.with_suffix(".script.yml"))
    ended = simulate(CHAT, "--query", "A refund!", "--inputs", '{"customer": "Ada"}', *script, "--events")
    told = "".join(line["answer"] for line in ended.lines if line.get("event") == "message")
    assert told == ended.outcome["answer"]
    assert told == "A colleague will look at this. That tea was stale, sorry. You get your money back."
    assert [line["event"] for line in ended.lines[-3:-1]] == ["message_end", "workflow_finished"]


def test_installed_command_ends_with_the_outcome(tmp_path: Path) -> None:
    """From another folder, with events; no traceback, the last line is the outcome."""
    command = [sys.executable, "-m", "cli.main", "simulate", str(APPROVAL), *TOPIC, "--events"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert lines[0]["event"] == "workflow_started"
    assert list(lines[-1]) == ["status", "outputs", "error", "answer"]
    assert lines[-1]["outputs"]["decision"] == "Approve"


def test_events_are_those_of_the_service_api() -> None:
    """Every event has the envelope; the pause shows the form, the answer follows in the same stream."""
    ended = simulate(APPROVAL, *TOPIC, "--script", SCRIPT, "--events")
    events = ended.lines[:-1]
    assert all(set(event) == {"event", "workflow_run_id", "task_id", "data"} for event in events)
    assert [event["event"] for event in events] == [
        "workflow_started", "node_started", "node_finished", "node_started", *["text_chunk"] * 3, "node_finished",
        "node_started", "node_finished", "node_started", "human_input_required", "workflow_paused",
        "workflow_started", "node_started", "human_input_form_filled", *["text_chunk"] * 3, "node_finished",
        "node_started", "node_finished", "workflow_finished",
    ]  # fmt: skip
    chunks = "".join(event["data"]["text"] for event in events if event["event"] == "text_chunk")
    assert chunks == "Green tea keeps you awake.Reject\nToo short."


def test_edges_are_told_taken_or_skipped_before_the_end_of_their_source(write: Any) -> None:
    """One line for each edge, also for those behind a skipped one; without --events nothing else."""
    case = {"case_id": "true", "logical_operator": "and", "conditions": [f.condition(["start", "q"], "is", "x")]}
    nodes = [f.start("q"), f.node("if", "if-else", cases=[case]), f.template("t", "x"), f.end("a"), f.end("b")]
    edges = [f.edge("start", "if"), f.edge("if", "t", "true"), f.edge("t", "a"), f.edge("if", "b", "false")]
    file = write(f.document(nodes, edges))
    alone = simulate(file, "--edges").lines[:-1]
    assert alone == [
        {"event": "edge", "source": "start", "target": "if", "handle": "source", "taken": True},
        {"event": "edge", "source": "if", "target": "t", "handle": "true", "taken": False},
        {"event": "edge", "source": "t", "target": "a", "handle": "source", "taken": False},
        {"event": "edge", "source": "if", "target": "b", "handle": "false", "taken": True},
    ]
    both = [line["event"] for line in simulate(file, "--edges", "--events").lines[:-1]]
    assert both[:5] == ["workflow_started", "node_started", "edge", "node_finished", "node_started"]


def test_edges_in_a_container_are_told_in_each_pass(write: Any) -> None:
    """Each pass settles the edges anew."""
    inner = f.loop("lp", 2, f.template("t", "x"), break_conditions=[])
    edges = [f.edge("start", "lp"), f.edge("lpstart", "t"), f.edge("lp", "end")]
    lines = simulate(write(f.document([f.start(), *inner, f.end()], edges)), "--edges").lines[:-1]
    assert [(line["source"], line["target"]) for line in lines] == [
        ("start", "lp"), ("lpstart", "t"), ("lpstart", "t"), ("lp", "end"),
    ]  # fmt: skip


def test_paused_run_is_no_failure(write: Any) -> None:
    """Who never answers leaves a paused run: exit code 0."""
    ended = simulate(APPROVAL, *TOPIC, "--script", write({"nodes": {"review": {"pause": True}}}))
    assert (ended.exit_code, ended.outcome["status"]) == (0, "paused")


def test_failed_run_ends_with_one(write: Any) -> None:
    """The error is in the outcome, exit code 1."""
    ended = simulate(APPROVAL, *TOPIC, "--script", write({"nodes": {"draft": {"error": "no ink"}}}))
    assert (ended.exit_code, ended.outcome["status"]) == (1, "failed")
    assert "no ink" in ended.outcome["error"]


def test_partly_succeeded_run_is_no_failure(write: Any) -> None:
    """An error that its strategy mends gives exit code 0."""
    stands_in = [{"key": "text", "type": "string", "value": "instead"}]
    model = f.llm("m", error_strategy="default-value", default_value=stands_in)
    file = write(f.document([f.start(), model, f.end(t=["m", "text"])], [f.edge("start", "m"), f.edge("m", "end")]))
    ended = simulate(file, "--script", write({"nodes": {"m": {"error": "x"}}}, "script.yml"))
    assert (ended.exit_code, ended.outcome["status"]) == (0, "partial-succeeded")
    assert ended.outcome["outputs"] == {"t": "instead"}


def test_chatflow_takes_query_and_conversation(write: Any) -> None:
    """The answer is in the outcome by itself, too."""
    answer = f.node("say", "answer", answer="{{#sys.query#}}, {{#conversation.name#}}!")
    file = f.document([f.start(), answer], [f.edge("start", "say")], "advanced-chat")
    file["workflow"]["conversation_variables"] = [{"name": "name", "value_type": "string", "value": "you"}]
    path = write(file)
    assert simulate(path, "--query", "Hi").outcome["answer"] == "Hi, you!"
    ended = simulate(path, "--query", "Hi", "--conversation", '{"name": "Ada"}')
    assert ended.outcome["answer"] == "Hi, Ada!"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("no-such-file.yml",), "no-such-file.yml cannot be read"),
        ((APPROVAL, *TOPIC, "--script", "no-such-script.yml"), "no-such-script.yml cannot be read"),
        ((APPROVAL,), "topic is required in input form"),
        ((APPROVAL, "--inputs", "{"), "--inputs is not JSON"),
        ((APPROVAL, "--inputs", "[]"), "--inputs must be a JSON object"),
        ((APPROVAL, *TOPIC, "--conversation", "1"), "--conversation must be a JSON object"),
        ((APPROVAL, *TOPIC, "--conversation", '{"x": 1}'), "there is no conversation variable 'x'"),
    ],
)
def test_what_the_caller_can_mend_ends_with_two(arguments: tuple, reason: str) -> None:
    """A sentence says what is wrong with file, script or options; there is no outcome."""
    ended = simulate(*arguments)
    assert (ended.exit_code, ended.lines) == (2, [])
    assert reason in ended.told


def test_faults_of_the_file_and_of_the_script_are_placed(write: Any) -> None:
    """Both end with 2 and name the place."""
    broken = f.document([f.start(), f.end()], [f.edge("start", "nowhere")])
    ended = simulate(write(broken))
    assert ended.exit_code == 2
    assert "workflow.graph.edges[0].target" in ended.told
    ended = simulate(APPROVAL, *TOPIC, "--script", write({"nodes": {"review": {"action": "maybe"}}}))
    assert ended.exit_code == 2
    assert "nodes.review.action: the form has no action 'maybe'" in ended.told


def test_warnings_go_to_stderr(write: Any) -> None:
    """What a file lacks is told beside the outcome."""
    nodes = [f.start(), f.node("a", "agent"), f.end(t=["a", "text"])]
    ended = simulate(write(f.document(nodes, [f.edge("start", "a"), f.edge("a", "end")])))
    assert (ended.exit_code, len(ended.lines)) == (0, 1)
    assert ended.told.startswith("greenroom: warning: workflow.graph.nodes[1].data.type: ")


def escalated(write: Any, **behaviour: Any) -> tuple[list[tuple[str, float]], dict[str, Any]]:
    """Run the invoice of the examples; return what it told of human time, and its outputs."""
    script = write({"nodes": {"decide": behaviour}})
    ended = simulate(ESCALATION, "--inputs", '{"amount": "1"}', "--script", script, "--people")
    return [(line["event"], line["after_s"] / 3600) for line in ended.lines[:-1]], ended.outcome["outputs"]


def test_human_time_passes_in_a_simulation(write: Any) -> None:
    """What comes before the answer is told, in order; a deadline that is earlier than the answer passes instead."""
    moments = [("reminder", 4.0), ("escalation", 24.0), ("escalation", 48.0), ("reminder", 70.0)]
    assert escalated(write, after="25h", action="pay") == (moments[:2], {"decision": "Pay", "reason": ""})
    assert escalated(write, action="pay") == ([], {"decision": "Pay", "reason": ""})
    assert escalated(write, after="3d", action="pay") == (moments, {"amount": "1"})
    assert escalated(write, timeout=True) == (moments, {"amount": "1"})


def test_example_of_human_time_is_right() -> None:
    """The script beside the example runs; groups are named by their addresses, stand-ins too."""
    script = ESCALATION.with_name("escalation.script.yml")
    ended = simulate(ESCALATION, "--inputs", '{"amount": "120 EUR"}', "--script", script, "--people")
    assert ended.lines[1]["to"] == ["lea@example.org", "lou@example.org"]
    assert ended.outcome["outputs"] == {"decision": "Refuse", "reason": "We never ordered this."}
