"""What readers are told of iterations, loops, retries and withdrawn text, from runs of the engine."""

from actors.messages import Cursor
from actors.tail import Reader, SegmentTail
from factories import assigner, edge, end, human, iteration, llm, loop, node, start, template, variable
from fakes import ScriptedChat
from graph.events import RunPaused, TextPart, TextWithdrawn
from graph.ports import ChatDelta
from hitl.surface import Surface
from run_on_stage import RunOnStage, graph, play
from surfaces.event_shapes import RunLabel, node_labels
from surfaces.projections import RunProjection
from surfaces.told_text import Told

ITEMS = ["sys", "items"]


def label(run: RunOnStage, surface: Surface = Surface.SERVICE_API) -> RunLabel:
    """Return the label of a run."""
    return RunLabel("R", "W", {"id": "EU", "user": "u-1"}, node_labels(run.plan.workflow), surface)


def told(run: RunOnStage, surface: Surface = Surface.SERVICE_API) -> list[dict]:
    """Return the events of everything that was told of a run, in order."""
    projection = RunProjection(label(run, surface))
    events: list[Told] = []
    number = 0
    for each in run.recorder.told:
        if isinstance(each, TextPart):
            events += projection.project_part(each)
        else:
            number += 1
            events += projection.project(number, each)
    return [each.event for each in events]


def names(events: list[dict]) -> list[str]:
    """Return the names of events, with the text of chunks."""
    return [event["data"]["text"] if event["event"] == "text_chunk" else event["event"] for event in events]


async def iterated(**data) -> RunOnStage:
    """Run an iteration over two items with a template and an answer inside."""
    inner = (template("t", "{{ x }}", x=["it", "item"]), node("say", "answer", answer="{{#t.output#}};"))
    nodes = [start(), iteration("it", ITEMS, ["t", "output"], *inner, **data), end(o=["it", "output"])]
    return await play(
        nodes, [edge("start", "it"), edge("itstart", "t"), edge("t", "say"), edge("it", "end")], ["a", "b"]
    )


async def test_iteration_is_told_by_its_own_events():
    """Started, next for each item, the inner nodes, completed; no node events of container and start node."""
    events = told(await iterated())
    inner = ["node_started", "{0}", ";", "node_finished", "node_started", "node_finished"]
    assert names(events) == [
        "workflow_started", "node_started", "node_finished", "iteration_started",
        "iteration_next", *(name.format("a") for name in inner),
        "iteration_next", *(name.format("b") for name in inner),
        "- a\n- b", "iteration_completed", "node_started", "node_finished", "workflow_finished",
    ]  # fmt: skip


async def test_events_of_an_iteration_have_the_keys_of_the_wire():
    """Keys, order and values of started, next and completed."""
    events = {event["event"]: event["data"] for event in told(await iterated())}
    started, following, completed = (events[f"iteration_{name}"] for name in ("started", "next", "completed"))
    head = {"id": "it", "node_id": "it", "node_type": "iteration", "title": "it"}
    assert list(started) == [*head, "created_at", "extras", "metadata", "inputs", "inputs_truncated"]
    assert started | head == started
    assert started["metadata"] == {"iteration_length": 2} and started["inputs"] == {"iterator_selector": ["a", "b"]}
    assert list(following) == [*head, "index", "created_at", "extras"] and following["index"] == 1
    assert list(completed) == [
        *head, "outputs", "outputs_truncated", "created_at", "extras", "inputs", "inputs_truncated", "status", "error",
        "elapsed_time", "total_tokens", "execution_metadata", "finished_at", "steps",
    ]  # fmt: skip
    assert (completed["outputs"], completed["status"], completed["steps"]) == ({"output": ["a", "b"]}, "succeeded", 2)
    assert set(completed["execution_metadata"]) == {"total_tokens", "total_price", "currency", "iteration_duration_map"}


