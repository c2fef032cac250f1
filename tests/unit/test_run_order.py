"""The one place where a new run is put together."""

from dataclasses import replace

import pytest

from actors.run_order import Starter, new_run
from store.account_record import EndUser
from store.app_record import AppRecord
from store.run_record import RunRecord

APP = AppRecord("app", "workspace", "name", "", "workflow", {}, "version", None, 1.0)
ANN = Starter("account", "ann", "", "openapi")
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_run_says_who_runs_what() -> None:
    """A run has an id of its own and takes everything else from app, starter and caller."""
    one, other = (new_run(APP, "version", ANN, {"topic": "tea"}, 5.0, CALLER) for _ in range(2))
    assert one.run_id != other.run_id and replace(other, run_id=one.run_id) == one
    assert (one.created_by_role, one.created_by_id, one.invoke_source) == ("account", "ann", "openapi")
    assert (one.traceparent, one.created_at, one.inputs) == (CALLER, 5.0, {"topic": "tea"})


@pytest.mark.parametrize("sent", [None, "", "nonsense", CALLER[:-3]])
def test_trace_that_follows_no_rule_is_none(sent: str | None) -> None:
    """A header that cannot be used never makes a start fail."""
    assert new_run(APP, "version", ANN, {}, 5.0, sent).traceparent is None


def test_starter_knows_their_runs() -> None:
    """A run is of the person who has started it, through whatever that was; equal ids of other kinds are nobody's."""
    run = new_run(APP, "version", ANN, {}, 5.0)
    record = RunRecord(**{name: getattr(run, name) for name in run.__dataclass_fields__})
    user = Starter.of_end_user(EndUser("ann", "workspace", "app", "browser", "session", False, 1.0), "web-app")
    assert ANN.has_started(record) and replace(ANN, invoke_source="explore").has_started(record)
    assert not user.has_started(record) and not replace(ANN, starter_id="bob").has_started(record)
    assert user.user == "session"
