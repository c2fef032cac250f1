"""What Greenroom costs on Ray, beside bare actors and bare Serve applications in the same run.

Keys, each a median unless it says otherwise:

    start_vs_bare_call         a run of three nodes on a warm actor, from its call to its outcome (which is durable
                                   then), in calls of a bare actor
    http_blocking_vs_echo      the same over HTTP, blocking, 32 connections: requests a second as a share of what a
                                   bare Serve application reaches that calls a bare actor
    http_blocking_rps          those requests a second; http_echo_rps: those of the bare one
    ttft_added_ms              first text of a model through run and event stream, less that of a call of the
                                   model's deployment
    stream_tokens_vs_direct    tokens a second of a model that gives 100, as many streams at a time as runs execute
    burst_tokens_vs_direct     the same of one that gives them as fast as it can, one stream; burst_tokens_per_s
    concurrent_runs_max        runs that were executing at a time, as many as were asked for (--live)
    rss_mb_per_live_run        memory of the process of each, standing at its model; pss: what it shares divided
                                   among those that share it; idle_run_actor: before; bare_actor: an actor that is empty
    cold_start_s               from the deployment on a running Ray to the first answer to a run; once
"""

import json
import os
import subprocess
import sys

from benchmarks.hitl_cycle import data_folder
from benchmarks.options import Options
from benchmarks.peers import ROOT
from cli.up_command import serve_environment

AT_ONCE = {"RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0", "RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S": "0.1"}
"""Has Serve remove an application without waiting half a minute for its last requests."""


def measure(options: Options) -> dict[str, float]:
    """Return the figures by key.

    Serve reads its switches when it is imported, so a process of its own measures.

    Raises:
        subprocess.CalledProcessError: that process failed; what it said stands on standard error.
    """
    with data_folder(ROOT) as data:
        command = [sys.executable, "-P", "-m", "benchmarks.ray_measure", str(data), str(options.live_count)]
        environment = {**os.environ, **serve_environment(), **AT_ONCE, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])
