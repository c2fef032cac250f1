"""Measures Greenroom on a Ray of its own, as it serves: the process that ``ray_bench`` starts.

Whatever is compared takes turns in short rounds on one cluster. ``python -m benchmarks.ray_measure FOLDER LIVE`` prints
the figures as JSON; progress goes to standard error.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
from ray import serve
from rich.console import Console

import serve_app
from actors.messages import RunOrder
from actors.settings import Settings
from actors.wiring import Ports
from benchmarks.hitl_cycle import import_app, renewed
from benchmarks.hitl_paused import teller
from benchmarks.ray_bare import bare_actor
from benchmarks.ray_cluster import end_actors, greenroom, local_ray
from benchmarks.ray_echo import echo_application
from benchmarks.ray_figures import Samples, figures_of, speed
from benchmarks.ray_live import measure_live
from benchmarks.ray_requests import RUN_PATH, Post, Streamed, first_answer, requests_per_s, run_body, stream_run
from benchmarks.workflows import asking_model, chain
from cli.up_command import free_port
from graph.ports import ChatMessage, ChatRequest
from models.model_client import SCRIPTED_DEPLOYMENT, application_name
from store.migrate import migrate

CALLS = 50
"""Bare calls and starts in a round, at least."""
WORDS = 10
"""Streams of one word in a round, each way."""
ECHO = "echo"
TARGET = "benchmark"
TOKENS = [f"token-{number} " for number in range(200)]
BURST = [f"token-{number} " for number in range(1000)]
PACE_S = 0.01
REPLIES = {
    "word": {"chunks": ["word"]},
    "paced": {"chunks": TOKENS, "pause_s": PACE_S},
    "burst": {"chunks": BURST},
    "held": {"chunks": ["at last"], "hold_after": 0},
}
"""What the scripted model says, by model name."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. ``budget_s``: seconds for one thing in one round; ``live``: runs at a time."""

    rounds: int = 7
    budget_s: float = 1.5
    live: int = 100


def settings_of(data: Path, port: int, **changes: Any) -> Settings:
    """Return the settings of the measured Greenroom."""
    rules = [{"model": name, "replies": [reply]} for name, reply in REPLIES.items()]
    models = {"default": TARGET, "targets": {TARGET: {"kind": "scripted", "script": {"rules": rules}}}}
    return Settings(data_dir=data, http_port=port, public_url=f"http://127.0.0.1:{port}", models=models, **changes)


@dataclass(frozen=True, slots=True)
class Stage:
    """A Greenroom that serves. ``orders`` and ``keys``: by name of the workflow, a model's or ``plain``."""

    settings: Settings
    ports: Ports
    orders: dict[str, RunOrder]
    keys: dict[str, str]
    cold_start_s: float

    @property
    def blocking(self) -> Post:
        """A blocking run of three nodes."""
        return Post(RUN_PATH, run_body("blocking"), b'"status": "succeeded"', self.keys["plain"])


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Stage]:
    """Deploy a Greenroom on the running Ray, note when it first answers, and remove it in the end."""
    await asyncio.to_thread(migrate, settings.database_url_to_open())
    ports = Ports(settings)
    orders, keys = {}, {}
    for name, graph in {"plain": chain(3).graph, **{name: asking_model(name) for name in REPLIES}}.items():
        orders[name] = await import_app(ports, graph)
        _, keys[name] = await ports.apps.create_key(orders[name].run.app_id)
    post = Post(RUN_PATH, run_body("blocking"), b'"status": "succeeded"', keys["plain"])
    try:
        began = time.perf_counter()
        await asyncio.to_thread(serve_app.deploy, settings)
        await first_answer(settings.http_port, post)
        yield Stage(settings, ports, orders, keys, time.perf_counter() - began)
    finally:
        await ports.close()
        for name in (serve_app.APP_NAME, ECHO, application_name(TARGET)):
            await asyncio.to_thread(serve.delete, name)
        await end_actors()


async def measure(data: Path, port: int, effort: Effort, tell: Tell) -> dict[str, float]:
    """Return the figures by key; Ray must be running, its Serve on ``port`` or not started yet."""
    async with serving(settings_of(data, port)) as stage:
        tell(f"the first answer came after {stage.cold_start_s:.1f} s")
        figures = {"cold_start_s": stage.cold_start_s} | await measure_rounds(stage, effort, tell)
        await stage.ports.close()
        await end_actors()
        # As many actors and more would disturb what is measured above.
        live = settings_of(data, port, pool_size=effort.live, queue_limit=effort.live)
        async with greenroom(live) as ports:
            handle = serve.get_deployment_handle(SCRIPTED_DEPLOYMENT, application_name(TARGET))
            taken = await measure_live(ports, stage.orders["held"], handle, effort.live, tell)
    return figures | taken


