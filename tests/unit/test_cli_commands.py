"""The ``greenroom`` command from outside: what it prints, and how it ends."""

import json
import os
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from actors.settings import Settings
from cli.doctor_command import shown_settings
from cli.main import app, exit_code_of
from cli.sample_app import Sample, keep, kept_file, read_kept
from graph.errors import GreenroomError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = str(ROOT / "examples" / "approval.yml")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder that does not exist yet."""
    return tmp_path / "data"


@dataclass(frozen=True)
class Ended:
    """How a command ended. ``text``: all it printed."""

    exit_code: int
    text: str


def greenroom(data_dir: Path, *arguments: str, **environment: str) -> Ended:
    """Run the command in this process with data in ``data_dir``."""
    cleared = {name: None for name in os.environ if name.startswith("GREENROOM_")}
    env = {**cleared, "GREENROOM_DATA_DIR": str(data_dir), "COLUMNS": "200", **environment}
    result = CliRunner().invoke(app, list(arguments), env=env)
    if isinstance(result.exception, GreenroomError):
        return Ended(exit_code_of(result.exception), f"{result.output}{result.exception}")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return Ended(result.exit_code, result.output)


def test_command_ends_with_a_sentence_instead_of_a_traceback(tmp_path: Path) -> None:
    """The installed script prints what is wrong on stderr and ends with the code for what the caller can fix."""
    ended = subprocess.run(
        [sys.executable, "-m", "cli.main", "import", "no-such-file.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("greenroom: no-such-file.yml cannot be read: No such file")
    assert "Traceback" not in ended.stderr


def test_import_prints_app_and_key(data_dir: Path) -> None:
    """A good file is stored after a migration; the app and a new key are printed."""
    refused = greenroom(data_dir, "import", EXAMPLE)
    assert refused.exit_code == 2
    assert "greenroom migrate" in refused.text
    assert greenroom(data_dir, "migrate").exit_code == 0
    imported = greenroom(data_dir, "import", EXAMPLE)
    assert imported.exit_code == 0, imported.text
    assert "(Approval)" in imported.text
    assert ": app-" in imported.text


def test_import_lists_every_fault_with_its_place(data_dir: Path, tmp_path: Path) -> None:
    """A file that is no workflow is refused with exit code 2, its faults and no traceback."""
    file = tmp_path / "broken.yml"
    file.write_text(json.dumps({"version": 0.6, "kind": "app", "workflow": {"graph": {}}}), encoding="utf-8")
    refused = greenroom(data_dir, "import", str(file))
    assert refused.exit_code == 2
    assert "version" in refused.text
    assert "app" in refused.text


def test_command_names_the_setting_that_it_cannot_use(data_dir: Path) -> None:
    """A setting that cannot be used is named; its value, which may be a secret, is not repeated."""
    refused = greenroom(data_dir, "migrate", GREENROOM_POOL_SIZE="hunter2")
    assert refused.exit_code == 2
    assert "GREENROOM_POOL_SIZE" in refused.text
    assert "hunter2" not in refused.text


def test_migrate_changes_nothing_the_second_time(data_dir: Path) -> None:
    """Migrating an up-to-date database applies nothing."""
    assert "applied" in greenroom(data_dir, "migrate").text
    again = greenroom(data_dir, "migrate")
    assert again.exit_code == 0
    assert "applied" not in again.text


def test_doctor_shows_no_secret_and_what_to_do(data_dir: Path) -> None:
    """The doctor hides passwords and ends with 1 while the database has no schema."""
    url = f"sqlite:///{data_dir / 'greenroom.db'}"
    sick = greenroom(data_dir, "doctor", GREENROOM_DATABASE_URL=url, GREENROOM_REDIS_PASSWORD="hunter2")
    assert sick.exit_code == 1
    assert "greenroom migrate" in sick.text
    assert "hunter2" not in sick.text
    greenroom(data_dir, "migrate")
    assert greenroom(data_dir, "doctor").exit_code == 0


def test_doctor_shows_every_setting() -> None:
    """Each setting is shown, passwords only as set."""
    shown = dict(shown_settings(Settings(redis_url="redis://:hunter2@127.0.0.1/0")))
    assert set(shown) == set(Settings.model_fields)
    assert "hunter2" not in str(shown)
    assert shown["redis_password"] == "(set)"


def test_up_refuses_a_port_that_is_in_use(data_dir: Path) -> None:
    """A busy port ends the start at once, before Ray is started, naming the setting."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        refused = greenroom(data_dir, "up", GREENROOM_HTTP_PORT=str(listener.getsockname()[1]))
    assert refused.exit_code == 2
    assert "GREENROOM_HTTP_PORT" in refused.text


def test_sample_is_kept_for_its_owner_only(data_dir: Path) -> None:
    """The sample's key lies in a file that only its owner may read, and out of its repr."""
    data_dir.mkdir()
    settings = Settings(data_dir=data_dir)
    sample = Sample("an-app", "app-secret", "a-form")
    assert read_kept(settings) is None
    keep(settings, sample)
    assert read_kept(settings) == sample
    assert stat.S_IMODE(kept_file(settings).stat().st_mode) == 0o600
    assert "app-secret" not in repr(sample)
