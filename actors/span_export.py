"""Sends finished spans to an OpenTelemetry collector (OTLP over HTTP), in a thread of its own.

Whatever becomes of them changes nothing for a run: spans are dropped where the collector is away, and those of the last
moment go with a process that is killed. Credentials come from OpenTelemetry's own ``OTEL_EXPORTER_OTLP_HEADERS``.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from actors.trace_context import TraceContext

EXPORT_INTERVAL_S: Final = 0.2
FLUSH_S: Final = 5.0
_KEPT: Final = 2048
"""Spans that wait for the library to be loaded; more are dropped."""
_PATH: Final = "/v1/traces"
_NS_PER_S: Final = 1_000_000_000

Attribute = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Span:
    """One span that has ended. Times are Unix seconds; ``is_client``: it waited for another system."""

    name: str
    span_id: str
    parent_id: str
    started_at: float
    ended_at: float
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    is_error: bool = False
    is_client: bool = False


class SpanExport:
    """The way to the collector at ``url``. The library is loaded in a thread, when the first run is prepared for."""

    def __init__(self, url: str) -> None:
        self._endpoint = url if url.rstrip("/").endswith(_PATH) else url.rstrip("/") + _PATH
        self._early: deque[tuple[TraceContext, Span]] = deque(maxlen=_KEPT)
        self._sdk: _Sdk | None = None
        self._lock = threading.Lock()
        self._loader: threading.Thread | None = None

    def prepare(self) -> None:
        """Begin to load the library; may be called again."""
        if self._loader is None:
            self._loader = threading.Thread(target=self._load, name="span-export", daemon=True)
            self._loader.start()

    def emit(self, context: TraceContext, span: Span) -> None:
        """Queue ``span`` of the trace ``context``; returns at once, drops it where the queue is full."""
        if not context.is_sampled:
            return
        with self._lock:
            if self._sdk is None:
                self._early.append((context, span))
                return
        self._sdk.emit(context, span)

    def flush(self) -> None:
        """Send what is queued; takes as long as the collector does, but not for ever."""
        if self._loader is not None:
            self._loader.join(FLUSH_S)
        if self._sdk is not None:
            self._sdk.processor.force_flush(int(FLUSH_S * 1000))

    def close(self) -> None:
        """Send what is queued and end the thread that sends."""
        self.flush()
        if self._sdk is not None:
            self._sdk.processor.shutdown()

    def _load(self) -> None:
        sdk = _Sdk(self._endpoint)
        with self._lock:
            while self._early:
                sdk.emit(*self._early.popleft())
            self._sdk = sdk


class _Sdk:
    """OpenTelemetry's SDK: a part of a second and several megabytes that nobody pays for without a collector."""

    def __init__(self, endpoint: str) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk import resources
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._trace = trace
        self._span_class = ReadableSpan
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES add to it.
        self._resource = resources.Resource.create({"service.name": "greenroom"})
        exporter = OTLPSpanExporter(endpoint=endpoint)
        self.processor = BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_INTERVAL_S * 1000)

    def emit(self, context: TraceContext, span: Span) -> None:
        kinds, codes = self._trace.SpanKind, self._trace.StatusCode
        self.processor.on_end(
            self._span_class(
                span.name,
                self._context(context, span.span_id),
                self._context(context, span.parent_id) if span.parent_id else None,
                self._resource,
                dict(span.attributes),
                kind=kinds.CLIENT if span.is_client else kinds.INTERNAL,
                status=self._trace.Status(codes.ERROR if span.is_error else codes.UNSET),
                start_time=int(span.started_at * _NS_PER_S),
                end_time=int(span.ended_at * _NS_PER_S),
            )
        )

    def _context(self, context: TraceContext, span_id: str) -> Any:
        flags = self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED)
        return self._trace.SpanContext(int(context.trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=flags)
