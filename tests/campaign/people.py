"""Clients of a campaign: each starts runs, follows them through whatever happens, answers, and sometimes stops one.

A person gives up no request: what fails is sent again until the server says yes or no. What they were told is kept
for the checker, in the order in which they heard it.
"""

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx2

TRY_AGAIN_S = 0.3
HTTP_TIMEOUT = httpx2.Timeout(15.0, connect=5.0)


@dataclass(slots=True)
class Answer:
    """An answer to a form and what the server said in the end: 200 accepted, 412 too late, 404 unknown."""

    form_id: str
    comment: str
    status: int = 0
    tries: int = 0


@dataclass(slots=True)
class Transcript:
    """What one reader of a run was told over all its connections: (event id, event); "" where an event has no id.

    ``tokenless``: forms that it was shown without a token, which is how forms look that have ended.
    """

    run_id: str
    app: str
    topic: str
    user: str
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    last_id: str = "0"
    answers: list[Answer] = field(default_factory=list)
    tokenless: list[str] = field(default_factory=list)
    stop_status: int = 0
    is_complete: bool = False
    connections: int = 0


@dataclass(slots=True)
class Report:
    """What all people together have seen. ``faults``: answers that no client should ever get."""

    transcripts: list[Transcript] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Person:
    """One client with one seed; works until it is told to stop, then sees its last run through."""

    def __init__(
        self,
        number: int,
        seed: int,
        url: str,
        keys: dict[str, str],
        report: Report,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare.

        Args:
            number: which person; with ``seed`` it decides everything they do.
            seed: of the campaign.
            url: of the server.
            keys: app name -> API key.
            report: where they note what they saw.
            transport: what carries the requests, where it is not the network.
        """
        self._name = f"person-{number}"
        self._random = random.Random(f"{seed}/{number}")
        self._keys = keys
        self._report = report
        self._count = 0
        self._clients = {
            app: httpx2.AsyncClient(
                base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=HTTP_TIMEOUT, transport=transport
            )
            for app, key in keys.items()
        }

    async def work(self, until: float, give_up_at: float) -> None:
        """Start run after run until ``until``; one that is not over at ``give_up_at`` stays incomplete.

        Both are times of the monotonic clock.
        """
        try:
            while time.monotonic() < until:
                seen = await self._start()
                if seen is not None:
                    await self._see_through(seen, give_up_at)
                await asyncio.sleep(self._random.uniform(0.0, 0.5))
        finally:
            for client in self._clients.values():
                await client.aclose()

    async def _start(self) -> Transcript | None:
        """Start a run; None where it is unknown whether it began, which is nobody's promise."""
        self._count += 1
        app = self._random.choice(sorted(self._keys))
        topic = f"{self._name}/{self._count}"
        body = {"inputs": {"topic": topic}, "user": self._name, "response_mode": "streaming"}
        try:
            async with self._clients[app].stream("POST", "/v1/workflows/run", json=body) as response:
                self._note(response, "start")
                if response.status_code != httpx2.codes.OK:
                    return None
                leave_after = self._random.randint(1, 12)
                seen = None
                async for line in response.aiter_lines():
                    if not line.startswith("data: "):
                        continue
                    event = json.loads(line.removeprefix("data: "))
                    seen = seen or Transcript(event["workflow_run_id"], app, topic, self._name)
                    leave_after -= 1
                    if leave_after <= 0:
                        break
        except httpx2.TransportError:
            seen = None
        if seen is not None:
            self._report.transcripts.append(seen)
        return seen

    async def _see_through(self, seen: Transcript, give_up_at: float) -> None:
        helpers: list[asyncio.Task[None]] = []
        if self._random.random() < 0.1:
            helpers.append(asyncio.create_task(self._stop(seen, self._random.uniform(0.0, 3.0), give_up_at)))
        answered: set[str] = set()
        try:
            while not seen.is_complete and time.monotonic() < give_up_at:
                try:
                    await self._listen(seen, answered, helpers, give_up_at)
                except httpx2.TransportError:
                    pass
                if not seen.is_complete:
                    await asyncio.sleep(TRY_AGAIN_S)
        finally:
            await asyncio.gather(*helpers)

    async def _listen(
        self, seen: Transcript, answered: set[str], helpers: list[asyncio.Task[None]], give_up_at: float
    ) -> None:
        """Follow the run on one connection from where the last one broke off; sometimes go away in between."""
        seen.connections += 1
        query = {"user": self._name, "continue_on_pause": "true"}
        headers = {"Last-Event-ID": seen.last_id}
        leave_after = self._random.choice((5, 15, 1_000))
        path = f"/v1/workflow/{seen.run_id}/events"
        async with self._clients[seen.app].stream("GET", path, params=query, headers=headers) as response:
            self._note(response, "events")
            if response.status_code != httpx2.codes.OK:
                return
            position = ""
            async for line in response.aiter_lines():
                if time.monotonic() >= give_up_at:
                    return
                if line.startswith("id: "):
                    position = seen.last_id = line.removeprefix("id: ")
                if not line.startswith("data: "):
                    continue
                event = json.loads(line.removeprefix("data: "))
                seen.events.append((position, event))
                position = ""
                if event["event"] == "workflow_finished":
                    seen.is_complete = True
                    return
                if event["event"] == "human_input_required" and (form := event["data"])["form_id"] not in answered:
                    if form["form_token"] is None:
                        seen.tokenless.append(form["form_id"])
                    else:
                        answered.add(form["form_id"])
                        helpers.extend(self._answers(seen, form, give_up_at))
                leave_after -= 1
                if leave_after <= 0:
                    return

    def _answers(self, seen: Transcript, form: dict[str, Any], give_up_at: float) -> list[asyncio.Task[None]]:
        """Begin to answer a form, sometimes as two rivals at once."""
        rivals = 2 if self._random.random() < 0.3 else 1
        wait_s = self._random.uniform(0.0, 2.0)
        tasks = []
        for rival in range(rivals):
            answer = Answer(form["form_id"], f"{seen.topic}/{form['node_id']}/{rival}")
            seen.answers.append(answer)
            tasks.append(asyncio.create_task(self._answer(seen, answer, form["form_token"], wait_s, give_up_at)))
        return tasks

    async def _answer(self, seen: Transcript, answer: Answer, token: str, wait_s: float, give_up_at: float) -> None:
        await asyncio.sleep(wait_s)
        body = {"inputs": {"comment": answer.comment}, "action": "approve", "user": self._name}
        path = f"/v1/form/human_input/{token}"
        while time.monotonic() < give_up_at:
            answer.tries += 1
            status = await self._post(seen.app, path, body, "answer")
            if status in (200, 404, 412):
                answer.status = status
                return
            await asyncio.sleep(TRY_AGAIN_S)

    async def _stop(self, seen: Transcript, wait_s: float, give_up_at: float) -> None:
        await asyncio.sleep(wait_s)
        path = f"/v1/workflows/tasks/{seen.run_id}/stop"
        while time.monotonic() < give_up_at:
            if await self._post(seen.app, path, {"user": self._name}, "stop") == httpx2.codes.OK:
                seen.stop_status = 200
                return
            await asyncio.sleep(TRY_AGAIN_S)

    async def _post(self, app: str, path: str, body: dict[str, Any], what: str) -> int:
        """Return the status of one request, 0 where Greenroom itself did not answer."""
        try:
            response = await self._clients[app].post(path, json=body)
        except httpx2.TransportError:
            return 0
        self._note(response, what)
        return response.status_code if _is_ours(response) else 0

    def _note(self, response: httpx2.Response, what: str) -> None:
        self._report.statuses[response.status_code] += 1
        if response.status_code == httpx2.codes.INTERNAL_SERVER_ERROR and _is_ours(response):
            self._report.faults.append(f"{what}: HTTP 500")


def _is_ours(response: httpx2.Response) -> bool:
    """Whether Greenroom answered. A proxy that has lost its replica says 500 to 504, one without routes 404."""
    return "x-greenroom-version" in response.headers
