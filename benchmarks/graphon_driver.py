"""Measures graphon in its own environment: graphs by name as JSON on stdin, microseconds per node on stdout."""

import json
import logging
import statistics
import sys
import time

from graphon.dsl import loads
from graphon.engine_events.graph import GraphRunSucceededEvent

REPEATS = 7
WORKERS = 1


def run_seconds(document: str) -> float:
    """Return the seconds from the first event asked for to the success of the run; loading is not counted."""
    engine = loads(document, start_inputs={"q": "hello"}, workers=WORKERS)
    began = time.perf_counter()
    ended = None
    for event in engine.run():
        if isinstance(event, GraphRunSucceededEvent):
            ended = time.perf_counter()
    if ended is None:
        raise RuntimeError("the run did not succeed")
    return ended - began


def main() -> None:
    """Measure every graph given."""
    logging.disable(logging.CRITICAL)
    figures = {}
    for name, graph in json.load(sys.stdin).items():
        document = json.dumps({"kind": "graph", "graph": graph})
        run_seconds(document)
        median = statistics.median(run_seconds(document) for _ in range(REPEATS))
        figures[name] = median / len(graph["nodes"]) * 1e6
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()
