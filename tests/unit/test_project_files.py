"""What the files around the code must be: locks, wheel, examples, cluster files, no trace of one machine."""

import importlib.metadata
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.serve.schema import ServeDeploySchema

from graph.parse_workflow import parse_workflow
from graph.plan import compile_plan

ROOT = Path(__file__).resolve().parents[2]
OURS = ("actors", "cli", "effects", "graph", "hitl", "models", "serve_app", "store", "surfaces")
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-local.lock")

# Put together from parts, or this file would break its own rules.
MACHINE_PATHS = ["/" + name + "/" for name in ("work", "root", "home", "farm")]
REGISTRY_HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "/opt/" + "pypi", "hugging" + "face.co"]
TOOL_TALK = ["cla" + "ude", "co" + "pilot", "chat" + "gpt", "sub" + "agent", "co-authored" + "-by"]


def text_files() -> list[tuple[str, str]]:
    """Every text file of the project with its text."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the project is not a git work tree here")
    files = []
    for name in names:
        path = ROOT / name
        if path.is_file() and b"\0" not in path.read_bytes()[:4096]:
            files.append((name, path.read_text(encoding="utf-8")))
    return files


@pytest.mark.parametrize("traces", [MACHINE_PATHS, REGISTRY_HOSTS, TOOL_TALK], ids=["paths", "registries", "tools"])
def test_files_carry_no_trace_of_one_machine(traces: list[str]) -> None:
    """No file names a folder of one machine, the host of a package registry or a writing tool."""
    found = [
        f"{name}:{number}"
        for name, text in text_files()
        for number, line in enumerate(text.splitlines(), 1)
        if any(trace in line.lower() for trace in traces)
    ]
    assert not found


@pytest.mark.parametrize("name", LOCKS)
def test_lock_pins_and_hashes_without_addresses(name: str) -> None:
    """A lock pins every package exactly, with hashes, and records no address to download from."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "index-url" not in text
    assert "find-links" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[a-z0-9._-]+==\S+", entry) and "--hash=sha256:" in entry for entry in entries)


def test_dev_lock_holds_the_runtime_pins() -> None:
    """The dev lock contains every pin of the runtime lock, so one environment serves both."""
    pins = [set(re.findall(r"^[a-z0-9._-]+==\S+", (ROOT / n).read_text("utf-8"), re.MULTILINE)) for n in LOCKS[:2]]
    assert pins[0] <= pins[1]


def test_no_dependency_owns_our_names() -> None:
    """No installed distribution brings a top-level package or module with one of our names."""
    taken = set(OURS) | {f"{name}.py" for name in OURS}
    wrong = {
        (distribution.metadata["Name"], file.parts[0])
        for distribution in importlib.metadata.distributions()
        if distribution.metadata["Name"] != "greenroom"
        for file in distribution.files or ()
        if file.parts[0] in taken
    }
    assert not wrong


def test_wheel_holds_our_nine_names(tmp_path: Path) -> None:
    """The wheel contains our eight packages and serve_app.py, and nothing else of the tree."""
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0].removesuffix(".py") for name in names if ".dist-info/" not in name}
    assert tops == set(OURS)
    assert "serve_app.py" in names
    assert any(name.startswith("store/migrations/") for name in names)


def test_examples_compile() -> None:
    """Every example imports without a fault and can run."""
    files = sorted(set((ROOT / "examples").glob("*.yml")) - set((ROOT / "examples").glob("*.script.yml")))
    assert files
    for file in files:
        parsed = parse_workflow(file.read_bytes())
        assert parsed.status == "completed", file
        assert not parsed.faults, file
        assert parsed.workflow is not None
        compile_plan(parsed.workflow)


def load(name: str) -> dict[str, Any]:
    """Read a YAML file of the project."""
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_cluster_file_is_valid_for_the_launcher() -> None:
    """Ray's own validator accepts cluster.yaml as the launcher completes it."""
    validate_config(prepare_config(load("cluster.yaml")))


def test_serve_file_is_valid_for_serve_deploy() -> None:
    """Ray Serve's schema accepts deploy/serve.yaml, whose applications serve_app builds."""
    schema = ServeDeploySchema.model_validate(load("deploy/serve.yaml"))
    paths = [application.import_path for application in schema.applications]
    assert sorted(paths) == ["serve_app:app", "serve_app:model"]
