"""Pauses, answers, recovery: what happens to a run that waits for people or loses its process."""

import asyncio

import pytest

from factories import edge, end, human, llm, node, plan, start, template
from fakes import ListForms, ListRecorder, ScriptedChat, TickClock, effects
from graph.engine import Engine
from graph.events import (
    FormOpened,
    FormSubmitted,
    FormTimedOut,
    NodeFinished,
    NodeStarted,
    RunPaused,
    RunRecovered,
    RunResumed,
    decode_facts,
    encode_facts,
)
from graph.plan import Plan
from graph.ports import ChatDelta, InboxItem
from graph.run_state import RunState, apply
from graph.snapshot import dump_state, load_state
from test_engine_flow import CONTAINS_HELLO, story
from test_engine_text import texts


class Stage:
    """One run whose process may be replaced: every segment gets a fresh engine over stored bytes."""

    def __init__(self, compiled: Plan, chat: ScriptedChat | None = None) -> None:
        self.plan = compiled
        self.chat = chat or ScriptedChat()
        self.forms = ListForms()
        self.recorder = ListRecorder()
        self.clock = TickClock()

    def engine(self, state: RunState) -> Engine:
        return Engine(self.plan, state, "run-1", effects(self.chat, self.forms), self.recorder, self.clock)

    async def start(self, inputs: dict | None = None):
        return await self.engine(RunState(self.plan)).start(inputs or {}, {"query": (inputs or {}).get("query", "")})

    async def resume(self, *items: InboxItem):
        assert self.recorder.snapshot is not None
        before = len(self.recorder.facts)
        outcome = await self.engine(load_state(self.plan, self.recorder.snapshot)).resume(items)
        self.resumed = self.recorder.facts[before:]
        return outcome

    def replayed(self) -> RunState:
        state = RunState(self.plan)
        for fact in decode_facts(encode_facts(self.recorder.facts)):
            apply(state, fact)
        return state


def answer(form_id: str, action: str = "approve", item_id: str = "", **values: str) -> InboxItem:
    """Return a submitted item."""
    return InboxItem(item_id or f"answer-{form_id}", "submitted", form_id, action, values or {"comment": "ok"})


TWO_IN_A_ROW = (
    [start(), human("first"), human("second"), end(out=["second", "comment"])],
    [edge("start", "first"), edge("first", "second", "approve"), edge("second", "end", "approve")],
)


async def test_answer_to_a_form_that_this_state_will_open_again_is_not_lost():
    """A writer that was replaced had opened a form, which was answered: its successor finds the answer."""
    stage = Stage(plan(*TWO_IN_A_ROW))
    await stage.start()
    snapshot, length = stage.recorder.snapshot, len(stage.recorder.facts)
    await stage.resume(answer("form-1"))
    stage.recorder.snapshot = snapshot
    del stage.recorder.facts[length:]
    stage.recorder.taken.clear()
    finished = await stage.resume(answer("form-1"), answer("form-2", comment="early"))
    assert finished.outputs == {"out": "early"}
    assert stage.recorder.taken == ["answer-form-1", "answer-form-2"]
    assert [fact.form_id for fact in stage.resumed if isinstance(fact, FormSubmitted)] == ["form-1", "form-2"]


async def test_answer_to_no_form_of_the_run_is_taken_up_at_the_next_pause():
    """Its execution was stopped or left out; it must not keep the run from pausing."""
    stage = Stage(plan(*TWO_IN_A_ROW))
    await stage.start()
    paused = await stage.resume(answer("form-1"), answer("form-9"))
    assert isinstance(paused, RunPaused) and paused.form_ids == ["form-2"]
    assert stage.recorder.taken == ["answer-form-1", "answer-form-9"]


