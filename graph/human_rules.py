"""What Greenroom adds to the language for people: ``data.greenroom`` of a human-input node, ``greenroom`` of a file.

Both mappings are strict: an unknown key is an import fault. A file without them behaves as in Dify.

People are named by the e-mail address of their account, or as ``group:NAME`` with the groups of the file. Durations
are a number and a unit: ``30m``, ``2h``, ``3d``, ``45s``.

Source: spec/beyond.md 1.
"""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

_DURATION: Final = re.compile(r"(\d{1,6})\s*([smhd])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_GROUP: Final = "group:"


def _duration_s(value: Any) -> float:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError("must be a duration such as 30m, 2h or 3d")
    return float(int(match[1]) * _UNIT_S[match[2]])


Duration = Annotated[float, BeforeValidator(_duration_s)]
"""Seconds, written as a number and a unit."""
Person = Annotated[str, Field(min_length=1, max_length=254)]
"""An e-mail address of an account, or ``group:NAME``."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Approval(_Strict):
    """Who decides, and how many of them. With it only people who have logged in count, each once.

    ``approvers``: who may decide; empty: every account of the workspace. ``quorum``: how many must choose the same
    action. ``each_group``: also one of each group named in ``approvers``. ``reject``: ids of actions that reject;
    one of them decides at once, unless ``first_rejection`` is ``counts`` (then it needs the quorum too).
    ``self_approval``: whether the person who started the run may decide.
    """

    approvers: tuple[Person, ...] = ()
    quorum: int = Field(1, ge=1, le=100)
    each_group: StrictBool = False
    reject: tuple[str, ...] = ()
    first_rejection: Literal["decides", "counts"] = "decides"
    self_approval: StrictBool = True


class Reminder(_Strict):
    """One more notification to everybody who may still answer. Exactly one of the two is given."""

    after: Duration | None = None
    before_deadline: Duration | None = None

    @model_validator(mode="after")
    def _one_moment(self) -> "Reminder":
        if (self.after is None) == (self.before_deadline is None):
            raise ValueError("give exactly one of after and before_deadline")
        return self


class Escalation(_Strict):
    """A step of the chain: ``after`` the opening, if the form still waits, ``to`` are asked as well."""

    after: Duration
    to: tuple[Person, ...] = Field(min_length=1)


class FormRules(_Strict):
    """``data.greenroom`` of a human-input node.

    ``idempotent``: the same answer by the same recipient again is answered as the first was. ``mcp_link``: an agent
    that has started the run through MCP is given the link of the node's web app. ``stand_ins``: person -> who is asked
    in their place too. ``transfer``: whether an approver may hand the form to somebody else.
    """

    idempotent: StrictBool = False
    mcp_link: StrictBool = False
    approval: Approval | None = None
    reminders: tuple[Reminder, ...] = Field((), max_length=10)
    escalation: tuple[Escalation, ...] = Field((), max_length=10)
    stand_ins: dict[Person, Person] = Field(default_factory=dict)
    transfer: StrictBool = True


class Webhook(_Strict):
    """Where events of the app's runs are sent. ``secret_env``: the environment variable with the signing secret.

    Its name has a prefix of its own, so that a file cannot have other secrets of the environment used as a key.
    """

    url: str = Field(pattern=r"^https?://.+")
    events: tuple[Literal["run.paused", "form.decided", "run.resumed", "run.finished"], ...] = Field(min_length=1)
    secret_env: str = Field(pattern=r"^GREENROOM_WEBHOOK_[A-Z0-9_]+$", max_length=255)


class AppRules(_Strict):
    """``greenroom`` of a workflow file. ``groups``: name -> e-mail addresses of accounts."""

    groups: dict[str, tuple[Person, ...]] = Field(default_factory=dict)
    webhooks: tuple[Webhook, ...] = Field((), max_length=10)


def group_of(person: str) -> str | None:
    """Return the name of the group that ``person`` stands for, None for an address."""
    return person.removeprefix(_GROUP) if person.startswith(_GROUP) else None
