"""Who may answer a form: the kinds of recipients, each with its approval channel, and which of them a form gets.

What a recipient may do on which surface is not decided here but in ``hitl.policy``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from hitl.form import FormKind

DEBUGGER = "debugger"
"""Invoke source of a run that its author tries out in the editor."""
EXPLORE = "explore"
"""Invoke source of a run of an installed app inside the console."""
MCP = "mcp"
"""Invoke source of a run that an agent has started through MCP."""


class ApprovalChannel(StrEnum):
    """Where a person can decide, as told to callers that cannot."""

    CONSOLE = "console"
    EMAIL = "email"
    WEB_APP = "web_app"


class ChannelledType(StrEnum):
    """A string enum whose members are declared as ``NAME = "value", ApprovalChannel.X``.

    A member without its channel fails when the class is created, that is at import: so no recipient can exist
    that is hidden from the channels a caller is told.
    """

    channel: ApprovalChannel

    def __new__(cls, value: str, channel: ApprovalChannel) -> "ChannelledType":
        """Make one member; both parts are required."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.channel = ApprovalChannel(channel)
        return member


class RecipientType(ChannelledType):
    """How a person is reached, with the approval channel this is called to the outside."""

    EMAIL_MEMBER = "email_member", ApprovalChannel.EMAIL
    """A member of the workspace, by e-mail."""
    EMAIL_EXTERNAL = "email_external", ApprovalChannel.EMAIL
    """An address outside, by e-mail."""
    STANDALONE_WEB_APP = "standalone_web_app", ApprovalChannel.WEB_APP
    """Whoever uses the published app: the node's web-app delivery."""
    CONSOLE = "console", ApprovalChannel.CONSOLE
    """The person who runs the app inside the console."""
    BACKSTAGE = "backstage", ApprovalChannel.CONSOLE
    """The inbox inside the console; every form of a run has it."""


RecipientState = Literal["active", "revoked"]


@dataclass(frozen=True, slots=True)
class Recipient:
    """One way to reach a person for one form; its tokens are derived, see ``hitl.form_token``.

    ``generation`` rises when its tokens are issued anew, which ends the earlier ones. ``payload``: as in
    ``RecipientSpec``.
    """

    recipient_id: str
    form_id: str
    type: RecipientType
    state: RecipientState = "active"
    generation: int = 1
    payload: dict[str, Any] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """Whether its tokens are worth anything; a revoked recipient is as good as absent."""
        return self.state == "active"

    @property
    def is_for_agents(self) -> bool:
        """Whether its token may be given to an agent: its node says ``mcp_link``, and an agent has started the run."""
        return self.payload.get("mcp_link") is True


@dataclass(frozen=True, slots=True)
class RecipientSpec:
    """A recipient that a form is to get, still without ids.

    ``payload``: ``{user_id, email}`` for a member, ``{email}`` for an outside address, both with the
    ``delivery_method_id`` whose text they are sent; ``{account_id}`` (or null) for console and backstage; for the web
    app empty, or ``{mcp_link: true}`` where agents may be given its token.
    """

    type: RecipientType
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActingAccount:
    """The account on whose behalf a run was started."""

    account_id: str


@dataclass(frozen=True, slots=True)
class Member:
    """An account of the workspace and where mail reaches it."""

    account_id: str
    email: str


def display_in_ui(delivery_methods: Sequence[Mapping[str, Any]], invoke_source: str | None) -> bool:
    """Return whether a client should show the form itself.

    True for a run in the debugger; otherwise exactly when the node has an enabled web-app method.

    Source: spec/hitl.md 1.12.
    """
    return invoke_source == DEBUGGER or _has_web_app(delivery_methods)


