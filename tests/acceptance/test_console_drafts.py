"""``/console/api``: drafts saved, run, published and imported; a human-input node tried out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import yaml

from approval import approval, straight
from console_world import Person, person
from graph.errors import InvalidInputError
from graph.ports import FormRequest
from hitl.answer_file import OwnedFiles
from surface_world import World, make_world
from surfaces.console_ports import DeliveryTestOrder

SECRET = {"id": "1", "name": "pw", "value_type": "secret", "value": "hunter2", "description": ""}


class Previews:
    """Shows what it is asked."""

    def request_of_node(
        self, document: Mapping[str, Any], node_id: str, inputs: Mapping[str, Any], execution_id: str = ""
    ) -> FormRequest:
        """Return a question."""
        self.preview(document, node_id, inputs)
        return FormRequest("", node_id, execution_id, "title", "content", [], [], {}, [], 60.0)

    def preview(self, document: Mapping[str, Any], node_id: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was asked."""
        ids = [each["id"] for each in document["workflow"]["graph"]["nodes"]]
        if node_id not in ids:
            raise InvalidInputError(f"there is no node {node_id!r} in this workflow")
        return {"node_id": node_id, "inputs": dict(inputs)}

    def outputs_of_answer(
        self,
        document: Mapping[str, Any],
        node_id: str,
        inputs: Mapping[str, Any],
        form_inputs: Mapping[str, Any],
        action: str,
        files: OwnedFiles,
    ) -> dict[str, Any]:
        """Return what was answered."""
        return {**self.preview(document, node_id, inputs), "__action_id": action, **form_inputs}


class Trials:
    """Notes delivery tests."""

    def __init__(self) -> None:
        self.orders: list[DeliveryTestOrder] = []

    async def test_delivery(self, order: DeliveryTestOrder) -> str:
        """Note an order."""
        self.orders.append(order)
        return "form"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A Greenroom with the approval workflow, whose editor has everything."""
    made = await make_world(approval(), console_ports={"previews": Previews(), "delivery_tests": Trials()})
    yield made
    await made.runs.settle()


def body_of(document: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the body that saves a document."""
    return {"graph": document["workflow"]["graph"], "features": {}, **more}


def draft(world: World) -> str:
    """Return where the draft is."""
    return f"/apps/{world.app_id}/workflows/draft"


async def test_draft_begins_as_the_published_version(world: World) -> None:
    """What was imported can be edited; nothing is stored by looking at it."""
    async with await person(world) as ann:
        shown = (await ann.get(draft(world))).json()
    assert (shown["version"], [each["id"] for each in shown["graph"]["nodes"]]) == ("draft", ["start1", "hi1", "end1"])
    assert len(shown["hash"]) == 64 and not world.store.drafts


async def test_draft_is_saved_run_and_published(world: World) -> None:
    """A saved draft runs in the debugger at once; others get it when it is published."""
    async with await person(world, role="editor") as ann:
        saved = (await ann.post(draft(world), body_of(straight()))).json()
        shown = (await ann.get(draft(world))).json()
        assert (saved["result"], saved["hash"]) == ("success", shown["hash"])
        assert shown["updated_by"]["email"] == "ann@example.org"
        events = await ann.stream(f"{draft(world)}/run", {"inputs": {"topic": "tea"}})
        assert events[-1]["data"]["outputs"] == {"answer": "tea"}
        async with world.client() as client:
            body = {"inputs": {"topic": "tea"}, "user": "u"}
            assert (await client.post("/v1/workflows/run", json=body)).json()["data"]["status"] == "paused"
            published = (await ann.post(f"/apps/{world.app_id}/workflows/publish")).json()
            assert published["result"] == "success" and published["created_at"]
            assert (await client.post("/v1/workflows/run", json=body)).json()["data"]["status"] == "succeeded"
        shown = (await ann.get(f"/apps/{world.app_id}/workflows/publish")).json()
        assert [each["id"] for each in shown["graph"]["nodes"]] == ["start1", "end1"]
    (app,) = world.store.apps.values()
    assert app.name == "test"


async def test_draft_of_two_editors_does_not_get_mixed(world: World) -> None:
    """Whoever has not seen the newest draft is told so, and nothing of theirs is kept."""
    async with await person(world) as ann, await person(world, "bob@example.org") as bob:
        seen = (await ann.get(draft(world))).json()["hash"]
        changed = await asyncio.gather(
            ann.post(draft(world), body_of(straight(), hash=seen)),
            bob.post(draft(world), body_of(straight(), hash=seen, features={"opening_statement": "b"})),
        )
        assert [each.status_code for each in changed] == [200, 409]
        assert changed[1].json()["code"] == "draft_workflow_not_sync"
        new = changed[0].json()["hash"]
        assert (await ann.get(draft(world))).json()["hash"] == new
        assert (await bob.post(draft(world), body_of(approval(), hash=new))).status_code == 200


async def test_secret_values_are_shown_to_nobody_and_kept(world: World) -> None:
    """The mark that is shown for a secret stands for its value when it comes back."""
    async with await person(world) as ann:
        await ann.post(draft(world), body_of(straight(), environment_variables=[SECRET]))
        shown = (await ann.get(draft(world))).json()
        assert "hunter2" not in str(shown) and shown["environment_variables"][0]["value"] == "[__HIDDEN__]"
        variables = shown["environment_variables"]
        await ann.post(draft(world), body_of(straight(), environment_variables=variables, hash=shown["hash"]))
    (stored,) = world.store.drafts.values()
    assert stored.document["workflow"]["environment_variables"] == [SECRET]
    assert "hunter2" not in repr(stored)


