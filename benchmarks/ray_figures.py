"""What the rounds of the measurement on Ray gave, and the figures that follow."""

from dataclasses import dataclass, field
from statistics import median

from benchmarks.ray_requests import Streamed


@dataclass(slots=True)
class Samples:
    """One value a round: the medians of the round, or what it reached."""

    bare_call_s: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)
    echo_rps: list[float] = field(default_factory=list)
    blocking_rps: list[float] = field(default_factory=list)
    ttft_direct_s: list[float] = field(default_factory=list)
    ttft_run_s: list[float] = field(default_factory=list)
    paced: list[float] = field(default_factory=list)
    burst: list[float] = field(default_factory=list)
    burst_tokens: list[float] = field(default_factory=list)


def speed(streams: list[Streamed], tokens: list[str]) -> float:
    """Return the tokens a second of the median stream, from its call to its last text.

    Raises:
        ValueError: a stream did not carry just these tokens.
    """
    if any("".join(each.texts) != "".join(tokens) for each in streams):
        raise ValueError([len(each.texts) for each in streams])
    return len(tokens) / median(each.total_s for each in streams)


def figures_of(samples: Samples) -> dict[str, float]:
    """Return the figures of what took turns; ratios are taken round by round."""
    starts = zip(samples.start_s, samples.bare_call_s, strict=True)
    rates = zip(samples.blocking_rps, samples.echo_rps, strict=True)
    firsts = zip(samples.ttft_run_s, samples.ttft_direct_s, strict=True)
    return {
        "start_vs_bare_call": median(ours / bare for ours, bare in starts),
        "start_ms": median(samples.start_s) * 1e3,
        "bare_call_ms": median(samples.bare_call_s) * 1e3,
        "http_blocking_vs_echo": median(ours / echo for ours, echo in rates),
        "http_blocking_rps": median(samples.blocking_rps),
        "http_echo_rps": median(samples.echo_rps),
        "ttft_added_ms": median(ours - direct for ours, direct in firsts) * 1e3,
        "stream_tokens_vs_direct": median(samples.paced),
        "burst_tokens_vs_direct": median(samples.burst),
        "burst_tokens_per_s": median(samples.burst_tokens),
    }
