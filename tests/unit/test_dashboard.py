"""The Grafana dashboard asks for figures that exist, and for all of them."""

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "greenroom.json"
SUFFIXES = {"Gauge": ("",), "Counter": ("_total",), "Histogram": ("_bucket", "_sum", "_count")}
"""What Ray adds to the name of a figure of each kind when it shows it."""


def figures() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the name of each figure in the source -> its kind and its labels."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for path in sorted((ROOT / "actors").glob("*_metrics.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SUFFIXES:
                values = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
                name, *others = [value for value in values if isinstance(value, str)]
                found[name] = (node.func.id, tuple(others))
    return found


def expressions() -> list[str]:
    """Return the queries of the dashboard."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_dashboard_asks_for_figures_that_exist() -> None:
    """Every name in a query is a figure of ours, with the ending that Ray gives its kind."""
    shown = {f"ray_{name}{end}" for name, (kind, _) in figures().items() for end in SUFFIXES[kind]}
    asked = {name for text in expressions() for name in re.findall(r"\bray_\w+", text)}
    assert asked and asked <= shown


def test_dashboard_shows_every_figure_of_runs() -> None:
    """No figure of runs is measured for nobody to see."""
    text = " ".join(expressions())
    own = ROOT / "actors" / "run_metrics.py"
    names = [name for name in figures() if name in own.read_text(encoding="utf-8")]
    assert len(names) >= 8
    assert [name for name in names if f"ray_{name}" not in text] == []


def test_dashboard_groups_by_labels_that_exist() -> None:
    """A label in a query is one of its figure, or the bound of a histogram."""
    for text in expressions():
        (name,) = {found for found in figures() if f"ray_{found}" in text}
        labels = set(re.findall(r"by \((\w+)\)", text)) | set(re.findall(r"[{,](\w+)!?=", text))
        assert labels <= {*figures()[name][1], "le"}, text


def test_figures_are_documented() -> None:
    """The page on observability names each figure of runs as Prometheus sees it."""
    page = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
    for name, (kind, _) in figures().items():
        if name in (ROOT / "actors" / "run_metrics.py").read_text(encoding="utf-8"):
            shown = name + ("_total" if kind == "Counter" else "")
            assert f"`{shown}`" in page, shown
