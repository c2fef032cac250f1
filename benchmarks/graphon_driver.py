"""Measures graphon in its own environment; see driver_loop for what it is asked and answers.

The clock runs from the first event asked for to the success of the run: loading the workflow and stopping the worker
threads are not counted, and the filter that orders streamed text is left out.
"""

import json
import logging
import time
from typing import Any

from driver_loop import Run, serve
from graphon.dsl import loads
from graphon.engine_events.graph import GraphRunSucceededEvent


def prepare(asked: dict[str, Any]) -> Run:
    """Return a run of the workflow: an engine of its own each time, with as many workers as graphon wants."""
    document = json.dumps({"kind": "graph", "graph": asked["graph"]})

    def run() -> tuple[float, dict[str, Any]]:
        engine = loads(document, start_inputs=asked["inputs"])
        began = time.perf_counter()
        ended, outputs = began, {}
        for event in engine.run():
            if isinstance(event, GraphRunSucceededEvent):
                ended, outputs = time.perf_counter(), event.outputs
        return ended - began, dict(outputs)

    return run


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    serve(prepare)
