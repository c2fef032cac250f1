"""The life of a form: who ends it, when, and that the first decision stays."""

import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.deadline import DEFAULT_GLOBAL_TIMEOUT_S, global_deadline, next_deadline, node_deadline
from hitl.errors import (
    FormAlreadySubmittedError,
    FormExpiredError,
    FormNotFoundError,
    InvalidSubmissionError,
    RecipientSurfaceMismatchError,
    ShortTokenKeyError,
    UnsoundPolicyError,
)
from hitl.form import Form, FormDefinition, FormStatus
from hitl.form_state import apply_deadline, check_open, close, decide_deadline, passed_deadline, submit

OPENED_AT = 1000.0


def waiting(expires_at=2000.0, global_expires_at=3000.0, status=FormStatus.WAITING):
    """Return a form with these deadlines."""
    return Form(
        form_id="form-1",
        workspace_id="w",
        app_id="a",
        run_id="r",
        node_id="ask",
        execution_id="x",
        kind="runtime",
        definition=FormDefinition("Approve?"),
        status=status,
        created_at=OPENED_AT,
        expires_at=expires_at,
        global_expires_at=global_expires_at,
        invoke_source="service-api",
    )


def test_node_deadline_counts_from_opening():
    """The node deadline is the opening plus the node's timeout."""
    assert node_deadline(OPENED_AT, 36 * 3600) == OPENED_AT + 129_600


@pytest.mark.parametrize(
    ("global_timeout_s", "deadline"),
    [(604_800, OPENED_AT + 604_800), (1, OPENED_AT + 1), (0, None), (-5, None), (None, None)],
)
def test_global_deadline_counts_from_opening_unless_off(global_timeout_s, deadline):
    """The global deadline is the opening plus the limit; a limit of zero, less or None means none."""
    assert global_deadline(OPENED_AT, global_timeout_s) == deadline


def test_global_timeout_is_seven_days_by_default():
    """Without configuration a run waits at most seven days for one form."""
    assert DEFAULT_GLOBAL_TIMEOUT_S == 7 * 24 * 3600


@pytest.mark.parametrize(("expires_at", "global_at", "due"), [(1.0, 2.0, 1.0), (2.0, 1.0, 1.0), (2.0, None, 2.0)])
def test_next_deadline_is_the_earlier_one(expires_at, global_at, due):
    """Something is due for a form at the first of its deadlines."""
    assert next_deadline(expires_at, global_at) == due


@pytest.mark.parametrize(
    ("expires_at", "global_at", "now", "outcome"),
    [
        (2000.0, 3000.0, 1999.9, None),
        (2000.0, 3000.0, 2000.0, "timeout"),
        (2000.0, 3000.0, 2999.9, "timeout"),
        (2000.0, 3000.0, 3000.0, "expired"),
        (2000.0, 1500.0, 1500.0, "expired"),
        (2000.0, 2000.0, 2000.0, "expired"),
        (2000.0, None, 10**9, "timeout"),
    ],
)
def test_deadline_decides_when_reached_and_the_global_one_wins(expires_at, global_at, now, outcome):
    """A deadline has passed when the time reaches it; when both have, the run is given up."""
    form = waiting(expires_at, global_at)
    assert decide_deadline(form, now) == passed_deadline(form, now) == outcome


@pytest.mark.parametrize("status", [FormStatus.SUBMITTED, FormStatus.TIMEOUT, FormStatus.EXPIRED])
def test_deadline_decides_nothing_for_an_ended_form(status):
    """A form that has ended is not ended again by its deadlines."""
    form = waiting(status=status)
    assert decide_deadline(form, 10**9) is None
    assert apply_deadline(form, 10**9) is form


def test_open_form_is_open_before_its_deadlines():
    """A waiting form can be read and answered until a deadline."""
    check_open(waiting(), 1999.9)


def test_submitted_form_says_so_even_after_its_deadlines():
    """An answered form is reported as answered first, with the form's id and in the words that clients know."""
    with pytest.raises(FormAlreadySubmittedError) as caught:
        check_open(waiting(status=FormStatus.SUBMITTED), 10**9)
    assert str(caught.value) == "This form has already been submitted by another user, form_id=form-1"
    assert caught.value.code == "human_input_form_submitted"


@pytest.mark.parametrize(
    ("form", "now"),
    [
        (waiting(status=FormStatus.TIMEOUT), OPENED_AT),
        (waiting(status=FormStatus.EXPIRED), OPENED_AT),
        (waiting(), 2000.0),
        (waiting(expires_at=9000.0), 3000.0),
    ],
)
def test_expired_form_is_closed_before_a_timer_marks_it(form, now):
    """A form past either deadline refuses at once, whatever its status still says."""
    with pytest.raises(FormExpiredError) as caught:
        check_open(form, now)
    assert str(caught.value) == "This form has expired, form_id=form-1"
    assert caught.value.code == "human_input_form_expired"


