"""A run makes one trace, whoever moves it; a real collector receives it, and nothing secret."""

import asyncio
import gzip
import uuid
from dataclasses import replace
from typing import Any, cast

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan

import factories as f
from actors import recovery
from actors.messages import RunOrder, order_run
from actors.run_segment import RunSegment
from actors.span_export import Span, SpanExport
from actors.trace_context import TraceContext, checked_traceparent, context_of_run, parse_traceparent, traceparent_of
from effect_fakes import ScriptedHttp
from graph.ports import HttpReply
from local_server import local_server
from store.run_record import NewRun
from test_run_segment import World, crash_in_model_call

RUN_ID = str(uuid.UUID(int=0x0193_5E5B_0000_7000_8000_0000_0000_0001))
TRACE_ID = RUN_ID.replace("-", "")
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PERSONAL = "somebody@example.org"


class ListExport(SpanExport):
    """Keeps spans instead of sending them."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.spans: list[tuple[TraceContext, Span]] = []

    def prepare(self) -> None:
        """Load nothing."""

    def emit(self, context: TraceContext, span: Span) -> None:
        """Keep a span."""
        self.spans.append((context, span))

    def named(self, name: str) -> Span:
        """Return the one span with this name."""
        (found,) = [span for _, span in self.spans if span.name == name]
        return found


def order(traceparent: str | None = None) -> RunOrder:
    """Return the order of a run that knows something personal."""
    run = NewRun(
        RUN_ID, "ws", "app", "v", "workflow", "service-api", "end_user", "acc", PERSONAL, {"topic": PERSONAL}, 5.0,
        traceparent,
    )  # fmt: skip
    return order_run(run)


async def run_with_a_person(export: SpanExport, traceparent: str | None = None) -> World:
    """Run start, model, person, end: begun in one actor, ended in another."""
    world = World()
    world.surroundings = replace(world.surroundings, spans=export)
    await RunSegment(RUN_ID, "l", "a0", world.surroundings).start(order(traceparent))
    item = {"comment": PERSONAL}
    world.answer()
    world.store.inbox["i1"].run_id = RUN_ID
    world.store.inbox["i1"].item.values.update(item)
    outcome = await RunSegment(RUN_ID, "l", "a1", world.surroundings).go_on()
    assert outcome.status == "succeeded"
    return world


async def test_run_that_moves_between_actors_makes_one_trace() -> None:
    """All spans are of the trace that has the run's id; each is below what caused it, and lasts as long as that."""
    export = ListExport()
    await run_with_a_person(export)
    assert {context.trace_id for context, _ in export.spans} == {TRACE_ID}
    names = [span.name for _, span in export.spans]
    assert names == ["node start", "model call", "node llm", "form", "node human-input", "node end", "run"]
    run, llm, human = export.named("run"), export.named("node llm"), export.named("node human-input")
    assert run.parent_id == "" and run.started_at == 5.0
    assert {llm.parent_id, human.parent_id} == {run.span_id}
    assert export.named("model call").parent_id == llm.span_id
    form = export.named("form")
    assert form.parent_id == human.span_id
    assert human.started_at <= form.started_at < form.ended_at <= human.ended_at <= run.ended_at
    assert len({span.span_id for _, span in export.spans}) == len(names)
    model = export.named("model call")
    assert model.attributes["gen_ai.usage.output_tokens"] == 2 and model.is_client


async def test_trace_of_the_caller_is_joined_and_kept_with_the_run() -> None:
    """With a traceparent the run is a child of the caller's span, also after it went to another actor."""
    export = ListExport()
    world = await run_with_a_person(export, CALLER)
    assert {context.trace_id for context, _ in export.spans} == {CALLER.split("-")[1]}
    assert export.named("run").parent_id == CALLER.split("-")[2]
    record = await world.journal.get(RUN_ID)
    assert record is not None and record.traceparent == CALLER


async def test_attributes_hold_neither_values_nor_people() -> None:
    """Inputs, answers, names and texts of a run are in no attribute and no name."""
    export = ListExport()
    await run_with_a_person(export)
    text = repr([(span.name, span.attributes) for _, span in export.spans])
    assert PERSONAL not in text and "ab" not in [value for _, s in export.spans for value in s.attributes.values()]


async def test_calls_carry_the_trace() -> None:
    """A model call carries its own span, a request that of its node; a header that the workflow sets wins."""
    export = ListExport()
    world = await run_with_a_person(export)
    (request,) = world.chat.requests
    context = parse_traceparent(request.traceparent)
    assert context is not None
    assert (context.trace_id, context.parent_id) == (TRACE_ID, export.named("model call").span_id)
    http = ScriptedHttp(lambda call: HttpReply(200, {}, "fine"))
    fields: dict[str, Any] = {
        "method": "get", "url": "https://example.org", "params": "", "body": {"type": "none", "data": []},
        "authorization": {"type": "no-auth"},
    }  # fmt: skip
    nodes = [
        f.start(), f.node("a", "http-request", headers="", **fields),
        f.node("b", "http-request", headers=f"TraceParent: {CALLER}", **fields), f.end(),
    ]  # fmt: skip
    world = World(nodes, [f.edge("start", "a"), f.edge("a", "b"), f.edge("b", "end")])

    class Outside:
        def added_to(self, effects: Any, run: NewRun) -> Any:
            return replace(effects, http=http)

    world.surroundings = replace(world.surroundings, spans=export, outside=Outside())
    export.spans.clear()
    await RunSegment(RUN_ID, "l", "a0", world.surroundings).start(order())
    sent = [[value for name, value in call.headers if name.lower() == "traceparent"] for call in http.calls]
    first = next(span for _, span in export.spans if span.attributes.get("greenroom.node.id") == "a")
    assert sent == [[f"00-{TRACE_ID}-{first.span_id}-01"], [CALLER]]