async def test_single_form_pauses_and_goes_on_where_it_was():
    """The run pauses with buffered text unsent; the answer brings it out in order, and only new nodes run."""
    chat = ScriptedChat({"llm_initial": ["Hello,", " pause"], "llm_resume": ["Welcome", " back!"]})
    nodes = [
        start(), llm("llm_initial"), human(), llm("llm_resume"),
        end(a=["llm_initial", "text"], b=["llm_resume", "text"]),
    ]  # fmt: skip
    edges = [
        edge("start", "llm_initial"), edge("llm_initial", "human"), edge("human", "llm_resume", "approve"),
        edge("llm_resume", "end"),
    ]  # fmt: skip
    stage = Stage(plan(nodes, edges), chat)
    paused = await stage.start()
    assert isinstance(paused, RunPaused) and paused.form_ids == ["form-1"]
    assert story(stage.recorder) == ["S start", "OK start", "S llm_initial", "OK llm_initial", "S human"]
    finished = await stage.resume(answer("form-1"))
    assert finished.status == "succeeded"
    assert finished.outputs == {"a": "Hello, pause", "b": "Welcome back!"}
    stage.recorder.facts = stage.resumed
    assert story(stage.recorder) == [
        "S human", 'C"Hello,"', 'C" pause"', 'C""', 'C"\n"', "OK human", "S llm_resume", 'C"Welcome"', 'C" back!"',
        'C""', "OK llm_resume", "S end", "OK end", "=succeeded",
    ]  # fmt: skip
    assert [request.name for request in chat.requests] == ["llm_initial", "llm_resume"]


async def test_resumed_node_keeps_its_execution_id_and_index():
    """The second node_started of a form's node is the same execution, counted once."""
    stage = Stage(
        plan([start(), human(), end(c=["human", "comment"])], [edge("start", "human"), edge("human", "end", "approve")])
    )
    await stage.start()
    finished = await stage.resume(answer("form-1", comment="fine"))
    started = [f for f in stage.recorder.facts if isinstance(f, NodeStarted) and f.node_id == "human"]
    assert len(started) == 2
    assert started[0].execution_id == started[1].execution_id and started[0].index == started[1].index
    assert finished.total_steps == 3
    assert finished.outputs == {"c": "fine"}


async def test_pause_and_its_facts_are_one_append():
    """Opening the form needs no commit before it: start, question and pause are durable together."""
    stage = Stage(plan([start(), human(), end()], [edge("start", "human"), edge("human", "end", "approve")]))
    await stage.start()
    assert len(stage.recorder.append_sizes) == 1
    await stage.resume(answer("form-1"))
    assert len(stage.recorder.append_sizes) == 2


async def test_waiting_time_does_not_count_as_elapsed():
    """elapsed_s is the time the run executed; a day spent waiting for a person is not in it."""
    stage = Stage(plan([start(), human(), end()], [edge("start", "human"), edge("human", "end", "approve")]))
    paused = await stage.start()
    stage.clock = TickClock(1_781_090_000.0)
    finished = await stage.resume(answer("form-1"))
    assert finished.elapsed_s < paused.elapsed_s + 60


async def test_two_forms_pause_together_and_are_answered_one_by_one():
    """One pause has both reasons; after the first answer the run pauses again with the other, opened once."""
    nodes = [
        start(), human("human_a"), human("human_b"),
        end(a=["human_a", "__action_id"], b=["human_b", "__action_id"]),
    ]  # fmt: skip
    edges = [
        edge("start", "human_a"), edge("start", "human_b"), edge("human_a", "end", "approve"),
        edge("human_b", "end", "approve"),
    ]  # fmt: skip
    stage = Stage(plan(nodes, edges))
    paused = await stage.start()
    assert len(paused.form_ids) == 2
    again = await stage.resume(answer("form-1"))
    assert isinstance(again, RunPaused) and again.form_ids == ["form-2"]
    assert len(stage.forms.requests) == 2, "the sibling's form is not opened or notified again"
    assert not [f for f in stage.resumed if isinstance(f, NodeStarted) and f.node_id == "human_b"]
    finished = await stage.resume(answer("form-2"))
    assert finished.outputs == {"a": "approve", "b": "approve"}


async def test_siblings_go_on_while_a_form_waits():
    """Branches that can move do; the pause comes when only people are left."""
    nodes = [start(), llm("a"), llm("b"), human(), end("e1", t=["b", "text"]), end("e2", c=["human", "comment"])]
    edges = [
        edge("start", "a"), edge("a", "b"), edge("b", "e1"), edge("start", "human"), edge("human", "e2", "approve"),
    ]  # fmt: skip
    stage = Stage(plan(nodes, edges))
    paused = await stage.start()
    ended = [f.node_id for f in stage.recorder.facts if isinstance(f, NodeFinished)]
    assert ended == ["start", "a", "b", "e1"]
    assert paused.outputs == {"t": "This is scripted"}