async def measure_rounds(stage: Stage, effort: Effort, tell: Tell) -> dict[str, float]:
    """Return the figures of what takes turns."""
    bare = bare_actor()
    await asyncio.to_thread(serve.run, echo_application(bare), name=ECHO, route_prefix=f"/{ECHO}")
    echo = Post(f"/{ECHO}/", run_body("blocking"), b'"benchmark"')
    await first_answer(stage.settings.http_port, echo)
    model = serve.get_deployment_handle(SCRIPTED_DEPLOYMENT, application_name(TARGET)).options(stream=True)
    samples = Samples()
    async with httpx2.AsyncClient(base_url=stage.settings.public_url, timeout=60.0) as client:
        await measure_round(stage, bare, echo, model, client, effort.budget_s / 4, Samples())
        for number in range(effort.rounds):
            tell(f"on Ray, round {number + 1} of {effort.rounds} …")
            await measure_round(stage, bare, echo, model, client, effort.budget_s, samples)
    return figures_of(samples)


async def measure_round(
    stage: Stage, bare: Any, echo: Post, model: Any, client: httpx2.AsyncClient, budget_s: float, samples: Samples
) -> None:
    """Measure everything once."""
    port, pool_size = stage.settings.http_port, stage.settings.pool_size

    async def start() -> None:
        outcome = await stage.ports.runs.start(renewed(stage.orders["plain"]))
        if outcome.status != "succeeded":
            raise ValueError(outcome)

    await start()
    samples.bare_call_s.append(await _median_s(lambda: bare.echo.remote({"q": "hello"}), budget_s / 4))
    samples.start_s.append(await _median_s(start, budget_s / 4))
    samples.echo_rps.append(await requests_per_s(port, echo, budget_s))
    samples.blocking_rps.append(await requests_per_s(port, stage.blocking, budget_s))
    direct = [await stream_direct(model, "word") for _ in range(WORDS)]
    run = [await stream_run(client, stage.keys["word"]) for _ in range(WORDS)]
    samples.ttft_direct_s.append(median(each.first_s for each in direct))
    samples.ttft_run_s.append(median(each.first_s for each in run))
    # As many streams at a time as runs can execute.
    direct = await asyncio.gather(*(stream_direct(model, "paced") for _ in range(pool_size)))
    run = await asyncio.gather(*(stream_run(client, stage.keys["paced"]) for _ in range(pool_size)))
    samples.paced.append(speed(run, TOKENS) / speed(direct, TOKENS))
    direct, run = [await stream_direct(model, "burst")], [await stream_run(client, stage.keys["burst"])]
    samples.burst_tokens.append(speed(run, BURST))
    samples.burst.append(speed(run, BURST) / speed(direct, BURST))


async def stream_direct(model: Any, name: str) -> Streamed:
    """Call the model as a run does and read its answer to the end."""
    began, first_s, last_s, texts = time.perf_counter(), 0.0, 0.0, []
    async with aclosing(
        _deltas(model.stream.remote(ChatRequest(TARGET, name, (ChatMessage("user", "hello"),))))
    ) as said:
        async for delta in said:
            if delta.text:
                last_s = time.perf_counter() - began
                first_s = first_s or last_s
                texts.append(delta.text)
    return Streamed(first_s, last_s, texts)


async def _deltas(response: Any) -> Any:
    async for delta in response:
        yield delta


async def _median_s(once: Callable[[], Awaitable[Any]], budget_s: float) -> float:
    seconds: list[float] = []
    give_up_at = time.perf_counter() + budget_s
    while len(seconds) < CALLS or time.perf_counter() < give_up_at:
        began = time.perf_counter()
        await once()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def main() -> None:
    """Measure in the folder and with the number of live runs that the command line names."""
    data, live = sys.argv[1:]
    tell = teller(Console(stderr=True, highlight=False, soft_wrap=True))
    with local_ray():
        figures = asyncio.run(measure(Path(data), free_port(), Effort(live=int(live)), tell))
    sys.stdout.write(json.dumps(figures))
    sys.stdout.flush()
    # Serve's threads outlive Ray by seconds and have nothing left to do.
    os._exit(0)


if __name__ == "__main__":
    main()
