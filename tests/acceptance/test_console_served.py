"""The console of a server as ``dev/up`` starts it: over real HTTP, real actors and a real database."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from approval import ANSWER, approval
from console_world import CSRF_HEADER, PASSWORD, encoded
from served import ROOT, SCRIPTED_MODELS, Served, events, served, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

EMAIL = "ann@example.org"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A Greenroom with a data folder of its own."""
    with served(tmp_path_factory.mktemp("console"), SCRIPTED_MODELS) as running:
        yield running


@pytest.fixture(scope="module")
def ann(server: Served) -> Iterator[httpx2.Client]:
    """A logged-in client of the first account."""
    with httpx2.Client(base_url=f"{server.url}/console/api", timeout=90.0) as client:
        setup = {"email": EMAIL, "name": "Ann", "password": PASSWORD}
        client.post("/setup", json=setup).raise_for_status()
        client.post("/login", json={"email": EMAIL, "password": encoded(PASSWORD)}).raise_for_status()
        client.headers[CSRF_HEADER] = client.cookies["csrf_token"]
        yield client


def test_account_imports_runs_and_answers(server: Served, ann: httpx2.Client) -> None:
    """From the file over a draft run and its form, by id and without any token, to the end of the run."""
    text = yaml.safe_dump(approval())
    app_id = ann.post("/apps/imports", json={"mode": "yaml-content", "yaml_content": text}).json()["app_id"]
    body = {"inputs": {"topic": "tea"}}
    with ann.stream("POST", f"/apps/{app_id}/workflows/draft/run", json=body) as stream:
        told = list(events(stream))
    assert [each["event"] for each in told[-2:]] == ["human_input_required", "workflow_paused"]
    run_id, asked = told[-1]["workflow_run_id"], told[-2]["data"]
    details = ann.get(f"/workflow/{run_id}/pause-details").json()
    address = details["paused_nodes"][0]["pause_type"]["backstage_input_url"]
    assert address == f"{server.url}/inbox/forms/{asked['form_id']}"
    with ann.stream("GET", f"/workflow/{run_id}/events?continue_on_pause=true") as stream:
        assert ann.post(f"/inbox/forms/{asked['form_id']}", json=ANSWER).json() == {}
        names = [each["event"] for each in events(stream)]
    assert names[-1] == "workflow_finished" and "human_input_form_filled" in names
    detail = ann.get(f"/apps/{app_id}/workflow-runs/{run_id}").json()
    assert (detail["status"], detail["outputs"]) == ("succeeded", {"answer": "ok"})
    rows = server.rows("SELECT account_id, via FROM submissions")
    assert rows == [(detail["created_by_account"]["id"], "console")]


def test_inbox_page_answers_a_form_of_the_service_api(server: Served, ann: httpx2.Client) -> None:
    """A form opened through ``/v1`` is answered in the browser of a member."""
    key = server.import_app({**approval(), "app": {"name": "by key", "mode": "workflow"}})
    with server.client(key) as client:
        run = client.post("/v1/workflows/run", json={"inputs": {"topic": "tea"}, "user": "u"}).json()
        form_id = run["data"]["reasons"][0]["form_id"]
    with httpx2.Client(base_url=server.url, cookies=dict(ann.cookies), timeout=90.0) as browser:
        page = browser.get(f"/inbox/forms/{form_id}").text
        guard = page.partition('name="guard" value="')[2].partition('"')[0]
        sent = browser.post(f"/inbox/forms/{form_id}", data={**fields(ANSWER), "guard": guard})
        assert sent.status_code == 200 and "has been recorded" in sent.text
    with server.client(key) as client:
        path = f"/v1/workflows/run/{run['workflow_run_id']}"
        assert wait_for(lambda: client.get(path).json()["status"] == "succeeded")


def test_program_of_an_account_runs_and_answers(server: Served) -> None:
    """With a token of the command line: list, run, answer, follow to the end; the token is nowhere in clear."""
    server.import_app({**approval(), "app": {"name": "by bearer", "mode": "workflow"}})
    command = [sys.executable, "-P", "-m", "cli.main", "account", "token", "owner@greenroom.local"]
    made = subprocess.run(command, env=server.environment, cwd=ROOT, capture_output=True, text=True, check=True)
    token = made.stdout.rpartition(": ")[2].strip()
    with server.client(token) as program:
        program.base_url = f"{server.url}/openapi/v1"
        of = {"workspace_id": program.get("/account").json()["default_workspace_id"], "name": "by bearer"}
        (row,) = program.get("/apps", params=of).json()["data"]
        with program.stream("POST", f"/apps/{row['id']}:run", json={"inputs": {"topic": "tea"}}) as stream:
            told = list(events(stream))
        assert [each["event"] for each in told[-2:]] == ["human_input_required", "workflow_paused"]
        run_id, form_token = told[-1]["workflow_run_id"], told[-2]["data"]["form_token"]
        reply = program.post(f"/apps/{row['id']}/human-input-forms/{form_token}:submit", json=ANSWER)
        assert (reply.status_code, reply.json()) == (200, {})
        with program.stream("GET", f"/apps/{row['id']}/tasks/{run_id}/events?continue_on_pause=true") as stream:
            assert list(events(stream))[-1]["event"] == "workflow_finished"
    data = [path.read_bytes() for path in (server.folder / "data").rglob("*") if path.is_file()]
    assert not any(token.encode() in content for content in [*data, server.log().encode()])
    assert server.rows("SELECT invoke_source, status FROM runs WHERE run_id = ?", run_id) == [("openapi", "succeeded")]


def test_login_is_nowhere_in_clear(server: Served, ann: httpx2.Client) -> None:
    """Neither the database, nor the logs of Ray, nor what the server prints holds a password or a token of a login."""
    ann.post("/login", json={"email": EMAIL, "password": encoded(f"{PASSWORD} wrong")})
    ann.get("/apps", headers={"Authorization": f"Bearer {ann.cookies['access_token']}"}).raise_for_status()
    secrets = [PASSWORD, encoded(PASSWORD), encoded(f"{PASSWORD} wrong"), *ann.cookies.values()]
    session = Path(server.raylet_argument("--session_dir"))
    files = [*(server.folder / "data").rglob("*"), *(session / "logs").rglob("*"), server.folder / "server.log"]
    kept = {path.name: path.read_bytes() for path in files if path.is_file()}
    found = [name for name, content in kept.items() if any(secret.encode() in content for secret in secrets)]
    assert found == [] and any("Ingress" in path.name for path in files)
    ((kept_hash,),) = server.rows("SELECT password_hash FROM accounts WHERE email = ?", EMAIL)
    assert kept_hash.startswith("$argon2id$")


def fields(answer: dict[str, Any]) -> dict[str, str]:
    """Return an answer as a page sends it."""
    return {"action": answer["action"]} | {f"input.{name}": value for name, value in answer["inputs"].items()}


def test_other_sites_are_told_nothing(server: Served) -> None:
    """No page of another origin may read the console, and no preflight lets it send JSON there."""
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for reply in (
        httpx2.options(f"{server.url}/console/api/login", headers=asked, timeout=90.0),
        httpx2.get(f"{server.url}/console/api/setup", headers=asked, timeout=90.0),
    ):
        assert not [name for name in reply.headers if name.startswith("access-control-")]
