"""The one table of who may act where: surface x recipient type -> what is emitted, what is accepted.

Emitting a form token, naming approval channels and accepting an answer all ask this table, so whatever a surface
is given, it can use. The import of this module checks that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hitl.errors import UnsoundPolicyError
from hitl.recipient import ApprovalChannel, Recipient, RecipientType
from hitl.surface import Surface

_WEB_APP: Final = frozenset({RecipientType.STANDALONE_WEB_APP})
_EMAIL: Final = frozenset({RecipientType.EMAIL_MEMBER, RecipientType.EMAIL_EXTERNAL})
_IN_CONSOLE: Final = frozenset({RecipientType.CONSOLE, RecipientType.BACKSTAGE})


@dataclass(frozen=True, slots=True)
class SurfacePolicy:
    """One row of the table.

    ``emits``: the types whose tokens callers of the surface are shown. ``accepts``: the types whose tokens they
    may read and submit with. ``honours``: the surfaces whose tokens work here (a token is minted for one).
    ``has_login``: whoever acts there is an account that has logged in. ``tells_elsewhere``: whoever may see the form is
    told that the token which they hold belongs to another surface; elsewhere it is not found. ``is_for_agents``: its
    callers are programs that could approve what they do themselves; they are shown the tokens of recipients that are
    for agents only.
    """

    emits: frozenset[RecipientType]
    accepts: frozenset[RecipientType]
    honours: frozenset[Surface]
    has_login: bool = False
    tells_elsewhere: bool = False
    is_for_agents: bool = False


# The public page honours the tokens of API keys, bearers and agents: their callers pass the link on to people.
# E-mail tokens are accepted there and emitted nowhere: only the mail carries them.
POLICY: Final[Mapping[Surface, SurfacePolicy]] = MappingProxyType({
    Surface.SERVICE_API: SurfacePolicy(
        emits=_WEB_APP,
        accepts=_WEB_APP,
        honours=frozenset({Surface.SERVICE_API}),
    ),
    Surface.OPENAPI: SurfacePolicy(
        emits=_WEB_APP,
        accepts=_WEB_APP,
        honours=frozenset({Surface.OPENAPI}),
        tells_elsewhere=True,
    ),
    Surface.WEB: SurfacePolicy(
        emits=_WEB_APP,
        accepts=_WEB_APP | _EMAIL,
        honours=frozenset({Surface.WEB, Surface.SERVICE_API, Surface.OPENAPI, Surface.MCP}),
    ),
    Surface.CONSOLE: SurfacePolicy(
        emits=_IN_CONSOLE,
        accepts=_IN_CONSOLE,
        honours=frozenset({Surface.CONSOLE}),
        has_login=True,
    ),
    # Nothing is answered through MCP itself: a link that is given there opens the public page.
    Surface.MCP: SurfacePolicy(
        emits=_WEB_APP,
        accepts=_WEB_APP,
        honours=frozenset({Surface.MCP}),
        is_for_agents=True,
    ),
})  # fmt: skip
"""Surface -> its row. Source: spec/hitl.md 1.2 and design/architecture.md 4."""


def check_policy(policy: Mapping[Surface, SurfacePolicy]) -> None:
    """Return when ``policy`` is sound; called for POLICY at import.

    Raises:
        UnsoundPolicyError: a surface has no row, would emit what it (or a surface that honours its tokens) does
            not accept, or a recipient type can act nowhere.
    """
    for surface in Surface:
        if surface not in policy:
            raise UnsoundPolicyError(f"surface {surface} has no row")
    for surface, row in policy.items():
        if surface not in row.honours:
            raise UnsoundPolicyError(f"{surface} does not honour its own tokens")
        for source in row.honours:
            refused = sorted(policy[source].emits - row.accepts)
            if refused:
                raise UnsoundPolicyError(f"{source} emits {', '.join(refused)} that {surface} does not accept")
    for recipient_type in RecipientType:
        if not any(recipient_type in row.accepts for row in policy.values()):
            raise UnsoundPolicyError(f"{recipient_type} is accepted nowhere")


check_policy(POLICY)


def emits(surface: Surface) -> frozenset[RecipientType]:
    """Return the recipient types whose form tokens callers of ``surface`` are shown."""
    return POLICY[surface].emits


def accepts(surface: Surface) -> frozenset[RecipientType]:
    """Return the recipient types that may read and answer forms on ``surface``."""
    return POLICY[surface].accepts


def honours(surface: Surface) -> tuple[Surface, ...]:
    """Return the surfaces whose tokens work on ``surface``, in a stable order."""
    return tuple(each for each in Surface if each in POLICY[surface].honours)


def tells_elsewhere(surface: Surface) -> bool:
    """Return whether ``surface`` tells who may see a form that their token belongs to another surface."""
    return POLICY[surface].tells_elsewhere


def is_emitted(recipient_type: RecipientType | None, surface: Surface) -> bool:
    """Return whether callers of ``surface`` are shown tokens of ``recipient_type``; False for None."""
    return recipient_type is not None and recipient_type in emits(surface)


def is_shown(recipient: Recipient, surface: Surface) -> bool:
    """Return whether callers of ``surface`` are shown the token of this recipient.

    Its type must be emitted there; and an agent, who would approve itself, is shown it only where that is allowed.

    Source: spec/beyond.md 2.
    """
    is_kept_back = POLICY[surface].is_for_agents and not recipient.is_for_agents
    return is_emitted(recipient.type, surface) and not is_kept_back


def is_accepted(recipient_type: RecipientType | None, surface: Surface) -> bool:
    """Return whether ``recipient_type`` may act on ``surface``; False for None."""
    return recipient_type is not None and recipient_type in accepts(surface)


def has_login(recipient_type: RecipientType) -> bool:
    """Return whether a recipient of this type acts only where accounts log in, so that it is known who decides.

    A form with approval rules has recipients of such types only: then no token exists that anybody could pass on.

    Source: spec/beyond.md 1, row 5.
    """
    return all(row.has_login for row in POLICY.values() if recipient_type in row.accepts)


def may_act(recipient_type: RecipientType | None, minted_for: Surface, at: Surface) -> bool:
    """Return whether a token of ``recipient_type`` that was minted for one surface works ``at`` another.

    This is the question an endpoint asks about a token it has found: the recipient must be accepted there, and the
    token must be one that the surface honours.
    """
    return is_accepted(recipient_type, at) and minted_for in POLICY[at].honours


def token_surfaces(recipient: Recipient) -> tuple[Surface, ...]:
    """Return the surfaces for which a recipient gets a token, in the order of ``Surface``.

    These are the surfaces whose callers are shown it, and for an e-mail recipient the web, whose link the mail carries.
    """
    by_mail = recipient.type.channel == ApprovalChannel.EMAIL
    return tuple(
        surface
        for surface in Surface
        if is_accepted(recipient.type, surface)
        and (is_shown(recipient, surface) or (by_mail and surface is Surface.WEB))
    )
