"""The demonstration: the approval workflow by HTTP alone, told on the screen as it happens."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from actors.client import Greenroom
from cli.errors import DemoFailedError
from cli.sample_app import Sample
from hitl.surface import Surface

USER = "demo"
ANSWER = {"comment": "Reads well, ship it.", "tone": "friendly"}
STREAM_TIMEOUT_S = 120.0
TOKEN_WIDTH = 43

Event = dict[str, Any]


class Telling:
    """Prints what happens, each line with the seconds since the start; remembers when things happened."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.began = time.monotonic()
        self.moments: dict[str, float] = {}
        self._is_in_text = False

    def mark(self, moment: str) -> None:
        """Remember when ``moment`` happened for the first time."""
        self.moments.setdefault(moment, time.monotonic() - self.began)

    def line(self, text: str) -> None:
        """Print one line; ends the line of streamed text, if there is one."""
        if self._is_in_text:
            self.console.print()
            self._is_in_text = False
        self.console.print(f"[dim]{time.monotonic() - self.began:7.3f} s[/dim]  {text}")

    def event(self, event: Event) -> None:
        """Print an event of the run; text is printed as it comes."""
        name, data = event["event"], event.get("data", {})
        if name == "text_chunk":
            self.mark("first token")
            if not self._is_in_text:
                self.line("[green]text_chunk[/green]  (text as it comes)")
                self._is_in_text = True
            self.console.print(data["text"], end="", markup=False)
            self.console.file.flush()
            return
        self.line(f"[green]{name}[/green]  {escape(summary(name, data))}")


def run_demo(address: str, sample: Sample, console: Console) -> None:
    """Run the sample to its pause, show what each surface sees, answer, and follow it to its end.

    Raises:
        DemoFailedError: something did not happen as it must; names the step.
    """
    headers = {"Authorization": f"Bearer {sample.api_key}"}
    with httpx2.Client(base_url=address, headers=headers, timeout=STREAM_TIMEOUT_S) as client:
        telling = Telling(console)
        telling.line("[bold]1. Start[/bold]: POST /v1/workflows/run, streaming")
        body = {"inputs": {"topic": "green tea"}, "response_mode": "streaming", "user": USER}
        with events(client, "POST", "/v1/workflows/run", json=body) as stream:
            paused = tell_until(telling, stream, "workflow_paused")
        telling.mark("paused")
        run_id, reason = paused["workflow_run_id"], paused["data"]["reasons"][0]
        telling.line(f"the stream is closed; run {run_id} waits as rows in the database, its actor is given back")
        form_token = show_dispositions(telling, reason)
        finished = answer_and_follow(telling, client, run_id, form_token)
        tell_end(telling, finished)


def answer_and_follow(telling: Telling, client: httpx2.Client, run_id: str, form_token: str) -> Event:
    """Open the run's event stream, answer the form on another connection, and return the finishing event."""
    form_path = f"/v1/form/human_input/{form_token}"
    form = expect_ok("reading the form", client.get(form_path))
    actions = ", ".join(action["id"] for action in form["user_actions"])
    telling.line(f"[bold]3. Read the form[/bold]: GET /v1/form/human_input/…  actions: {actions}")
    query = {"user": USER, "include_state_snapshot": "true", "continue_on_pause": "true"}
    with events(client, "GET", f"/v1/workflow/{run_id}/events", params=query) as stream:
        telling.line("[bold]4. Reconnect[/bold]: GET /v1/workflow/…/events, snapshot first")
        tell_until(telling, stream, "workflow_paused")
        telling.line("[bold]5. Answer[/bold]: POST /v1/form/human_input/…  action approve")
        began = time.monotonic()
        body = {"inputs": ANSWER, "action": "approve", "user": USER}
        expect_ok("answering the form", client.post(form_path, json=body))
        telling.line(f"accepted in {(time.monotonic() - began) * 1000:.0f} ms")
        tell_until(telling, stream, "workflow_started")
        telling.moments["answer to resumption"] = time.monotonic() - began
        return tell_until(telling, stream, "workflow_finished")


