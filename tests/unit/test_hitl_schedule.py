"""The moments of a form: when it reminds and escalates, and what is due once some have passed."""

from hypothesis import given
from hypothesis import strategies as st

from graph.human_rules import FormRules
from hitl.schedule import Moment, passed, schedule

HOUR = 3600.0
GROUPS = {"legal": ("Lea@example.org", "lou@example.org")}


def rules(**parts) -> FormRules:
    """Rules as a file has them."""
    return FormRules.model_validate(parts)


def moments(hours: float = 10.0, **parts) -> list[tuple[float, str, tuple[str, ...]]]:
    """The moments of a form with ``hours`` to answer: (hours from the opening, kind, to)."""
    found = schedule(0.0, hours * HOUR, rules(**parts), GROUPS)
    return [(moment.at / HOUR, moment.kind, moment.to) for moment in found]


def test_moments_count_from_the_opening_and_from_the_deadline():
    """Reminders and escalation stand in the order of their times."""
    found = moments(
        reminders=[{"before_deadline": "1h"}, {"after": "2h"}],
        escalation=[{"after": "5h", "to": ["group:legal", "Ann@example.org "]}],
    )
    assert found == [
        (2.0, "reminder", ()),
        (5.0, "escalation", ("lea@example.org", "lou@example.org", "ann@example.org")),
        (9.0, "reminder", ()),
    ]


def test_moments_outside_of_the_waiting_time_are_none():
    """What would be due at the opening or before, or at the deadline or after, never happens."""
    assert moments(hours=2, reminders=[{"before_deadline": "2h"}, {"before_deadline": "3h"}, {"after": "2h"}]) == []
    assert moments(hours=2, escalation=[{"after": "1d", "to": ["a@example.org"]}]) == []


def test_reminder_comes_before_an_escalation_of_the_same_time_and_once():
    """Whoever is asked by the escalation is not reminded at once, and nobody is reminded twice at one time."""
    found = moments(
        escalation=[{"after": "4h", "to": ["a@example.org"]}],
        reminders=[{"after": "4h"}, {"before_deadline": "6h"}],
    )
    assert [kind for _, kind, _ in found] == ["reminder", "escalation"]


def test_stand_ins_are_asked_by_an_escalation_too():
    """Whoever stands in for a person that an escalation names is asked with them."""
    found = moments(escalation=[{"after": "1h", "to": ["a@example.org"]}], stand_ins={"a@example.org": "group:legal"})
    assert found == [(1.0, "escalation", ("a@example.org", "lea@example.org", "lou@example.org"))]


def test_nothing_is_due_before_its_time():
    """Before the next moment, and after the last, there is nothing to do."""
    found = (Moment(10.0, "reminder"), Moment(20.0, "reminder"))
    assert passed(found, 0, 9.9) is None
    assert passed(found, 2, 99.0) is None
    assert passed((), 0, 99.0) is None


def test_reminders_missed_together_are_one_and_no_escalation_is_lost():
    """After a downtime people are reminded once, and everybody an escalation names is asked, each once."""
    found = (
        Moment(10.0, "reminder"),
        Moment(20.0, "escalation", ("a", "b")),
        Moment(30.0, "reminder"),
        Moment(40.0, "escalation", ("b", "c")),
        Moment(50.0, "reminder"),
    )
    due = passed(found, 0, 45.0)
    assert due is not None
    assert (due.is_reminder, due.to, due.count, due.next_at) == (True, ("a", "b", "c"), 4, 50.0)
    last = passed(found, 4, 50.0)
    assert last is not None
    assert (last.is_reminder, last.to, last.count, last.next_at) == (True, (), 5, None)


@given(st.lists(st.floats(0, 100), max_size=8), st.lists(st.floats(-50, 150), max_size=12))
def test_every_moment_is_dealt_with_once_however_the_clock_runs(times: list[float], looks: list[float]):
    """Each escalation is applied exactly once, in order, and none before its time, also when the clock jumps back."""
    found = tuple(Moment(at, "escalation", (str(number),)) for number, at in enumerate(sorted(times)))
    count, applied = 0, []
    for now in looks:
        due = passed(found, count, now)
        if due is not None:
            assert due.count > count
            assert all(found[number].at <= now for number in range(count, due.count))
            applied += due.to
            count = due.count
    latest = max(looks, default=-1.0)
    assert applied == [str(number) for number, moment in enumerate(found) if moment.at <= latest]
