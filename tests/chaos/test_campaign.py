"""Short campaigns of ``dev/chaos``: people use a real Greenroom while its processes die; no guarantee is violated."""

from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.run import campaign

PEOPLE = 3


def _say(lines: list[str]) -> Callable[[str], None]:
    return lines.append


@pytest.mark.timeout(420)
async def test_nothing_is_lost_in_a_short_campaign(tmp_path: Path):
    """Half a minute of blows on SQLite: every run, answer, effect and event is what it should be."""
    lines: list[str] = []
    wrong = await campaign(tmp_path, 30.0, seed=11, people=PEOPLE, is_postgres=False, say=_say(lines))
    assert not wrong, "\n".join([*wrong, *lines])
    assert any("accepted" in line and not line.startswith("answers     0 ") for line in lines), lines


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("is_postgres", "duration_s"), [(False, 300.0), (True, 90.0)], ids=["sqlite", "postgresql"])
async def test_nothing_is_lost_in_a_long_campaign(tmp_path: Path, is_postgres: bool, duration_s: float):
    """The same for minutes, on PostgreSQL too, which is itself ended and started again."""
    lines: list[str] = []
    wrong = await campaign(tmp_path, duration_s, seed=12, people=PEOPLE, is_postgres=is_postgres, say=_say(lines))
    assert not wrong, "\n".join([*wrong, *lines])
