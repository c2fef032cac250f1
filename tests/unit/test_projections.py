"""The events that facts give: the transcript of spec/http.md 15, snapshots, forms, text in flight, detail levels."""

import json
from dataclasses import replace

import pytest

from graph.events import (
    Fact,
    FormOpened,
    FormSubmitted,
    FormTimedOut,
    NodeFinished,
    NodeStarted,
    RunFinished,
    RunPaused,
    RunRecovered,
    RunResumed,
    RunStarted,
    TextEmitted,
    TextPart,
)
from hitl.disposition import Disposition
from hitl.surface import Surface
from surfaces.errors import JournalGapError
from surfaces.event_shapes import NodeLabel, RunLabel
from surfaces.projections import RunProjection, blocking_reply, forms_shown_by
from surfaces.told_text import Told

T0 = 1_781_000_000.0
EXPIRES = 1_781_129_600.0
TOKEN = "T" * 43
SHOWN = {"F": Disposition(TOKEN, ["console"])}
ACTIONS = [
    {"id": "approve", "title": "Approve", "button_style": "primary"},
    {"id": "reject", "title": "Reject", "button_style": "default"},
]
INPUTS = [{"output_variable_name": "comment", "type": "paragraph", "default": None}]
CONTENT = "Write about tea?\n\n{{#$output.comment#}}"
SYSTEM = {
    "files": [],
    "user_id": "u-1",
    "app_id": "A",
    "workflow_id": "W",
    "workflow_run_id": "R",
    "timestamp": 1781000000,
}
NODES = {
    "start1": NodeLabel("start", "Start"),
    "hi1": NodeLabel("human-input", "Review"),
    "llm1": NodeLabel("llm", "Model"),
    "end1": NodeLabel("end", "End"),
    "it1": NodeLabel("iteration", "Each"),
    "it1start": NodeLabel("iteration-start", ""),
}


def label(surface: Surface = Surface.SERVICE_API) -> RunLabel:
    """Return the label of the run of the transcript."""
    return RunLabel("R", "W", {"id": "EU", "user": "u-1"}, NODES, surface)


def opened(form_id: str = "F", node_id: str = "hi1", execution_id: str = "E2", scope: str = "") -> FormOpened:
    """Return the fact that a form was opened."""
    definition = {
        "form_content": CONTENT,
        "inputs": INPUTS,
        "actions": ACTIONS,
        "resolved_default_values": {},
        "display_in_ui": True,
        "node_title": "Review",
    }
    return FormOpened(T0, node_id, execution_id, form_id, definition, EXPIRES, scope)


def submitted(*, is_shown: bool) -> FormSubmitted:
    """Return the fact that the form was answered."""
    values = {"comment": "ok"}
    return FormSubmitted(T0 + 60, "hi1", "E2", "F", "approve", "Approve", values, "Write about tea?\n\nok", is_shown)


def paused(*form_ids: str) -> RunPaused:
    """Return a pause on the given forms."""
    return RunPaused(T0 + 1, list(form_ids), {"so": "far"}, 0.1, 0, 2)


def finished() -> RunFinished:
    """Return the end of the run of the transcript."""
    return RunFinished(T0 + 61, "succeeded", {"answer": "ok"}, None, 0.3, 0, 3, 0)


START: list[Fact] = [
    RunStarted(T0, {"topic": "tea"}, SYSTEM),
    NodeStarted(T0, "start1", "E1", 1),
    NodeFinished(T0 + 0.02, "start1", "E1", 1, "succeeded", T0, {"topic": "tea"}, {"topic": "tea"}),
    NodeStarted(T0 + 0.03, "hi1", "E2", 2),
    opened(),
    paused("F"),
]
OUTPUTS = {"comment": "ok", "__action_id": "approve", "__action_value": "Approve", "__rendered_content": "…"}
RESUMED: list[Fact] = [
    RunResumed(T0 + 60),
    NodeStarted(T0 + 60, "hi1", "E2", 2),
    submitted(is_shown=True),
    TextEmitted(T0 + 60, "hi1", "E2", ["hi1", "comment"], ["ok"], True),
    NodeFinished(T0 + 60, "hi1", "E2", 2, "succeeded", T0, {"comment": "ok"}, OUTPUTS, "approve"),
    NodeStarted(T0 + 60, "end1", "E3", 3),
    NodeFinished(T0 + 61, "end1", "E3", 3, "succeeded", T0 + 60, {"answer": "ok"}, {"answer": "ok"}),
    finished(),
]


