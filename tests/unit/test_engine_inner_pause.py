"""People inside of containers: one form per pass, siblings go on, and every part survives pause and crash."""

import asyncio
from typing import Any

import pytest

from factories import assigner, condition, edge, end, human, iteration, llm, loop, node, start, variable
from fakes import ScriptedChat
from graph.events import FormOpened, FormSubmitted, NodeFinished, NodeStarted, RunPaused
from graph.ports import ChatDelta, InboxItem
from graph.snapshot import dump_state
from run_on_stage import RunOnStage, end_of, finished, graph, long_story

ITEMS = ["sys", "items"]


def answer(form_id: str, comment: str = "ok", action: str = "approve") -> InboxItem:
    """Return the answer to a form."""
    return InboxItem(f"answer-{form_id}", "submitted", form_id, action, {"comment": comment})


def asking(**data: Any) -> RunOnStage:
    """Return a run of an iteration that asks a person about each item and answers with what they say."""
    nodes = [
        start(),
        iteration("it", ITEMS, ["ask", "comment"], human("ask", "About {{#it.item#}}?"),
                  node("say", "answer", answer="{{#it.item#}}: {{#ask.comment#}}\n"), **data),
        node("last", "answer", answer="done"),
    ]  # fmt: skip
    edges = [edge("start", "it"), edge("itstart", "ask"), edge("ask", "say", "approve"), edge("it", "last")]
    return RunOnStage(graph(nodes, edges, "advanced-chat"))


async def test_iteration_asks_once_for_each_pass():
    """Pass by pass the run pauses with a form of its own and goes on where it was; nothing runs twice."""
    run = asking()
    outcome = await run.start({"items": ["a", "b"]})
    for number, item in enumerate("ab", 1):
        assert isinstance(outcome, RunPaused) and outcome.form_ids == [f"form-{number}"]
        assert dump_state(run.replayed()) == run.recorder.snapshot
        outcome = await run.resume(answer(f"form-{number}", item.upper()))
    assert outcome.outputs["answer"] == "a: A\nb: B\ndone" == run.text()
    assert end_of(run, "it").outputs == {"output": ["A", "B"]}
    opened = [f for f in run.facts if isinstance(f, FormOpened)]
    assert [(f.scope, f.definition["form_content"]) for f in opened] == [("it:0", "About a?"), ("it:1", "About b?")]
    assert opened[0].execution_id != opened[1].execution_id
    run.check_replay()


async def test_parallel_passes_ask_together_and_go_on_in_any_order():
    """Three passes wait in one pause; answered last first, results and text still come in index order."""
    run = asking(is_parallel=True)
    outcome = await run.start({"items": ["a", "b", "c"]})
    assert isinstance(outcome, RunPaused) and len(outcome.form_ids) == 3
    for form_id in ("form-3", "form-1"):
        outcome = await run.resume(answer(form_id, f"by {form_id}"))
        assert isinstance(outcome, RunPaused)
        assert dump_state(run.replayed()) == run.recorder.snapshot
    # The turn is with the second item; what the third says is held back.
    assert run.text() == "a: by form-1\n"
    outcome = await run.resume(answer("form-2", "by form-2"))
    assert outcome.outputs["answer"] == run.text() == "a: by form-1\nb: by form-2\nc: by form-3\ndone"
    asked_again = [f for f in run.facts if isinstance(f, NodeStarted) and f.node_id == "ask"]
    assert len(asked_again) == 6, "each form's node begins once and again when its answer comes"
    run.check_replay()


async def test_passes_that_can_go_on_do_while_one_waits():
    """A form holds back only its own pass."""
    check = node("check", "if-else", cases=[
        {"case_id": "true", "logical_operator": "and", "conditions": [condition(["it", "item"], "is", "ask")]},
    ])  # fmt: skip
    nodes = [
        start(), iteration("it", ITEMS, ["it", "item"], check, human("ask"), llm("write"), is_parallel=True),
        end(output=["it", "output"]),
    ]  # fmt: skip
    edges = [
        edge("start", "it"), edge("itstart", "check"), edge("check", "ask", "true"), edge("check", "write", "false"),
        edge("it", "end"),
    ]  # fmt: skip
    run = RunOnStage(graph(nodes, edges))
    outcome = await run.start({"items": ["ask", "x", "y"]})
    assert isinstance(outcome, RunPaused) and outcome.form_ids == ["form-1"]
    assert [line for line in long_story(run.facts) if line.startswith("succeeded it")] == [
        "succeeded it 1",
        "succeeded it 2",
    ]
    outcome = await run.resume(answer("form-1"))
    assert outcome.outputs == {"output": ["ask", "x", "y"]}


