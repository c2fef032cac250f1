"""The trace of one run: a span for the run, each node, each form and each model call.

Run, node and form spans are made of facts, once these are durable, by whichever actor appended them; so a run that
moves between actors makes one trace, and nothing is in it that did not happen. Attributes are ids, kinds, counts and
statuses, never a value of a workflow, an address, a person or an error text.

    run                 from its start to its end, its waits included
    └ node <kind>       a node execution; those inside a container below the container's
      ├ model call      one stream of a chat model; its traceparent goes with the call
      └ form            from the question to the answer or the deadline
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from actors.span_export import Attribute, Span, SpanExport
from actors.trace_context import TRACEPARENT, TraceContext, context_of_run, span_id_of, traceparent_of
from graph.errors import NodeError
from graph.events import Fact, FormOpened, FormSubmitted, FormTimedOut, NodeFinished, RunFinished
from graph.ids import derive_execution_id
from graph.plan import Plan, container_of
from graph.ports import ChatDelta, ChatModel, ChatRequest, ChatUsage, Clock, Effects, Http, HttpCall, HttpReply
from graph.run_state import RunState
from store.run_record import NewRun


class RunTrace:
    """Makes the spans of one run in this process."""

    def __init__(self, export: SpanExport, state: RunState, run: NewRun, clock: Clock) -> None:
        """Prepare.

        Args:
            export: takes the spans.
            state: of the run as its segment begins here: forms may be open in it.
            run: whose trace it is.
            clock: for model calls, which leave no fact.
        """
        self._export = export
        export.prepare()
        self._plan: Plan = state.plan
        self._run = run
        self._clock = clock
        self.context: TraceContext = context_of_run(run.run_id, run.traceparent)
        self._run_span_id = _run_span_id(run.run_id)
        self._opened_at = {form_id: form.opened.at for form_id, form in state.forms.items()}

    def see(self, facts: Sequence[Fact]) -> None:
        """Make the spans that durable ``facts`` complete."""
        for fact in facts:
            match fact:
                case NodeFinished():
                    self._end_node(fact)
                case FormOpened():
                    self._opened_at[fact.form_id] = fact.at
                case FormSubmitted() | FormTimedOut():
                    self._end_form(fact)
                case RunFinished():
                    self._export.emit(self.context, run_span(self._run, fact))
                case _:
                    pass

    def added_to(self, effects: Effects) -> Effects:
        """Return ``effects`` whose model calls make spans and whose calls to the outside name the trace."""
        return replace(effects, chat=_TracedChat(self, effects.chat), http=_TracedHttp(self, effects.http))

    def traceparent(self, execution_id: str) -> str:
        """Return the header of a call that a node execution makes."""
        return traceparent_of(self.context, _node_span_id(execution_id))

    def end_model_call(
        self, request: ChatRequest, span_id: str, started_at: float, usage: ChatUsage | None, error_type: str | None
    ) -> None:
        """Make the span of a model call that ends now; ``error_type``: why it failed, None where it did not."""
        attributes: dict[str, Attribute] = {
            "gen_ai.operation.name": request.mode,
            "gen_ai.provider.name": request.provider,
            "gen_ai.request.model": request.name,
        }
        if usage is not None:
            attributes["gen_ai.usage.input_tokens"] = usage.prompt_tokens
            attributes["gen_ai.usage.output_tokens"] = usage.completion_tokens
        if error_type is not None:
            attributes["error.type"] = error_type
        parent_id = _node_span_id(request.idempotency_key)
        span = Span("model call", span_id, parent_id, started_at, self.now(), attributes, error_type is not None, True)
        self._export.emit(self.context, span)

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return self._clock.now()

    def _end_node(self, fact: NodeFinished) -> None:
        kind = self._plan.node(fact.scope, fact.node_id).type
        attributes: dict[str, Attribute] = {
            "greenroom.node.id": fact.node_id,
            "greenroom.node.kind": kind,
            "greenroom.node.status": fact.status,
            "greenroom.node.execution_id": fact.execution_id,
        }
        if fact.error_type:
            attributes["error.type"] = fact.error_type
        is_error = fact.status in ("failed", "exception")
        span_id, parent_id = _node_span_id(fact.execution_id), self._parent_of(fact.scope)
        self._emit(f"node {kind}", span_id, parent_id, fact.started_at, fact.at, attributes, is_error)

    def _end_form(self, fact: FormSubmitted | FormTimedOut) -> None:
        outcome = "submitted" if isinstance(fact, FormSubmitted) else "timeout"
        attributes: dict[str, Attribute] = {"greenroom.form.id": fact.form_id, "greenroom.form.outcome": outcome}
        started_at = self._opened_at.pop(fact.form_id, fact.at)
        parent_id = _node_span_id(fact.execution_id)
        self._emit("form", span_id_of("form", fact.form_id), parent_id, started_at, fact.at, attributes)

    def _parent_of(self, scope: str) -> str:
        """Return the span around the nodes of a scope: that of the container's execution, or of the run."""
        if not scope:
            return self._run_span_id
        return _node_span_id(derive_execution_id(self._run.run_id, scope.rpartition("/")[0], container_of(scope)))

    def _emit(
        self,
        name: str,
        span_id: str,
        parent_id: str,
        started_at: float,
        ended_at: float,
        attributes: dict[str, Attribute],
        is_error: bool = False,
    ) -> None:
        self._export.emit(self.context, Span(name, span_id, parent_id, started_at, ended_at, attributes, is_error))