def numbered(*facts: Fact) -> list[tuple[int, Fact]]:
    """Return ``facts`` as a journal numbers them."""
    return list(enumerate(facts, 1))


def project(projection: RunProjection, facts: list[tuple[int, Fact]]) -> list[Told]:
    """Return what ``facts`` give, with the transcript's dispositions."""
    return [told for number, fact in facts for told in projection.project(number, fact, SHOWN)]


def names(told: list[Told]) -> list[str]:
    """Return the names of events."""
    return [each.event["event"] for each in told]


def test_first_stream_is_the_transcript_event_by_event() -> None:
    """A run up to its pause gives the events of the worked transcript with keys in its order."""
    started, node, done, waiting, required, pause = (
        json.dumps(each.event) for each in project(RunProjection(label()), numbered(*START))
    )
    sys = (
        '"sys.files": [], "sys.user_id": "u-1", "sys.app_id": "A", "sys.timestamp": 1781000000, '
        '"sys.workflow_id": "W", "sys.workflow_run_id": "R"'
    )
    outer = '"workflow_run_id": "R", "task_id": "R", "data": '
    assert started == (
        f'{{"event": "workflow_started", {outer}{{"id": "R", "workflow_id": "W", "inputs": {{"topic": "tea", {sys}}}, '
        '"created_at": 1781000000, "reason": "initial"}}'
    )
    assert node == (
        f'{{"event": "node_started", {outer}{{"id": "E1", "node_id": "start1", "node_type": "start", "title": "Start", '
        '"index": 1, "predecessor_node_id": null, "inputs": null, "inputs_truncated": false, "created_at": 1781000000, '
        '"extras": {}, "iteration_id": null, "loop_id": null, "agent_strategy": null}}'
    )
    assert done == (
        f'{{"event": "node_finished", {outer}{{"id": "E1", "node_id": "start1", "node_type": "start", '
        '"title": "Start", "index": 1, "predecessor_node_id": null, "inputs": {"topic": "tea"}, '
        '"inputs_truncated": false, "process_data": null, "process_data_truncated": false, '
        '"outputs": {"topic": "tea"}, "outputs_truncated": false, "status": "succeeded", "error": null, '
        '"elapsed_time": 0.02, "execution_metadata": null, "created_at": 1781000000, "finished_at": 1781000000, '
        '"files": [], "iteration_id": null, "loop_id": null}}'
    )
    assert '"node_id": "hi1", "node_type": "human-input", "title": "Review", "index": 2' in waiting
    asked = f'"form_content": {json.dumps(CONTENT)}, "inputs": {json.dumps(INPUTS)}, "actions": {json.dumps(ACTIONS)}, '
    token = f'"form_token": "{TOKEN}", "approval_channels": ["console"], '
    assert required == (
        f'{{"event": "human_input_required", {outer}{{"form_id": "F", "node_id": "hi1", "node_title": "Review", {asked}'
        f'"display_in_ui": true, {token}"resolved_default_values": {{}}, "expiration_time": 1781129600}}}}'
    )
    assert pause == (
        f'{{"event": "workflow_paused", {outer}{{"workflow_run_id": "R", "paused_nodes": ["hi1"], "outputs": {{}}, '
        f'"reasons": [{{"TYPE": "human_input_required", "form_id": "F", {asked}"node_id": "hi1", '
        f'"node_title": "Review", "resolved_default_values": {{}}, {token}"expiration_time": 1781129600}}], '
        '"status": "paused", "created_at": 1781000000, "elapsed_time": 0.1, "total_tokens": 0, "total_steps": 2}}'
    )


