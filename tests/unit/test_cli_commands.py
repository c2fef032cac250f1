"""The ``greenroom`` command from outside: what it prints, and how it ends."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from actors.settings import Settings
from cli.doctor_command import shown_settings
from cli.errors import DataInUseError
from cli.main import app, exit_code_of
from cli.sample_app import Sample, keep, kept_file, read_kept
from cli.start_checks import data_folder_lock, prepare_data_folder
from free_ports import free_ports
from graph.errors import GreenroomError
from local_mail import local_mail
from store.database import open_database
from store.outbox_record import new_mail
from store.outbox_rows import add_entries

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = str(ROOT / "examples" / "approval.yml")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections, held so that nobody else listens on it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@dataclass(frozen=True)
class Ended:
    """How a command ended. ``text``: all it printed."""

    exit_code: int
    text: str


def greenroom(data_dir: Path, *arguments: str, answers: str = "", **environment: str) -> Ended:
    """Run the command in this process with data in ``data_dir``; ``answers`` are typed in."""
    cleared = {name: None for name in os.environ if name.startswith("GREENROOM_")}
    env = {**cleared, "GREENROOM_DATA_DIR": str(data_dir), "COLUMNS": "200", **environment}
    result = CliRunner().invoke(app, list(arguments), env=env, input=answers or None)
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
        timeout=120,
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


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GREENROOM_HTTP_PORT", "99999", "between 1 and 65535"),
        ("GREENROOM_HTTP_PORT", "eighty", "valid integer"),
        ("GREENROOM_HTTP_HOST", "no-such-host.invalid", "cannot be listened on"),
        ("GREENROOM_PUBLIC_URL", "greenroom.example", "http or https address"),
        ("GREENROOM_MODELS", "{bad", "no JSON object"),
        ("GREENROOM_DATABASE_URL", "postgresql://[bad", "GREENROOM_DATABASE_URL"),
    ],
)
def test_up_names_the_setting_that_it_cannot_use(data_dir: Path, name: str, value: str, told: str) -> None:
    """A value that no start can use is refused before anything is started or made."""
    refused = greenroom(data_dir, "up", **{"GREENROOM_HTTP_PORT": str(free_ports(1)[0]), name: value})
    assert refused.exit_code == 2
    assert name in refused.text
    assert told in refused.text
    assert not data_dir.exists()


def test_up_refuses_a_data_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """A data folder that is a file, or lies in one, is named before Ray is started."""
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "data"):
        refused = greenroom(folder, "up", GREENROOM_HTTP_PORT=str(free_ports(1)[0]))
        assert refused.exit_code == 2
        assert str(folder) in refused.text
        assert "GREENROOM_DATA_DIR" in refused.text


def test_second_greenroom_on_the_same_data_is_refused(data_dir: Path) -> None:
    """A data folder with a SQLite file has one Greenroom at a time; with PostgreSQL several machines share it."""
    settings = Settings(data_dir=data_dir)
    prepare_data_folder(settings)
    with data_folder_lock(settings):
        with pytest.raises(DataInUseError, match="GREENROOM_DATA_DIR"), data_folder_lock(settings):
            pass
        with data_folder_lock(Settings(data_dir=data_dir, database_url="postgresql://127.0.0.1/greenroom")):
            pass
    with data_folder_lock(settings):
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("command", [("migrate",), ("import", EXAMPLE), ("doctor",)])
def test_file_that_is_no_database_is_told_in_a_sentence(data_dir: Path, command: tuple[str, ...]) -> None:
    """A damaged database file ends every command with its name and a reason."""
    data_dir.mkdir()
    (data_dir / "greenroom.db").write_bytes(b"no database" * 1000)
    failed = greenroom(data_dir, *command)
    assert failed.exit_code == 1
    assert "greenroom.db cannot be used: file is not a database" in failed.text


def test_database_that_does_not_answer_is_told_without_its_password(data_dir: Path, closed_port: int) -> None:
    """The text names the database and the reason, never the password."""
    url = f"postgresql://someone:hunter2@127.0.0.1:{closed_port}/greenroom"
    failed = greenroom(data_dir, "migrate", GREENROOM_DATABASE_URL=url)
    assert failed.exit_code == 1
    assert "someone@127.0.0.1" in failed.text
    assert "hunter2" not in failed.text


def test_doctor_tells_a_broken_secrets_file_and_where_greenroom_is(data_dir: Path, closed_port: int) -> None:
    """The doctor shows the address that follows the port, whether it answers, and secrets that cannot be used."""
    greenroom(data_dir, "migrate")
    (data_dir / "secrets.json").write_text('{"token_key": "hunter2"}')
    (data_dir / "secrets.json").chmod(0o600)
    sick = greenroom(data_dir, "doctor", GREENROOM_HTTP_PORT=str(closed_port))
    assert sick.exit_code == 1
    assert f"at http://127.0.0.1:{closed_port}: nothing answers" in sick.text
    assert "secrets.json cannot be used" in sick.text
    assert "hunter2" not in sick.text


def test_doctor_tells_what_is_wrong_with_the_mail_server(data_dir: Path) -> None:
    """The doctor speaks with the mail server: one that is away, or refuses the login, is a finding."""
    greenroom(data_dir, "migrate")
    assert "forms send no mails" in greenroom(data_dir, "doctor").text
    port, sender = free_ports(1)[0], {"GREENROOM_SMTP_FROM": "g@x.example", "GREENROOM_SMTP_TLS": "none"}
    away = greenroom(data_dir, "doctor", GREENROOM_SMTP_URL=f"smtp://u:hunter2@127.0.0.1:{port}", **sender)
    assert away.exit_code == 1
    assert f"GREENROOM_SMTP_URL: 127.0.0.1:{port}: " in away.text
    with local_mail() as mails:
        url = f"127.0.0.1:{mails.port}"
        well = greenroom(data_dir, "doctor", GREENROOM_SMTP_URL=f"smtp://{url}", **sender)
        refused = greenroom(data_dir, "doctor", GREENROOM_SMTP_URL=f"smtp://u:hunter2@{url}", **sender)
    assert well.exit_code == 0
    assert refused.exit_code == 1 and "the login was refused" in refused.text
    assert "hunter2" not in away.text + refused.text


def test_doctor_tells_how_many_mails_were_given_up(data_dir: Path) -> None:
    """What failed for good in the outbox is a note; nothing is said of what still waits."""
    greenroom(data_dir, "migrate")
    database = open_database(f"sqlite:///{data_dir / 'greenroom.db'}")
    entries = [new_mail("form", str(number), "opened", 0.0) for number in range(3)]
    failed = [replace(entry, state="failed") for entry in entries[:2]]

    async def put() -> None:
        await database.write(lambda connection: add_entries(connection, [*failed, entries[2]]))
        await database.close()

    asyncio.run(put())
    assert "of what the outbox was to send, 2 of kind mail failed" in greenroom(data_dir, "doctor").text


def test_import_reads_no_endless_file(data_dir: Path) -> None:
    """What has no size, such as a device, is read up to the limit only."""
    refused = greenroom(data_dir, "import", "/dev/zero")
    assert refused.exit_code == 2
    assert "larger than 10 MB" in refused.text


def test_names_of_others_cannot_steer_the_terminal(data_dir: Path, tmp_path: Path) -> None:
    """What a file calls itself is shown without control characters, and not at any length."""
    file = tmp_path / "named.yml"
    name = json.dumps("\x1b[31mred [bold]" + "x" * 5000)
    file.write_text(Path(EXAMPLE).read_text(encoding="utf-8").replace("name: Approval", f"name: {name}", 1))
    greenroom(data_dir, "migrate")
    imported = greenroom(data_dir, "import", str(file))
    assert imported.exit_code == 0, imported.text
    assert "\x1b" not in imported.text
    assert "[bold]" in imported.text
    assert len(imported.text) < 1000


@pytest.mark.parametrize("text", ["\xff", "[" * 50_000, f"a: {'9' * 5000}", "{unknown: 1}", "nodes: 5"])
def test_script_that_cannot_be_read_is_told_in_a_sentence(data_dir: Path, tmp_path: Path, text: str) -> None:
    """A simulation script that is none ends the command with exit code 2."""
    script = tmp_path / "script.yml"
    script.write_bytes(text.encode("latin-1"))
    refused = greenroom(data_dir, "simulate", EXAMPLE, "--script", str(script))
    assert refused.exit_code == 2
    assert "script" in refused.text


@pytest.mark.parametrize("module", ["cli.main", "cli.serving"])
def test_ctrl_c_while_modules_are_read_ends_at_once(data_dir: Path, module: str) -> None:
    """Before the command has begun, Ctrl-C ends it without a traceback."""
    code = f"""
