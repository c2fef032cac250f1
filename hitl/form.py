"""A form: what is asked, of which run, until when, and whether it still waits.

Times are Unix seconds as floats. Which transitions a form can make is decided in ``hitl.form_state``.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

FormKind = Literal["runtime", "delivery_test"]
"""``runtime``: a node of a run asks; ``delivery_test``: an author tries out the delivery, no run waits."""


class FormStatus(StrEnum):
    """Whether a form waits, or how it ended; every status but ``waiting`` is final."""

    WAITING = "waiting"
    SUBMITTED = "submitted"
    """Answered: the run goes on behind the chosen action."""
    TIMEOUT = "timeout"
    """The node deadline passed: the run goes on behind its timeout edge."""
    EXPIRED = "expired"
    """The global deadline passed or the run was stopped: the run does not go on."""


@dataclass(frozen=True, slots=True)
class FormDefinition:
    """What is asked, as it stood when the form was opened; answers are checked against this.

    ``form_content``: markdown with variables filled in and input placeholders left in place. ``inputs`` and
    ``actions``: wire shapes, select options resolved. ``resolved_default_values``: input name -> value, only for
    defaults that come from a variable. ``is_idempotent``: the same answer again is answered as the first was.
    ``approval``: what ``hitl.approval.Terms`` is read from; None: the first answer decides.
    ``may_transfer``: whether it can be handed on.

    Not asked, but told: ``mails``: delivery method id -> ``subject`` and ``body``, variables filled in; ``webhooks``:
    ``url`` and ``secret_env`` of whom the app tells that the form was decided.
    """

    form_content: str
    inputs: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, Any]] = field(default_factory=list)
    resolved_default_values: dict[str, Any] = field(default_factory=dict)
    node_id: str = ""
    node_title: str = ""
    display_in_ui: bool = False
    is_idempotent: bool = False
    approval: dict[str, Any] | None = None
    may_transfer: bool = True
    mails: dict[str, dict[str, str]] = field(default_factory=dict)
    webhooks: list[dict[str, str]] = field(default_factory=list)

    @property
    def needs_login(self) -> bool:
        """Whether only people count who have logged in."""
        return self.approval is not None

    @property
    def only_asked(self) -> bool:
        """Whether of these only those count whom the form asks in person."""
        return self.approval is not None and bool(self.approval["rules"]["approvers"])


@dataclass(frozen=True, slots=True)
class Form:
    """One question of one node execution.

    ``expires_at``: the node deadline; ``global_expires_at``: the deadline after which the run is given up, None
    where there is none. ``invoke_source``: how the run was started, None when unknown. ``closed_at``: when the
    form left ``waiting``.
    """

    form_id: str
    workspace_id: str
    app_id: str
    run_id: str | None
    node_id: str
    execution_id: str
    kind: FormKind
    definition: FormDefinition
    status: FormStatus
    created_at: float
    expires_at: float
    global_expires_at: float | None = None
    invoke_source: str | None = None
    closed_at: float | None = None