def test_resumed_stream_is_the_transcript_event_by_event() -> None:
    """After the answer the run starts again as a resumption, fills the form, and finishes with whole-run figures."""
    projection = RunProjection(label())
    project(projection, numbered(*START))
    told = project(projection, list(enumerate(RESUMED, 7)))
    assert names(told) == [
        "workflow_started", "node_started", "human_input_form_filled", "text_chunk", "node_finished", "node_started",
        "node_finished", "workflow_finished",
    ]  # fmt: skip
    assert told[0].event["data"]["reason"] == "resumption"
    assert told[1].event["data"]["id"] == "E2"
    assert json.dumps(told[2].event["data"]) == (
        '{"node_id": "hi1", "node_title": "Review", "rendered_content": "Write about tea?\\n\\nok", '
        '"action_id": "approve", "action_text": "Approve", "submitted_data": {"comment": "ok"}}'
    )
    assert told[3].event["data"] == {"text": "ok", "from_variable_selector": ["hi1", "comment"]}
    assert json.dumps(told[7].event["data"]) == (
        '{"id": "R", "workflow_id": "W", "status": "succeeded", "outputs": {"answer": "ok"}, "error": null, '
        '"elapsed_time": 0.3, "total_tokens": 0, "total_steps": 3, "created_by": {"id": "EU", "user": "u-1"}, '
        '"created_at": 1781000000, "finished_at": 1781000061, "exceptions_count": 0, "files": []}'
    )


def test_snapshot_of_a_paused_run_shows_the_same_as_live() -> None:
    """A snapshot differs from the live stream only by the paused node's node_finished."""
    live = project(RunProjection(label()), numbered(*START))
    shot = RunProjection(label()).snapshot(numbered(*START), SHOWN)
    extra = shot.pop(4)
    assert [each.event for each in shot] == [each.event for each in live]
    assert (extra.event["event"], extra.event["data"]["status"], extra.event["data"]["id"]) == (
        "node_finished", "paused", "E2",
    )  # fmt: skip


def test_snapshot_of_a_resumed_run_shows_no_answered_form() -> None:
    """A run that executes again is shown as initial, each node once, without forms and pause."""
    shot = RunProjection(label()).snapshot(numbered(*START, *RESUMED[:3]), {})
    assert names(shot) == ["workflow_started", "node_started", "node_finished", "node_started"]
    assert shot[0].event["data"]["reason"] == "initial"


def test_only_the_last_event_of_a_snapshot_has_a_position() -> None:
    """The snapshot's end stands for all facts that it shows, so a reader goes on behind them."""
    shot = RunProjection(label()).snapshot(numbered(*START), SHOWN)
    assert [each.position for each in shot if each.position] == ["7.0"]


def test_form_answered_before_any_pause_is_shown_just_before_its_answer() -> None:
    """A form that no pause has shown goes out before its answer, without a token that would open nothing."""
    projection = RunProjection(label())
    project(projection, numbered(*START[:5]))
    told = projection.project(6, submitted(is_shown=False), SHOWN)
    assert names(told) == ["human_input_required", "human_input_form_filled"]
    assert told[0].event["data"]["form_token"] is None


def test_timeout_is_told_by_the_forms_deadline() -> None:
    """A form that timed out gives human_input_form_timeout with its node deadline."""
    projection = RunProjection(label())
    project(projection, numbered(*START))
    told = projection.project(7, FormTimedOut(EXPIRES, "hi1", "E2", "F", EXPIRES, True))
    assert [each.event["data"] for each in told] == [
        {"node_id": "hi1", "node_title": "Review", "expiration_time": 1781129600}
    ]


def test_open_form_is_repeated_at_the_next_pause() -> None:
    """A form that is still open when the run pauses again is shown again under the same id."""
    facts = [*START[:5], opened("G", "hi2", "E9"), paused("F", "G"), RunResumed(T0), submitted(is_shown=True)]
    projection = RunProjection(label())
    project(projection, numbered(*facts))
    told = projection.project(10, paused("G"), {})
    assert names(told) == ["human_input_required", "workflow_paused"]
    assert told[0].event["data"]["form_id"] == "G"
    assert told[1].event["data"]["paused_nodes"] == ["hi2"]


