"""A form that needs two accounts, on the real HITL actor: votes, a crash between them, and the run behind them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

import factories as f
from actors.calls import HITL_ACTOR
from actors.client import Greenroom
from hitl.digest import form_digest
from hitl.errors import AlreadyVotedError, FormAlreadySubmittedError, FormChangedError, NotAnApproverError
from local_cluster import LocalCluster
from stage import Stage, kill_process, open_stage

pytestmark = pytest.mark.timeout(300)

RULES = {"approval": {"approvers": ["group:board"], "quorum": 2}}
GRAPH = (
    [f.start("topic"), f.human(greenroom=RULES), f.end(out=["human", "comment"])],
    [f.edge("start", "human"), f.edge("human", "end", "approve"), f.edge("human", "end", "reject")],
)


@pytest.fixture(scope="module")
async def stage(ray_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A Greenroom with an app that asks the board."""
    async with open_stage(tmp_path_factory.mktemp("stage"), pool_size=1) as stage:
        workspace = await stage.ports.accounts.ensure_workspace(stage.settings.workspace_name)
        document = {**f.document(*GRAPH), "greenroom": {"groups": {"board": ["anna@x.org", "bert@x.org"]}}}
        workflow = f.workflow_of(document)
        stage.apps["board"], _ = await stage.ports.apps.import_app(workspace.workspace_id, workflow, None)
        yield stage


async def test_two_accounts_decide_also_across_a_crash(stage: Stage) -> None:
    """Votes outlive the HITL actor; the run goes on with the second one, and nobody else has a say."""

    def as_account(name: str) -> Greenroom:
        settings = stage.settings.model_copy(update={"account_email": f"{name}@x.org"})
        return Greenroom.connect(settings=settings)

    anna, bert, carl = [await asyncio.to_thread(as_account, name) for name in ("anna", "bert", "carl")]
    run = await asyncio.to_thread(carl.start, stage.apps["board"], {"topic": "tea"})
    await stage.until_status(run.run_id, "paused")
    (form,) = await stage.ports.forms.by_run(run.run_id)
    shown = await asyncio.to_thread(anna.form, form.form_id)
    digest = form_digest(shown.definition)

    async def vote(who: Greenroom, comment: str, form_digest: str = digest) -> bool:
        values = {"comment": comment}
        return await asyncio.to_thread(who.submit, form.form_id, "approve", values, form_digest=form_digest)

    with pytest.raises(NotAnApproverError):
        await vote(carl, "carl")
    with pytest.raises(FormChangedError):
        await vote(anna, "anna", "0" * 64)
    assert await vote(anna, "anna") is False
    with pytest.raises(AlreadyVotedError):
        await vote(anna, "anna")
    await asyncio.to_thread(kill_process, HITL_ACTOR)
    assert await vote(bert, "bert") is True
    record = await stage.until_status(run.run_id, "succeeded", "failed")
    assert record.outputs == {"out": "bert"}
    with pytest.raises(FormAlreadySubmittedError):
        await vote(anna, "again")
    entries = await stage.ports.forms.audit(form.form_id)
    assert [entry.event for entry in entries] == ["opened", "viewed", "voted", "voted", "submitted"]
    for greenroom in (anna, bert, carl):
        greenroom.close()
