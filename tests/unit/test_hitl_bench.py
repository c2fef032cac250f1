"""The measurement of asking people: its keys, that its cycles are whole ones, and what it leaves behind."""

import sys
from pathlib import Path

import pytest

from actors.messages import SubmitOrder
from benchmarks.hitl_bench import Effort, measure_one_process, measure_paused
from benchmarks.hitl_cycle import answer_to, check, cycles, data_folder
from benchmarks.hitl_paused import disk_bytes, fill
from benchmarks.peers import Peer
from benchmarks.run import main
from hitl.errors import FormAlreadySubmittedError

ROOT = Path(__file__).resolve().parents[2]
EFFORT = Effort(rounds=1, budget_s=0.0, resumed=4, restarts=1)

DRIVER = """
import sys
sys.path.insert(0, {folder!r})
from driver_loop import serve

def prepare(asked):
    assert asked["shape"] == "person"
    return lambda: (0.5, {{"out": asked["inputs"]["answer"]}})

serve(prepare)
"""


def silent(line: str) -> None:
    """Tell nobody."""


@pytest.fixture
def peer(tmp_path: Path) -> Peer:
    """A peer that takes half a second for a cycle."""
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(folder=str(ROOT / "benchmarks")), encoding="utf-8")
    return Peer("langgraph", [sys.executable, str(script)])


async def test_measuring_one_process_gives_every_figure(tmp_path: Path, peer: Peer):
    """One short round of ours and of the peer gives positive figures under the agreed keys."""
    figures = await measure_one_process(tmp_path, [peer], EFFORT, silent)
    assert set(figures) == {
        "one_process.cycles_per_s", "one_process.cycles_per_s_16", "one_process.vs_langgraph",
    }  # fmt: skip
    assert figures["one_process.vs_langgraph"] == pytest.approx(0.5 * figures["one_process.cycles_per_s"])
    assert figures["one_process.cycles_per_s_16"] > 0


async def test_measuring_paused_runs_gives_their_cost(tmp_path: Path):
    """A paused run takes between half a kilobyte and four on disk, and can be resumed beside many others."""
    many, few = tmp_path / "many", tmp_path / "few"
    figures = await measure_paused(many, few, 200, EFFORT, silent)
    assert set(figures) == {"disk_bytes_each", "resume_p99_vs_100"}
    assert 512 < figures["disk_bytes_each"] <= 4096
    assert figures["resume_p99_vs_100"] > 0


async def test_cycle_goes_through_store_and_actor(tmp_path: Path):
    """A measured run has paused durably, ends with the answer, and its form takes no second one."""
    async with cycles(tmp_path) as running:
        paused = await running.pause()
        answer: SubmitOrder = answer_to(paused)
        assert await running.resume(paused) > 0
        with pytest.raises(FormAlreadySubmittedError):
            await running.resume(paused)
    assert answer.form_id == paused.forms[0].form_id
    with pytest.raises(ValueError, match="paused"):
        check(paused)


async def test_paused_runs_are_found_by_the_next_process(tmp_path: Path):
    """What was paused is resumed by others, whoever chose which; nothing is kept but the database."""
    with data_folder(tmp_path) as data:
        outcomes, _ = await fill(data, 10, 3, silent)
        assert len({outcome.run_id for outcome in outcomes}) == 3
        async with cycles(data) as running:
            for outcome in outcomes:
                await running.resume(outcome)
        assert disk_bytes(data) > 0
    assert not list(tmp_path.glob(".bench-data-*"))


def test_command_takes_the_number_of_paused_runs(capsys: pytest.CaptureFixture[str]):
    """A quick look is asked for by number; too few would measure nothing."""
    seen = []
    main(["toy", "--paused", "1000", "--peers"], {"toy": lambda options: seen.append(options) or {"a.ms": 1.0}})
    assert [(options.paused_count, options.with_peers) for options in seen] == [(1000, True)]
    with pytest.raises(SystemExit):
        main(["toy", "--paused", "7"], {"toy": lambda options: {}})
    assert "must be 100 or more" in capsys.readouterr().err
