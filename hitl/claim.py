"""Claims: an account says that it will answer a form, and for a while no other account can.

A claim is about accounts. Whoever holds a form's link can answer all the same: a link names nobody, and the person
behind it cannot see who has claimed what.
"""

from dataclasses import dataclass

from hitl.errors import FormClaimedError


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose a form is for now. ``expires_at``: Unix seconds; from then on the claim counts no more."""

    form_id: str
    account_id: str
    at: float
    expires_at: float

    def is_living(self, now: float) -> bool:
        """Whether it still counts."""
        return now < self.expires_at


def check_claim(claim: Claim | None, account_id: str | None, now: float) -> None:
    """Return when ``claim`` does not keep ``account_id`` from the form; None, who comes by a link, is never kept.

    Raises:
        FormClaimedError: another account has claimed it.
    """
    if claim is not None and account_id is not None and account_id != claim.account_id and claim.is_living(now):
        raise FormClaimedError(claim.form_id, claim.account_id, claim.expires_at)


def claimed(claim: Claim | None, form_id: str, account_id: str, now: float, lifetime_s: float) -> tuple[Claim, bool]:
    """Return the claim of ``account_id`` and whether it is a new one; its own living claim is extended.

    Raises:
        FormClaimedError: another account has claimed it.
    """
    check_claim(claim, account_id, now)
    is_new = claim is None or claim.account_id != account_id or not claim.is_living(now)
    begun_at = now if claim is None or is_new else claim.at
    return Claim(form_id, account_id, begun_at, now + lifetime_s), is_new
