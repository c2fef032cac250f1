"""The life of a form: waiting -> submitted | timeout | expired. The first decision wins; the rest change nothing.

Pure transitions over ``Form``. A store makes each of them durable with a conditional update on ``waiting``.

    submit          waiting, no deadline passed  -> submitted   the run goes on behind the action
    node deadline   waiting                      -> timeout     the run goes on behind its timeout edge
    global deadline waiting                      -> expired     the run is stopped
    stop of the run waiting                      -> expired
"""

from dataclasses import replace
from typing import Literal

from hitl.errors import FormAlreadySubmittedError, FormExpiredError
from hitl.form import Form, FormStatus

DeadlineOutcome = Literal["timeout", "expired"]


def passed_deadline(form: Form, now: float) -> DeadlineOutcome | None:
    """Return which deadline of ``form`` has passed at ``now``, whatever the status; the global one wins.

    A deadline has passed when ``now`` has reached it.
    """
    if form.global_expires_at is not None and form.global_expires_at <= now:
        return "expired"
    return "timeout" if form.expires_at <= now else None


def decide_deadline(form: Form, now: float) -> DeadlineOutcome | None:
    """Return how a waiting form ends by its deadlines at ``now``; None while it may wait, or has ended already.

    Source: spec/hitl.md 3.3 (if both have passed, the global deadline wins).
    """
    return passed_deadline(form, now) if form.status == FormStatus.WAITING else None


def check_open(form: Form, now: float) -> None:
    """Return when ``form`` can be read and answered at ``now``.

    A passed deadline closes the form at once, whether or not a timer has marked it yet.

    Raises:
        FormAlreadySubmittedError: it has its answer.
        FormExpiredError: it timed out or expired, or one of its deadlines has passed.

    Source: spec/hitl.md 1.8 (steps 1 and 2 of every endpoint).
    """
    if form.status == FormStatus.SUBMITTED:
        raise FormAlreadySubmittedError(form.form_id)
    if form.status != FormStatus.WAITING or passed_deadline(form, now) is not None:
        raise FormExpiredError(form.form_id)


def submit(form: Form, now: float) -> Form:
    """Return ``form`` as answered at ``now``.

    Raises:
        FormAlreadySubmittedError: it has its answer.
        FormExpiredError: it timed out or expired, or one of its deadlines has passed.
    """
    check_open(form, now)
    return replace(form, status=FormStatus.SUBMITTED, closed_at=now)


def close(form: Form, outcome: DeadlineOutcome, now: float) -> Form:
    """Return ``form`` ended without an answer, or unchanged (the same object) when it has ended already.

    Args:
        form: the form.
        outcome: ``timeout`` at its node deadline; ``expired`` at its global deadline or when its run stops.
        now: Unix seconds.
    """
    if form.status != FormStatus.WAITING:
        return form
    return replace(form, status=FormStatus(outcome), closed_at=now)


def apply_deadline(form: Form, now: float) -> Form:
    """Return ``form`` as its deadlines leave it at ``now``; unchanged (the same object) if none has passed."""
    outcome = decide_deadline(form, now)
    return form if outcome is None else close(form, outcome, now)
