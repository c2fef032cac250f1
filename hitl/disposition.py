"""What a form looks like from one surface: the form token that works there, and the channels elsewhere.

Live streams, blocking replies and reconnect snapshots all project these two fields from here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hitl.form_token import Purpose, TokenKey, derive_token
from hitl.policy import is_emitted, is_shown
from hitl.recipient import Recipient, RecipientType
from hitl.surface import Surface

_PRIORITY: Final[Mapping[RecipientType, int]] = {
    RecipientType.BACKSTAGE: 0,
    RecipientType.CONSOLE: 1,
    RecipientType.STANDALONE_WEB_APP: 2,
}
"""The lower number supplies the token. E-mail types are absent: their tokens travel by mail alone."""


@dataclass(frozen=True, slots=True)
class Disposition:
    """A usable form token or None, and the labels of the channels on which others can decide, sorted."""

    form_token: str | None = field(default=None, repr=False)
    approval_channels: list[str] = field(default_factory=list)


def disposition_for_surface(
    recipients: Sequence[tuple[RecipientType, str]], surface: Surface | None, kept_back: Iterable[RecipientType] = ()
) -> Disposition:
    """Return what a form with these recipients looks like from ``surface``.

    Args:
        recipients: (type, token) pairs in a stable order; an empty token is never given out.
        surface: where the answer is shown. None weighs all recipients and names no channels; no port takes None,
            since without a surface no token is ever derived.
        kept_back: the types of further recipients, whose tokens are not shown there although their type is.

    Source: spec/hitl.md 1.3 and 1.4.
    """
    if surface is None:
        return Disposition(_preferred_token(recipients))
    usable = [pair for pair in recipients if is_emitted(pair[0], surface)]
    others = [*(kind for kind, _ in recipients if not is_emitted(kind, surface)), *kept_back]
    return Disposition(_preferred_token(usable), sorted({str(kind.channel) for kind in others}))


def dispositions(
    recipients: Mapping[str, Sequence[Recipient]], surface: Surface, key: TokenKey
) -> dict[str, Disposition]:
    """Return form id -> what the form looks like from ``surface``, with tokens derived for it.

    Revoked recipients give neither token nor channel. A form without any recipient is absent.

    Args:
        recipients: form id -> its recipients.
        surface: where the answer is shown.
        key: the token key.

    Source: spec/hitl.md 1.5.
    """
    return {form_id: _disposition(of_form, surface, key) for form_id, of_form in recipients.items() if of_form}


def enrich_reason(
    reason: dict[str, Any], by_form: Mapping[str, Disposition], expiration_times: Mapping[str, float]
) -> dict[str, Any]:
    """Return a pause reason with ``form_token``, ``approval_channels`` and, when known, ``expiration_time`` added.

    Only a reason of TYPE ``human_input_required`` with a form id is changed (in a copy); any other is returned as
    it is.

    Args:
        reason: the pause reason, JSON object.
        by_form: form id -> disposition; an absent form has no token and no channels.
        expiration_times: form id -> node deadline, Unix seconds.

    Source: spec/hitl.md 1.7.
    """
    form_id = reason.get("form_id")
    if reason.get("TYPE") != "human_input_required" or not isinstance(form_id, str):
        return reason
    found = by_form.get(form_id, Disposition())
    enriched = {**reason, "form_token": found.form_token, "approval_channels": list(found.approval_channels)}
    if form_id in expiration_times:
        enriched["expiration_time"] = int(expiration_times[form_id])
    return enriched


def _disposition(recipients: Sequence[Recipient], surface: Surface, key: TokenKey) -> Disposition:
    shown, kept_back = [], []
    for each in recipients:
        if each.is_active and is_emitted(each.type, surface) and not is_shown(each, surface):
            kept_back.append(each.type)
        elif each.is_active:
            shown.append((each.type, _token_on(each, surface, key)))
    return disposition_for_surface(shown, surface, kept_back)


def _preferred_token(recipients: Iterable[tuple[RecipientType, str]]) -> str | None:
    """Return the token of highest priority; the first of equals, none of an empty token or without priority."""
    ranked = [(_PRIORITY[kind], token) for kind, token in recipients if token and kind in _PRIORITY]
    return min(ranked, key=lambda entry: entry[0])[1] if ranked else None


def _token_on(recipient: Recipient, surface: Surface, key: TokenKey) -> str:
    """Return the recipient's token on ``surface``, "" where that surface is not given one."""
    if not is_shown(recipient, surface):
        return ""
    return derive_token(key, Purpose.SUBMIT, recipient.form_id, recipient.recipient_id, surface, recipient.generation)
