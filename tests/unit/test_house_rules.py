"""The house rules of CONTRIBUTING.md, as far as a program can check them."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("actors", "cli", "effects", "graph", "hitl", "models", "store", "surfaces")
OURS = (*PACKAGES, "serve_app")

FILE_LINES = 400
TEST_FILE_LINES = 500
FUNCTION_LINES = 60
PUBLIC_METHODS = 15
BANNED_IN_NAMES = (
    "Manager", "Service", "Helper", "Util", "Processor", "Handler", "Factory", "Impl", "Base", "Common", "Misc", "Core",
)  # fmt: skip
OUR_WORDS = re.compile(r"service_api|ServiceApi")  # the surface's name on the wire
PATCHES = re.compile(r"\b(?:mock|Mock|MagicMock|AsyncMock|patch|monkeypatch)\b")


def project_files() -> list[str]:
    """Every file of the project as it would be committed, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the project is not a git work tree here")
    return [name for name in listing.splitlines() if (ROOT / name).is_file()]


def python_files(*tops: str) -> Iterator[tuple[str, ast.Module]]:
    """Every Python file of the project under ``tops`` (all if none) with its syntax tree."""
    for name in project_files():
        if name.endswith(".py") and (not tops or name.split("/")[0].removesuffix(".py") in tops):
            yield name, ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def line_count(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Length of a function from its ``def`` to its last line."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_files_stay_short() -> None:
    """A file has at most 400 lines, a test file 500."""
    too_long = []
    for name, _ in python_files():
        lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
        if lines > (TEST_FILE_LINES if name.startswith("tests/") else FILE_LINES):
            too_long.append(f"{name}: {lines}")
    assert not too_long


def test_functions_stay_short() -> None:
    """A function has at most 60 lines."""
    too_long = [
        f"{name}:{node.lineno} {node.name}: {line_count(node)}"
        for name, tree in python_files()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and line_count(node) > FUNCTION_LINES
    ]
    assert not too_long


def test_classes_stay_small() -> None:
    """A class has at most 15 public methods."""
    too_big = []
    for name, tree in python_files(*OURS):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                methods = [
                    child.name
                    for child in node.body
                    if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_")
                ]
                if len(methods) > PUBLIC_METHODS:
                    too_big.append(f"{name}:{node.lineno} {node.name}: {len(methods)}")
    assert not too_big


def test_folders_stay_flat() -> None:
    """Source lies at most two folders deep."""
    too_deep = [name for name, _ in python_files(*PACKAGES) if name.count("/") > 2]
    assert not too_deep


def test_package_files_hold_a_docstring_only() -> None:
    """An ``__init__.py`` holds a docstring and nothing else, so that no import runs through it."""
    wrong = [
        name
        for name, tree in python_files(*PACKAGES)
        if name.endswith("__init__.py") and (len(tree.body) != 1 or ast.get_docstring(tree) is None)
    ]
    assert not wrong


def test_package_docstring_lists_the_files() -> None:
    """The docstring of a package names each of its modules."""
    missing = []
    for package in PACKAGES:
        docstring = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
        missing += [
            f"{package}/{module.name}"
            for module in sorted((ROOT / package).glob("*.py"))
            if module.name != "__init__.py" and not re.search(rf"\b{module.stem}\b", docstring)
        ]
    assert not missing


def test_tests_shadow_no_package() -> None:
    """No folder below tests bears a package's name, no test folder is a package, and test files have unique names."""
    names = [name for name in project_files() if name.startswith("tests/") and name.endswith(".py")]
    folders = {part for name in names for part in name.split("/")[1:-1]}
    assert not folders & set(OURS)
    assert not [name for name in names if name.endswith("__init__.py")]
    files = [name.rsplit("/", 1)[1] for name in names if not name.endswith("conftest.py")]
    assert len(files) == len(set(files)), sorted({file for file in files if files.count(file) > 1})


def test_names_come_from_the_domain() -> None:
    """No class and no file is called after a pattern."""
    wrong = []
    for name, tree in python_files():
        words = OUR_WORDS.sub("", Path(name).stem).split("_")
        if not name.startswith("tests/"):
            wrong += [name for word in BANNED_IN_NAMES if {word.lower(), word.lower() + "s"} & set(words)]
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                words = re.findall(r"[A-Z][a-z0-9]*", OUR_WORDS.sub("", node.name))
                wrong += [f"{name}:{node.lineno} {node.name}" for word in BANNED_IN_NAMES if word in words]
    assert not wrong


def test_own_packages_are_imported_at_the_top() -> None:
    """Our own packages are imported at the top of a file, never inside a function or for type checking only."""
    wrong = []
    for name, tree in python_files(*OURS):
        top = {id(node) for node in tree.body}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom) or id(node) in top:
                continue
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            wrong += [f"{name}:{node.lineno} {module}" for module in modules if module.split(".")[0] in OURS]
    assert not wrong


def test_broad_excepts_stand_at_boundaries() -> None:
    """``except Exception`` occurs only where a comment marks a boundary."""
    wrong = []
    for name, tree in python_files(*OURS):
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = ast.unparse(node.type) if node.type is not None else "BaseException"
            around = "\n".join(lines[max(0, node.lineno - 2) : node.lineno + 1])
            if re.search(r"\b(Base)?Exception\b", caught) and "# boundary:" not in around:
                wrong.append(f"{name}:{node.lineno}")
    assert not wrong


def test_tests_state_their_rule() -> None:
    """A test's docstring states the rule in one sentence and does not begin with "test that"."""
    wrong = []
    for name, tree in python_files("tests"):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                docstring = ast.get_docstring(node)
                if docstring is None or re.match(r"(?i)tests?\b", docstring):
                    wrong.append(f"{name}:{node.lineno} {node.name}")
    assert not wrong


def test_tests_use_real_parts() -> None:
    """There are at most five uses of mock or patch in a thousand lines of tests."""
    texts = [(ROOT / name).read_text(encoding="utf-8") for name, _ in python_files("tests")]
    uses = sum(len(PATCHES.findall(text)) for text in texts if "PATCHES = re.compile" not in text)
    assert uses <= 5 * max(1, sum(text.count("\n") for text in texts) // 1000)


def test_modules_do_not_poll() -> None:
    """Nothing calls ``time.sleep``: async code awaits, tests wait for what they need."""
    wrong = [
        f"{name}:{node.lineno}"
        for name, tree in python_files()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep"
    ]
    assert not wrong
