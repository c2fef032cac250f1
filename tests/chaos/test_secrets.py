"""No form token, API key or token key reaches a place where it is shown, logged or kept: the whole stack, in use."""

import os
import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from actors.secrets import load_secrets
from actors.settings import Settings
from actors.wiring import Ports
from backing import needs_hub, needs_sqlite
from child_processes import command_line
from cli.sample_app import SAMPLE_USER
from factories import document, edge, end, human, llm, start
from hitl.form_token import Purpose, derive_token, hash_token
from hitl.surface import Surface
from serve_app import surface_ports
from served import SCRIPTED_MODELS, Served, served, start_run, wait_for
from store.compression import decompress

pytestmark = [needs_sqlite, needs_hub]

PASSWORD = "canaryPassword7f3a"
UNKNOWN_TOKEN = "canaryToken" + "Z" * 32
UNKNOWN_KEY = "app-canaryKeyAbCdEfGhIjKl"
SYSLOG = ("127.0.0.1", 514)
"""Where Ray's HAProxy sends each request line unless it is told otherwise."""
SYSLOG_BUFFER_BYTES = 4 * 1024 * 1024
KEPT_ON_PURPOSE = ("secrets.json", "sample.json")
"""Files of the data folder, of mode 0600, whose content is a secret."""

WHAT_RAY_SHOWS = """
import logging, subprocess, sys, urllib.request
import ray
from ray.util import state
context = ray.init(address=sys.argv[1], namespace="greenroom", logging_level=logging.ERROR, log_to_driver=False)
for name in ("actors", "tasks", "objects", "workers", "runtime_envs", "jobs", "nodes", "placement_groups"):
    rows = getattr(state, f"list_{name}")(detail=True, limit=10_000, raise_on_missing_output=False)
    print(f"<{name} {len(rows)}>", *map(repr, rows), sep="\\n")
command = [sys.executable, "-m", "ray.scripts.scripts", "get-auth-token"]
token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]
paths = ("/api/serve/applications/", "/logical/actors", "/api/jobs/")
pages = [f"http://{context.dashboard_url}{path}" for path in paths]
pages += [f"http://127.0.0.1:{node['MetricsExportPort']}/metrics" for node in ray.nodes()]
for page in pages:
    request = urllib.request.Request(page, headers={"Authorization": f"Bearer {token}"})
    print(f"<{page}>", urllib.request.urlopen(request).read().decode())
"""


@dataclass
class Use:
    """A server that has been used. ``secrets``: what each secret is -> the secret."""

    server: Served
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    syslog: list[bytes] | None = field(default=None, repr=False)
    """The datagrams of the time; None where this user may not listen for them."""

    @property
    def settings(self) -> Settings:
        """The settings of the server."""
        return Settings(data_dir=self.server.folder / "data", redis_password=PASSWORD)

    def found_in(self, text: str | bytes) -> list[str]:
        """Return which secrets stand in ``text``."""
        searched = text.encode() if isinstance(text, str) else text
        return [name for name, secret in self.secrets.items() if secret.encode() in searched]

    def found_in_files(self, files: Iterable[Path]) -> list[tuple[str, str]]:
        """Return (secret, file) wherever one stands in a file."""
        return [(name, str(file)) for file in files for name in self.found_in(content_of(file))]


def content_of(file: Path) -> bytes:
    """Return what is in a file; nothing where it has gone or is none."""
    try:
        return file.read_bytes() if file.is_file() else b""
    except OSError:
        return b""


