"""The process behind ``greenroom up``: starts Ray, migrates, serves, and ends only what it started.

Runs that execute leave their actors first, between two nodes. Ray is then shut down without ``serve.shutdown``, whose
controller waits half a minute for its proxy: everything that must outlive this process is durable before anyone hears
of it, so its end may be as sudden as a crash.
"""

import signal

if __name__ == "__main__":
    # Reading Ray takes seconds. Ctrl-C meanwhile just ends the process, without a traceback through its modules.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import httpx2
import ray
import ray.exceptions
from rich.console import Console

import serve_app
from actors.calls import SUPERVISOR, ask
from actors.client import Greenroom
from actors.errors import ActorAwayError
from actors.settings import Settings
from actors.wiring import catalog_of
from cli.demo_run import run_demo
from cli.errors import DemoFailedError, StartFailedError
from cli.installation import database_sentences, local_address, read_settings
from cli.main import end_with
from cli.sample_app import Sample, ensure_sample, open_sample_form
from cli.start_checks import data_folder_lock, prepare_data_folder
from cli.up_command import PROXY_FOLDER_VARIABLE
from graph.errors import GreenroomError
from hitl.surface import Surface
from models.errors import InvalidCatalogError
from store.migrate import migrate

NAMESPACE = "greenroom"
LOGS = "/tmp/ray/session_latest/logs"
READY_TIMEOUT_S = 120.0
READY_INTERVAL_S = 0.2
LAST_WORDS_S = 1.0
"""How long the supervisor may take to say that runs have had their time."""


@dataclass(frozen=True, slots=True)
class LocalRay:
    """Where the Ray of this process is. ``address``: for ``RAY_ADDRESS``; ``dashboard``: for a browser."""

    address: str
    dashboard: str


def main() -> None:
    """Serve until stopped, or run the demonstration and end; exit code 0 if all went well."""
    console = Console(soft_wrap=True, highlight=False)
    is_demo = "--demo" in sys.argv[1:]
    exit_code = 0
    settings = None
    catch_signals()
    try:
        settings = read_settings()
        check_models(settings)
        prepare_data_folder(settings)
        with data_folder_lock(settings):
            serve_until_stopped(settings, console, is_demo)
    except KeyboardInterrupt:
        console.print("stopped")
    except GreenroomError as error:
        exit_code = end_with(error)
    finally:
        if is_demo and settings is not None:
            shutil.rmtree(settings.data_dir, ignore_errors=True)
    sys.exit(exit_code)


def serve_until_stopped(settings: Settings, console: Console, is_demo: bool) -> None:
    """Bring everything up; then run the demonstration, or tell where things are and wait for Ctrl-C."""
    began = time.monotonic()
    address = local_address(settings)
    with database_sentences(settings):
        migrate(settings.database_url_to_open())
    console.print("starting Ray (about ten seconds) …")
    with local_ray() as own_ray:
        console.print("starting the actors, the models and the HTTP ingress …")
        with start_step("starting the actors, the models and the ingress"):
            serve_app.deploy(settings)
        wait_until_ready(address)
        console.print(f"ready after {time.monotonic() - began:.1f} s")
        sample = asyncio.run(ensure_sample(settings))
        if is_demo:
            with start_step("the demonstration"):
                run_demo(address, sample, console)
            console.print(f"everything took {time.monotonic() - began:.1f} s; stopping what was started")
            return
        if not sample.form_id:
            sample = try_sample_form(settings, sample, address, console)
        console.print(welcome(settings, sample, address, own_ray), markup=False)
        try:
            threading.Event().wait()
        finally:
            asyncio.run(leave_runs(settings))


async def leave_runs(settings: Settings) -> None:
    """Return when no run executes any more, or ``GREENROOM_DRAIN_S`` is over; the next start goes on with them."""
    try:
        await asyncio.wait_for(ask(SUPERVISOR, "drain", patience_s=0.0), settings.drain_s + LAST_WORDS_S)
    except (TimeoutError, ActorAwayError):
        # As after a crash, then: what was in flight runs again.
        pass


