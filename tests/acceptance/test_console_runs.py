"""``/console/api``: runs of accounts, whom their forms ask, following, stopping, and what can be looked at."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from approval import ANSWER, RUN, approval, straight
from console_world import person
from hitl.recipient import RecipientType
from surface_world import PING, OpenStream, World, make_world, names_of

INPUTS = {"inputs": {"topic": "tea"}}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow."""
    made = await make_world(approval())
    yield made
    await made.runs.settle()


def draft_run(world: World) -> str:
    """Return where the draft is run."""
    return f"/apps/{world.app_id}/workflows/draft/run"


def installed_run(world: World) -> str:
    """Return where the app is run inside the console."""
    return f"/installed-apps/{world.app_id}/workflows/run"


async def kinds_of(world: World, form_id: str) -> list[RecipientType]:
    """Return the kinds of the recipients of a form."""
    return [each.type for each in (await world.hitl.forms.recipients([form_id]))[form_id]]


async def test_draft_runs_as_its_author(world: World) -> None:
    """The run is the account's, of the debugger; its form asks the author in the console and nobody by web app."""
    async with await person(world, role="editor") as ann:
        events = await ann.stream(draft_run(world), INPUTS)
        assert names_of(events)[-2:] == ["human_input_required", "workflow_paused"]
        asked = events[-2]["data"]
        (run,) = world.store.runs.values()
        assert (run.invoke_source, run.created_by_role, run.created_by_id) == (
            "debugger", "account", ann.account.account_id,
        )  # fmt: skip
        assert await kinds_of(world, asked["form_id"]) == [RecipientType.CONSOLE, RecipientType.BACKSTAGE]
        assert (asked["approval_channels"], asked["display_in_ui"]) == ([], True)
        answer = await ann.post(f"/form/human_input/{asked['form_token']}", ANSWER)
        assert answer.status_code == 200
        await world.runs.settle()
        (run,) = world.store.runs.values()
        assert (run.status, run.outputs) == ("succeeded", {"answer": "ok"})


async def test_installed_app_runs_as_explore(world: World) -> None:
    """The form of an explored run asks in the console where web delivery is on; node events come without bodies."""
    async with await person(world, role="normal") as ann:
        events = await ann.stream(installed_run(world), INPUTS)
        asked = next(each["data"] for each in events if each["event"] == "human_input_required")
        (run,) = world.store.runs.values()
        assert run.invoke_source == "explore"
        assert await kinds_of(world, asked["form_id"]) == [RecipientType.CONSOLE, RecipientType.BACKSTAGE]
        finished = next(each["data"] for each in events if each["event"] == "node_finished")
        assert (finished["outputs"], "inputs_truncated" in finished) == (None, False)
        assert asked["form_token"]


async def test_draft_run_needs_an_editing_role(world: World) -> None:
    """Other members may use apps, not try out drafts."""
    async with await person(world, role="normal") as ann:
        response = await ann.post(draft_run(world), INPUTS)
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert not world.store.runs


@pytest.mark.parametrize("path", [draft_run, installed_run])
async def test_bad_inputs_end_the_stream(world: World, path: Any) -> None:
    """Inputs that do not fit come as the stream's only event, as with Dify; a body that is none is 400."""
    async with await person(world) as ann:
        (event,) = [each for each in await ann.stream(path(world), {"inputs": {}}) if each["event"] != PING]
        assert (event["event"], event["code"], event["status"]) == ("error", "invalid_param", 400)
        assert (await ann.post(path(world), {"inputs": 1})).status_code == 400
    assert not world.store.runs


async def test_app_of_another_workspace_is_not_found(world: World) -> None:
    """Whoever belongs elsewhere gets the same 404 as for an app that does not exist."""
    other = await world.ports.console.accounts.ensure_workspace("other")
    async with (
        await person(world, "eve@example.org", workspace_id=other.workspace_id) as eve,
        await person(world) as ann,
    ):
        run_id = (await ann.stream(draft_run(world), INPUTS))[-1]["workflow_run_id"]
        app = f"/apps/{world.app_id}"
        replies = [
            await eve.post(draft_run(world), INPUTS),
            await eve.post(installed_run(world), INPUTS),
            await eve.get(f"{app}/workflows/draft"),
            await eve.post(f"{app}/workflows/draft", {"graph": {}, "features": {}}),
            await eve.post(f"{app}/workflows/publish"),
            await eve.get(f"{app}/workflows/publish"),
            await eve.get(f"{app}/workflow-runs"),
            await eve.get(f"{app}/workflow-runs/{run_id}"),
            await eve.get(f"{app}/workflow-runs/{run_id}/node-executions"),
            await eve.post(f"{app}/workflow-runs/tasks/{run_id}/stop"),
            await eve.get("/apps/nonsense/workflow-runs"),
            await eve.post("/apps/imports", {"mode": "yaml-content", "yaml_content": "x", "app_id": world.app_id}),
        ]
        assert {(each.status_code, each.json()["code"]) for each in replies} == {(404, "app_not_found")}
        for path in (f"/workflow/{run_id}/events", f"/workflow/{run_id}/pause-details"):
            assert (await eve.get(path)).json()["code"] == "not_found"
    (run,) = world.store.runs.values()
    assert run.status == "paused"


