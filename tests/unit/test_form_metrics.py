"""What the HITL actor shows of itself: right figures, and labels that name nobody."""

from typing import Any

import pytest
from ray.util import metrics

from actors.form_metrics import FormMetrics

Told = tuple[str, float, dict[str, str]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    """What Ray is given: name, value, labels."""
    given: list[Told] = []

    def record(metric: Any, value: float, tags: dict[str, str] | None = None) -> None:
        given.append((metric.info["name"], value, {**metric.info["default_tags"], **(tags or {})}))

    monkeypatch.setattr(metrics.Counter, "inc", lambda self, value=1.0, tags=None: record(self, value, tags))
    monkeypatch.setattr(metrics.Gauge, "set", record)
    monkeypatch.setattr(metrics.Histogram, "observe", record)
    return given


def test_answer_is_counted_with_its_way_and_its_time(told: list[Told]):
    """An answer counts once, by how it came, and a clock that went back gives no negative time."""
    shown = FormMetrics("hitl-actor")
    shown.count_answer("web", 12.5)
    shown.count_answer("python", -1.0)
    assert told == [
        ("greenroom_form_decisions", 1, {"outcome": "submitted", "via": "web"}),
        ("greenroom_form_decision_seconds", 12.5, {"via": "web"}),
        ("greenroom_form_decisions", 1, {"outcome": "submitted", "via": "python"}),
        ("greenroom_form_decision_seconds", 0.0, {"via": "python"}),
    ]


def test_passed_deadline_is_counted_as_the_systems(told: list[Told]):
    """Nobody gave that answer."""
    FormMetrics("hitl-actor").count_deadline("timeout")
    assert told == [("greenroom_form_decisions", 1, {"outcome": "timeout", "via": "system"})]


def test_gauges_say_whose_they_are(told: list[Told]):
    """Several HITL actors show theirs beside each other; mails are shown by state."""
    shown = FormMetrics("hitl-actor-1")
    shown.show_open(3)
    shown.show_not_resumed(0)
    shown.show_mails({"waiting": 2, "sent": 0})
    actor = {"actor": "hitl-actor-1"}
    assert told == [
        ("greenroom_open_forms", 3, actor),
        ("greenroom_answers_not_resumed", 0, actor),
        ("greenroom_mails", 2, {**actor, "state": "waiting"}),
        ("greenroom_mails", 0, {**actor, "state": "sent"}),
    ]
