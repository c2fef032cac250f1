"""Claims, schedules and whom a form asks, as rows: each function over a connection, in the caller's transaction.

Locks are taken in the order run, form, then what hangs on the form.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import orjson
from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from hitl.claim import Claim
from hitl.form import Form
from hitl.schedule import Moment
from store.database import AnySelect
from store.human_time_record import Schedule
from store.human_time_tables import asked_accounts, claims, cut_executions, has_next, schedules
from store.insert_once import insert_once

DUE_MOMENTS: AnySelect = (
    select(schedules.c.form_id, schedules.c.next_at)
    .where(has_next, schedules.c.next_at <= bindparam("key_until"))
    .order_by(schedules.c.next_at)
    .limit(bindparam("key_limit"))
)
_SCHEDULE = select(schedules.c.moments, schedules.c.passed_count).where(schedules.c.form_id == bindparam("key_form_id"))
_CLEAR = update(schedules).where(schedules.c.form_id == bindparam("key_form_id")).values(next_at=None)
_CLAIM = select(claims).where(claims.c.form_id == bindparam("key_form_id"))
_UNASK = delete(asked_accounts).where(
    asked_accounts.c.form_id == bindparam("key_form_id"), asked_accounts.c.account_id == bindparam("key_account_id")
)
_IS_CUT = select(exists().where(cut_executions.c.execution_id == bindparam("key_execution_id")))
_FORGET_CUT = delete(cut_executions).where(cut_executions.c.execution_id == bindparam("key_execution_id"))


def open_human_time(connection: Connection, form: Form, account_ids: Iterable[str], moments: Sequence[Moment]) -> None:
    """Store whom a new form asks in person, and when it will remind and escalate."""
    for account_id in account_ids:
        add_asked(connection, form, account_id)
    if moments:
        row = {
            "form_id": form.form_id,
            "moments": orjson.dumps([asdict(moment) for moment in moments]),
            "passed_count": 0,
            "next_at": moments[0].at,
        }
        connection.execute(insert(schedules), row)


def add_asked(connection: Connection, form: Form, account_id: str) -> None:
    """Add an account to those that a form asks in person; may be repeated."""
    row = {"form_id": form.form_id, "account_id": account_id, "created_at": form.created_at}
    insert_once(connection, asked_accounts, row)


def drop_asked(connection: Connection, form_id: str, account_id: str) -> None:
    """Take an account from those that a form asks in person; may be repeated."""
    connection.execute(_UNASK, {"key_form_id": form_id, "key_account_id": account_id})


def due_moments(connection: Connection, until: float, limit: int) -> list[tuple[str, float]]:
    """Return (form id, next moment) of what is due by ``until``, soonest first."""
    rows = connection.execute(DUE_MOMENTS, {"key_until": until, "key_limit": limit})
    return [(row.form_id, row.next_at) for row in rows]


def read_schedule(connection: Connection, form_id: str) -> Schedule | None:
    """Return the moments of a form, None where it has none."""
    row = connection.execute(_SCHEDULE, {"key_form_id": form_id}).one_or_none()
    if row is None:
        return None
    moments = (Moment(each["at"], each["kind"], tuple(each["to"])) for each in orjson.loads(row.moments))
    return Schedule(tuple(moments), row.passed_count)


def clear_schedule(connection: Connection, form_id: str) -> None:
    """Note that nothing more is due for a form."""
    connection.execute(_CLEAR, {"key_form_id": form_id})


def read_claim(connection: Connection, form_id: str) -> Claim | None:
    """Return the last claim of a form, which may have run out."""
    row = connection.execute(_CLAIM, {"key_form_id": form_id}).one_or_none()
    return None if row is None else Claim(row.form_id, row.account_id, row.at, row.expires_at)


def is_cut(connection: Connection, execution_id: str) -> bool:
    """Whether a node execution was cut off; what is stored about that is dropped: its form is dealt with now."""
    key = {"key_execution_id": execution_id}
    found = bool(connection.execute(_IS_CUT, key).scalar())
    if found:
        connection.execute(_FORGET_CUT, key)
    return found