async def test_loop_asks_until_somebody_is_content():
    """A person in a loop is asked anew in each round, with the loop's variables as they are then."""
    keep = assigner("keep", (["lp", "said"], "over-write", ["ask", "comment"]))
    nodes = [
        start(),
        loop("lp", 5, human("ask", "Was: {{#lp.said#}}"), keep, loop_variables=[variable("said", "string", "nothing")],
             break_conditions=[condition(["lp", "said"], "is", "good")]),
        end(said=["lp", "said"], rounds=["lp", "loop_round"]),
    ]  # fmt: skip
    edges = [edge("start", "lp"), edge("lpstart", "ask"), edge("ask", "keep", "approve"), edge("lp", "end")]
    run = RunOnStage(graph(nodes, edges))
    outcome = await run.start()
    for number, said in enumerate(("bad", "better", "good"), 1):
        assert isinstance(outcome, RunPaused)
        outcome = await run.resume(answer(f"form-{number}", said))
    assert outcome.outputs == {"said": "good", "rounds": 3}
    assert [r.form_content for r in run.forms.requests] == ["Was: nothing", "Was: bad", "Was: better"]
    run.check_replay()


async def test_form_deep_inside_of_containers_survives_a_crash_after_any_fact():
    """Restored after whichever fact of its journal, a run with a form in a loop in an iteration ends the same."""
    inner = loop("lp", 2, human("ask", "{{#it.item#}}{{#lp.n#}}?"), assigner("add", (["lp", "n"], "+=", 1)),
                 loop_variables=[variable("n", "number", 0)])  # fmt: skip
    said = node("say", "answer", answer="{{#it.item#}}{{#lp.n#}}")
    nodes = [start(), iteration("it", ITEMS, ["lp", "n"], *inner, said, is_parallel=True, parallel_nums=2),
             node("last", "answer", answer="{{#it.output#}}")]  # fmt: skip
    edges = [
        edge("start", "it"), edge("itstart", "lp"), edge("lpstart", "ask"), edge("ask", "add", "approve"),
        edge("lp", "say"), edge("it", "last"),
    ]  # fmt: skip
    plan = graph(nodes, edges, "advanced-chat")

    async def go_on(run: RunOnStage, outcome: Any) -> Any:
        while isinstance(outcome, RunPaused):
            outcome = await run.resume(*(answer(form_id) for form_id in outcome.form_ids[-1:]))
        return outcome

    whole = RunOnStage(plan)
    expected = await go_on(whole, await whole.start({"items": ["a", "b", "c"]}))
    assert expected.outputs["answer"] == "a2b2c2- 2\n- 2\n- 2"
    for count in whole.crash_points():
        run = RunOnStage(plan, forms=whole.forms, facts=whole.facts[:count])
        taken = {f.form_id for f in whole.facts[:count] if isinstance(f, FormSubmitted)}
        state = run.replayed()
        run.recorder.taken.extend(f"answer-{form_id}" for form_id in taken)
        outcome = await go_on(run, await run.engine(state).recover(2, []))
        assert outcome.outputs == expected.outputs, f"after fact {count}: {whole.facts[count - 1]}"
        assert {f.execution_id for f in run.facts if isinstance(f, NodeFinished)} == {
            f.execution_id for f in whole.facts if isinstance(f, NodeFinished)
        }