@pytest.fixture(scope="module")
def use(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Use]:
    """A Greenroom after every kind of request that carries a secret."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SYSLOG_BUFFER_BYTES)
        listener.setblocking(False)
        may_listen = True
        try:
            listener.bind(SYSLOG)
        except OSError:
            may_listen = False
        with served(tmp_path_factory.mktemp("secrets"), SCRIPTED_MODELS, redis_password=PASSWORD) as server:
            used = Use(server)
            used.secrets = use_everything(server)
            used.syslog = datagrams(listener) if may_listen else None
            yield used


def datagrams(listener: socket.socket) -> list[bytes]:
    """Return what has come so far."""
    found = []
    while True:
        try:
            found.append(listener.recv(65_536))
        except BlockingIOError:
            return found


def use_everything(server: Served) -> dict[str, str]:
    """Answer one form through the API and one on its page, with every mistake on the way; return the secrets used."""
    nodes = [start("topic"), llm("draft", model="quick"), human("review"), end(comment=["review", "comment"])]
    edges = [edge("start", "draft"), edge("draft", "review"), edge("review", "end", "approve")]
    key = server.import_app({**document(nodes, edges), "app": {"name": "secrets", "mode": "workflow"}})
    with server.client(key) as client, server.client(UNKNOWN_KEY) as stranger, httpx2.Client(timeout=90.0) as browser:
        with start_run(client, topic="tea") as response:
            response.read()
        by_api, by_page = (start_run(client, "blocking", topic="tea")["data"]["reasons"][0] for _ in range(2))
        token = by_api["form_token"]
        secrets = {"API key": key, "unknown key": UNKNOWN_KEY, "unknown token": UNKNOWN_TOKEN, "password": PASSWORD}
        secrets |= stored_secrets(server)
        body = {"inputs": {"comment": "fine"}, "action": "approve", "user": "u-1"}
        for path in (f"/v1/form/human_input/{token}", f"/v1/form/human_input/{UNKNOWN_TOKEN}"):
            for sent in (body, {**body, "action": "x"}, {**body, "inputs": []}):
                client.post(f"{path}?form_token={token}", json=sent)
                stranger.post(path, json=sent)
            client.get(path)
            client.put(path)
            client.get(f"{path}/{token}")
        for name in (token, UNKNOWN_TOKEN):
            client.get(f"/v1/workflows/run/{name}")
            client.get(f"/v1/workflow/{name}/events", params={"user": "u-1", "cursor": name})
            client.get("/v1/info", headers={"X-App-Code": name, "X-Request-Id": "r", "Referer": f"/form/{name}"})
            browser.get(f"{server.url}/form/{name}/", headers={"Cookie": f"greenroom_form={name}"})
            server.exchanged(f"GET /form/{name} HTTP/1.1\r\nX-A : b\r\n\r\n".encode())
            server.exchanged(f"FOO /form/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        page = browser.get(f"{server.url}/form/{by_page['form_token']}", follow_redirects=True)
        guard = re.findall(r'name="guard" value="(\w+)"', page.text)[0]
        sent = {"guard": guard, "action": "approve", "input.comment": "fine"}
        assert browser.post(page.url, data={**sent, "action": "x"}).status_code == 400
        assert browser.post(page.url, data=sent).status_code == 200
        secrets |= use_web(server, browser)
        wait_for(lambda: server.rows("SELECT count(*) FROM runs WHERE status = 'succeeded'") == [(3,)])
        return {**secrets, "guard of the page": guard}


def use_web(server: Served, browser: httpx2.Client) -> dict[str, str]:
    """Answer a form with a file as a front end does, with mistakes; return the secrets of the way."""
    asked = [{"type": "file", "output_variable_name": "report", "allowed_file_types": ["document"]}]
    nodes = [start("topic"), human("review", inputs=asked), end(report=["review", "report"])]
    edges = [edge("start", "review"), edge("review", "end", "approve")]
    key = server.import_app({**document(nodes, edges), "app": {"name": "uploads", "mode": "workflow"}})
    ((code,),) = server.rows("SELECT code FROM sites JOIN apps USING (app_id) WHERE name = 'uploads'")
    passport = browser.get(f"{server.url}/api/passport", headers={"X-App-Code": code}).json()["access_token"]
    for name in (passport, UNKNOWN_KEY):
        headers = {"X-App-Code": code, "X-App-Passport": name, "Cookie": f"passport-{code}={name}"}
        browser.get(f"{server.url}/api/site", headers=headers)
        browser.post(f"{server.url}/api/workflows/run", headers=headers, json={"inputs": []})
    with server.client(key) as client:
        token = start_run(client, "blocking", topic="tea")["data"]["reasons"][0]["form_token"]
    stored = stored_secrets(server)
    for name in (token, UNKNOWN_TOKEN):
        form = f"{server.url}/api/form/human_input/{name}"
        browser.get(form, headers={"X-App-Code": name})
        browser.post(form, json={"inputs": {}, "action": "x"})
        browser.post(form, json={"inputs": []})
        browser.post(f"{form}/upload-token")
        bearer = {"Authorization": f"bearer hitl_upload_{name}"}
        assert browser.post(f"{server.url}/api/human-input-forms/files", headers=bearer).status_code == 403
    form = f"{server.url}/api/form/human_input/{token}"
    bearer = {"Authorization": f"bearer {browser.post(f'{form}/upload-token').json()['upload_token']}"}
    sent = {"file": ("r.txt", b"hello", "text/plain")}
    made = browser.post(f"{server.url}/api/human-input-forms/files", headers=bearer, files=sent)
    assert made.status_code == 201, made.text
    file = {"type": "document", "transfer_method": "local_file", "upload_file_id": made.json()["id"]}
    answered = browser.post(form, json={"inputs": {"report": file}, "action": "approve"})
    assert answered.status_code == 200, answered.text
    return {**stored, "passport": passport}


def stored_secrets(server: Served) -> dict[str, str]:
    """Return the token key of the server and every form token that can be derived from it now.

    Those of the sample form are left out: its link is printed for whoever starts the server.
    """
    path = server.folder / "data" / "secrets.json"
    recipients = server.rows(
        "SELECT form_id, recipient_id, generation FROM form_recipients JOIN forms USING (form_id) "
        "JOIN runs USING (run_id) WHERE user != ?",
        SAMPLE_USER,
    )
    tokens = {
        f"token of {recipient_id} on {surface} to {purpose}": derive_token(
            load_secrets(path).token_key, purpose, form_id, recipient_id, surface, generation
        )
        for form_id, recipient_id, generation in recipients
        for surface in Surface
        for purpose in Purpose
    }
    found = re.findall(r'"token_key": "(\w+)"', path.read_text())
    assert len(found) == 1
    return {**tokens, "token key": found[0]}


def test_tokens_are_at_rest_as_hashes_only(use: Use):
    """In no table, journal, snapshot, inbox, audit or stored file stands a token or a key; the hashes do."""
    hashes = {row[0] for row in use.server.rows("SELECT token_hash FROM form_tokens")}
    assert hashes & {hash_token(secret) for secret in use.secrets.values()}
    folder = use.server.folder / "data"
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert folder / "greenroom.db" in files
    assert use.found_in_files(file for file in files if file.name not in KEPT_ON_PURPOSE) == []
    rows = use.server.rows("SELECT facts FROM journal UNION ALL SELECT state FROM snapshots")
    unpacked = [decompress(row[0]) for row in rows]
    assert any(b"FormOpened" in data for data in unpacked)
    assert [name for data in unpacked for name in use.found_in(data)] == []
    assert {file.stat().st_mode & 0o777 for file in files if file.name in KEPT_ON_PURPOSE} == {0o600}


def test_logs_hold_no_secret(use: Use):
    """Neither Ray's session folder nor what the server prints holds one."""
    session = Path(use.server.raylet_argument("--session_dir"))
    files = [Path(folder) / name for folder, _, names in os.walk(session) for name in names]
    assert [file for file in files if "Ingress" in file.name]
    assert use.found_in_files([*files, use.server.folder / "server.log"]) == []