async def test_draft_with_faults_is_saved_and_not_run(world: World) -> None:
    """An unfinished draft can be kept; running and publishing name its faults."""
    broken = approval()
    broken["workflow"]["graph"]["edges"].append({"id": "e", "source": "nowhere", "target": "hi1"})
    broken["workflow"]["graph"]["nodes"].append({"id": "llm", "data": {"type": "llm", "title": "x"}})
    async with await person(world) as ann:
        assert (await ann.post(draft(world), body_of(broken))).status_code == 200
        for path in (f"{draft(world)}/run", f"/apps/{world.app_id}/workflows/publish"):
            response = await ann.post(path, {"inputs": {"topic": "tea"}})
            assert (response.status_code, response.json()["code"]) == (400, "invalid_workflow")
            assert "workflow.graph" in response.json()["message"]
        for bad in ({}, {"graph": [], "features": {}}, {"graph": {}, "features": {}, "environment_variables": [1]}):
            assert (await ann.post(draft(world), bad)).json()["code"] == "invalid_param"


async def test_app_without_any_version_has_no_draft(world: World) -> None:
    """An app that was imported with faults and never saved has nothing to edit."""
    app_id, _, _ = await world.add_app(straight(), is_published=False)
    async with await person(world) as ann:
        response = await ann.get(f"/apps/{app_id}/workflows/draft")
        assert (response.status_code, response.json()["code"]) == (404, "draft_workflow_not_exist")
        assert (await ann.get(f"/apps/{app_id}/workflows/publish")).json() is None
        run = await ann.post(f"/installed-apps/{app_id}/workflows/run", {"inputs": {}})
        assert (run.status_code, run.json()["code"]) == (400, "app_unavailable")


async def imported(ann: Person, text: str, **more: Any) -> Any:
    """Import a file."""
    return await ann.post("/apps/imports", {"mode": "yaml-content", "yaml_content": text, **more})


async def test_file_is_imported_as_a_draft(world: World) -> None:
    """The file becomes a new app that can be edited and is not published; or the draft of one that exists."""
    async with await person(world) as ann:
        reply = await imported(ann, yaml.safe_dump(straight()), name="Tea", description="hot")
        assert (reply.status_code, reply.json()["status"], reply.json()["error"]) == (200, "completed", "")
        app_id = reply.json()["app_id"]
        listed = (await ann.get("/apps?name=tea")).json()
        assert [(each["id"], each["name"], each["description"]) for each in listed["data"]] == [(app_id, "Tea", "hot")]
        assert (listed["total"], listed["has_more"], (await ann.get("/apps")).json()["total"]) == (1, False, 2)
        assert (await ann.get("/apps?mode=advanced-chat")).json()["data"] == []
        assert (await ann.get(f"/apps/{app_id}/workflows/publish")).json() is None
        assert (await ann.post(f"/apps/{app_id}/workflows/publish")).status_code == 200
        again = await imported(ann, yaml.safe_dump(approval()), app_id=app_id)
        assert again.json()["app_id"] == app_id
        nodes = (await ann.get(f"/apps/{app_id}/workflows/draft")).json()["graph"]["nodes"]
        assert [each["id"] for each in nodes] == ["start1", "hi1", "end1"]


@pytest.mark.parametrize("text", ["", "x", "[1]", "app: {mode: chat}", "app: {mode: workflow}", "a: &a [*a]"])
async def test_file_that_cannot_be_imported_names_its_faults(world: World, text: str) -> None:
    """The answer says that it failed and why; no app is made."""
    async with await person(world) as ann:
        reply = await imported(ann, text)
        assert (reply.status_code, reply.json()["status"], reply.json()["app_id"]) == (400, "failed", None)
        assert reply.json()["error"]
        other = await ann.post("/apps/imports", {"mode": "yaml-url", "yaml_url": "https://example.org/x"})
        assert other.json()["code"] == "invalid_param"
        chat = await imported(ann, yaml.safe_dump({**straight(), "app": {"name": "x", "mode": "advanced-chat"}}))
        assert (await imported(ann, yaml.safe_dump(straight()), app_id=chat.json()["app_id"])).status_code == 400


async def test_node_is_tried_out(world: World) -> None:
    """The editor sees the form of the draft, the outputs of an answer, and has a mail of it sent."""
    node = f"{draft(world)}/human-input/nodes/hi1"
    async with await person(world, role="editor") as ann:
        preview = await ann.post(f"{node}/form/preview", {"inputs": {"#start1.topic#": "tea"}})
        assert preview.json() == {"node_id": "hi1", "inputs": {"#start1.topic#": "tea"}}
        trial = {"inputs": {}, "form_inputs": {"comment": "ok"}, "action": "approve"}
        run = await ann.post(f"{node}/form/run", trial)
        assert run.json() == {"node_id": "hi1", "inputs": {}, "__action_id": "approve", "comment": "ok"}
        sent = await ann.post(f"{node}/delivery-test", {"delivery_method_id": "m", "inputs": {}})
        assert (sent.status_code, sent.json()) == (200, {})
        unknown = await ann.post(f"{draft(world)}/human-input/nodes/nope/form/preview", {"inputs": {}})
        assert (unknown.status_code, unknown.json()["code"]) == (400, "invalid_param")
        for path in ("form/run", "delivery-test"):
            assert (await ann.post(f"{node}/{path}", {"inputs": 7})).json()["code"] == "invalid_param"
        (order,) = world.ports.console.delivery_tests.orders
        assert (order.delivery_method_id, order.account_id, order.app_id) == (
            "m", ann.account.account_id, world.app_id,
        )  # fmt: skip
    async with await person(world, "bob@example.org", "normal") as bob:
        for path in ("form/preview", "form/run", "delivery-test"):
            assert (await bob.post(f"{node}/{path}", {"inputs": {}})).status_code == 403
    assert not world.store.runs and not world.store.forms