import os, runpy, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name in ("typer", "ray"):
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
runpy.run_module({module!r}, run_name="__main__")
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_account_gets_a_password_that_is_asked_for(data_dir: Path) -> None:
    """A member is added and given a password, which is neither an argument nor shown."""
    greenroom(data_dir, "migrate")
    unknown = greenroom(data_dir, "account", "password", "ann@example.org")
    assert (unknown.exit_code, "greenroom account add" in unknown.text) == (2, True)
    added = greenroom(data_dir, "account", "add", "Ann@Example.org", "--role", "editor")
    assert (added.exit_code, added.text.strip()) == (0, "ann@example.org is a member of Greenroom")
    asked = greenroom(data_dir, "account", "password", "ann@example.org", answers="a secret 1\na secret 1\n")
    assert asked.exit_code == 0 and "a secret 1" not in asked.text and "/inbox" in asked.text
    weak = greenroom(data_dir, "account", "password", "ann@example.org", answers="weak\nweak\n")
    assert (weak.exit_code, "8 to 1024 characters" in weak.text) == (2, True)
    owner = greenroom(data_dir, "account", "password", "owner@greenroom.local", answers="a secret 1\na secret 1\n")
    assert owner.exit_code == 0


def test_bearer_token_is_shown_once_listed_and_revoked(data_dir: Path) -> None:
    """A token is printed when it is made; afterwards it is known by its first letters and its id."""
    greenroom(data_dir, "migrate")
    unknown = greenroom(data_dir, "account", "token", "ann@example.org")
    assert (unknown.exit_code, "greenroom account add" in unknown.text) == (2, True)
    greenroom(data_dir, "account", "add", "ann@example.org")
    made = greenroom(data_dir, "account", "token", "ann@example.org", "--label", "nightly", "--days", "30")
    token = made.text.partition("shown only now: ")[2].strip()
    assert made.exit_code == 0 and token.startswith("dfoa_")
    listed = greenroom(data_dir, "account", "tokens", "ann@example.org").text
    assert token[:9] in listed and token not in listed and "nightly" in listed and "never used" in listed
    token_id = listed.split()[0]
    others = greenroom(data_dir, "account", "revoke", "owner@greenroom.local", token_id)
    assert (others.exit_code, token_id in others.text) == (2, True)
    assert greenroom(data_dir, "account", "revoke", "ann@example.org", token_id).exit_code == 0
    assert greenroom(data_dir, "account", "tokens", "ann@example.org").text == ""
    assert token.encode() not in (data_dir / "greenroom.db").read_bytes()


@pytest.mark.parametrize("address", ["ann", "@x", "a b@c", "a@b@c"])
def test_account_needs_an_address(data_dir: Path, address: str) -> None:
    """What is no address is refused, quoted."""
    ended = greenroom(data_dir, "account", "add", address)
    assert (ended.exit_code, address in ended.text) == (2, True)