def recipients_for(
    delivery_methods: Sequence[Mapping[str, Any]],
    invoke_source: str | None,
    actor: ActingAccount | None,
    members: Sequence[Member],
    kind: FormKind = "runtime",
    *,
    mcp_link: bool = False,
) -> list[RecipientSpec]:
    """Return the recipients of a new form, in the order of the methods, console and backstage last.

    Args:
        delivery_methods: the node's list as in its file; methods that are off count for nothing. Its shape is
            checked when a workflow is saved: what does not have the shape here reaches nobody.
        invoke_source: how the run was started (``debugger``, ``explore`` or any other word), None when unknown.
        actor: the account that started the run, None when an end user or nobody known did.
        members: every account of the workspace, in a stable order.
        kind: forms of a delivery test get neither console nor backstage.
        mcp_link: whether the node lets an agent have the link of the web app.

    Source: spec/hitl.md 1.11; that a run of an agent has its recipients like any published run, and its web app's
    token only with ``mcp_link``, is spec/beyond.md 2.
    """
    specs: list[RecipientSpec] = []
    for method in _enabled(delivery_methods):
        if method.get("type") == "webapp" and invoke_source not in (DEBUGGER, EXPLORE):
            marked = {"mcp_link": True} if mcp_link and invoke_source == MCP else {}
            specs.append(RecipientSpec(RecipientType.STANDALONE_WEB_APP, marked))
        elif method.get("type") == "email":
            sent = {"delivery_method_id": str(method.get("id") or "")}
            for spec in _email_recipients(_email_config(method, invoke_source, actor), members):
                specs.append(RecipientSpec(spec.type, spec.payload | sent))
    if kind == "runtime":
        account = {"account_id": actor.account_id if actor else None}
        in_console = invoke_source == EXPLORE and _has_web_app(delivery_methods)
        if invoke_source == DEBUGGER or in_console:
            specs.append(RecipientSpec(RecipientType.CONSOLE, dict(account)))
        if invoke_source is not None or actor is not None:
            specs.append(RecipientSpec(RecipientType.BACKSTAGE, dict(account)))
    return specs


def _enabled(delivery_methods: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    return (method for method in delivery_methods if isinstance(method, Mapping) and method.get("enabled", True))


def _has_web_app(delivery_methods: Iterable[Mapping[str, Any]]) -> bool:
    return any(method.get("type") == "webapp" for method in _enabled(delivery_methods))


def _email_config(
    method: Mapping[str, Any], invoke_source: str | None, actor: ActingAccount | None
) -> Mapping[str, Any]:
    """Return who an e-mail method addresses: ``whole_workspace`` and ``items``, debug mode applied."""
    config = _mapping(method.get("config"))
    if invoke_source == DEBUGGER and config.get("debug_mode"):
        return {"items": [{"type": "member", "user_id": actor.account_id}] if actor else []}
    return _mapping(config.get("recipients"))


def _email_recipients(addressed: Mapping[str, Any], members: Sequence[Member]) -> Iterator[RecipientSpec]:
    """Yield members first, then outside addresses, each address once."""
    items = [item for item in addressed.get("items") or () if isinstance(item, Mapping)]
    seen: set[str] = set()
    for member in _addressed_members(addressed, items, members):
        email = member.email.strip()
        if email and email not in seen:
            seen.add(email)
            yield RecipientSpec(RecipientType.EMAIL_MEMBER, {"user_id": member.account_id, "email": email})
    for item in items:
        email = str(item.get("email") or "").strip()
        if item.get("type") == "external" and email and email not in seen:
            seen.add(email)
            yield RecipientSpec(RecipientType.EMAIL_EXTERNAL, {"email": email})


def _addressed_members(
    addressed: Mapping[str, Any], items: Sequence[Mapping[str, Any]], members: Sequence[Member]
) -> Iterable[Member]:
    """Return every member for "whole workspace", else the listed accounts that do belong to the workspace."""
    # Two spellings of each key are in files: the later one says bound group and reference.
    if addressed.get("whole_workspace") or addressed.get("include_bound_group"):
        return members
    by_id = {member.account_id: member for member in members}
    listed = [item.get("user_id") or item.get("reference_id") for item in items if item.get("type") == "member"]
    return [by_id[account_id] for account_id in listed if account_id in by_id]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
