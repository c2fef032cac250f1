"""The sample that ``greenroom up`` brings: the approval workflow, a key for it, and a form that waits.

Keys are stored as hashes, so the sample's key is kept for the next start in ``sample.json`` of the data folder
(mode 0600). Whatever of it is missing is made anew.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from actors.settings import Settings
from cli.errors import DemoFailedError
from cli.installation import ensure_owner
from graph.errors import InvalidWorkflowError
from graph.parse_workflow import parse_workflow
from hitl.form_state import FormStatus
from store.apps import SqlApps
from store.database import open_database
from store.forms import SqlForms

WORKFLOW_FILE = Path(__file__).resolve().parents[1] / "examples" / "approval.yml"
SAMPLE_USER = "sample"
BLOCKING_RUN_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The sample app. ``form_id``: its form that was waiting at the last look, or ""."""

    app_id: str
    api_key: str = field(repr=False)
    form_id: str = ""


async def ensure_sample(settings: Settings) -> Sample:
    """Import the approval workflow unless it is there, and return it with a key that works.

    Raises:
        InvalidWorkflowError: the example was edited and is no workflow any more.
    """
    database = open_database(settings.database_url_to_open())
    try:
        apps = SqlApps(database)
        kept = read_kept(settings)
        if kept and (record := await apps.app_by_key(kept.api_key)) and record.app_id == kept.app_id:
            form = await SqlForms(database).get(kept.form_id) if kept.form_id else None
            is_waiting = form is not None and form.status == FormStatus.WAITING
            return kept if is_waiting else Sample(kept.app_id, kept.api_key)
        parsed = parse_workflow(WORKFLOW_FILE.read_bytes())
        if parsed.workflow is None:
            raise InvalidWorkflowError(tuple(str(fault) for fault in parsed.faults))
        owner = await ensure_owner(settings, database)
        app_id, _ = await apps.import_app(owner.workspace_id, parsed.workflow, owner.account_id)
        _, key = await apps.create_key(app_id)
        sample = Sample(app_id, key)
        keep(settings, sample)
        return sample
    finally:
        await database.close()


def open_sample_form(settings: Settings, sample: Sample, address: str) -> Sample:
    """Start a run of the sample by HTTP, which pauses at its form, and return the sample with that form."""
    with httpx2.Client(base_url=address, headers={"Authorization": f"Bearer {sample.api_key}"}) as client:
        body = {"inputs": {"topic": "green tea"}, "response_mode": "blocking", "user": SAMPLE_USER}
        reply = client.post("/v1/workflows/run", json=body, timeout=BLOCKING_RUN_TIMEOUT_S)
    data: dict[str, Any] = reply.json().get("data", {}) if reply.status_code == httpx2.codes.OK else {}
    if data.get("status") != "paused":
        raise DemoFailedError("opening the sample form", data.get("error") or f"HTTP {reply.status_code} {reply.text}")
    opened = Sample(sample.app_id, sample.api_key, data["reasons"][0]["form_id"])
    keep(settings, opened)
    return opened


def read_kept(settings: Settings) -> Sample | None:
    """Return what an earlier start kept, or None."""
    try:
        return Sample(**json.loads(kept_file(settings).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def keep(settings: Settings, sample: Sample) -> None:
    """Write ``sample`` down for the next start, readable by its owner only."""
    content = {"app_id": sample.app_id, "api_key": sample.api_key, "form_id": sample.form_id}
    descriptor = os.open(kept_file(settings), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)


def kept_file(settings: Settings) -> Path:
    """Return where the sample is written down."""
    return settings.data_dir / "sample.json"