def test_submit_ends_a_waiting_form():
    """An answer in time ends the form and keeps everything else of it."""
    form = waiting()
    answered = submit(form, 1500.0)
    assert (answered.status, answered.closed_at) == (FormStatus.SUBMITTED, 1500.0)
    assert (form.status, form.closed_at) == (FormStatus.WAITING, None)
    assert answered.definition is form.definition


@pytest.mark.parametrize("outcome", ["timeout", "expired"])
def test_close_ends_a_waiting_form_once(outcome):
    """A timer or a stop ends a waiting form; told again, nothing changes."""
    closed = close(waiting(), outcome, 2500.0)
    assert (closed.status, closed.closed_at) == (outcome, 2500.0)
    assert close(closed, "expired", 2600.0) is closed


def test_form_status_reads_back_from_its_text():
    """A status stored as plain text decides as well as the enum member."""
    form = waiting(status="submitted")
    assert decide_deadline(form, 10**9) is None
    with pytest.raises(FormAlreadySubmittedError):
        check_open(form, 0)


STEPS = st.lists(st.tuples(st.sampled_from(["submit", "tick", "stop", "timer"]), st.floats(0, 5000)), max_size=12)


def take(form, step, now):
    """Return the form after one step, unchanged where the step is refused."""
    match step:
        case "submit":
            try:
                return submit(form, now)
            except (FormAlreadySubmittedError, FormExpiredError):
                return form
        case "tick":
            return apply_deadline(form, now)
        case "stop":
            return close(form, "expired", now)
        case "timer":
            return close(form, "timeout", now)
    raise AssertionError(step)


@settings(deadline=None)
@given(STEPS, st.floats(1000, 5000), st.none() | st.floats(1000, 5000))
def test_first_decision_wins(steps, expires_at, global_at):
    """Over any order of answers, deadlines and stops: once ended, a form never changes again."""
    form = waiting(expires_at, global_at)
    for step, now in steps:
        after = take(form, step, now)
        if form.status != FormStatus.WAITING:
            assert after is form
        form = after
    assert (form.closed_at is None) == (form.status == FormStatus.WAITING)


@settings(deadline=None)
@given(st.floats(0, 5000), st.floats(1000, 5000), st.none() | st.floats(1000, 5000))
def test_answer_and_deadline_never_both_win(now, expires_at, global_at):
    """At any one moment a waiting form either takes an answer or is ended by a deadline, never both or neither."""
    form = waiting(expires_at, global_at)
    is_answered = take(form, "submit", now).status == FormStatus.SUBMITTED
    assert is_answered == (decide_deadline(form, now) is None)
    assert is_answered == (now < next_deadline(expires_at, math.inf if global_at is None else global_at))


@settings(deadline=None)
@given(st.floats(0, 5000), st.floats(1000, 5000), st.floats(1000, 5000))
def test_global_deadline_wins_over_the_node_deadline(now, expires_at, global_at):
    """Whenever the global deadline has passed the form expires, even where the node deadline passed earlier."""
    ended = apply_deadline(waiting(expires_at, global_at), now)
    expected = "expired" if now >= global_at else "timeout" if now >= expires_at else "waiting"
    assert ended.status == expected


@settings(deadline=None)
@given(st.lists(st.floats(0, 5000), min_size=1, max_size=8))
def test_clock_that_jumps_back_reopens_nothing(times):
    """Time may run in any order: a form that ended stays ended when the clock goes back."""
    form, has_ended = waiting(), False
    for now in times:
        form = apply_deadline(form, now)
        has_ended = has_ended or now >= 2000.0
        assert (form.status != FormStatus.WAITING) == has_ended


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FormNotFoundError(), "not_found"),
        (FormAlreadySubmittedError("f"), "human_input_form_submitted"),
        (FormExpiredError("f"), "human_input_form_expired"),
        (InvalidSubmissionError("Invalid action: x"), "invalid_form_data"),
        (RecipientSurfaceMismatchError(), "recipient_surface_mismatch"),
        (UnsoundPolicyError("gap"), "unsound_policy"),
        (ShortTokenKeyError(3), "short_token_key"),
    ],
)
def test_form_error_keeps_class_text_and_code_between_processes(error, code):
    """An error arrives in another process as what it was."""
    arrived = pickle.loads(pickle.dumps(error))
    assert (type(arrived), str(arrived), arrived.args) == (type(error), str(error), error.args)
    assert arrived.code == code


def test_not_found_text_is_the_same_for_every_miss():
    """The text of a miss names nothing of what was asked for."""
    assert str(FormNotFoundError()) == "Form not found"