def show_dispositions(telling: Telling, reason: Event) -> str:
    """Show what the pause looks like from each surface, and return the form token that the service API gave.

    Raises:
        DemoFailedError: the service API gave none, or two surfaces gave the same.
    """
    telling.line("[bold]2. The pause[/bold], as each surface sees it")
    table = Table("surface", Column("form token", overflow="fold", min_width=TOKEN_WIDTH), "can also be approved by")
    tokens = {Surface.SERVICE_API: reason["form_token"]}
    table.add_row(Surface.SERVICE_API, reason["form_token"], ", ".join(reason["approval_channels"]))
    greenroom = Greenroom.connect()
    for surface in Surface:
        if surface not in tokens:
            disposition = greenroom.disposition(reason["form_id"], surface)
            tokens[surface] = disposition.form_token
            table.add_row(surface, disposition.form_token or "none", ", ".join(disposition.approval_channels))
    telling.console.print(table)
    given = [token for token in tokens.values() if token]
    if not reason["form_token"] or len(set(given)) != len(given):
        raise DemoFailedError("the pause", "the service API got no form token of its own")
    return reason["form_token"]


def tell_end(telling: Telling, finished: Event) -> None:
    """Tell how the run ended and how long its parts took.

    Raises:
        DemoFailedError: it did not succeed.
    """
    data = finished["data"]
    if data["status"] != "succeeded":
        raise DemoFailedError("the run", f"{data['status']}: {data['error']}")
    telling.line("[bold]6. Finished[/bold], outputs:")
    telling.console.print_json(json.dumps(data["outputs"]))
    table = Table("what", "seconds")
    for moment, seconds in telling.moments.items():
        table.add_row(moment, f"{seconds:.3f}")
    table.add_row("tokens", str(data["total_tokens"]))
    telling.console.print(table)


def tell_until(telling: Telling, stream: Iterator[Event], last: str) -> Event:
    """Tell the events of ``stream`` up to and with the first one called ``last``, and return that one.

    Raises:
        DemoFailedError: the stream ended before, or the run failed.
    """
    for event in stream:
        telling.event(event)
        if event["event"] == last:
            return event
        if event["event"] in ("error", "workflow_finished"):
            reason = event.get("message") or event["data"]["error"]
            raise DemoFailedError(f"waiting for {last}", str(reason))
    raise DemoFailedError(f"waiting for {last}", "the stream ended")


@contextmanager
def events(client: httpx2.Client, method: str, path: str, **request: Any) -> Iterator[Iterator[Event]]:
    """Open a stream of server-sent events and yield its events as they come; pings are left out.

    Raises:
        DemoFailedError: the server refuses the request.
    """
    with client.stream(method, path, **request) as reply:
        if reply.status_code != httpx2.codes.OK:
            reply.read()
            raise DemoFailedError(f"{method} {path}", f"HTTP {reply.status_code} {reply.text}")
        yield (json.loads(line.removeprefix("data: ")) for line in reply.iter_lines() if line.startswith("data: "))


def expect_ok(step: str, reply: httpx2.Response) -> Event:
    """Return the JSON body of ``reply``.

    Raises:
        DemoFailedError: its status is not 200.
    """
    if reply.status_code != httpx2.codes.OK:
        raise DemoFailedError(step, f"HTTP {reply.status_code} {reply.text}")
    return reply.json()


def summary(name: str, data: Event) -> str:
    """Return the part of an event's data that a person wants to see, in one line."""
    if name.startswith("node_"):
        status = f" {data['status']}" if "status" in data else ""
        return f"{data['title']} ({data['node_type']}){status}"
    if name == "workflow_started":
        return str(data["reason"])
    if name == "human_input_required":
        return f"{data['node_title']}: form_token {data['form_token']}, approval_channels {data['approval_channels']}"
    if name == "human_input_form_filled":
        return f"{data['action_text']}: {json.dumps(data['submitted_data'], ensure_ascii=False)}"
    if name in ("workflow_paused", "workflow_finished"):
        return f"{data['status']}, {data['total_steps']} steps, {data['elapsed_time']:.3f} s without waiting"
    return ""
