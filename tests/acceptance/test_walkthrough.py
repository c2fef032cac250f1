"""What docs/walkthrough.md does with the examples by HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import yaml

from served import ROOT
from surface_world import World, events_of, make_world
from test_service_api_forms import path_of


@asynccontextmanager
async def example(name: str) -> AsyncIterator[tuple[World, httpx2.AsyncClient]]:
    """A Greenroom with an example, and a client with the key of its app."""
    world = await make_world(yaml.safe_load((ROOT / "examples" / name).read_text(encoding="utf-8")))
    async with world.client() as client:
        yield world, client
    await world.runs.settle()


async def started(client: httpx2.AsyncClient, **inputs: Any) -> tuple[str, dict[str, str]]:
    """Start a run; return its id, and the form token of each node that asks."""
    reply = await client.post("/v1/workflows/run", json={"inputs": inputs, "user": "u"})
    data = reply.json()["data"]
    return data["id"], {each["node_id"]: each["form_token"] for each in data["reasons"]}


async def answered(client: httpx2.AsyncClient, token: str, action: str, **more: Any) -> str | None:
    """Answer a form; return the code of the refusal, None when it was taken."""
    body = {"action": action, "user": "u", "inputs": more.pop("inputs", {}), **more}
    reply = await client.post(path_of(token), json=body)
    assert reply.json() == {} or reply.status_code >= 400
    return reply.json().get("code")


async def outcome(world: World, client: httpx2.AsyncClient, run_id: str) -> tuple[str, dict[str, Any]]:
    """Status and outputs of a run, once nothing executes any more."""
    await world.runs.settle()
    detail = (await client.get(f"/v1/workflows/run/{run_id}")).json()
    return detail["status"], detail["outputs"]


async def test_release_is_bound_to_what_was_shown_and_may_be_sent_twice() -> None:
    """A digest of something else is refused; the same answer again is taken again, another one is not."""
    async with example("release.yml") as (world, client):
        run_id, tokens = await started(client, version="2.1")
        shown = (await client.get(path_of(tokens["gate"]))).json()
        note = {"note": "go"}
        bad = await answered(client, tokens["gate"], "release", inputs=note, form_digest="0" * 64)
        assert bad == "form_changed"
        for _ in range(2):
            digest = shown["form_digest"]
            assert await answered(client, tokens["gate"], "release", inputs=note, form_digest=digest) is None
        assert await answered(client, tokens["gate"], "hold", inputs=note) == "human_input_form_submitted"
        outputs = {"version": "2.1", "decision": "Release", "note": "go"}
        assert await outcome(world, client, run_id) == ("succeeded", outputs)


async def test_onboarding_goes_on_with_the_last_of_three_answers() -> None:
    """Three forms wait at once, each with a token of its own; the order of the answers does not matter."""
    async with example("onboarding.yml") as (world, client):
        run_id, tokens = await started(client, name="Ada")
        assert sorted(tokens) == ["accounts", "desk", "laptop"] and len(set(tokens.values())) == 3
        assert await answered(client, tokens["laptop"], "ordered", inputs={"model": "small"}) is None
        assert await answered(client, tokens["accounts"], "created", inputs={"login": "ada"}) is None
        assert (await outcome(world, client, run_id))[0] == "paused"
        assert await answered(client, tokens["desk"], "done", inputs={"place": "room 4"}) is None
        status, outputs = await outcome(world, client, run_id)
        assert status == "succeeded" and "room 4" in outputs["welcome"] and "small" in outputs["welcome"]


async def test_answer_to_an_earlier_round_never_reaches_a_later_one() -> None:
    """Each round of the correction asks on a form of its own; what comes late for the first is refused."""
    async with example("correction.yml") as (world, client):
        run_id, tokens = await started(client, text="Grean tea.")
        first = tokens["review"]
        assert await answered(client, first, "again", inputs={"text": "Green tea."}) is None
        await world.runs.settle()
        late = await answered(client, first, "right", inputs={"text": "Grean tea."})
        assert late == "human_input_form_submitted"
        reply = await client.get(f"/v1/workflow/{run_id}/events?user=u&include_state_snapshot=true")
        asked = [each["data"] for each in events_of(reply.text) if each["event"] == "human_input_required"]
        second = asked[-1]["form_token"]
        assert second != first and asked[-1]["resolved_default_values"] == {"text": "Green tea."}
        assert await answered(client, second, "right", inputs={"text": "Green tea."}) is None
        assert await outcome(world, client, run_id) == ("succeeded", {"text": "Green tea.", "state": "right"})