def test_proxy_sends_no_request_line_to_the_system_log(use: Use):
    """HAProxy's request lines, in which tokens stand, go nowhere."""
    if use.syslog is None:
        pytest.skip("this user may not listen on the syslog port, or another program does")
    assert [line for line in use.syslog if b"haproxy" in line.lower() or use.found_in(line)] == []


def test_ray_shows_no_secret(use: Use):
    """The state API, the dashboard's pages and the metrics show what runs, and no secret."""
    shown = use.server.ask_ray(WHAT_RAY_SHOWS)
    for expected in ("HitlActor", "RunActor", "Ingress", "greenroom", "ray_"):
        assert expected in shown
    assert use.found_in(shown) == []


def test_command_lines_hold_no_secret(use: Use):
    """Every user of the machine sees the arguments of a process."""
    lines = "\n".join(" ".join(command_line(process)) for process in use.server.tree())
    assert "raylet" in lines
    assert use.found_in(lines) == []


def test_what_processes_hold_shows_no_secret(use: Use):
    """The repr of settings, ports and secrets, and what actors are given of the settings, hide them."""
    ports = Ports(use.settings)
    shown = surface_ports(ports)
    texts = [repr(use.settings), use.settings.plain, repr(ports), repr(vars(ports)), repr(shown), repr(ports.secrets)]
    assert use.found_in("\n".join(texts)) == []
    assert "TokenKey(***)" in repr(shown)
