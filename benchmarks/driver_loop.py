"""The loop of a peer's driver: runs in the peer's own environment, so it needs the standard library only.

Lines of JSON come in and go out. ``{"case", "graph", "inputs", "outputs", "shape"}`` prepares a workflow and is
answered with ``{}``; ``{"case", "budget_s", "least"}`` runs it and is answered with ``{"seconds": […]}``. Whatever goes
wrong is answered with ``{"error"}``.
"""

import gc
import json
import sys
import time
from collections.abc import Callable
from typing import Any

Run = Callable[[], tuple[float, dict[str, Any]]]
"""Runs the workflow once; returns the seconds that count and the outputs."""


def serve(prepare: Callable[[dict[str, Any]], Run]) -> None:
    """Answer what comes in until it ends; ``prepare`` makes the run of a workflow."""
    runs: dict[str, tuple[Run, dict[str, Any]]] = {}
    # The answers keep this stream for themselves, whatever the peer prints.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "graph" in asked:
                runs[asked["case"]] = prepare(asked), asked["outputs"]
                answer: dict[str, Any] = {}
            else:
                answer = {"seconds": measured(*runs[asked["case"]], asked["budget_s"], asked["least"])}
        except Exception as error:  # noqa: BLE001  # boundary: the peer's failure is an answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def measured(run: Run, expected: dict[str, Any], budget_s: float, least: int) -> list[float]:
    """Return the seconds of each run: as many as ``budget_s`` allows, ``least`` or more.

    Raises:
        ValueError: the outputs are not the expected ones.
    """
    gc.collect()
    seconds: list[float] = []
    give_up_at = time.perf_counter() + budget_s
    while len(seconds) < least or time.perf_counter() < give_up_at:
        second, outputs = run()
        if outputs != expected:
            raise ValueError(f"the outputs are {outputs}")
        seconds.append(second)
    return seconds