class _TracedChat:
    """Implements graph.ports.ChatModel: makes a span of each call and sends its traceparent along."""

    def __init__(self, trace: RunTrace, chat: ChatModel) -> None:
        self._trace = trace
        self._chat = chat

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        trace, started_at = self._trace, self._trace.now()
        span_id = span_id_of("model call", request.idempotency_key, repr(started_at))
        request = replace(request, traceparent=traceparent_of(trace.context, span_id))
        usage, error_type = None, None
        try:
            async with aclosing(self._chat.stream(request)) as deltas:  # type: ignore[type-var]
                async for delta in deltas:
                    usage = delta.usage or usage
                    yield delta
        except Exception as error:  # boundary: noted, and raised again
            error_type = error.error_type if isinstance(error, NodeError) else type(error).__name__
            raise
        finally:
            trace.end_model_call(request, span_id, started_at, usage, error_type)


class _TracedHttp:
    """Implements graph.ports.Http: names the trace in each request that does not name one itself."""

    def __init__(self, trace: RunTrace, http: Http) -> None:
        self._trace = trace
        self._http = http

    async def send(self, call: HttpCall) -> HttpReply:
        if not any(name.lower() == TRACEPARENT for name, _ in call.headers):
            header = (TRACEPARENT, self._trace.traceparent(call.idempotency_key))
            call = replace(call, headers=(*call.headers, header))
        return await self._http.send(call)


def _node_span_id(execution_id: str) -> str:
    return span_id_of("node", execution_id)


def run_span(run: NewRun, fact: RunFinished) -> Span:
    """Return the span of a run, from its start to its last fact."""
    attributes: dict[str, Attribute] = {
        "greenroom.run.id": run.run_id,
        "greenroom.app.id": run.app_id,
        "greenroom.version.id": run.version_id,
        "greenroom.run.mode": run.mode,
        "greenroom.run.source": run.invoke_source,
        "greenroom.run.status": fact.status,
        "greenroom.run.elapsed_s": fact.elapsed_s,
        "greenroom.run.steps": fact.total_steps,
        "greenroom.run.tokens": fact.total_tokens,
    }
    parent_id = context_of_run(run.run_id, run.traceparent).parent_id
    return Span(
        "run", _run_span_id(run.run_id), parent_id, run.created_at, fact.at, attributes, fact.status == "failed"
    )


def _run_span_id(run_id: str) -> str:
    return span_id_of("run", run_id)