async def test_answer_during_execution_is_taken_up_in_place():
    """A form answered while a sibling still works brings no resumption and no second node_started."""
    working, release = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedChat):
        async def stream(self, request):
            working.set()
            await release.wait()
            yield ChatDelta(text="done")

    nodes = [start(), llm("slow"), human(), end("e1", t=["slow", "text"]), end("e2", c=["human", "comment"])]
    edges = [edge("start", "slow"), edge("slow", "e1"), edge("start", "human"), edge("human", "e2", "approve")]
    stage = Stage(plan(nodes, edges), Slow())
    engine = stage.engine(RunState(stage.plan))
    task = asyncio.create_task(engine.start({}, {}))
    await working.wait()
    engine.deliver([answer("form-1", comment="early")])
    engine.deliver([answer("form-1", comment="early")])
    await asyncio.sleep(0)
    release.set()
    finished = await task
    assert finished.outputs == {"t": "done", "c": "early"}
    kinds = [type(fact) for fact in stage.recorder.facts]
    assert RunResumed not in kinds and RunPaused not in kinds
    assert kinds.count(FormSubmitted) == 1, "the same item handed in twice counts once"
    submitted = next(f for f in stage.recorder.facts if isinstance(f, FormSubmitted))
    assert submitted.is_shown is False
    assert [f.node_id for f in stage.recorder.facts if isinstance(f, NodeStarted)].count("human") == 1


async def test_answer_that_races_the_pause_is_taken_up_instead_of_pausing():
    """When the recorder finds an un-taken item at the pause, the run goes on and never was paused."""
    stage = Stage(
        plan([start(), human(), end(c=["human", "comment"])], [edge("start", "human"), edge("human", "end", "approve")])
    )
    stage.recorder.pending.append(answer("form-1", comment="quick"))
    finished = await stage.start()
    assert finished.outputs == {"c": "quick"}
    assert RunPaused not in [type(fact) for fact in stage.recorder.facts]
    assert stage.recorder.taken == ["answer-form-1"]


async def test_timeout_takes_its_own_edge():
    """A form whose deadline passed leaves through __timeout with empty action outputs."""
    nodes = [start(), human(), end("late", a=["human", "__action_id"]), end("ok", c=["human", "comment"])]
    edges = [edge("start", "human"), edge("human", "late", "__timeout"), edge("human", "ok", "approve")]
    stage = Stage(plan(nodes, edges))
    await stage.start()
    finished = await stage.resume(InboxItem("t1", "timeout", "form-1"))
    assert finished.outputs == {"a": ""}
    assert [type(f).__name__ for f in stage.resumed[:3]] == ["RunResumed", "NodeStarted", "FormTimedOut"]
    timed_out = next(f for f in stage.resumed if isinstance(f, FormTimedOut))
    assert timed_out.is_shown is True


@pytest.mark.parametrize("kind", ["stop", "expired"])
async def test_stop_of_a_paused_run_ends_it_without_a_resumption(kind: str):
    """A stop or an expiry ends a paused run at once as stopped with its reason; no node runs."""
    stage = Stage(plan([start(), human(), end()], [edge("start", "human"), edge("human", "end", "approve")]))
    paused = await stage.start()
    finished = await stage.resume(InboxItem("s1", kind, "form-1", reason="why"), answer("form-1"))
    assert (finished.status, finished.error) == ("stopped", "why")
    assert [type(f).__name__ for f in stage.resumed] == ["RunFinished"]
    assert finished.elapsed_s == paused.elapsed_s


async def test_handle_without_an_edge_ends_that_path():
    """An action nobody connected ends the run normally."""
    stage = Stage(plan([start(), human(), end()], [edge("start", "human"), edge("human", "end", "approve")]))
    await stage.start()
    finished = await stage.resume(answer("form-1", "reject"))
    assert (finished.status, finished.outputs) == ("succeeded", {})


