"""Iterations: order, parallel passes, error modes, flattening, inner answers, conversation variables, usage."""

import asyncio
from typing import Any

import pytest

from factories import assigner, edge, end, iteration, llm, loop, node, start, template, variable
from fakes import ScriptedChat
from graph.errors import NodeError
from graph.events import PassStarted, RunFinished, TextEmitted
from graph.ports import ChatDelta
from run_on_stage import RunOnStage, end_of, finished, graph, long_story, metadata_of, play

ITEMS = ["sys", "items"]
OUTER = [edge("start", "it"), edge("it", "end")]


def each(*inner: dict[str, Any], output: list[str] | None = None, **data: Any) -> list[Any]:
    """Return start -> iteration "it" over sys.items with ``inner`` -> end."""
    return [start(), iteration("it", ITEMS, output or ["t", "output"], *inner, **data), end(output=["it", "output"])]


def bang(**variables: list[str]) -> dict[str, Any]:
    """Return a template node "t" that puts "!" behind the item."""
    return template("t", "{{ item }}!", item=["it", "item"], **variables)


async def test_iteration_runs_its_passes_in_order():
    """One pass after the other, each told as begun; the hidden start node is no step."""
    run = await play(each(bang()), [*OUTER, edge("itstart", "t")], ["alpha", "beta"])
    assert long_story(run.facts) == [
        "S start", "OK start", "S it", "+ it", "pass it 0", "S it:0|t", "OK it:0|t", "succeeded it 0", "pass it 1",
        "S it:1|t", "OK it:1|t", "succeeded it 1", 'C"- alpha!\n- beta!"', "OK it", "S end", "OK end", "=succeeded",
    ]  # fmt: skip
    assert finished(run).outputs == {"output": ["alpha!", "beta!"]}
    assert finished(run).total_steps == 5
    ended = end_of(run, "it")
    assert (ended.steps, ended.inputs) == (2, {"iterator_selector": ["alpha", "beta"]})
    assert list(metadata_of(run, "it")["iteration_duration_map"]) == ["0", "1"]


@pytest.mark.parametrize("items", [[], None])
async def test_nothing_to_iterate_gives_an_empty_list(items: list | None):
    """An empty list and null have no pass and succeed with an empty output."""
    run = await play(each(bang()), [*OUTER, edge("itstart", "t")], items)
    assert finished(run).outputs == {"output": []}
    assert "+ it" in long_story(run.facts) and not [f for f in run.facts if isinstance(f, PassStarted)]
    assert end_of(run, "it").steps == 0


@pytest.mark.parametrize("selector", [["sys", "nowhere"], ["sys", "word"]])
async def test_what_cannot_be_iterated_fails_the_node(selector: list[str]):
    """A missing variable and a text are no list; the container has not begun."""
    nodes = [start(), iteration("it", selector, ["t", "output"], bang()), end()]
    run = RunOnStage(graph(nodes, [*OUTER, edge("itstart", "t")]))
    await run.start({"word": "tea"})
    assert finished(run).status == "failed" and "it (it)" in (finished(run).error or "")
    assert "+ it" not in long_story(run.facts)


