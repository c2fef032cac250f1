"""Which trace a run belongs to, and the ids of its spans: derived, so that every process that moves it agrees.

The trace is the caller's where a W3C ``traceparent`` came with the start (it is stored with the run); else its id is
the run's. Span ids are derived from what they stand for.

Source: https://www.w3.org/TR/trace-context/ (version 00).
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

TRACEPARENT: Final = "traceparent"
"""The header."""

_SHAPE: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A trace and the span that caused what follows. ``parent_id``: "" for the beginning of a trace."""

    trace_id: str
    parent_id: str
    is_sampled: bool


def parse_traceparent(text: str | None) -> TraceContext | None:
    """Return what a ``traceparent`` header says, None where there is none that follows the rules."""
    found = _SHAPE.fullmatch(text or "")
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    is_extended = bool(more) and version == "00"
    if version == "ff" or is_extended or trace_id == _NO_TRACE or parent_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, parent_id, bool(int(flags, 16) & _SAMPLED))


def checked_traceparent(text: str | None) -> str | None:
    """Return a ``traceparent`` as runs keep it: version 00, None for what cannot be used."""
    context = parse_traceparent(text)
    return None if context is None else traceparent_of(context, context.parent_id)


def traceparent_of(context: TraceContext, span_id: str) -> str:
    """Return the header that a call made within the span ``span_id`` carries."""
    return f"00-{context.trace_id}-{span_id}-{int(context.is_sampled):02x}"


def context_of_run(run_id: str, traceparent: str | None) -> TraceContext:
    """Return the trace of a run."""
    given = parse_traceparent(traceparent)
    if given is not None:
        return given
    own_id = run_id.replace("-", "")
    is_trace_id = re.fullmatch("[0-9a-f]{32}", own_id) is not None and own_id != _NO_TRACE
    return TraceContext(own_id if is_trace_id else _digest(run_id)[:32], "", is_sampled=True)


def span_id_of(*parts: str) -> str:
    """Return the id of the span that ``parts`` name."""
    return _digest("\x00".join(parts))[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
