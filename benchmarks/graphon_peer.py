"""Graphon 0.8.0, measured in an environment of its own, which is made on demand beside .venv."""

import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.workflows import graphs

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".bench-venv-graphon"
REQUIREMENT = "graphon==0.8.0"
LOWEST, BEYOND = (3, 12), (3, 14)


def measure() -> dict[str, float]:
    """Return graphon's figures by name; none, with the reason on the screen, if it cannot be installed here."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / ".complete").exists():
        found = find_python()
        if found is None:
            console.print("graphon: unavailable, it needs a Python >= 3.12 and < 3.14, and none was found here")
            return {}
        console.print(f"graphon: installing {REQUIREMENT} into {ENVIRONMENT.name} (900 MB, some minutes) …")
        try:
            install(found, python)
        except (OSError, subprocess.CalledProcessError) as error:
            console.print(f"graphon: unavailable, installing it failed: {error}", markup=False)
            return {}
    command = [str(python), str(ROOT / "benchmarks" / "graphon_driver.py")]
    try:
        reply = subprocess.run(command, input=json.dumps(graphs()), capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        console.print(f"graphon: unavailable, its driver failed:\n{error.stderr}", markup=False)
        return {}
    return {f"graphon.{name}.us_per_node": value for name, value in json.loads(reply.stdout).items()}


def find_python() -> str | None:
    """Return a Python that graphon runs on: this one, one on PATH, or one that pyenv keeps."""
    kept = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.1[23].*/bin/python"))
    for candidate in [sys.executable, "python3.12", "python3.13", *map(str, kept)]:
        check = f"import sys; sys.exit(not {LOWEST} <= sys.version_info < {BEYOND})"
        try:
            if subprocess.run([candidate, "-c", check], capture_output=True, check=False).returncode == 0:
                return candidate
        except OSError:
            continue
    return None


def install(found: str, python: Path) -> None:
    """Make the environment with the Python ``found``; ``.complete`` in it says that it is whole."""
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", found, str(ENVIRONMENT)], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), REQUIREMENT], check=True)
    (ENVIRONMENT / ".complete").touch()
