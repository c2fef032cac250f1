"""When something happens to a form that nobody answers: its reminders and the steps of its escalation, in order.

Computed once, when the form opens; every moment lies between the opening and the earlier deadline. A store keeps the
moments and how many have passed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from graph.human_rules import FormRules, Reminder
from hitl.addressing import addresses, with_stand_ins

MomentKind = Literal["reminder", "escalation"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that is to happen ``at`` (Unix seconds). ``to``: addresses that an escalation asks as well."""

    at: float
    kind: MomentKind
    to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passed:
    """What is to be done now.

    ``is_reminder``: everybody who may still answer is reminded, once, however many reminders have passed. ``to``:
    the addresses of every escalation that has passed. ``count``: how many moments have passed, over all.
    ``next_at``: when the following one is due, None after the last.
    """

    is_reminder: bool
    to: tuple[str, ...]
    count: int
    next_at: float | None


def schedule(
    opened_at: float, deadline: float, rules: FormRules, groups: Mapping[str, Sequence[str]]
) -> tuple[Moment, ...]:
    """Return the moments of a form, soonest first; those at or before the opening or from the deadline on are none.

    Of moments at the same time the reminder comes first: whoever is asked then needs no reminder.

    Args:
        opened_at: Unix seconds.
        deadline: the earlier of the form's two deadlines, Unix seconds.
        rules: the node's rules.
        groups: the groups of the workflow file, name -> addresses.

    Source: spec/beyond.md 1, row 7.
    """
    reminders = {_reminder_at(each, opened_at, deadline) for each in rules.reminders}
    moments = [Moment(at, "reminder") for at in reminders]
    for step in rules.escalation:
        to = with_stand_ins(addresses(step.to, groups), rules.stand_ins, groups)
        moments.append(Moment(opened_at + step.after, "escalation", to))
    within = [moment for moment in moments if opened_at < moment.at < deadline]
    return tuple(sorted(within, key=lambda moment: (moment.at, moment.kind != "reminder")))


def passed(moments: Sequence[Moment], count: int, now: float) -> Passed | None:
    """Return what is to be done at ``now`` for the moments that have passed; None if none has.

    Args:
        moments: of the form, soonest first.
        count: how many of them were dealt with before.
        now: Unix seconds.
    """
    reached = count + sum(moment.at <= now for moment in moments[count:])
    if reached == count:
        return None
    fresh = moments[count:reached]
    to = dict.fromkeys(address for moment in fresh for address in moment.to)
    next_at = moments[reached].at if reached < len(moments) else None
    return Passed(any(moment.kind == "reminder" for moment in fresh), tuple(to), reached, next_at)


def _reminder_at(reminder: Reminder, opened_at: float, deadline: float) -> float:
    if reminder.after is not None:
        return opened_at + reminder.after
    assert reminder.before_deadline is not None
    return deadline - reminder.before_deadline