async def test_nodes_inside_a_container_are_below_its_span() -> None:
    """The spans of a pass hang below the span of its iteration."""
    export = ListExport()
    inner = f.template("inner", "{{ item }}", item=["each", "item"])
    nodes = [f.start(), *f.iteration("each", ["sys", "files"], ["inner", "output"], inner), f.end()]
    edges = [f.edge("start", "each"), f.edge("eachstart", "inner"), f.edge("each", "end")]
    world = World(nodes, edges)
    world.surroundings = replace(world.surroundings, spans=export)
    made = order()
    made.system["files"] = ["x", "y"]
    outcome = await RunSegment(RUN_ID, "l", "a0", world.surroundings).start(made)
    assert outcome.status == "succeeded", outcome.error
    inner_spans = [span for _, span in export.spans if span.attributes.get("greenroom.node.id") == "inner"]
    assert {span.parent_id for span in inner_spans} == {export.named("node iteration").span_id}
    assert len({span.span_id for span in inner_spans}) == 2


async def test_failed_node_and_run_are_marked() -> None:
    """An error marks model call, node and run, by its type, without its text."""
    export = ListExport()
    world = World()
    world.surroundings = replace(world.surroundings, spans=export)
    world.chat.script = {"llm": [ValueError(f"refused for {PERSONAL}")]}
    await RunSegment(RUN_ID, "l", "a0", world.surroundings).start(order())
    for name in ("model call", "node llm", "run"):
        assert export.named(name).is_error
    assert export.named("model call").attributes["error.type"] == "ValueError"
    assert PERSONAL not in repr(export.spans)


async def test_collector_receives_spans() -> None:
    """Spans arrive at a collector over OTLP, with ids, times, parents and status as they were made."""
    async with local_server() as collector:
        collector.reply("/v1/traces", b"")
        export = SpanExport(collector.url)
        await run_with_a_person(export, CALLER)
        await asyncio.to_thread(export.close)
        spans: list[SentSpan] = []
        for asked in collector.asked:
            body = gzip.decompress(asked.body) if asked.headers.get("content-encoding") == "gzip" else asked.body
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {each.key: each.value.string_value for each in resource.resource.attributes}
                assert names["service.name"] == "greenroom"
                spans += [span for scope in resource.scope_spans for span in scope.spans]
    by_name = {span.name: span for span in spans}
    assert set(by_name) == {"node start", "model call", "node llm", "form", "node human-input", "node end", "run"}
    assert {span.trace_id.hex() for span in spans} == {CALLER.split("-")[1]}
    run = by_name["run"]
    assert run.parent_span_id.hex() == CALLER.split("-")[2] and run.start_time_unix_nano == 5_000_000_000
    assert by_name["node llm"].parent_span_id == run.span_id


async def test_unsampled_trace_and_absent_collector_cost_a_run_nothing() -> None:
    """A caller that does not sample gets no spans; a collector that is away changes nothing for the run."""
    async with local_server() as collector:
        export = SpanExport(f"{collector.url}/v1/traces")
        await run_with_a_person(export, CALLER[:-2] + "00")
        await asyncio.to_thread(export.close)
        assert collector.asked == []
    world = await run_with_a_person(SpanExport("http://127.0.0.1:9"))
    record = await world.journal.get(RUN_ID)
    assert record is not None and record.status == "succeeded"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (CALLER, CALLER),
        (CALLER[:-2] + "00", CALLER[:-2] + "00"),
        (CALLER[:-2] + "ff", CALLER),
        ("01" + CALLER[2:] + "-more", CALLER),
        (CALLER + "-more", None),
        ("ff" + CALLER[2:], None),
        (CALLER.upper(), None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", None),
        (CALLER + "\n", None),
        ("", None),
        (None, None),
    ],
)
def test_traceparent_is_read_by_the_rules(text: str | None, kept: str | None) -> None:
    """What does not follow the rules is as good as absent; a later version is read as far as it is known."""
    assert checked_traceparent(text) == kept


def test_run_without_a_caller_has_a_trace_of_its_own_id() -> None:
    """The id of a run is the id of its trace; an id that is none is hashed."""
    context = context_of_run(RUN_ID, None)
    assert (context.trace_id, context.parent_id, context.is_sampled) == (TRACE_ID, "", True)
    odd = context_of_run("run", None)
    assert parse_traceparent(traceparent_of(odd, "1" * 16)) is not None
    assert odd == context_of_run("run", "nonsense")


async def test_run_that_is_given_up_has_its_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for a run that killed its actors finds it in its trace, failed."""
    export, world = ListExport(), World()
    monkeypatch.setattr(recovery, "tell", lambda *_: None)
    monkeypatch.setattr(recovery, "hint_courier", lambda: None)
    await crash_in_model_call(world)
    leases = cast(Any, None)
    kept = recovery.Recovery(world.journal, leases, lambda _: False, 0, world.surroundings.plans, 1, spans=export)
    assert await kept.recover_orphans() == 1
    while (record := await world.journal.get("run")).status == "running":
        await asyncio.sleep(0)
    (context, span) = export.spans[0]
    assert (span.name, span.is_error, span.attributes["greenroom.run.status"]) == ("run", True, "failed")
    assert context == context_of_run("run", record.traceparent)
