"""What a form token stands for at the surface where it is shown.

Unknown, malformed, foreign, revoked and outdated tokens all look alike, and each costs one hash and one look-up.
"""

from hitl.errors import FormNotFoundError
from hitl.form_token import Purpose, hash_token
from hitl.policy import honours, may_act
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

    Source: spec/hitl.md 1.8, spec/beyond.md 2.
    """
    # What was minted for elsewhere is not found either: so no miss reads more than another.
    match = await ports.forms.by_token(hash_token(token), honours(at), (purpose,))
    if match is None or not _opens(match, at, app_id, purpose):
        raise FormNotFoundError()
    return match


def _opens(match: TokenMatch, at: Surface, app_id: str | None, purpose: Purpose) -> bool:
    recipient = match.recipient
    return (
        (app_id is None or match.form.app_id == app_id)
        and match.purpose == purpose
        and recipient.is_active
        and match.generation == recipient.generation
        and may_act(recipient.type, Surface(match.surface), at)
    )