async def test_run_is_followed_by_its_account_alone(world: World) -> None:
    """Events are for who started the run; a colleague and the app's key holder get 404 for it, and so back."""
    async with await person(world) as ann, await person(world, "bob@example.org") as bob:
        events = await ann.stream(draft_run(world), INPUTS)
        run_id, token = events[-1]["workflow_run_id"], events[-2]["data"]["form_token"]
        again = (await ann.get(f"/workflow/{run_id}/events?include_state_snapshot=true")).text
        assert token in again and '"workflow_paused"' in again
        assert (await bob.get(f"/workflow/{run_id}/events")).status_code == 404
        async with world.client() as client:
            assert (await client.get(f"/v1/workflow/{run_id}/events?user=u-1")).status_code == 404
            theirs = (await client.post("/v1/workflows/run", json=RUN)).json()["workflow_run_id"]
        assert (await ann.get(f"/workflow/{theirs}/events")).status_code == 404
        for odd in ("x", "00000000-0000-0000-0000-000000000000"):
            assert (await ann.get(f"/workflow/{odd}/events")).status_code == 404


async def test_stream_goes_on_when_the_form_is_answered(world: World) -> None:
    """A reader who waits at a pause is told of the answer and of the end."""
    async with await person(world) as ann:
        events = await ann.stream(draft_run(world), INPUTS)
        run_id, token = events[-1]["workflow_run_id"], events[-2]["data"]["form_token"]
        headers = {"authorization": f"Bearer {ann.client.cookies['access_token']}"}
        path = f"/console/api/workflow/{run_id}/events"
        async with OpenStream(world, path, "continue_on_pause=true", headers) as stream:
            assert (await ann.post(f"/form/human_input/{token}", ANSWER)).status_code == 200
            names = [event["event"] async for event in stream.events()]
        assert names[0] == "workflow_started" and names[-1] == "workflow_finished"
        assert "human_input_form_filled" in names
        (last,) = names_of([{"event": each} for each in ["workflow_finished"]])
        assert last in (await ann.get(f"/workflow/{run_id}/events")).text


async def test_pause_details_name_the_inbox(world: World) -> None:
    """A paused run names its nodes and where each is answered, without any token; any other run names none."""
    async with await person(world) as ann, await person(world, "bob@example.org", "normal") as bob:
        events = await ann.stream(draft_run(world), INPUTS)
        run_id, asked = events[-1]["workflow_run_id"], events[-2]["data"]
        for reader in (ann, bob):
            details = (await reader.get(f"/workflow/{run_id}/pause-details")).json()
            assert details["paused_at"].endswith("Z") and "+" not in details["paused_at"]
            address = f"http://127.0.0.1:8000/inbox/forms/{asked['form_id']}"
            pause = {"type": "human_input", "form_id": asked["form_id"], "backstage_input_url": address}
            assert details["paused_nodes"] == [{"node_id": "hi1", "node_title": "Review", "pause_type": pause}]
        await ann.post(f"/inbox/forms/{asked['form_id']}", ANSWER)
        await world.runs.settle()
        details = await ann.get(f"/workflow/{run_id}/pause-details")
        assert details.json() == {"paused_at": None, "paused_nodes": []}
        assert (await ann.get("/workflow/nonsense/pause-details")).status_code == 404


async def test_account_stops_its_own_runs_only(world: World) -> None:
    """A colleague's request is answered alike and changes nothing; the account's own ends the run and its form."""
    async with await person(world) as ann, await person(world, "bob@example.org") as bob:
        run_id = (await ann.stream(draft_run(world), INPUTS))[-1]["workflow_run_id"]
        path = f"/apps/{world.app_id}/workflow-runs/tasks/{run_id}/stop"
        assert (await bob.post(path)).json() == {"result": "success"}
        assert world.store.runs[run_id].status == "paused"
        assert (await ann.post(path)).json() == {"result": "success"}
        await world.runs.settle()
        assert world.store.runs[run_id].status == "stopped"
        assert (await ann.post(path)).json() == {"result": "success"}
        unknown = path.replace(run_id, "nonsense")
        assert (await ann.post(unknown)).json() == {"result": "success"}


async def test_runs_are_listed_and_shown() -> None:
    """Runs of the editor and all others are apart; a run shows its graph, values and nodes."""
    world = await make_world(straight())
    async with await person(world) as ann:
        await ann.stream(draft_run(world), INPUTS)
        await ann.stream(installed_run(world), INPUTS)
        app = f"/apps/{world.app_id}"
        listed = (await ann.get(f"{app}/workflow-runs")).json()
        (row,) = listed["data"]
        assert (listed["limit"], listed["has_more"], row["version"], row["status"]) == (20, False, "draft", "succeeded")
        assert row["created_by_account"]["email"] == "ann@example.org"
        others = (await ann.get(f"{app}/workflow-runs?triggered_from=app-run&status=succeeded&limit=1")).json()
        assert [each["id"] for each in others["data"]] != [row["id"]] and len(others["data"]) == 1
        assert (await ann.get(f"{app}/workflow-runs?last_id={row['id']}")).json()["data"] == []
        detail = (await ann.get(f"{app}/workflow-runs/{row['id']}")).json()
        assert (detail["outputs"], detail["created_by_role"]) == ({"answer": "tea"}, "account")
        assert [each["id"] for each in detail["graph"]["nodes"]] == ["start1", "end1"]
        nodes = (await ann.get(f"{app}/workflow-runs/{row['id']}/node-executions")).json()["data"]
        assert [(each["node_id"], each["status"]) for each in nodes] == [("end1", "succeeded"), ("start1", "succeeded")]
        assert nodes[0]["outputs"] == {"answer": "tea"}
        for bad in ("limit=0", "limit=x", "status=odd", "triggered_from=odd", "limit=" + "9" * 50):
            assert (await ann.get(f"{app}/workflow-runs?{bad}")).json()["code"] == "invalid_param"