def test_form_shown_only_to_others_is_shown_before_its_answer_without_a_position() -> None:
    """A reader who came after the pause sees the form before its answer, and ids stay those of other readers."""
    facts = numbered(*START, RunResumed(T0 + 60))
    projection = RunProjection(label())
    projection.snapshot(facts, {})
    told = projection.project(8, submitted(is_shown=True))
    assert names(told) == ["human_input_required", "human_input_form_filled"]
    assert [each.position for each in told] == ["", "8.1"]


def test_node_that_begins_again_after_a_crash_is_not_told_twice() -> None:
    """Within one segment node_started goes out once for each execution."""
    projection = RunProjection(label())
    project(projection, numbered(*START[:4]))
    assert projection.project(5, NodeStarted(T0 + 9, "hi1", "E2", 2)) == []


@pytest.mark.parametrize("node_id", ["it1", "it1start"])
def test_containers_and_their_starts_have_no_node_events(node_id: str) -> None:
    """Container nodes and hidden start nodes give no node_started and no node_finished."""
    projection = RunProjection(label())
    facts = [NodeStarted(T0, node_id, "E", 1), NodeFinished(T0, node_id, "E", 1, "succeeded", T0, {}, {})]
    assert project(projection, numbered(START[0], *facts))[1:] == []


def test_inner_nodes_and_forms_name_their_container() -> None:
    """What happens in a pass of an iteration carries the container's id, forms also the pass."""
    projection = RunProjection(label())
    facts = [START[0], NodeStarted(T0, "hi1", "E2", 2, "it1:3"), opened(scope="it1:3"), paused("F")]
    _, node, required, _ = project(projection, numbered(*facts))
    assert (node.event["data"]["iteration_id"], node.event["data"]["loop_id"]) == ("it1", None)
    assert (required.event["data"]["iteration_id"], required.event["data"]["iteration_index"]) == ("it1", 3)


def test_simple_level_hides_bodies() -> None:
    """On the web surface node events keep their frame and lose bodies, truncation marks and agent strategy."""
    told = project(RunProjection(label(Surface.WEB)), numbered(*START))
    begun, done, pause = told[1].event["data"], told[2].event["data"], told[-1].event["data"]
    assert not {"inputs_truncated", "agent_strategy"} & begun.keys()
    assert [done[name] for name in ("inputs", "process_data", "outputs", "error", "execution_metadata", "files")] == [
        None, None, None, None, None, [],
    ]  # fmt: skip
    assert not [name for name in done if name.endswith("_truncated")]
    assert pause["outputs"] == {"so": "far"}


def test_only_a_pause_shows_forms() -> None:
    """Dispositions are needed for the forms of a pause and for nothing else."""
    assert [list(forms_shown_by(fact)) for fact in START] == [[], [], [], [], [], ["F"]]


def part(text: str, offset: int = 0, attempt: int = 1) -> TextPart:
    """Return text in flight of the model node."""
    return TextPart("E5/text", attempt, offset, "llm1", ["llm1", "text"], text)


def emitted(*texts: str) -> TextEmitted:
    """Return the fact that the model node's text is durable."""
    return TextEmitted(T0, "llm1", "E5", ["llm1", "text"], list(texts), True, "E5/text")


def texts(told: list[Told]) -> list[str]:
    """Return what chunks and replacements say, replacements marked."""
    return [("=" if each.event["event"] == "text_replace" else "") + each.event["data"]["text"] for each in told]


def in_flight() -> RunProjection:
    """Return the projection of a run whose first text "One. " is durable; fact 2 was the last."""
    projection = RunProjection(label())
    project(projection, numbered(START[0], TextEmitted(T0, "end1", "E9", ["end1", "answer"], ["One. "], False)))
    return projection


def test_text_told_in_flight_is_not_told_again_when_durable() -> None:
    """The fact that carries streamed text tells only what its parts did not."""
    projection = in_flight()
    assert texts(projection.project_part(part("He")) + projection.project_part(part("llo", 2))) == ["He", "llo"]
    assert texts(projection.project(3, emitted("He", "llo", " you", ""))) == [" you"]
    assert projection.project(4, emitted()) == []


