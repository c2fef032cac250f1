"""Nodes that fail and run again: attempts, waiting without blocking, text that is withdrawn, what counts."""

import asyncio
from typing import Any

import pytest

from factories import edge, end, iteration, llm, node, start
from fakes import ScriptedChat
from graph.events import NodeRetried, NodeStarted, TextPart, TextWithdrawn
from graph.ports import ChatDelta
from run_on_stage import RunOnStage, end_of, finished, graph, long_story, play

ONCE = {"retry_enabled": True, "max_retries": 1, "retry_interval": 0}
EDGES = [edge("start", "llm"), edge("llm", "answer")]


class Failing(ScriptedChat):
    """A model that fails its first ``count`` calls, after the text ``before``."""

    def __init__(self, count: int, before: str = "") -> None:
        super().__init__()
        self.count = count
        self.before = before

    async def stream(self, request):
        """Answer one call."""
        self.requests.append(request)
        if len(self.requests) <= self.count:
            if self.before:
                yield ChatDelta(text=self.before)
            raise RuntimeError(f"no ink {len(self.requests)}")
        yield ChatDelta(text="good")


def writing(**data: Any) -> list[dict]:
    """Return start -> model -> answer with what it wrote."""
    return [start(), llm("llm", **data), node("answer", "answer", answer="> {{#llm.text#}}")]


async def test_retried_node_runs_again_as_the_same_execution():
    """Started is not repeated, both attempts have one id, and the run succeeds partly."""
    chat = Failing(1)
    run = await play(writing(retry_config=ONCE), EDGES, mode="advanced-chat", chat=chat)
    assert long_story(run.facts) == [
        'C"> "', "S start", "OK start", "S llm", "retry 1 llm", 'C"good"', 'C""', "OK llm", "S answer", "OK answer",
        "=partial-succeeded",
    ]  # fmt: skip
    assert len({request.idempotency_key for request in chat.requests}) == 1
    assert (finished(run).exceptions_count, finished(run).total_steps) == (1, 3)
    assert finished(run).outputs["answer"] == "> good"


async def test_node_fails_for_good_after_its_last_attempt():
    """max_retries further attempts, each failure counts; then the node fails."""
    chat = Failing(9)
    run = await play(writing(retry_config={**ONCE, "max_retries": 2}), EDGES, mode="advanced-chat", chat=chat)
    assert [f.retry_index for f in run.facts if isinstance(f, NodeRetried)] == [1, 2]
    assert (finished(run).status, finished(run).exceptions_count) == ("failed", 3)
    assert "no ink 3" in (finished(run).error or "")


async def test_error_strategy_applies_after_the_last_attempt():
    """The default value stands in once no retry is left."""
    defaults = [{"key": "text", "type": "string", "value": "plan B"}]
    nodes = writing(retry_config=ONCE, error_strategy="default-value", default_value=defaults)
    run = await play(nodes, EDGES, mode="advanced-chat", chat=Failing(9))
    assert run.text() == "> plan B" == finished(run).outputs["answer"]
    assert (finished(run).status, finished(run).exceptions_count) == ("partial-succeeded", 2)


@pytest.mark.parametrize(
    "config", [{"retry_enabled": False, "max_retries": 3}, {"enabled": True, "max_retries": 3}, {}]
)
async def test_node_without_retries_switched_on_fails_at_once(config: dict):
    """Only retry_enabled counts; older spellings are ignored."""
    run = await play(writing(retry_config=config), EDGES, mode="advanced-chat", chat=Failing(1))
    assert finished(run).status == "failed" and not [f for f in run.facts if isinstance(f, NodeRetried)]


async def test_text_of_a_failed_attempt_is_withdrawn():
    """What readers were told live of an attempt that failed is void, and the next one streams anew."""
    run = await play(writing(retry_config=ONCE), EDGES, mode="advanced-chat", chat=Failing(1, "hal"))
    first, second = run.recorder.parts
    assert (first.text, second.text, second.offset) == ("hal", "good", 0)
    assert first.stream != second.stream
    told = run.recorder.told
    withdrawn = next(each for each in told if isinstance(each, TextWithdrawn))
    assert withdrawn.streams == [first.stream]
    assert told.index(first) < told.index(withdrawn) < told.index(second)
    assert run.text() == "> good"