async def test_inner_nodes_name_container_and_pass():
    """node_started carries the container's id, node_finished also the pass in its metadata."""
    events = [
        e["data"] for e in told(await iterated()) if e["event"].startswith("node_") and e["data"]["node_id"] == "t"
    ]
    assert [event["iteration_id"] for event in events] == ["it"] * 4
    finished = [event["execution_metadata"] for event in events if "execution_metadata" in event]
    assert finished == [{"iteration_id": "it", "iteration_index": 0}, {"iteration_id": "it", "iteration_index": 1}]


async def test_loop_is_told_by_its_own_events():
    """No next before the first round; the others tell the variables before them; completed tells count and reason."""
    add = assigner("add", (["lp", "n"], "+=", 1))
    nodes = [start(), loop("lp", 2, add, loop_variables=[variable("n", "number", 0)]), end(n=["lp", "n"])]
    run = await play(nodes, [edge("start", "lp"), edge("lpstart", "add"), edge("lp", "end")])
    events = told(run)
    assert names(events)[3:-3] == [
        "loop_started", "node_started", "node_finished", "loop_next", "node_started", "node_finished", "2",
        "loop_completed",
    ]  # fmt: skip
    data = {event["event"]: event["data"] for event in events}
    assert data["loop_started"]["inputs"] == {"n": 0} and data["loop_started"]["metadata"] == {"loop_length": 2}
    following = data["loop_next"]
    assert (following["index"], following["pre_loop_output"]) == (1, {"n": 1, "loop_round": 1})
    assert list(following)[-3:] == ["created_at", "pre_loop_output", "extras"]
    completed = data["loop_completed"]
    assert (completed["outputs"], completed["steps"]) == ({"n": 2, "loop_round": 2}, 2)
    assert completed["execution_metadata"]["completed_reason"] == "loop_completed"
    inner = [event["data"] for event in events if event["event"] == "node_finished" and event["data"]["loop_id"]]
    assert [each["execution_metadata"]["loop_index"] for each in inner] == [0, 1]


async def test_failed_container_is_completed_as_failed_without_its_error():
    """The wire has no error there; the run's own end tells it."""
    nodes = [start(), iteration("it", ITEMS, ["it", "item"], assigner("bad", (["no", "no"], "set", 1))), end()]
    run = await play(nodes, [edge("start", "it"), edge("itstart", "bad"), edge("it", "end")], ["a"])
    events = told(run)
    completed = next(event["data"] for event in events if event["event"] == "iteration_completed")
    assert (completed["status"], completed["error"], completed["outputs"]) == ("failed", None, {"output": []})
    assert "not found" in events[-1]["data"]["error"]


async def test_container_that_never_began_is_not_told():
    """What cannot be iterated has no events of an iteration; the run's end tells why."""
    nodes = [start(), iteration("it", ["no", "where"], ["it", "item"], template("t", "")), end()]
    run = await play(nodes, [edge("start", "it"), edge("itstart", "t"), edge("it", "end")])
    assert names(told(run)) == ["workflow_started", "node_started", "node_finished", "workflow_finished"]


async def test_pass_inside_of_a_pass_names_both_containers():
    """Events of a nested container say in which pass of the outer one it is; a form names both."""
    inner = loop("lp", 1, human("ask"))
    nodes = [start(), iteration("it", ITEMS, ["it", "item"], *inner), end()]
    run = RunOnStage(
        graph(nodes, [edge("start", "it"), edge("itstart", "lp"), edge("lpstart", "ask"), edge("it", "end")])
    )
    assert isinstance(await run.start({"items": ["a"]}), RunPaused)
    events = told(run)
    started = next(event["data"] for event in events if event["event"] == "loop_started")
    assert (started["iteration_id"], started["iteration_index"]) == ("it", 0)
    places = {"iteration_id": "it", "iteration_index": 0, "loop_id": "lp", "loop_index": 0}
    required = next(event["data"] for event in events if event["event"] == "human_input_required")
    reason = events[-1]["data"]["reasons"][0]
    assert required | places == required and reason | places == reason


