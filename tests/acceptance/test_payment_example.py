"""The payment of the examples on a server as ``dev/up`` starts it: two people log in and decide, a third may not."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
import yaml

from console_world import CSRF_HEADER, PASSWORD, encoded
from served import ROOT, SCRIPTED_MODELS, Served, served, wait_for

pytestmark = [pytest.mark.long, pytest.mark.cluster, pytest.mark.timeout(600)]

PEOPLE = {"ada@example.com": "normal", "alan@example.com": "normal", "grace@example.com": "normal"}
APPROVE = {"inputs": {"reason": "The invoice is right."}, "action": "approve"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A Greenroom with a data folder of its own, and accounts for the approvers."""
    with served(tmp_path_factory.mktemp("payment"), SCRIPTED_MODELS) as running:
        for email, role in PEOPLE.items():
            greenroom(running, "account", "add", email, "--role", role)
            greenroom(running, "account", "password", email, answers=f"{PASSWORD}\n{PASSWORD}\n")
        yield running


def greenroom(server: Served, *arguments: str, answers: str = "") -> str:
    """Run a command of the command line beside the server; without a terminal, passwords are read from its input."""
    command = [sys.executable, "-P", "-m", "cli.main", *arguments]
    done = subprocess.run(
        command, env=server.environment, cwd=ROOT, input=answers, capture_output=True, text=True, check=False,
        start_new_session=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def logged_in(server: Served, email: str) -> Iterator[httpx2.Client]:
    """A client of the console for one account."""
    with httpx2.Client(base_url=f"{server.url}/console/api", timeout=90.0) as client:
        client.post("/login", json={"email": email, "password": encoded(PASSWORD)}).raise_for_status()
        client.headers[CSRF_HEADER] = client.cookies["csrf_token"]
        yield client


def test_payment_is_made_when_accounting_and_the_board_have_approved(server: Served, tmp_path: Path) -> None:
    """No link decides it; two of one group do not suffice; nobody counts twice; the receipt names both."""
    key = server.import_app(yaml.safe_load((ROOT / "examples" / "payment.yml").read_text(encoding="utf-8")))
    with ExitStack() as stack:
        api = stack.enter_context(server.client(key))
        ada, alan, grace = [stack.enter_context(logged_in(server, email)) for email in PEOPLE]
        body = {"inputs": {"payee": "Tea Ltd", "amount": 12}, "user": "clerk"}
        run = api.post("/v1/workflows/run", json=body).json()
        (asked,) = run["data"]["reasons"]
        assert (asked["form_token"], asked["approval_channels"]) == (None, ["console"])
        path = f"/inbox/forms/{asked['form_id']}"
        shown = ada.get(path).json()
        bound = {**APPROVE, "form_digest": shown["form_digest"]}
        assert ada.post(path, json={**bound, "form_digest": "0" * 64}).json()["code"] == "form_changed"
        assert ada.post(path, json=bound).status_code == 200
        assert ada.post(path, json={**bound, "action": "reject"}).json()["code"] == "already_voted"
        assert alan.post(path, json=bound).status_code == 200
        handed_on = ada.post(f"{path}/reassign", json={"to": "grace@example.com"})
        assert (handed_on.status_code, handed_on.json()["code"]) == (403, "transfer_refused")
        detail = f"/v1/workflows/run/{run['workflow_run_id']}"
        assert api.get(detail).json()["status"] == "paused"
        assert grace.post(path, json=bound).status_code == 200
        assert wait_for(lambda: api.get(detail).json()["status"] == "succeeded")
        assert api.get(detail).json()["outputs"] == {"decision": "Approve", "payee": "Tea Ltd"}
    receipt, public = tmp_path / "receipt.json", tmp_path / "greenroom.pem"
    receipt.write_text(greenroom(server, "receipt", "export", asked["form_id"]), encoding="utf-8")
    public.write_text(greenroom(server, "receipt", "key"), encoding="utf-8")
    assert all(email in receipt.read_text(encoding="utf-8") for email in PEOPLE)
    greenroom(server, "receipt", "verify", str(receipt), "--key", str(public))
