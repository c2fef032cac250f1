"""Every example does in a simulation what the head of its script says: the command there, and what it gives."""

import json
import shlex
from pathlib import Path

import pytest

from test_simulate_command import ROOT, simulate

SCRIPTS = sorted((ROOT / "examples").glob("*.script.yml"))
COMMAND, GIVES = "greenroom simulate ", "gives "


def head_of(script: Path) -> list[str]:
    """The lines of the comment at the top, with continued ones put together."""
    comment = script.read_text(encoding="utf-8").partition("\ndefault:")[0]
    lines = [line.removeprefix("#").strip() for line in comment.splitlines()]
    return "\n".join(lines).replace("\\\n", "").splitlines()


def test_every_example_has_a_script_and_is_listed() -> None:
    """A workflow without a script would be tested by nobody; one that is not in the list, read by nobody."""
    examples = ROOT / "examples"
    workflows = {path.name for path in examples.glob("*.yml")} - {path.name for path in SCRIPTS}
    assert {path.name.replace(".script", "") for path in SCRIPTS} == workflows
    listed = (examples / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in examples.glob("*.yml") if f"[`{path.name}`]({path.name})" not in listed] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_example_gives_what_its_script_says(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command at the top of the script, run as it stands there, ends with the outputs beside it."""
    monkeypatch.chdir(ROOT)
    head = head_of(script)
    (command,) = [line.removeprefix(COMMAND) for line in head if line.startswith(COMMAND)]
    (gives,) = [line.removeprefix(GIVES) for line in head if line.startswith(GIVES)]
    ended = simulate(*shlex.split(command))
    assert (ended.exit_code, ended.outcome["status"], ended.told) == (0, "succeeded", "")
    assert ended.outcome["outputs"] == json.loads(gives)
