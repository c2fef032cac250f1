"""Events of runs and forms, from the outbox to a real HTTP server, signed."""

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

import factories as f
from actors.delivery import Deliveries
from actors.messages import SubmitOrder, order_run
from actors.senders import WebhookSender
from effects.address_guard import parse_networks
from effects.guarded_client import GuardedClient
from effects.webhook import WebhookPoster
from local_server import head, local_server
from store.memory_outbox import MemoryOutbox
from store.outbox import Delivery
from store.run_record import NewRun
from surface_world import World, make_world

SECRET = "s3cret-of-the-receiver"
ENVIRONMENT = {"GREENROOM_WEBHOOK_A": SECRET}
EVENTS = ["run.paused", "form.decided", "run.resumed", "run.finished"]
GRAPH = (
    [f.start("topic"), f.human(), f.end(out=["human", "comment"])],
    [f.edge("start", "human"), f.edge("human", "end", "approve"), f.edge("human", "end", "reject")],
)


def hook(url: str, *events: str, secret_env: str = "GREENROOM_WEBHOOK_A") -> dict[str, Any]:
    """A webhook of a file."""
    return {"url": url, "events": list(events or EVENTS), "secret_env": secret_env}


class Scene:
    """A Greenroom whose app tells webhooks, and what delivers."""

    def __init__(self, world: World, allowed: str, timeout_s: float = 60.0) -> None:
        self.world, self.outbox = world, MemoryOutbox(world.store)
        poster = WebhookPoster(GuardedClient(parse_networks(allowed)), timeout_s)
        sender = WebhookSender(poster, ENVIRONMENT, world.clock)
        self.deliveries = Deliveries(self.outbox, {"webhook": sender.send}, world.clock)

    async def run_through(self) -> str:
        """Start a run, answer its form, and return the id of the ended run."""
        world = self.world
        run_id = "00000000-0000-7000-9000-000000000001"
        run = NewRun(
            run_id, world.workspace_id, world.app_id, world.version_id, "workflow", "service-api", "end_user", "u",
            "somebody", {"topic": "tea"}, world.clock.now(),
        )  # fmt: skip
        outcome = await world.runs.start(order_run(run))
        await world.hitl.submit(
            SubmitOrder(outcome.forms[0].form_id, None, 0, "approve", {"comment": "hush-hush"}, "x")
        )
        await world.runs.settle()
        return run_id

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Deliver in the background."""
        task = asyncio.create_task(self.deliveries.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.deliveries.close()

    async def until(self, run_id: str, is_true) -> list[Delivery]:
        """Return how the events of a run fare once ``is_true`` of all of them."""
        async with asyncio.timeout(60):
            while True:
                found = await self.outbox.deliveries_of_run(run_id)
                if all(is_true(each) for each in found):
                    return found
                await asyncio.sleep(0.01)


async def hang(asked: object, writer: asyncio.StreamWriter) -> None:
    """Begin an answer, and never go on with it."""
    writer.write(head(200, {"content-length": "1"})[:9])
    await writer.drain()
    await asyncio.Event().wait()


async def scene(*hooks: dict[str, Any], allowed: str = "127.0.0.0/8", **options: float) -> Scene:
    """Return a scene whose app has these webhooks."""
    document = f.document(*GRAPH) | {"greenroom": {"webhooks": list(hooks)}}
    return Scene(await make_world(document), allowed, **options)


async def test_run_tells_its_webhook_what_happens():
    """Pause, decision, resumption and end are told once each, signed, with ids and status and nothing of the answer."""
    async with local_server() as server:
        server.reply("/hook")
        stage = await scene(hook(server.url + "/hook"))
        run_id = await stage.run_through()
        async with stage.working():
            await stage.until(run_id, lambda each: each.state == "sent")
    bodies = [orjson.loads(asked.body) for asked in server.asked]
    assert sorted(body["event"] for body in bodies) == sorted(EVENTS)
    assert len({body["id"] for body in bodies}) == 4
    by_event = {body["event"]: body for body in bodies}
    form = next(iter(stage.world.store.forms.values()))
    assert {body["run_id"] for body in bodies} == {run_id}
    assert by_event["run.paused"]["form_ids"] == [form.form_id]
    assert (by_event["form.decided"]["status"], by_event["form.decided"]["action_id"]) == ("submitted", "approve")
    assert by_event["run.finished"]["status"] == "succeeded"
    assert by_event["run.paused"]["number"] < by_event["run.resumed"]["number"] < by_event["run.finished"]["number"]
    for asked in server.asked:
        assert b"hush-hush" not in asked.body and not re.search(rb"[A-Za-z0-9]{43}", asked.body)
        assert asked.method == "POST" and asked.headers["content-type"] == "application/json"
        assert asked.headers["greenroom-event-id"] == orjson.loads(asked.body)["id"]


async def test_signature_can_be_checked_by_the_receiver():
    """The header is what docs/webhooks.md says: an HMAC over time and body with the shared secret."""
    async with local_server() as server:
        server.reply("/hook")
        stage = await scene(hook(server.url + "/hook", "run.finished"))
        run_id = await stage.run_through()
        async with stage.working():
            await stage.until(run_id, lambda each: each.state == "sent")
    (asked,) = server.asked
    found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", asked.headers["greenroom-signature"])
    assert found is not None and int(found[1]) == int(stage.world.clock.now())
    wanted = hmac.new(SECRET.encode(), found[1].encode() + b"." + asked.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(found[2], wanted)


async def test_event_is_repeated_with_the_same_id_until_it_is_taken():
    """A 500 is tried again later; id and body stay, time and signature are of the attempt."""
    async with local_server() as server:
        server.reply("/hook", status=500)
        stage = await scene(hook(server.url + "/hook", "run.finished"))
        run_id = await stage.run_through()
        async with stage.working():
            (waiting,) = await stage.until(run_id, lambda each: each.last_error)
            assert (waiting.state, waiting.last_error) == ("pending", "the webhook answered 500")
            server.reply("/hook", status=204)
            stage.world.clock.at += 15
            stage.deliveries.wake()
            (sent,) = await stage.until(run_id, lambda each: each.state == "sent")
    first, second = server.asked
    assert first.body == second.body and sent.attempts == 2
    assert first.headers["greenroom-signature"] != second.headers["greenroom-signature"]


async def test_redirect_is_not_followed():
    """A redirect is no acceptance, and nobody else is shown the event."""
    async with local_server() as server:
        server.reply("/hook", status=307, location=server.url + "/other")
        server.reply("/other")
        stage = await scene(hook(server.url + "/hook", "run.finished"))
        run_id = await stage.run_through()
        async with stage.working():
            (waiting,) = await stage.until(run_id, lambda each: each.last_error)
    assert waiting.last_error == "the webhook answered 307"
    assert [asked.target for asked in server.asked] == ["/hook"]


async def test_webhook_inside_is_not_reached():
    """An address that requests of workflows may not reach is not told either."""
    async with local_server() as server:
        server.reply("/hook")
        stage = await scene(hook(server.url + "/hook", "run.finished"), allowed="")
        run_id = await stage.run_through()
        async with stage.working():
            (waiting,) = await stage.until(run_id, lambda each: each.last_error)
    assert "is not a public address" in waiting.last_error and server.asked == []


@pytest.mark.parametrize(
    ("secret_env", "status", "reason"),
    [
        ("GREENROOM_WEBHOOK_A", 410, "the webhook answered 410: it is gone for good"),
        (
            "GREENROOM_WEBHOOK_B",
            200,
            "the environment variable GREENROOM_WEBHOOK_B with the signing secret is not set",
        ),
    ],
)
async def test_event_fails_where_repeating_cannot_help(secret_env: str, status: int, reason: str):
    """A receiver that is gone, or a secret that is not there, fails the event at once, with the reason."""
    async with local_server() as server:
        server.reply("/hook", status=status)
        stage = await scene(hook(server.url + "/hook", "run.finished", secret_env=secret_env))
        run_id = await stage.run_through()
        async with stage.working():
            (failed,) = await stage.until(run_id, lambda each: each.state == "failed")
    assert failed.last_error == reason


async def test_webhook_that_hangs_does_not_hold_up_the_others():
    """While one receiver does not answer, another gets its events."""
    async with local_server() as server:
        server.answers["/slow"] = hang
        server.reply("/hook")
        hooks = [hook(f"{server.url}/{path}", "run.finished") for path in ("slow", "hook")]
        stage = await scene(*hooks, timeout_s=3600.0)
        run_id = await stage.run_through()
        async with stage.working():
            await stage.until(run_id, lambda each: each.state == ("pending" if each.to.endswith("/slow") else "sent"))
        assert [asked.target for asked in server.asked].count("/hook") == 1


async def test_webhook_that_hangs_is_tried_again_later():
    """An attempt without an answer ends, with the time that it was given for its reason."""
    async with local_server() as server:
        server.answers["/slow"] = hang
        stage = await scene(hook(server.url + "/slow", "run.finished"), timeout_s=0.5)
        run_id = await stage.run_through()
        async with stage.working():
            (late,) = await stage.until(run_id, lambda each: each.last_error)
    assert (late.state, late.last_error) == ("pending", "the webhook did not answer within 0.5 s")


async def test_app_without_webhooks_tells_nobody():
    """A file without the key puts nothing into the outbox; one is told only of the events it names."""
    stage = Scene(await make_world(f.document(*GRAPH)), "")
    await stage.run_through()
    assert stage.world.store.outbox == {}
    stage = await scene(hook("https://hooks.example", "run.paused"))
    await stage.run_through()
    assert [entry.occasion for entry in stage.world.store.outbox.values()] == ["run.paused"]
