"""The secrets file: made once, for its owner only, shown to nobody."""

import json
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actors.errors import KeyMismatchError, SecretsFileError
from actors.key_check import check_key
from actors.secrets import load_secrets
from hitl.form_token import key_id
from store.installation import MemoryInstallation
from store.memory_store import MemoryStore


def test_secrets_are_made_on_first_use_and_stay(tmp_path: Path):
    """The file is made with mode 0600 and gives the same key from then on."""
    path = tmp_path / "new" / "secrets.json"
    made = load_secrets(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key_id(load_secrets(path).token_key) == key_id(made.token_key)
    assert list(path.parent.iterdir()) == [path]


def test_processes_agree_when_they_make_the_file_at_once(tmp_path: Path):
    """One file wins, and everybody gets its key."""
    path = tmp_path / "secrets.json"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: load_secrets(path), range(32)))
    assert len({key_id(each.token_key) for each in made}) == 1


def test_secrets_are_refused_when_others_may_read_the_file(tmp_path: Path):
    """A file that group or world can read is refused with what to do about it."""
    path = tmp_path / "secrets.json"
    load_secrets(path)
    path.chmod(0o640)
    with pytest.raises(SecretsFileError, match="chmod 600"):
        load_secrets(path)


def test_file_without_a_receipt_key_stays_as_it_is(tmp_path: Path):
    """A file from before, perhaps a read-only copy on each machine, gives the same receipt key everywhere."""
    made = load_secrets(tmp_path / "made.json")
    old, copy = tmp_path / "old.json", tmp_path / "copy.json"
    content = json.dumps({"token_key": json.loads((tmp_path / "made.json").read_text())["token_key"]})
    for path in (old, copy):
        path.write_text(content)
        path.chmod(0o400)
    ids = {load_secrets(path).receipt_key.verifier.key_id for path in (old, copy)}
    assert len(ids) == 1
    assert made.receipt_key.verifier.key_id not in ids
    assert load_secrets(tmp_path / "made.json").receipt_key.verifier.key_id == made.receipt_key.verifier.key_id
    assert old.read_text() == content


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"token_key": 5}',
        '{"token_key": "zz-hush"}',
        json.dumps({"token_key": "00" * 32, "receipt_key": "00" * 31}),
        json.dumps({"token_key": "00" * 32, "receipt_key": "hush"}),
        json.dumps({"token_key": "00" * 32, "receipt_key": 5}),
    ],
)
def test_secrets_are_refused_without_quoting_a_broken_file(tmp_path: Path, content: str):
    """The error names the file, never what stands in it."""
    path = tmp_path / "secrets.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SecretsFileError) as caught:
        load_secrets(path)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_secrets_neither_show_nor_leave_their_process(tmp_path: Path):
    """Neither repr nor pickle gives the key away."""
    secrets = load_secrets(tmp_path / "secrets.json")
    assert repr(secrets) == "Secrets(***)"
    with pytest.raises(TypeError):
        pickle.dumps(secrets)


async def test_process_with_another_key_is_refused(tmp_path: Path):
    """The first key used with a database is its key; another one refuses to start."""
    installation = MemoryInstallation(MemoryStore())
    first, second = (load_secrets(tmp_path / name).token_key for name in ("a.json", "b.json"))
    await check_key(first, installation)
    await check_key(first, installation)
    with pytest.raises(KeyMismatchError) as caught:
        await check_key(second, installation)
    assert caught.value.found == key_id(first)
