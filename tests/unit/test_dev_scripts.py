"""The checks of dev/setup.sh, with programs of the machine replaced by scripts that answer what a bad machine would."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0


def run(script: str, path: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``script`` in bash after sourcing dev/setup.sh; ``path`` replaces PATH."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GREENROOM_")}
    return subprocess.run(
        ["/bin/bash", "-c", f"source dev/setup.sh\n{script}"],
        cwd=ROOT,
        env={**inherited, **({"PATH": path} if path else {}), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def program(folder: Path, name: str, body: str) -> None:
    """Put an executable shell script into ``folder``."""
    file = folder / name
    file.write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_setup_names_what_it_found_when_python_is_too_old(tmp_path: Path) -> None:
    """A Python before 3.11 is refused with its version and the way to name another."""
    program(tmp_path, "python3", 'case "$2" in *sys.exit*) exit 1 ;; *) printf " old/python3 3.9.2;" ;; esac')
    result = run("find_python", path=f"{tmp_path}:/usr/sbin:/sbin:/nowhere", GREENROOM_PYTHON="python3")
    assert result.returncode == 1
    assert "Python 3.11 or later is needed" in result.stderr
    assert "3.9.2" in result.stderr
    assert "GREENROOM_PYTHON" in result.stderr


def test_setup_says_so_when_python_is_missing() -> None:
    """A machine without any Python gets one plain sentence."""
    result = run("find_python", GREENROOM_PYTHON="no-such-python")
    assert result.returncode == 1
    assert "no Python found" in result.stderr


def test_setup_takes_the_named_python() -> None:
    """GREENROOM_PYTHON decides which Python is used."""
    result = run("find_python", GREENROOM_PYTHON=sys.executable)
    assert result.returncode == 0
    assert result.stdout.strip() == sys.executable


def test_setup_stops_when_the_disk_is_full(tmp_path: Path) -> None:
    """Less than 2 GB of free disk is refused before anything is installed."""
    program(tmp_path, "df", 'printf "Filesystem 1024-blocks Used Available\\nx 10 10 102400 99%% /\\n"')
    result = run("check_disk", path=f"{tmp_path}:{os.environ['PATH']}")
    assert result.returncode == 1
    assert "only 100 MB are free" in result.stderr


def test_setup_says_which_port_is_busy() -> None:
    """A port that something else listens on is named, with the setting that chooses another."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        result = run(f'check_port "{sys.executable}" {port}')
    assert result.returncode == 1
    assert f"port {port} is in use" in result.stderr
    assert "GREENROOM_HTTP_PORT" in result.stderr


def test_setup_installs_nothing_when_all_is_there() -> None:
    """An environment that holds the wanted set is left alone; a dev environment holds the runtime set too."""
    if not (ROOT / ".venv/.installed").is_file():
        pytest.skip("this environment was not made by dev/setup.sh")
    before = (ROOT / ".venv/.installed").stat().st_mtime_ns
    result = run("prepare runtime")
    assert result.returncode == 0, result.stderr
    assert (ROOT / ".venv/.installed").stat().st_mtime_ns == before


@pytest.mark.parametrize("script", ["dev/up --nonsense", "dev/test unit contract"])
def test_scripts_refuse_what_they_do_not_know(script: str) -> None:
    """An argument that a script does not know ends it with a message, before anything is installed."""
    result = subprocess.run(script.split(), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert result.returncode == 1
    assert "greenroom:" in result.stderr
