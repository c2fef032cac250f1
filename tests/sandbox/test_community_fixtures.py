"""Workflow files that users of Dify have published: each imports, and runs in a simulation without a script.

They are samples: inputs are made from the start form. A run ends in success unless its code needs a package that the
sandbox does not have. Models and tools are made up; code behind them that cannot read what it gets gives values of its
declared types. Source: the README of the folder.
"""

from pathlib import Path
from typing import Any

import pytest

from effects.code_sandbox.image import build_image
from fixtures_path import fixtures_path, workflow_files
from graph.parse_workflow import parse_workflow
from graph.plan import compile_plan
from simulated import simulated, workflow_of

pytestmark = pytest.mark.service

LACKS = {"c05": "pandas", "c06": "requests", "c10": "jieba", "c11": "json_repair", "c21": "requests"}
"""File -> the package that its code imports and the sandbox does not have."""
MADE_OF = {
    "text-input": "tea", "paragraph": "tea", "number": 3, "checkbox": True,
    "file": {"type": "document", "transfer_method": "remote_url", "url": "https://sample.invalid/a.pdf"},
}  # fmt: skip
INPUTS = {
    "c12": [{"json_data": '[{"a": 1}]'}],
    "c14": [{"web_search": "开启"}, {"web_search": "关闭"}],
}
"""What files get whose input means more than its type says, one run for each."""
RESEARCH = {"nodes": {"1739087643444": {"outputs": {"selected_case_id": "fdc117e5-9c2d-4b3d-9fac-c1f030b8435d"}}}}
"""The fifth turn of a conversation, in which c03 does its work: models, a tool, retrieval and iterations."""
ANSWERS = {"query1": "a", "query2": "b", "query3": "c", "query4": "d"}


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    """Code nodes run in the sandbox's image."""
    build_image()


@pytest.fixture
def community() -> Path:
    """The folder of the files."""
    folder = fixtures_path()
    if folder is None:
        pytest.skip("the workflow files are absent; set GREENROOM_FIXTURES to their folder")
    return folder / "community"


def made_up(form: list[dict[str, Any]]) -> dict[str, Any]:
    """Return inputs that fill in a start form."""
    inputs: dict[str, Any] = {}
    for each in form:
        kind = each["type"]
        value = each["options"][0] if kind == "select" else MADE_OF[kind.removesuffix("-list")]
        inputs[each["variable"]] = [value] if kind.endswith("-list") else value
    return inputs


@pytest.mark.parametrize("path", workflow_files("community"))
def test_file_imports_with_warnings_only(path: Path) -> None:
    """What a file lacks is told with its place; nothing keeps it from being imported and compiled."""
    parsed = parse_workflow(path.read_bytes())
    assert parsed.workflow is not None
    assert all(fault.blocks == "nothing" and fault.path and fault.message for fault in parsed.faults)
    assert compile_plan(parsed.workflow).top.nodes


@pytest.mark.parametrize("path", workflow_files("community"))
async def test_file_runs_to_its_end(path: Path) -> None:
    """Without a script every run comes to its end, and to a good one if the sandbox has what the code imports."""
    form = compile_plan(workflow_of(path)).start_form
    for inputs in INPUTS.get(path.stem, [{}]):
        made = await simulated(path, query="tea", inputs=made_up(form) | inputs)
        package = LACKS.get(path.stem)
        if package is None:
            assert (made.status, made.error) == ("succeeded", "")
        else:
            assert made.status == "failed"
            assert f"ModuleNotFoundError: No module named '{package}'" in made.error


async def test_long_conversation_runs_to_its_end(community: Path) -> None:
    """A file that works in its fifth turn only gets there by a scripted branch, and answers from every part."""
    inputs = {"Research_Theme": "tea"}
    made = await simulated(community / "c03.yml", RESEARCH, "tea", inputs=inputs, conversation=ANSWERS)
    assert (made.status, made.error) == ("succeeded", "")
    assert len([line for line in made.story() if line.startswith("OK ")]) > 25


@pytest.mark.parametrize(("status", "is_whole"), [("success", True), ("start", False)])
async def test_conversation_variables_choose_the_branch(community: Path, status: str, is_whole: bool) -> None:
    """The same file ends well where its state avoids code that needs a missing package."""
    made = await simulated(community / "c17.yml", query="tea", conversation={"status": status})
    assert made.status == ("succeeded" if is_whole else "failed")
    assert ("No module named 'sympy'" in made.error) is not is_whole
