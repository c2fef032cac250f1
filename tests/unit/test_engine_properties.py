"""The engine against a slow reference, on random graphs; crashes after any fact; any text as input."""

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factories import edge, end, human, iteration, llm, node, start, template
from graph.events import FormSubmitted, NodeFinished, RunFinished, RunPaused, TextEmitted
from graph.plan import Plan
from graph.ports import InboxItem
from graph.snapshot import dump_state, load_state
from reference_scheduler import Reference, Shape
from run_on_stage import RunOnStage, finished, graph

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Drawn:
    """A random graph: nodes and edges as in a file, and as the reference wants them."""

    def __init__(self, draw: Any, plain: Sequence[str]) -> None:
        self.nodes: list[dict[str, Any]] = [start()]
        self.shapes = [Shape("start")]
        self.edges: list[tuple[str, str, str]] = []
        for number in range(draw(st.integers(1, 9))):
            self._add(draw, f"n{number}", draw(st.sampled_from([*plain, "if", "end"])))

    def _add(self, draw: Any, node_id: str, kind: str) -> None:
        earlier = [shape.node_id for shape in self.shapes]
        for source in draw(st.lists(st.sampled_from(earlier), min_size=0 if len(earlier) > 1 else 1, max_size=3)):
            self.edges.append((source, node_id, draw(st.sampled_from(["true", "false"]))))
        if kind == "if":
            taken = draw(st.sampled_from(["true", "false"]))
            operator = "and" if taken == "true" else "or"  # without conditions the one holds, the other does not
            case = {"case_id": "true", "logical_operator": operator, "conditions": []}
            self.nodes.append(node(node_id, "if-else", cases=[case]))
            self.shapes.append(Shape(node_id, exit=taken))
        elif kind == "end":
            sources = draw(st.lists(st.sampled_from(earlier), max_size=3))
            outputs = {f"{node_id}_{number}": [source, "output"] for number, source in enumerate(sources)}
            self.nodes.append(end(node_id, **outputs))
            parts = [part for source in sources for part in ("\n", source)][1:]
            self.shapes.append(Shape(node_id, parts=tuple(parts)))
        else:
            make = {"template": lambda: template(node_id, f"<{node_id}>"), "llm": lambda: llm(node_id)}
            asked = {"human": lambda: human(node_id, actions=("true", "false"))}
            self.nodes.append({**make, **asked}[kind]())
            self.shapes.append(Shape(node_id, output=f"<{node_id}>" if kind == "template" else None))

    def plan(self) -> Plan:
        """Return the graph compiled."""
        return graph(self.nodes, [edge(*each) for each in self._distinct()])

    def inside(self) -> Plan:
        """Return the graph as the inside of an iteration over ``sys.items``."""
        around = iteration("it", ["sys", "items"], ["it", "index"], *self.nodes[1:], is_parallel=True)
        inner = [edge("itstart" if s == "start" else s, t, h) for s, t, h in self._distinct()]
        return graph([start(), around, end("last")], [edge("start", "it"), edge("it", "last"), *inner])

    def _distinct(self) -> list[tuple[str, str, str]]:
        self.edges = list(dict.fromkeys(self.edges))
        return self.edges

    def reference(self) -> Reference:
        """Return the reference at the start of the run."""
        return Reference(self.shapes, self._distinct())


@st.composite
def graphs(draw: Any, plain: Sequence[str] = ("template", "template")) -> Drawn:
    """Draw a graph whose nodes are of the ``plain`` kinds, branches and ends."""
    return Drawn(draw, plain)


def check(reference: Reference, facts: list[Any], scope: str = "") -> None:
    """Assert that the nodes of ``scope`` ended as the reference allows and that none is missing."""
    for fact in facts:
        if isinstance(fact, NodeFinished) and fact.scope == scope:
            reference.end(fact.node_id)
    assert not [shape.node_id for shape in reference.shapes if reference.is_ready(shape.node_id)]


@FEW
@given(graphs())
async def test_random_graph_runs_as_the_reference_says(drawn: Drawn):
    """Which nodes run, in an order that is allowed, what the run gives and what the reader is told."""
    run = RunOnStage(drawn.plan())
    await run.start()
    reference = drawn.reference()
    reference.speak()
    check(reference, run.facts)
    assert run.text() == "".join(reference.told)
    outputs: dict[str, str | None] = {}
    for place, node_id in enumerate(reference.ended):
        declared = next(n for n in drawn.nodes if n["id"] == node_id)["data"].get("outputs") or []
        for each in declared:
            source = each["value_selector"][0]
            is_there = source in reference.ended[:place]
            outputs[each["variable"]] = reference.shape(source).output if is_there else None
    assert finished(run).outputs == outputs
    run.check_replay()


@FEW
@given(graphs())
async def test_random_graph_runs_the_same_in_each_pass(drawn: Drawn):
    """The inside of an iteration follows the same rules, pass by pass."""
    run = RunOnStage(drawn.inside(), max_steps=10_000)
    await run.start({"items": ["a", "b"]})
    for scope in ("it:0", "it:1"):
        reference = drawn.reference()
        reference.speak()
        reference.end("start")  # stands for the hidden start node
        check(reference, run.facts, scope)
        told = [
            text for fact in run.facts if isinstance(fact, TextEmitted) and fact.scope == scope for text in fact.texts
        ]
        assert "".join(told) == "".join(reference.told)
    run.check_replay()


async def go_on(run: RunOnStage, outcome: Any) -> RunFinished:
    """Answer one form after the other until the run ends."""
    while isinstance(outcome, RunPaused):
        form_id = outcome.form_ids[0]
        outcome = await run.resume(InboxItem(f"i-{form_id}", "submitted", form_id, "true", {"comment": form_id}))
    return outcome


def ended(run: RunOnStage) -> set[str]:
    """Return the executions that ended."""
    return {fact.execution_id for fact in run.facts if isinstance(fact, NodeFinished)}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs(("template", "llm", "human")), st.booleans(), st.data())
async def test_run_restored_after_any_fact_ends_the_same(drawn: Drawn, is_inside: bool, data: st.DataObject):
    """From the replayed journal or a snapshot of it, the rest of the run is the same, and nothing ends twice."""
    plan = drawn.inside() if is_inside else drawn.plan()
    whole = RunOnStage(plan, max_steps=10_000)
    expected = await go_on(whole, await whole.start({"items": ["a", "b"]}))
    whole.check_replay()
    count = data.draw(st.sampled_from(whole.crash_points()))
    run = RunOnStage(plan, forms=whole.forms, facts=whole.facts[:count], max_steps=10_000)
    answered = [fact.form_id for fact in run.facts if isinstance(fact, FormSubmitted)]
    run.recorder.taken.extend(f"i-{form_id}" for form_id in answered)
    state = run.replayed()
    if data.draw(st.booleans()):
        state = load_state(plan, dump_state(state))
    outcome = await go_on(run, await run.engine(state).recover(2, []))
    assert (outcome.status, outcome.outputs) == (expected.status, expected.outputs)
    assert ended(run) == ended(whole)
    assert len(ended(run)) == len([fact for fact in run.facts if isinstance(fact, NodeFinished)])
    run.check_replay()


@settings(max_examples=100, deadline=None)
@given(st.text())
async def test_any_text_passes_through(text: str):
    """Whatever is typed comes out as it was, in outputs and text, and survives the journal."""
    run = RunOnStage(graph([start("query"), end(query=["start", "query"])], [edge("start", "end")]))
    outcome = await run.start({"query": text})
    assert outcome.outputs == {"query": text} and run.text() == text
    run.check_replay()