async def test_text_of_a_node_that_takes_its_default_is_withdrawn():
    """A model that breaks off and has a default value leaves the default alone with the reader."""
    defaults = [{"key": "text", "type": "string", "value": "plan B"}]
    nodes = writing(error_strategy="default-value", default_value=defaults)
    run = await play(nodes, EDGES, mode="advanced-chat", chat=Failing(9, "hal"))
    assert run.text() == "> plan B" and [type(each) for each in run.recorder.told].count(TextWithdrawn) == 1


async def test_text_of_a_node_that_ends_the_run_stays():
    """Nobody takes back what was told before a run failed."""
    run = await play(writing(), EDGES, mode="advanced-chat", chat=Failing(9, "hal"))
    assert run.text() == "> hal" and not [f for f in run.facts if isinstance(f, TextWithdrawn)]


async def test_waiting_for_the_next_attempt_does_not_block_the_run():
    """Other branches go on while a node waits for its next attempt."""
    order: list[str] = []

    class Mixed(Failing):
        async def stream(self, request):
            order.append(request.name)
            if request.name != "llm":
                yield ChatDelta(text="x")
                return
            async for delta in super().stream(request):
                yield delta

    nodes = [
        start(), llm("llm", retry_config={**ONCE, "retry_interval": 400}), llm("a"), llm("b"), llm("c"),
        end(t=["llm", "text"]),
    ]  # fmt: skip
    edges = [
        edge("start", "llm"), edge("start", "a"), edge("a", "b"), edge("b", "c"), edge("llm", "end"), edge("c", "end"),
    ]  # fmt: skip
    run = await play(nodes, edges, chat=Mixed(1))
    assert order == ["llm", "a", "b", "c", "llm"]
    assert finished(run).outputs == {"t": "good"}


async def test_stop_ends_a_node_that_waits_for_its_next_attempt():
    """A run that is over does not wait for the interval."""
    nodes = writing(retry_config={**ONCE, "retry_interval": 3_600_000})
    run = RunOnStage(graph(nodes, EDGES), Failing(9), max_time_s=0.05)
    outcome = await asyncio.wait_for(run.start(), 60)
    assert outcome.status == "stopped" and end_of(run, "llm").status == "stopped"


async def test_retries_survive_a_crash():
    """A node that was retried before a crash has only the rest of its attempts."""
    run = await play(writing(retry_config={**ONCE, "max_retries": 2}), EDGES, mode="advanced-chat", chat=Failing(9))
    facts = run.facts
    at = next(count for count, fact in enumerate(facts, 1) if isinstance(fact, NodeRetried))
    again = RunOnStage(run.plan, Failing(9), facts=facts[:at])
    await again.engine(again.replayed()).recover(2, [])
    assert [f.retry_index for f in again.facts if isinstance(f, NodeRetried)] == [1, 2]
    assert len(again.chat.requests) == 2


async def test_retry_inside_of_a_pass():
    """An inner node runs again within its pass; the iteration succeeds and the run partly."""
    inner = llm("llm", "{{#it.item#}}", retry_config=ONCE)
    nodes = [start(), iteration("it", ["sys", "items"], ["llm", "text"], inner), end(output=["it", "output"])]
    edges = [edge("start", "it"), edge("itstart", "llm"), edge("it", "end")]
    run = await play(nodes, edges, ["a", "b"], chat=Failing(1))
    assert finished(run).outputs == {"output": ["good", "good"]}
    assert (finished(run).status, finished(run).exceptions_count) == ("partial-succeeded", 1)
    assert [f.scope for f in run.facts if isinstance(f, NodeRetried)] == ["it:0"]
    assert len([f for f in run.facts if isinstance(f, NodeStarted) and f.node_id == "llm"]) == 2
    assert not [part for part in run.recorder.told if isinstance(part, TextPart)]