def try_sample_form(settings: Settings, sample: Sample, address: str, console: Console) -> Sample:
    """Return the sample with a waiting form, or as it is with the reason on the screen: serving goes on without."""
    try:
        with start_step("opening the sample form"):
            return open_sample_form(settings, sample, address)
    except (DemoFailedError, StartFailedError) as error:
        console.print(f"no sample form: {error}", markup=False)
        return sample


@contextmanager
def local_ray() -> Iterator[LocalRay]:
    """Start a Ray of its own, yield where it is, and end it, and only it, in the end."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    context = ray.init(
        address="local",
        namespace=NAMESPACE,
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        log_to_driver=False,
        logging_level="ERROR",
    )
    catch_signals()
    node_id = ray.get_runtime_context().get_node_id()
    try:
        yield LocalRay(context.address_info["gcs_address"], f"http://{context.dashboard_url}")
    finally:
        ray.shutdown()
        if proxy_folder := os.environ.get(PROXY_FOLDER_VARIABLE):
            shutil.rmtree(Path(proxy_folder) / node_id, ignore_errors=True)


@contextmanager
def start_step(step: str) -> Iterator[None]:
    """Turn what Ray, Serve and the HTTP client raise into one sentence.

    Raises:
        StartFailedError: the last line of what they say; a remote traceback stays in Ray's logs.
    """
    try:
        yield
    except (ray.exceptions.RayError, httpx2.HTTPError, RuntimeError, TimeoutError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise StartFailedError(step, lines[-1].strip() if lines else type(error).__name__, LOGS) from error


def catch_signals() -> None:
    """Let Ctrl-C and SIGTERM end this process in order; Ray, when it starts, puts its own handlers there."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Begin the end, once: whoever presses Ctrl-C again must not break off the stopping of what was started."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def check_models(settings: Settings) -> None:
    """Return when the models file, or the models inline, can be used.

    Raises:
        InvalidCatalogError: they have faults.
    """
    try:
        catalog_of(settings)
    except (ValueError, RecursionError) as error:
        # What the YAML reader itself trips over: endless nesting, numbers of thousands of digits.
        raise InvalidCatalogError(str(settings.models_file), ("is neither YAML nor JSON",)) from error


def wait_until_ready(address: str) -> None:
    """Return when ``/health/ready`` says so.

    Raises:
        StartFailedError: it does not within two minutes.
    """
    deadline = time.monotonic() + READY_TIMEOUT_S
    answer = "no answer"
    pause = threading.Event()
    while time.monotonic() < deadline:
        try:
            reply = httpx2.get(f"{address}/health/ready", timeout=5.0)
            if reply.status_code == httpx2.codes.OK:
                return
            answer = f"HTTP {reply.status_code} {reply.text}"
        except httpx2.TransportError as error:
            answer = str(error)
        pause.wait(READY_INTERVAL_S)
    raise StartFailedError("waiting for the server", answer, LOGS)


def welcome(settings: Settings, sample: Sample, address: str, own_ray: LocalRay) -> str:
    """Return what a person needs who has just started Greenroom."""
    lines = [
        "",
        f"Service API     {address}/v1",
        f"API key         {sample.api_key}  (sample app {sample.app_id})",
    ]
    if sample.form_id:
        disposition = Greenroom.connect().disposition(sample.form_id, Surface.WEB)
        lines.append(f"a waiting form  {settings.public_url}/form/{disposition.form_token}")
    lines += [
        f"console login   {settings.public_url}/inbox as {settings.account_email}  (set or reset the password: "
        f"`.venv/bin/greenroom account password {settings.account_email}`)",
        f"Ray             {own_ray.address}  (other Rays here? give a Python client "
        f"RAY_AUTH_MODE=token RAY_ADDRESS={own_ray.address})",
        f"Ray dashboard   {own_ray.dashboard}  (asks for the token that `.venv/bin/ray get-auth-token` prints)",
        f"data            {settings.data_dir}",
        "",
        "Ctrl-C stops this Greenroom and its Ray; waiting runs go on when it starts again.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
