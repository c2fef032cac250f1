"""Commands to a run: stop before it began, pause, new values for variables."""

import asyncio

import pytest

from factories import assigner, edge, end, human, iteration, llm, node, start, template
from fakes import ScriptedChat
from graph.errors import RunLeftError
from graph.events import NodeFinished, NodeStarted, RunPaused, VariableUpdated
from graph.nodes.kind import VariableUpdate
from graph.ports import ChatDelta, InboxItem
from graph.run_state import RunState
from graph.snapshot import dump_state
from run_on_stage import RunOnStage, finished, graph, long_story

CHAIN = [start(), llm("a"), llm("b"), end(a=["a", "text"], b=["b", "text"])]
HUMAN_EDGES = [edge("start", "human"), edge("human", "end", "approve"), edge("human", "end", "reject")]
CHAIN_EDGES = [edge("start", "a"), edge("a", "b"), edge("b", "end")]


class Gate(ScriptedChat):
    """A model that waits until the test lets it go on; ``begun`` is set when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def stream(self, request):
        """Answer one call."""
        self.requests.append(request)
        self.begun.set()
        yield ChatDelta(text="half ")
        await self.go.wait()
        yield ChatDelta(text="whole")


async def test_stop_before_the_start_runs_nothing():
    """The run begins and ends at once, stopped with the reason."""
    run = RunOnStage(graph(CHAIN, CHAIN_EDGES))
    engine = run.engine()
    engine.deliver([InboxItem("s", "stop", reason="Aborted: not wanted")])
    outcome = await engine.start({}, {})
    assert (outcome.status, outcome.error) == ("stopped", "Aborted: not wanted")
    assert long_story(run.facts) == ["=stopped"]


async def test_pause_before_the_start_runs_nothing():
    """The run begins and pauses at once; resumed, it runs as a whole."""
    run = RunOnStage(graph(CHAIN, CHAIN_EDGES))
    engine = run.engine()
    engine.request_pause("night")
    outcome = await engine.start({}, {})
    assert isinstance(outcome, RunPaused) and (outcome.message, outcome.form_ids) == ("night", [])
    assert not [f for f in run.facts if isinstance(f, NodeStarted)]
    outcome = await run.resume()
    assert outcome.status == "succeeded" and outcome.total_steps == 4


async def test_pause_lets_running_nodes_finish_and_starts_nothing_after_them():
    """The model in flight ends and is told; its successor begins with the resumption, in the same order."""
    run = RunOnStage(graph(CHAIN, CHAIN_EDGES), Gate())
    engine = run.engine()
    task = asyncio.create_task(engine.start({}, {}))
    await run.chat.begun.wait()
    engine.request_pause("night")
    await asyncio.sleep(0)
    assert not task.done()
    run.chat.go.set()
    outcome = await task
    assert isinstance(outcome, RunPaused)
    assert long_story(run.facts)[-2:] == ["OK a", "paused"]
    assert dump_state(run.replayed()) == run.recorder.snapshot
    outcome = await run.resume()
    assert outcome.outputs == {"a": "half whole", "b": "half whole"}
    assert [r.name for r in run.chat.requests] == ["a", "b"]


async def test_pause_keeps_text_that_was_not_told():
    """Text buffered behind a branch when the pause came is told after the resumption, in its place."""
    check = node("if", "if-else", cases=[{"case_id": "true", "logical_operator": "and", "conditions": []}])
    nodes = [start(), llm("a"), check, node("answer", "answer", answer="{{#a.text#}}!")]
    run = RunOnStage(graph(nodes, [edge("start", "a"), edge("a", "if"), edge("if", "answer", "true")]), Gate())
    engine = run.engine()
    task = asyncio.create_task(engine.start({}, {}))
    await run.chat.begun.wait()
    engine.request_pause("night")
    run.chat.go.set()
    await task
    assert run.text() == ""
    await run.resume()
    assert run.text() == "half whole!"
    run.check_replay()


async def test_pause_of_a_run_that_has_nothing_left_lets_it_finish():
    """There is nothing to hold back, so the run succeeds."""
    nodes = [start(), llm("a"), end(a=["a", "text"])]
    run = RunOnStage(graph(nodes[:2], [edge("start", "a")]), Gate())
    engine = run.engine()
    task = asyncio.create_task(engine.start({}, {}))
    await run.chat.begun.wait()
    engine.request_pause("night")
    run.chat.go.set()
    assert (await task).status == "succeeded"


async def test_pause_with_an_open_form_names_both_reasons():
    """A form that waits when the command comes is part of the same pause."""
    nodes = [start(), human(), llm("a"), llm("b"), end(c=["human", "comment"])]
    edges = [
        edge("start", "human"),
        edge("start", "a"),
        edge("a", "b"),
        edge("human", "end", "approve"),
        edge("b", "end"),
    ]
    run = RunOnStage(graph(nodes, edges), Gate())
    engine = run.engine()
    task = asyncio.create_task(engine.start({}, {}))
    await run.chat.begun.wait()
    engine.request_pause("night")
    run.chat.go.set()
    outcome = await task
    assert (outcome.message, outcome.form_ids) == ("night", ["form-1"])
    again = await run.resume()
    assert (again.message, again.form_ids) == (None, ["form-1"])
    done = await run.resume(InboxItem("i", "submitted", "form-1", "approve", {"comment": "x"}))
    assert done.outputs == {"c": "x"}


async def test_pause_inside_of_an_iteration_goes_on_in_the_same_pass():
    """Passes in flight keep their place over a pause by command."""
    inner = (llm("ask", "{{#it.item#}}"), template("t", "{{ x }}", x=["ask", "text"]))
    nodes = [start(), iteration("it", ["sys", "items"], ["t", "output"], *inner), end(o=["it", "output"])]
    edges = [edge("start", "it"), edge("itstart", "ask"), edge("ask", "t"), edge("it", "end")]
    run = RunOnStage(graph(nodes, edges), Gate())
    engine = run.engine()
    task = asyncio.create_task(engine.start({}, {"items": ["a", "b"]}))
    await run.chat.begun.wait()
    engine.request_pause("night")
    run.chat.go.set()
    assert isinstance(await task, RunPaused)
    assert long_story(run.facts)[-2:] == ["OK it:0|ask", "paused"]
    outcome = await run.resume()
    assert outcome.outputs == {"o": ["half whole"] * 2} and len(run.chat.requests) == 2


async def test_update_of_variables_is_seen_by_what_starts_after_it():
    """The command changes variables and adds new ones; the facts carry them."""
    nodes = [start("q"), llm("a"), end(q=["start", "q"], new=["extra", "x"])]
    run = RunOnStage(graph(nodes, [edge("start", "a"), edge("a", "end")]), Gate())
    engine = run.engine()
    task = asyncio.create_task(engine.start({"q": "old"}, {}))
    await run.chat.begun.wait()
    engine.update_variables(
        [VariableUpdate(("start", "q"), "string", "new"), VariableUpdate(("extra", "x"), "number", 1)]
    )
    run.chat.go.set()
    outcome = await task
    assert outcome.outputs == {"q": "new", "new": 1}
    assert [f.selector for f in run.facts if isinstance(f, VariableUpdated)] == [["start", "q"], ["extra", "x"]]
    run.check_replay()


async def test_update_of_variables_reaches_passes_with_a_value_of_their_own():
    """A pass that has changed a variable for itself sees the command too."""
    inner = (assigner("own", (["conversation", "v"], "set", "mine")), llm("ask"), node("say", "answer",
             answer="{{#conversation.v#}}"))  # fmt: skip
    nodes = [start(), iteration("it", ["sys", "items"], ["it", "item"], *inner), node("last", "answer", answer="")]
    edges = [edge("start", "it"), edge("itstart", "own"), edge("own", "ask"), edge("ask", "say"), edge("it", "last")]
    run = RunOnStage(graph(nodes, edges, "advanced-chat", {"v": ("string", "")}), Gate())
    engine = run.engine()
    task = asyncio.create_task(engine.start({}, {"items": ["a"]}))
    await run.chat.begun.wait()
    engine.update_variables([VariableUpdate(("conversation", "v"), "string", "theirs")])
    run.chat.go.set()
    assert (await task).outputs["answer"] == "theirs"
    run.check_replay()


async def test_pause_that_races_an_answer_takes_it_up_first():
    """An item found at a pause by command is taken up; then the run pauses with what is left."""
    nodes = [start(), human(), template("t", "x"), end(c=["human", "comment"])]
    run = RunOnStage(graph(nodes, [edge("start", "human"), edge("human", "t", "approve"), edge("t", "end")]))
    run.recorder.pending.append(InboxItem("i", "submitted", "form-1", "approve", {"comment": "x"}))
    engine = run.engine(RunState(run.plan))
    task = asyncio.create_task(engine.start({}, {}))
    await asyncio.sleep(0)
    engine.request_pause("night")
    outcome = await task
    assert isinstance(outcome, RunPaused) and (outcome.message, outcome.form_ids) == ("night", [])
    assert (await run.resume()).outputs == {"c": "x"}
    assert finished(run).total_steps == 4


async def test_run_that_is_left_goes_on_elsewhere_with_what_comes_next():
    """The model in flight ends and is durable; the next process runs only what had not begun, nothing twice."""
    run = RunOnStage(graph(CHAIN, CHAIN_EDGES), Gate())
    engine = run.engine()
    task = asyncio.create_task(engine.start({}, {}))
    await run.chat.begun.wait()
    engine.request_leave()
    await asyncio.sleep(0)
    assert not task.done()
    run.chat.go.set()
    with pytest.raises(RunLeftError) as caught:
        await task
    assert str(caught.value) == "run run-1 goes on in another process"
    assert long_story(run.facts)[-1] == "OK a"
    outcome = await run.engine(run.replayed()).recover(2, [])
    assert outcome.outputs == {"a": "half whole", "b": "half whole"}
    assert [request.name for request in run.chat.requests] == ["a", "b"]
    assert [fact.node_id for fact in run.facts if isinstance(fact, NodeFinished)] == ["start", "a", "b", "end"]
    run.check_replay()


async def test_run_that_is_left_pauses_when_only_people_are_missing():
    """With nothing left to start, a run that waits for people pauses as ever: it needs no process anyway."""
    run = RunOnStage(graph([start(), human(), end(c=["human", "comment"])], HUMAN_EDGES))
    engine = run.engine()
    task = asyncio.create_task(engine.start({}, {}))
    while not run.forms.requests:
        await asyncio.sleep(0)
    engine.request_leave()
    assert isinstance(await task, RunPaused)


async def test_run_that_is_left_before_its_start_is_kept():
    """The start is durable, so that whoever takes the run over finds its inputs."""
    run = RunOnStage(graph(CHAIN, CHAIN_EDGES))
    engine = run.engine()
    engine.request_leave()
    with pytest.raises(RunLeftError):
        await engine.start({}, {})
    assert not [fact for fact in run.facts if isinstance(fact, NodeStarted)]
    assert (await run.engine(run.replayed()).recover(2, [])).status == "succeeded"
