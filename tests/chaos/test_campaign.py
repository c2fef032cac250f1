"""Short campaigns of ``dev/chaos``: people use a real Greenroom while its processes die; no guarantee is violated."""

from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.run import Around, campaign

PEOPLE = 3


def _say(lines: list[str]) -> Callable[[str], None]:
    return lines.append


@pytest.mark.timeout(420)
async def test_nothing_is_lost_in_a_short_campaign(tmp_path: Path):
    """Half a minute of blows on SQLite: every run, answer, effect and event is what it should be."""
    lines: list[str] = []
    wrong = await campaign(tmp_path, 30.0, seed=11, people=PEOPLE, around=Around(), say=_say(lines))
    assert not wrong, "\n".join([*wrong, *lines])
    assert any("accepted" in line and not line.startswith("answers     0 ") for line in lines), lines


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("around", "duration_s"),
    [
        (Around(), 300.0),
        (Around(is_postgres=True, has_redis=True), 90.0),
        (Around(is_postgres=True, has_redis=True, has_second_node=True), 120.0),
    ],
    ids=str,
)
async def test_nothing_is_lost_in_a_long_campaign(tmp_path: Path, around: Around, duration_s: float):
    """The same for minutes; PostgreSQL, Redis and a second node are themselves ended and started again."""
    lines: list[str] = []
    wrong = await campaign(tmp_path, duration_s, seed=12, people=PEOPLE, around=around, say=_say(lines))
    assert not wrong, "\n".join([*wrong, *lines])
