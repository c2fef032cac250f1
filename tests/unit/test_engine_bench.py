"""The engine's measurement: its keys, its JSON, that every case runs, and what becomes of a peer that fails."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.engine_bench import Effort, figures_of, measure_cases
from benchmarks.engine_runs import compiled, in_memory
from benchmarks.peers import PEERS, Peer, UnavailableHereError, find_python
from benchmarks.run import main
from benchmarks.workflows import chain, engine_cases

ROOT = Path(__file__).resolve().parents[2]
CASES = engine_cases()
SHORT = {name: case for name, case in CASES.items() if not case.is_long}

DRIVER = """
import os, sys, time
sys.path.insert(0, {folder!r})
from driver_loop import serve

def prepare(asked):
    if asked["inputs"]["q"] == "end":
        sys.exit("out of memory")
    if asked["inputs"]["q"] == "hang":
        time.sleep(60)
    print("a peer may print what it likes")
    return lambda: (0.5, {{"out": asked["inputs"]["q"]}})

serve(prepare)
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """The command of a peer that takes half a second for everything, and fails on request."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(folder=str(ROOT / "benchmarks")), encoding="utf-8")
    return [sys.executable, str(script)]


def asking(word: str) -> dict[str, Any]:
    """Return a workflow for that peer, which must give "fine"."""
    return {"graph": {}, "inputs": {"q": word}, "outputs": {"out": "fine"}, "shape": "graph"}


def test_figures_bear_the_agreed_keys():
    """Each case has its cost and its ratio to each peer that could do it."""
    samples = {name: [1.0, 2.0] for name in [*CASES, "durable_chain_100", "loop_50/graphon"]}
    samples["loop_50/graphon"] = [3.0, 8.0]
    figures = figures_of(CASES, ["graphon", "langgraph"], samples)
    expected = {f"{name}.us_per_node" for name in [*CASES, "durable_chain_100"]} | {"loop_50.vs_graphon"}
    assert set(figures) == expected
    assert figures["loop_50.vs_graphon"] == 3.5
    assert figures["chain_100.us_per_node"] == pytest.approx(15_000)
    assert [*CASES] == [
        "chain_100", "chain_10000", "fan_98", "iteration_50", "iteration_50_parallel", "loop_50", "diamonds_30",
    ]  # fmt: skip


async def test_measuring_gives_every_figure(tmp_path: Path, command: list[str]):
    """One short round gives positive figures under every key and leaves no database behind."""
    screen = Console(file=io.StringIO(), soft_wrap=True)
    effort = Effort(rounds=1, long_rounds=1, budget_s=0.0, least=1)
    cases = {"small": chain(3)}
    figures = await measure_cases(cases, chain(50), [Peer("other", command)], effort, tmp_path, screen)
    assert set(figures) == {
        "small.us_per_node", "small.vs_other", "durable_chain_100.us_per_node", "compile_10000.ms",
        "run_in_flight.bytes",
    }  # fmt: skip
    assert all(value > 0 for value in figures.values())
    assert not list(tmp_path.glob(".bench-data-*"))


@pytest.mark.parametrize("name", SHORT)
async def test_case_gives_what_the_peers_must_give(name: str):
    """Our engine runs every case to the outputs that its peers are held to."""
    case = SHORT[name]
    assert await in_memory(case, compiled(case.graph))() > 0


async def test_peer_that_fails_is_left_out_for_that_case_only(command: list[str]):
    """Other outputs and an end are noted once each; the next case is measured."""
    async with Peer("other", command) as peer:
        for case, word in [("a", "fine"), ("b", "wrong"), ("c", "end"), ("c", "end"), ("d", "fine")]:
            seconds = await peer.seconds(case, asking(word), 0.0, 2)
            assert seconds == ([0.5, 0.5] if word == "fine" else [])
    assert peer.notes == [
        "other: b is left out, ValueError: the outputs are {'out': 'wrong'}",
        "other: c is left out, its driver ended: out of memory",
    ]


async def test_peer_that_does_not_answer_is_ended(command: list[str]):
    """A case that takes too long is left out with the time that it was given."""
    async with Peer("other", command, patience_s=0.2) as peer:
        assert await peer.seconds("a", asking("hang"), 0.0, 1) == []
    assert peer.notes == ["other: a is left out, no answer within 0.2 s"]


def test_named_python_that_does_not_fit_is_refused():
    """GREENROOM_PEER_PYTHON is taken at its word: no other Python is looked for, and the reason names it."""
    graphon = PEERS[0]
    with pytest.raises(UnavailableHereError, match=r">= 3\.12 and < 3\.14: GREENROOM_PEER_PYTHON \(no-such-python\)"):
        find_python(graphon, "no-such-python")


def test_command_writes_flat_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The file has one number under each full key; people get tables, which no width cuts or wraps."""
    file = tmp_path / "figures.json"
    main(["toy", "--json", str(file)], {"toy": lambda options: {"a.ms": 1.25, "b.ms": 2, "c.bytes": 3}})
    assert json.loads(file.read_text(encoding="utf-8")) == {"toy.a.ms": 1.25, "toy.b.ms": 2, "toy.c.bytes": 3}
    name = "a_single_figure_with_a_name_that_is_longer_than_the_lines_of_any_terminal_" * 3
    main(["toy"], {"toy": lambda options: {name: 4.0}})
    shown = capsys.readouterr().out
    assert "│ c.bytes │  3.00 │" in shown
    assert f"│ {name} │  4.00 │" in shown