async def test_snapshot_shows_containers_with_their_passes():
    """A snapshot of a run that has ended has the events of the live stream, without texts and without its end."""
    run = await iterated()
    live = [event for event in told(run) if event["event"] not in ("text_chunk", "workflow_finished")]
    shot = [each.event for each in RunProjection(label(run)).snapshot(list(enumerate(run.facts, 1)), {})]
    assert shot == live


class Breaks(ScriptedChat):
    """A model that breaks off once."""

    async def stream(self, request):
        """Answer one call."""
        self.requests.append(request)
        yield ChatDelta(text="half" if len(self.requests) == 1 else "whole")
        if len(self.requests) == 1:
            raise RuntimeError("no ink")


async def retried() -> RunOnStage:
    """Run a model that breaks off once and is retried, between two texts."""
    config = {"retry_enabled": True, "max_retries": 1, "retry_interval": 0}
    nodes = [start(), llm("llm", retry_config=config), node("answer", "answer", answer="> {{#llm.text#}}!")]
    return await play(nodes, [edge("start", "llm"), edge("llm", "answer")], mode="advanced-chat", chat=Breaks())


async def test_retry_is_told_and_takes_back_the_text_of_its_attempt():
    """Readers get the durable text in place of what they heard, then the retry, then the new text."""
    events = told(await retried())
    assert names(events) == [
        "workflow_started", "> ", "node_started", "node_finished", "node_started", "half", "text_replace", "node_retry",
        "whole", "!", "node_finished", "node_started", "node_finished", "workflow_finished",
    ]  # fmt: skip
    assert events[6]["data"] == {"text": "> "}
    retry, ended = events[7]["data"], events[10]["data"]
    assert list(retry) == [*ended, "retry_index"]
    assert (retry["status"], retry["retry_index"], retry["error"], retry["id"]) == ("retry", 1, "no ink", ended["id"])


async def test_reader_who_heard_nothing_in_flight_is_not_told_of_withdrawn_text():
    """Whoever reads the journal only gets each text once."""
    run = await retried()
    projection = RunProjection(label(run))
    events = [told.event for number, fact in enumerate(run.facts, 1) for told in projection.project(number, fact)]
    assert "text_replace" not in names(events) and "half" not in names(events)


async def test_tail_gives_text_of_the_new_attempt_to_whoever_comes_back():
    """A reader that left behind the withdrawal gets the new attempt from its beginning, one before it both."""
    run = await retried()
    tail, number, at = SegmentTail("R"), 0, 0
    for each in run.recorder.told:
        if isinstance(each, TextPart):
            tail.add_part(each)
            continue
        number += 1
        at = number if isinstance(each, TextWithdrawn) else at
        tail.add_facts([(number, each)])
    tail.close()

    async def rest(cursor: Cursor) -> str:
        reader, place, text = Reader(cursor), tail.attach(cursor), ""
        while True:
            batch = reader.take(await tail.next(place))
            for part in batch.parts:
                text += part.text
            if batch.is_end:
                return text

    assert await rest(Cursor(at - 1, 1, 4)) == "whole"
    assert await rest(Cursor(at + 1, 1, 2)) == "ole"
    assert await rest(Cursor(at + 1)) == "whole"
    assert await rest(Cursor(0)) == "halfwhole"


async def test_scheduled_pause_is_a_reason_of_its_own():
    """A run that was told to pause says why; no node waits."""
    run = RunOnStage(graph([start(), end()], [edge("start", "end")]))
    engine = run.engine()
    engine.request_pause("night")
    await engine.start({}, {})
    data = told(run)[-1]["data"]
    assert (data["reasons"], data["paused_nodes"]) == ([{"TYPE": "scheduled_pause", "message": "night"}], [])


async def test_simple_level_leaves_container_and_retry_events_whole():
    """Iteration, loop and retry events are not reduced on the web surface, as in Dify."""
    completed = next(e["data"] for e in told(await iterated(), Surface.WEB) if e["event"] == "iteration_completed")
    assert completed["outputs"] == {"output": ["a", "b"]}
    retry = next(e["data"] for e in told(await retried(), Surface.WEB) if e["event"] == "node_retry")
    assert retry["error"] == "no ink" and "inputs_truncated" in retry
