"""Errors as clients get them."""

import pytest

from actors.errors import QueueFullError
from graph.errors import GreenroomError, InvalidInputError, SnapshotVersionError
from hitl.errors import FormAlreadySubmittedError, FormExpiredError, FormNotFoundError, InvalidSubmissionError
from store.errors import FencedError, SchemaOutdatedError, StoreUnavailableError
from surfaces.error_table import MESSAGE_LENGTH, UNKNOWN, answer_for, error_event


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidInputError("x is required in input form"), 400, "invalid_param"),
        (InvalidSubmissionError("Invalid action: x"), 400, "invalid_form_data"),
        (FormNotFoundError(), 404, "not_found"),
        (FormAlreadySubmittedError("F"), 412, "human_input_form_submitted"),
        (FormExpiredError("F"), 412, "human_input_form_expired"),
        (QueueFullError(9), 429, "too_many_requests"),
        (SchemaOutdatedError(None, "1"), 503, "schema_outdated"),
        (FencedError("R"), 400, "run_fenced"),
    ],
)
def test_error_has_its_status_and_code(error: GreenroomError, status: int, code: str) -> None:
    """Each error has one status and one wire code, and its own text."""
    answer = answer_for(error)
    assert (answer.status, answer.code, answer.message) == (status, code, str(error))


@pytest.mark.parametrize("error", [SnapshotVersionError(2, 1), ValueError("password"), KeyError("x")])
def test_fault_of_ours_has_no_text(error: Exception) -> None:
    """A defect and an unexpected error are a 500 that says nothing."""
    assert answer_for(error) == UNKNOWN
    assert "password" not in str(error_event(error, None))


def test_error_of_another_process_is_told_by_its_cause() -> None:
    """An error that wraps one of ours is answered from that one, without the remote traceback."""

    class RemoteError(FormExpiredError):
        cause = FormExpiredError("F")

        def __str__(self) -> str:
            return "Traceback ..."

    assert answer_for(RemoteError("F")).message == "This form has expired, form_id=F"


def test_message_that_quotes_megabytes_is_cut() -> None:
    """What a client sent comes back to it at reasonable length only."""
    message = answer_for(InvalidSubmissionError("Invalid action: " + "a" * 1_000_000)).message
    assert message.startswith("Invalid action: aaa")
    assert len(message) == MESSAGE_LENGTH + 1


def test_client_learns_nothing_of_the_database_that_is_away() -> None:
    """Drivers name hosts, sockets and folders; a client is told to come again."""
    answer = answer_for(StoreUnavailableError("connection to server on socket /var/run/db failed"))
    assert (answer.status, answer.code, answer.headers) == (503, "store_unavailable", {"Retry-After": "1"})
    assert answer.message == "The store is not available now; try again later."