@pytest.mark.parametrize("is_loop", [True, False])
async def test_stop_of_a_run_that_waits_inside_ends_its_containers(is_loop: bool):
    """A stop ends the containers in flight as stopped, inner ones first, and the run with its reason."""
    inner = human("ask")
    around = loop("box", 2, inner) if is_loop else iteration("box", ITEMS, ["ask", "comment"], inner)
    run = RunOnStage(
        graph([start(), around, end()], [edge("start", "box"), edge("boxstart", "ask"), edge("box", "end")])
    )
    await run.start({"items": ["a"]})
    outcome = await run.resume(InboxItem("s", "stop", reason="enough"))
    assert (outcome.status, outcome.error) == ("stopped", "enough")
    assert long_story(run.facts)[-2:] == ["stopped box", "=stopped"]
    run.check_replay()


def half_broken(mode: str) -> RunOnStage:
    """Return a run of a parallel iteration whose passes all ask; the one about "bad" also has a branch that fails."""
    check = node("check", "if-else", cases=[
        {"case_id": "true", "logical_operator": "and", "conditions": [condition(["it", "item"], "is", "bad")]},
    ])  # fmt: skip
    fail = assigner("fail", (["no", "where"], "set", 1))
    nodes = [
        start(),
        iteration("it", ITEMS, ["ask", "comment"], human("ask"), llm("wait"), check, fail, is_parallel=True,
                  error_handle_mode=mode),
        end(output=["it", "output"]),
    ]  # fmt: skip
    edges = [
        edge("start", "it"), edge("itstart", "ask"), edge("itstart", "wait"), edge("wait", "check"),
        edge("check", "fail", "true"), edge("it", "end"),
    ]  # fmt: skip
    return RunOnStage(graph(nodes, edges))


async def test_failed_pass_takes_its_form_with_it():
    """The form of a pass that failed waits no more; an answer to it that comes late changes nothing."""
    run = half_broken("continue-on-error")
    outcome = await run.start({"items": ["bad", "fine"]})
    asked = {f.scope: f.form_id for f in run.facts if isinstance(f, FormOpened)}
    assert isinstance(outcome, RunPaused) and outcome.form_ids == [asked["it:1"]]
    outcome = await run.resume(answer(asked["it:0"]), answer(asked["it:1"], "well"))
    assert outcome.outputs == {"output": [None, "well"]}
    assert outcome.status == "partial-succeeded"
    assert set(run.recorder.taken) == {"answer-form-1", "answer-form-2"}
    run.check_replay()


async def test_iteration_that_fails_anyway_does_not_wait_for_people():
    """When a terminated iteration has only passes left that wait for a person, they are stopped with it."""
    run = half_broken("terminated")
    await run.start({"items": ["bad", "fine"]})
    story = long_story(run.facts)
    assert story[-4:] == ["stopped it:1|ask", "failed it 1", "failed it", "=failed"]
    assert finished(run).exceptions_count == 2
    run.check_replay()


async def test_model_in_a_pass_runs_again_after_a_crash_with_the_same_id():
    """A node in flight inside of a pass is recovered; the passes before it are not."""
    started = asyncio.Event()

    class HangsOnce(ScriptedChat):
        is_hung = False

        async def stream(self, request):
            self.requests.append(request)
            if request.messages[0].text == "b" and not HangsOnce.is_hung:
                HangsOnce.is_hung = True
                yield ChatDelta(text="lost")
                started.set()
                await asyncio.Event().wait()
            yield ChatDelta(text=request.messages[0].text.upper())

    nodes = [start(), iteration("it", ITEMS, ["ask", "text"], llm("ask", "{{#it.item#}}"),
                                node("say", "answer", answer="{{#ask.text#}}")), end(o=["it", "output"])]  # fmt: skip
    edges = [edge("start", "it"), edge("itstart", "ask"), edge("ask", "say"), edge("it", "end")]
    run = RunOnStage(graph(nodes, edges), HangsOnce())
    task = asyncio.create_task(run.start({"items": ["a", "b", "c"]}))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    outcome = await run.engine(run.replayed()).recover(2, [])
    assert outcome.outputs["o"] == ["A", "B", "C"] and outcome.outputs["answer"] == "ABC"
    assert [r.messages[0].text for r in run.chat.requests] == ["a", "b", "b", "c"]
    assert len({r.idempotency_key for r in run.chat.requests}) == 3
    run.check_replay()
