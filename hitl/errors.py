"""What can be wrong with a form, an answer or the set-up of form tokens. No text here ever holds a form token."""

from typing import ClassVar

from graph.errors import DefectError, RefusedError


class FormNotFoundError(RefusedError):
    """No form for this token or id here; unknown, foreign, malformed and revoked tokens all look like this."""

    code = "not_found"

    def __str__(self) -> str:
        return "Form not found"


class FormAlreadySubmittedError(RefusedError):
    """The form has its answer; there is nothing left to do for the submitter."""

    code = "human_input_form_submitted"

    def __init__(self, form_id: str) -> None:
        super().__init__(form_id)
        self.form_id = form_id

    def __str__(self) -> str:
        return f"This form has already been submitted by another user, form_id={self.form_id}"


class FormExpiredError(RefusedError):
    """A deadline of the form has passed or its run has ended; the answer comes too late."""

    code = "human_input_form_expired"

    def __init__(self, form_id: str) -> None:
        super().__init__(form_id)
        self.form_id = form_id

    def __str__(self) -> str:
        return f"This form has expired, form_id={self.form_id}"


class FormClaimedError(RefusedError):
    """Another account has claimed the form; the caller waits until it is released or the claim runs out."""

    code = "form_claimed"

    def __init__(self, form_id: str, account_id: str, expires_at: float) -> None:
        super().__init__(form_id, account_id, expires_at)
        self.form_id = form_id
        self.account_id = account_id
        self.expires_at = expires_at

    def __str__(self) -> str:
        return f"This form is claimed by another account until {int(self.expires_at)}, form_id={self.form_id}"


class TransferRefusedError(RefusedError):
    """The form is not this account's to hand on; somebody who is asked, an owner or an admin does it."""

    code = "transfer_refused"

    def __init__(self, form_id: str, reason: str) -> None:
        super().__init__(form_id, reason)
        self.form_id = form_id
        self.reason = reason

    def __str__(self) -> str:
        return f"This form cannot be handed on: {self.reason}, form_id={self.form_id}"


class PersonNotFoundError(RefusedError):
    """No account of the workspace has this address; the caller names one that has."""

    code = "person_not_found"

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address

    def __str__(self) -> str:
        return f"no account of this workspace has the address {self.address!r}"


class InvalidSubmissionError(RefusedError):
    """The answer does not fit the form, which stays open; the submitter corrects the answer."""

    code = "invalid_form_data"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class FormChangedError(RefusedError):
    """The answer was given to another content than the form's; the submitter reads the form again and decides anew."""

    code = "form_changed"

    def __init__(self, form_id: str) -> None:
        super().__init__(form_id)
        self.form_id = form_id

    def __str__(self) -> str:
        return f"This form asks something else than what was answered; please read it again, form_id={self.form_id}"


class NotAnApproverError(RefusedError):
    """The form counts only approvers who have logged in, and this is none of them; one of them answers it."""

    code = "not_an_approver"

    def __init__(self, form_id: str) -> None:
        super().__init__(form_id)
        self.form_id = form_id

    def __str__(self) -> str:
        return f"This form is decided by its approvers, logged in; you are none of them, form_id={self.form_id}"


class SelfApprovalError(RefusedError):
    """Whoever started the run may not decide its form; another approver does."""

    code = "self_approval_forbidden"

    def __init__(self, form_id: str) -> None:
        super().__init__(form_id)
        self.form_id = form_id

    def __str__(self) -> str:
        return f"You have started this run, so another approver must decide, form_id={self.form_id}"


class AlreadyVotedError(RefusedError):
    """The person has voted on this form, and votes are not changed; the others are waited for."""

    code = "already_voted"

    def __init__(self, form_id: str) -> None:
        super().__init__(form_id)
        self.form_id = form_id

    def __str__(self) -> str:
        return f"You have voted on this form; it waits for other approvers, form_id={self.form_id}"


class IdempotencyKeyReusedError(RefusedError):
    """The key came with another answer before; the caller makes a new key for a new answer."""

    code = "idempotency_key_reused"

    def __init__(self, form_id: str) -> None:
        super().__init__(form_id)
        self.form_id = form_id

    def __str__(self) -> str:
        return f"This Idempotency-Key was used for another answer to this form, form_id={self.form_id}"


class RecipientSurfaceMismatchError(RefusedError):
    """The form exists for this caller, but its recipient answers on another surface; the caller goes there."""

    code = "recipient_surface_mismatch"
    hint: ClassVar[str] = "Answer it in the web app or in the console."
    """Where the caller can go instead."""

    def __str__(self) -> str:
        return "The recipient of this form cannot answer through this API"


class UnsoundPolicyError(DefectError):
    """The policy table would emit what it does not accept, or has a gap; a developer corrects the table."""

    code = "unsound_policy"

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault

    def __str__(self) -> str:
        return f"the form policy is unsound: {self.fault}"


class ShortTokenKeyError(RefusedError):
    """The configured form token key is too short to be safe; whoever runs Greenroom replaces it."""

    code = "short_token_key"

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.size_bytes = size_bytes

    def __str__(self) -> str:
        return f"the form token key has {self.size_bytes} bytes; at least 32 random bytes are needed"


class InvalidReceiptError(RefusedError):
    """The receipt was not made by the holder of the key, or was changed since; who relies on it asks for another."""

    code = "invalid_receipt"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the receipt is not valid: {self.reason}"


class InvalidReceiptKeyError(RefusedError):
    """The file holds no public key of receipts; the caller names what ``greenroom receipt key`` has printed."""

    code = "invalid_receipt_key"

    def __str__(self) -> str:
        return "the key file holds no Ed25519 public key in PEM"


class FormUndecidedError(RefusedError):
    """The form has no answer, so there is nothing to state; the caller waits, or finds that it never gets one."""

    code = "form_undecided"

    def __init__(self, form_id: str, status: str) -> None:
        super().__init__(form_id, status)
        self.form_id = form_id
        self.status = status

    def __str__(self) -> str:
        return f"form {self.form_id} has no answer: it is {self.status}"
