"""``greenroom receipt`` from outside: exported over a real database, checked without one."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from actors.secrets import load_secrets
from store.form_record import Submitter
from store.migrate import migrate
from store_world import ANSWER, NOW, given, make_id, pause_with_form, sql_world
from test_cli_commands import data_dir, greenroom

__all__ = ["data_dir"]


async def decide(url: str) -> tuple[str, str]:
    """Store a form that an API key has answered and one that waits; return their ids."""
    world = sql_world(url)
    _, form, recipient = await pause_with_form(world)
    user = await world.accounts.end_user(form.workspace_id, form.app_id, "the boss", "service-api")
    by = Submitter(end_user_id=user.end_user_id, via="service_api", api_key_id="key-1")
    await world.forms.submit(form.form_id, recipient.recipient_id, 1, given(ANSWER), by, NOW + 1)
    _, waiting, _ = await pause_with_form(world, "other")
    assert world.database is not None
    await world.database.close()
    return form.form_id, waiting.form_id


@pytest.fixture
def forms(data_dir: Path) -> tuple[str, str]:
    """The ids of a decided and a waiting form in the data folder."""
    url = f"sqlite:///{data_dir / 'greenroom.db'}"
    migrate(url)
    load_secrets(data_dir / "secrets.json")
    return asyncio.run(decide(url))


def test_receipt_is_exported_and_checked_elsewhere(data_dir: Path, forms: tuple[str, str], tmp_path: Path) -> None:
    """Who has the public key needs nothing else; a changed receipt is refused."""
    exported = greenroom(data_dir, "receipt", "export", forms[0])
    assert exported.exit_code == 0, exported.text
    receipt, key = tmp_path / "receipt.json", tmp_path / "key.pem"
    receipt.write_text(exported.text)
    key.write_text(greenroom(data_dir, "receipt", "key").text)
    here = greenroom(data_dir, "receipt", "verify", str(receipt))
    shutil.rmtree(data_dir)
    elsewhere = greenroom(data_dir, "receipt", "verify", str(receipt), "--key", str(key))
    assert (here, elsewhere.exit_code) == (elsewhere, 0)
    assert "decided 2026-06-09T10:13:21.000Z: approve, API key key-1 claims user the boss" in elsewhere.text
    assert "not taken up when exported" in elsewhere.text
    assert not data_dir.exists()
    forged = json.loads(exported.text)
    forged["statement"]["decided"]["action_id"] = "reject"
    receipt.write_text(json.dumps(forged))
    refused = greenroom(data_dir, "receipt", "verify", str(receipt), "--key", str(key))
    assert (refused.exit_code, "not the one that was signed" in refused.text) == (2, True)


def test_export_is_the_same_every_time(data_dir: Path, forms: tuple[str, str]) -> None:
    """Nothing of it depends on when it is exported."""
    assert greenroom(data_dir, "receipt", "export", forms[0]) == greenroom(data_dir, "receipt", "export", forms[0])


def test_what_has_no_receipt_is_told_in_a_sentence(data_dir: Path, forms: tuple[str, str]) -> None:
    """A form that waits, an unknown one, and what is no id."""
    told = [greenroom(data_dir, "receipt", "export", each) for each in (forms[1], make_id("nobody's"), "x")]
    assert [each.exit_code for each in told] == [2, 2, 2]
    assert "has no answer: it is waiting" in told[0].text
    assert told[1].text == told[2].text == "Form not found"


@pytest.mark.parametrize("command", [("key",), ("export", "x"), ("verify", "receipt.json")])
def test_no_key_is_made_up(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple) -> None:
    """Without the installation's secrets file nothing is signed or checked, and none is made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "receipt.json").write_text("{}")
    told = greenroom(data_dir, "receipt", *command)
    assert (told.exit_code, "secrets.json cannot be used: it does not exist" in told.text) == (2, True)
    assert not data_dir.exists()


def test_key_file_that_is_none_is_refused(data_dir: Path, forms: tuple[str, str], tmp_path: Path) -> None:
    """Anything but a public key in PEM, and a file that is not there."""
    receipt, key = tmp_path / "receipt.json", tmp_path / "key.pem"
    receipt.write_text(greenroom(data_dir, "receipt", "export", forms[0]).text)
    key.write_text("no key")
    for path, reason in ((key, "no Ed25519 public key"), (tmp_path / "none.pem", "cannot be read")):
        told = greenroom(data_dir, "receipt", "verify", str(receipt), "--key", str(path))
        assert (told.exit_code, reason in told.text) == (2, True)