def test_text_without_parts_is_told_piece_by_piece() -> None:
    """A reader who heard nothing in flight gets every piece, each with its position."""
    told = in_flight().project(3, emitted("He", "llo"))
    assert [(each.event["data"]["text"], each.position) for each in told] == [("He", "3.1"), ("llo", "3.2")]


def test_part_has_the_position_of_attempt_and_characters() -> None:
    """Text in flight is positioned behind the last fact by attempt and characters told."""
    projection = in_flight()
    projection.project_part(part("He"))
    assert projection.project_part(part("llo", 2))[0].position == "2.1.5"


def test_text_lost_with_its_actor_is_replaced() -> None:
    """After a crash the reader gets the durable text as text_replace, then the new text in full."""
    projection = in_flight()
    projection.project_part(part("Hel"))
    told = projection.project(3, RunRecovered(T0 + 5, 2, 0.0))
    told += projection.project_part(part("Hi", attempt=2))
    told += projection.project(4, emitted("Hi", "!"), told=3)
    assert texts(told) == ["=One. ", "Hi", "!"]


def test_part_of_a_later_attempt_replaces_what_was_told() -> None:
    """Text of a new attempt that arrives before its recovery fact takes the old text back once."""
    projection = in_flight()
    projection.project_part(part("Hel"))
    told = projection.project_part(part("Hi", attempt=2)) + projection.project(3, RunRecovered(T0 + 5, 2, 0.0))
    assert texts(told) == ["=One. ", "Hi"]


def test_recovery_is_silent_when_nothing_was_in_flight() -> None:
    """A crash between two texts is not told."""
    assert in_flight().project(3, RunRecovered(T0 + 5, 2, 0.0)) == []


def test_part_of_an_actor_that_lost_the_run_is_dropped() -> None:
    """Text of an attempt before the present one reaches nobody."""
    projection = in_flight()
    projection.project(3, RunRecovered(T0 + 5, 2, 0.0))
    assert projection.project_part(part("ghost", attempt=1)) == []


def test_reader_who_comes_back_is_not_told_text_again() -> None:
    """A reader that left in the middle of a text gets the rest of it, from parts or from the fact."""
    projection = in_flight()
    projection.begin_at(1, 3)
    assert texts(projection.project_part(part("Hello"))) == ["lo"]
    projection = in_flight()
    projection.begin_at(1, 3)
    assert texts(projection.project(3, emitted("Hello"))) == ["lo"]


def test_blocking_reply_of_a_finished_run_is_what_the_stream_said_last() -> None:
    """The blocking reply has the run's figures in its own key order."""
    assert json.dumps(blocking_reply(label(), finished(), [], {}, T0)) == (
        '{"task_id": "R", "workflow_run_id": "R", "data": {"id": "R", "workflow_id": "W", "status": "succeeded", '
        '"outputs": {"answer": "ok"}, "error": null, "elapsed_time": 0.3, "total_tokens": 0, "total_steps": 3, '
        '"created_at": 1781000000, "finished_at": 1781000061}}'
    )


def test_blocking_reply_of_a_paused_run_carries_the_reasons_of_the_stream() -> None:
    """A paused blocking reply has the reasons of workflow_paused and no end."""
    data = blocking_reply(label(), paused("F"), [opened()], SHOWN, T0)["data"]
    pause = project(RunProjection(label()), numbered(*START))[-1].event["data"]
    assert list(data)[-3:] == ["finished_at", "paused_nodes", "reasons"]
    assert (data["status"], data["finished_at"], data["outputs"]) == ("paused", None, {})
    assert data["reasons"] == pause["reasons"]


def test_run_is_dated_by_when_it_was_asked_for() -> None:
    """A run that had to wait for an actor bears the same created_at in every event and reply."""
    asked = replace(label(), created_at=T0 - 30)
    told = project(RunProjection(asked), numbered(START[0], opened(), paused("F")))
    assert [each.event["data"].get("created_at") for each in told] == [int(T0 - 30), None, int(T0 - 30)]


def test_journal_without_its_start_is_a_defect() -> None:
    """Nothing is told of a run whose first fact is missing."""
    with pytest.raises(JournalGapError):
        RunProjection(label()).project(2, finished())