async def test_recovery_runs_only_what_was_in_flight_again():
    """After a crash finished nodes do not run again; the node in flight does, with the same execution id."""
    started = asyncio.Event()

    class HangsOnce(ScriptedChat):
        hung = False

        async def stream(self, request):
            if request.name == "second" and not HangsOnce.hung:
                HangsOnce.hung = True
                self.requests.append(request)
                yield ChatDelta(text="lost")
                started.set()
                await asyncio.Event().wait()
            async for delta in super().stream(request):
                yield delta

    nodes = [start(), llm("first"), llm("second"), end(a=["first", "text"], b=["second", "text"])]
    edges = [edge("start", "first"), edge("first", "second"), edge("second", "end")]
    stage = Stage(plan(nodes, edges), HangsOnce())
    task = asyncio.create_task(stage.start())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    finished = await stage.engine(stage.replayed()).recover(2, [])
    assert finished.outputs == {"a": "This is scripted", "b": "This is scripted"}
    assert [r.name for r in stage.chat.requests] == ["first", "second", "second"]
    keys = {r.idempotency_key for r in stage.chat.requests if r.name == "second"}
    assert len(keys) == 1
    assert texts(stage.recorder) == "This is scripted\nThis is scripted"
    assert next(f for f in stage.recorder.facts if isinstance(f, RunRecovered)).attempt == 2
    assert stage.recorder.parts[-1].attempt == 2


async def test_recovery_while_a_form_is_open_keeps_the_form():
    """A run that died between opening its form and pausing pauses again with the same form."""
    stage = Stage(
        plan([start(), human(), end(c=["human", "comment"])], [edge("start", "human"), edge("human", "end", "approve")])
    )
    await stage.start()
    stage.recorder.facts = [f for f in stage.recorder.facts if not isinstance(f, RunPaused)]
    paused = await stage.engine(stage.replayed()).recover(2, [])
    assert isinstance(paused, RunPaused) and paused.form_ids == ["form-1"]
    assert len([f for f in stage.recorder.facts if isinstance(f, FormOpened)]) == 1


async def test_answer_to_a_form_that_is_still_being_opened_waits_for_it():
    """An item whose form the run does not know yet is kept while any form is being opened."""
    opening, release = asyncio.Event(), asyncio.Event()

    class SlowForms(ListForms):
        async def open_form(self, request):
            opening.set()
            await release.wait()
            return await super().open_form(request)

    stage = Stage(
        plan([start(), human(), end(c=["human", "comment"])], [edge("start", "human"), edge("human", "end", "approve")])
    )
    stage.forms = SlowForms()
    engine = stage.engine(RunState(stage.plan))
    task = asyncio.create_task(engine.start({}, {}))
    await opening.wait()
    engine.deliver([answer("form-1", comment="by mail")])
    await asyncio.sleep(0)
    release.set()
    assert (await task).outputs == {"c": "by mail"}


async def test_replay_and_snapshot_give_the_same_state():
    """At every pause the stored snapshot equals the replay of the journal, byte for byte."""
    chat = ScriptedChat({"first": ["In", "itial"], "yes": ["pri", "mary"]})
    nodes = [
        start("query"), llm("first"), node("if", "if-else", cases=[CONTAINS_HELLO]), human("h1"), human("h2"),
        template("t", "{{ x }}!", x=["h1", "comment"]), llm("yes"),
        end("end_yes", a=["first", "text"], b=["yes", "text"], c=["t", "output"]), end("end_no", a=["first", "text"]),
    ]  # fmt: skip
    edges = [
        edge("start", "first"), edge("first", "if"), edge("if", "h1", "true"), edge("if", "end_no", "false"),
        edge("start", "h2"), edge("h1", "t", "approve"), edge("t", "yes"), edge("yes", "end_yes"),
        edge("h2", "end_yes", "approve"),
    ]  # fmt: skip
    stage = Stage(plan(nodes, edges), chat)
    outcome = await stage.start({"query": "hello"})
    pauses = 0
    while isinstance(outcome, RunPaused):
        pauses += 1
        assert dump_state(stage.replayed()) == stage.recorder.snapshot
        assert dump_state(load_state(stage.plan, stage.recorder.snapshot)) == stage.recorder.snapshot
        outcome = await stage.resume(answer(outcome.form_ids[0], item_id=f"i{pauses}"))
    assert pauses == 2
    assert outcome.outputs == {"a": "Initial", "b": "primary", "c": "ok!"}
    assert texts(stage.recorder) == "Initial\nprimary\nok!"
