"""A run that kills every process that executes it is given up."""

import asyncio
from pathlib import Path

import pytest

import factories as f
from actors.death_cause import ENDED, SILENT
from local_cluster import LocalCluster
from models.scripted_model import Script
from stage import MODEL, kill_process, open_stage
from store.outbox import SqlOutbox

pytestmark = pytest.mark.timeout(300)

HOOK = {"url": "https://hooks.example", "events": ["run.finished"], "secret_env": "GREENROOM_WEBHOOK_NOBODY"}


async def test_run_is_given_up_when_it_kills_whoever_executes_it(ray_cluster: LocalCluster, tmp_path: Path):
    """After the set number of recoveries a run fails with a sentence that says so, and its webhooks are told."""
    async with open_stage(tmp_path, pool_size=1, max_recoveries=1) as stage:
        told = f.workflow_of(f.document(*MODEL) | {"greenroom": {"webhooks": [HOOK]}})
        workspace = await stage.ports.accounts.ensure_workspace(stage.settings.workspace_name)
        stage.apps["model"], _ = await stage.ports.apps.import_app(workspace.workspace_id, told, None)
        script = await stage.set_script(Script.answer("one", hold_after=0))
        order = await stage.order("model")
        run = asyncio.create_task(stage.ports.runs.start(order))
        for attempts in (1, 2):
            await stage.until(lambda n=attempts: _has_calls(script, n), "the model call")
            actor = (await stage.ports.journal.get(order.run_id)).actor
            await asyncio.to_thread(kill_process, actor)
        outcome = await run
        assert outcome.status == "failed"
        assert outcome.error.startswith("the run was given up")
        assert outcome.error.endswith((f"; the last time {ENDED}", f"; the last time {SILENT}"))
        (event,) = await SqlOutbox(stage.ports.database).deliveries_of_run(order.run_id)
        assert (event.occasion, event.to) == ("run.finished", HOOK["url"])


async def _has_calls(script, count: int) -> bool:
    return len(await script.calls.remote()) == count