class Waiting(ScriptedChat):
    """A model that answers when it is let, by prompt; ``begun`` tells the prompts in the order they came."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []
        self.released: dict[str, asyncio.Event] = {}
        self.changed = asyncio.Event()

    async def stream(self, request):
        """Answer one call."""
        prompt = request.messages[0].text
        self.begun.append(prompt)
        self.changed.set()
        yield ChatDelta(text=f"<{prompt}")
        await self.released.setdefault(prompt, asyncio.Event()).wait()
        yield ChatDelta(text=">")

    def release(self, *prompts: str) -> None:
        """Let the calls with these prompts end."""
        for prompt in prompts:
            self.released.setdefault(prompt, asyncio.Event()).set()

    async def wait_for(self, count: int) -> None:
        """Wait until so many calls have begun."""
        while len(self.begun) < count:
            self.changed.clear()
            await self.changed.wait()


def asking(**data: Any) -> list[Any]:
    """Return an iteration whose passes ask a model about their item and answer with what it says."""
    ask, say = llm("ask", "{{#it.item#}}"), node("say", "answer", answer="{{#ask.text#}} ")
    return each(ask, say, output=["ask", "text"], **data)


ASKING = [*OUTER, edge("itstart", "ask"), edge("ask", "say")]


async def test_parallel_passes_keep_to_their_number_and_order():
    """At most parallel_nums passes are in flight; results and text come in index order, whoever ends first."""
    chat = Waiting()
    run = RunOnStage(graph(asking(is_parallel=True, parallel_nums=2), ASKING), chat)
    task = asyncio.create_task(run.start({"items": ["a", "b", "c"]}))
    await chat.wait_for(2)
    assert chat.begun == ["a", "b"]
    chat.release("b")
    await chat.wait_for(3)
    chat.release("c")
    await asyncio.sleep(0)
    chat.release("a")
    await task
    run.check_replay()
    assert finished(run).outputs["output"] == ["<a>", "<b>", "<c>"]
    assert finished(run).outputs["answer"] == "<a> <b> <c> "
    assert run.text() == "<a> <b> <c> - <a>\n- <b>\n- <c>"
    # The text of the pass whose turn it is comes live; that of the others waits until theirs comes.
    assert run.told_text() == "<a>"
    assert next(f.scope for f in run.facts if isinstance(f, TextEmitted)) == "it:0"


async def test_turn_of_a_pass_in_flight_comes_when_the_one_before_ends():
    """What a later pass has streamed so far is told at once when its turn comes, and goes on live."""
    chat = Waiting()
    run = RunOnStage(graph(asking(is_parallel=True, parallel_nums=2), ASKING), chat)
    task = asyncio.create_task(run.start({"items": ["a", "b"]}))
    await chat.wait_for(2)
    chat.release("a")
    await run.until(lambda: run.told_text() == "<a><b")
    chat.release("b")
    await task
    assert run.told_text() == "<a><b>"
    assert run.text().startswith("<a> <b> ")


def failing(**data: Any) -> list[Any]:
    """Return an iteration whose passes first reach an end node and then fail for items that are "bad"."""
    check = node("check", "if-else", cases=[
        {"case_id": "true", "logical_operator": "and",
         "conditions": [{"variable_selector": ["it", "item"], "comparison_operator": "is", "value": "bad"}]},
    ])  # fmt: skip
    inner = (end("inner", seen=["it", "item"]), check, assigner("fail", (["no", "where"], "set", 1)), bang())
    return each(*inner, **data)


FAILING = [
    *OUTER, edge("itstart", "inner"), edge("inner", "check"), edge("check", "fail", "true"),
    edge("check", "t", "false"),
]  # fmt: skip


async def test_terminated_iteration_ends_with_its_first_failure():
    """The second item never begins; child and iteration count as one exception each; nothing of the pass is kept."""
    run = await play(failing(), FAILING, ["bad", "good"])
    assert long_story(run.facts)[-4:] == ["failed it:0|fail", "failed it 0", "failed it", "=failed"]
    assert finished(run).exceptions_count == 2 and finished(run).outputs == {}
    assert (end_of(run, "it").outputs, end_of(run, "it").steps) == ({"output": []}, 2)


@pytest.mark.parametrize(
    ("mode", "output"), [("continue-on-error", [None, "good!", None]), ("remove-abnormal-output", ["good!"])]
)
async def test_iteration_that_goes_on_after_a_failure_succeeds_partly(mode: str, output: list):
    """A failed item gives null or nothing, and each failure counts once."""
    run = await play(failing(error_handle_mode=mode), FAILING, ["bad", "good", "bad"])
    assert finished(run).outputs == {"output": output, "seen": "good"}
    assert (finished(run).status, finished(run).exceptions_count) == ("partial-succeeded", 2)


async def test_all_failed_items_stay_nulls_when_flattened():
    """There is nothing to flatten where no item gave anything."""
    run = await play(failing(error_handle_mode="continue-on-error"), FAILING, ["bad", "bad"])
    assert finished(run).outputs == {"output": [None, None]}


@pytest.mark.parametrize(
    ("items", "is_flat", "output"),
    [
        ([["a"], ["b", "c"]], True, ["a", "b", "c"]),
        ([["a"], ["b", "c"]], False, [["a"], ["b", "c"]]),
        ([["a"], None, ["b"]], True, ["a", "b"]),
        ([["a"], "b"], True, [["a"], "b"]),
        ([[["a"]], [["b"]]], True, [["a"], ["b"]]),
    ],
)
async def test_flatten_joins_lists_one_level_down(items: list, is_flat: bool, output: list):
    """Lists are joined if all that is not null is a list; nulls vanish with it."""
    run = await play(
        each(template("t", ""), output=["it", "item"], flatten_output=is_flat), [*OUTER, edge("itstart", "t")], items
    )
    assert finished(run).outputs == {"output": output}


async def test_error_strategy_of_an_iteration_takes_over():
    """A container that fails under fail-branch leaves by it and the run succeeds partly."""
    nodes = [*failing(error_strategy="fail-branch"), end("bad", why=["it", "error_message"])]
    run = await play(nodes, [*FAILING, edge("it", "bad", "fail-branch")], ["bad"])
    assert finished(run).status == "partial-succeeded"
    assert "not found" in finished(run).outputs["why"]
    assert end_of(run, "it").status == "exception"


async def test_failure_cuts_what_else_runs_in_its_pass_and_awaits_other_passes():
    """A pass that fails is over at once; passes beside it end before the iteration fails."""
    chat = Waiting()

    async def stream(request):
        if request.messages[0].text == "bad":
            raise NodeError("no ink")
        async for delta in Waiting.stream(chat, request):
            yield delta

    chat_of = ScriptedChat()
    chat_of.stream = stream
    inner = (llm("ask", "{{#it.item#}}"), llm("beside", "beside {{#it.item#}}"))
    nodes = each(*inner, output=["ask", "text"], is_parallel=True, parallel_nums=2)
    run = RunOnStage(graph(nodes, [*OUTER, edge("itstart", "ask"), edge("itstart", "beside")]), chat_of)
    task = asyncio.create_task(run.start({"items": ["bad", "fine", "never"]}))
    await chat.wait_for(3)
    chat.release("fine", "beside fine")
    await task
    run.check_replay()
    story = long_story(run.facts)
    assert story[-8:] == [
        "failed it:0|ask", "stopped it:0|beside", "failed it 0", "OK it:1|ask", "OK it:1|beside", "succeeded it 1",
        "failed it", "=failed",
    ]  # fmt: skip
    assert not [line for line in story if "it:2" in line]
    assert finished(run).exceptions_count == 2


async def test_item_sees_conversation_variables_of_the_items_before():
    """What an item writes is there for the next one and stays after the iteration."""
    add = assigner("add", (["conversation", "seen"], "append", ["it", "item"]))
    show = node("show", "answer", answer="{{#conversation.seen#}};")
    last = node("last", "answer", answer="{{#conversation.seen#}}")
    nodes = [start(), iteration("it", ITEMS, ["it", "item"], add, show), last]
    edges = [edge("start", "it"), edge("itstart", "add"), edge("add", "show"), edge("it", "last")]
    run = await play(nodes, edges, ["a", "b"], mode="advanced-chat", conversation={"seen": ("array[string]", ["x"])})
    assert run.text() == "- x\n- a;- x\n- a\n- b;- x\n- a\n- b" == finished(run).outputs["answer"]


async def test_other_variables_written_by_an_item_stay_inside():
    """Only conversation variables outlive their item."""
    inner = iteration("it", ITEMS, ["it", "item"], assigner("set", (["lp", "n"], "+=", 1)))
    nodes = [start(), loop("lp", 1, *inner, loop_variables=[variable("n", "number", 0)]), end(n=["lp", "n"])]
    edges = [edge("start", "lp"), edge("lpstart", "it"), edge("itstart", "set"), edge("lp", "end")]
    run = await play(nodes, edges, ["a", "b"])
    assert finished(run).outputs == {"n": 0}


@pytest.mark.parametrize(("first", "last"), ["ab", "ba"])
async def test_last_item_to_end_wins_a_conversation_variable(first: str, last: str):
    """Parallel items that write the same variable leave the value of the one that ended last."""
    chat = Waiting()
    inner = (llm("ask", "{{#it.item#}}"), assigner("add", (["conversation", "who"], "over-write", ["it", "item"])))
    nodes = [
        start(), iteration("it", ITEMS, ["it", "item"], *inner, is_parallel=True),
        node("answer", "answer", answer="{{#conversation.who#}}"),
    ]  # fmt: skip
    edges = [edge("start", "it"), edge("itstart", "ask"), edge("ask", "add"), edge("it", "answer")]
    run = RunOnStage(graph(nodes, edges, "advanced-chat", {"who": ("string", "")}), chat)
    task = asyncio.create_task(run.start({"items": ["a", "b"]}))
    await chat.wait_for(2)
    chat.release(first)
    await run.until(lambda: [line for line in long_story(run.facts) if line.startswith("succeeded it")])
    chat.release(last)
    await task
    assert finished(run).outputs["answer"] == last


async def test_usage_of_inner_models_is_summed_and_counted_once():
    """The iteration reports the tokens of its children; the run counts each call once."""
    run = await play(asking(), ASKING, ["a", "b"])
    tokens = end_of(run, "ask").total_tokens
    assert tokens > 0
    assert metadata_of(run, "it")["total_tokens"] == 2 * tokens == finished(run).total_tokens
    assert end_of(run, "it").total_tokens == 0


async def test_finished_passes_leave_nothing_behind():
    """State and snapshot of a run do not grow with the passes that have ended."""
    run = await play(each(bang()), [*OUTER, edge("itstart", "t")], ["x"] * 50)
    assert list(run.state.scopes) == [""] and not run.state.containers
    assert isinstance(run.facts[-1], RunFinished)


async def test_ordinary_child_may_be_the_root_of_its_container():
    """Files of the first versions name an ordinary node as the start; it runs in each pass."""
    around = iteration("it", ITEMS, ["t", "output"])[0]
    around["data"]["start_node_id"] = "t"
    run = await play([start(), around, {**bang(), "parentId": "it"}, end()], OUTER, ["a", "b"])
    assert end_of(run, "it").outputs == {"output": ["a!", "b!"]}
