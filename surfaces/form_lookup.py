"""What a form token stands for at the surface where it is shown.

Unknown, malformed, foreign, revoked and outdated tokens all look alike, and each costs one hash and one look-up. Where
the policy says so, whoever may see the form is told that their token belongs to another surface.
"""

from hitl.errors import FormNotFoundError, RecipientSurfaceMismatchError
from hitl.form_token import Purpose, hash_token
from hitl.policy import honours, may_act, tells_elsewhere
from hitl.surface import Surface
from store.form_record import TokenMatch
from surfaces.ports import SurfacePorts


async def form_of_token(
    token: str, at: Surface, ports: SurfacePorts, app_id: str | None = None, purpose: Purpose = Purpose.SUBMIT
) -> TokenMatch:
    """Return the form and the recipient of ``token``.

    Args:
        token: as it came, whatever it is.
        at: the surface that was asked.
        ports: where tokens are looked up.
        app_id: the app of the caller, where the surface knows it; a form of another app is not found.
        purpose: what the caller wants to do.

    Raises:
        FormNotFoundError: the token opens nothing here.
        RecipientSurfaceMismatchError: it is a good token of another surface, and this one tells so.

    Source: spec/hitl.md 1.8, spec/beyond.md 2.
    """
    # What was minted for elsewhere is not found either: so no miss reads more than another.
    is_told = tells_elsewhere(at)
    match = await ports.forms.by_token(hash_token(token), tuple(Surface) if is_told else honours(at), (purpose,))
    if match is None or not _stands(match, app_id, purpose):
        raise FormNotFoundError()
    if not may_act(match.recipient.type, Surface(match.surface), at):
        raise RecipientSurfaceMismatchError() if is_told else FormNotFoundError()
    return match


def _stands(match: TokenMatch, app_id: str | None, purpose: Purpose) -> bool:
    recipient = match.recipient
    return (
        (app_id is None or match.form.app_id == app_id)
        and match.purpose == purpose
        and recipient.is_active
        and match.generation == recipient.generation
    )
