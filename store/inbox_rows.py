"""An account's inbox in SQL: the forms of a workspace, newest first, from an index that has them in this order.

Waiting forms are read from the partial index of the workspace, whoever they ask: there are few of them beside all
that have ever been. The closed forms that asked one account are read from its own index.
"""

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, exists, or_, select, tuple_

from hitl.claim import Claim
from hitl.form import FormStatus
from hitl.hand_over import ALL_SEEING
from store.database import AnyRow
from store.form_rows import form_of
from store.human_time_tables import asked_accounts, claims, snoozes
from store.inbox_record import InboxPage, InboxQuery, InboxRow
from store.tables import accounts, apps, forms, is_waiting, members

_ROLE = select(members.c.role).where(
    members.c.workspace_id == bindparam("key_workspace_id"), members.c.account_id == bindparam("key_account_id")
)
_OPENED_AT = select(forms.c.created_at).where(forms.c.form_id == bindparam("key_form_id"))
_claim = and_(claims.c.form_id == forms.c.form_id, claims.c.expires_at > bindparam("key_now"))
_snooze = and_(
    snoozes.c.form_id == forms.c.form_id,
    snoozes.c.account_id == bindparam("key_account_id"),
    snoozes.c.until > bindparam("key_now"),
)
_COLUMNS = (
    forms,
    apps.c.name.label("app_name"),
    claims.c.account_id.label("claimant_id"),
    claims.c.at.label("claimed_at"),
    claims.c.expires_at.label("claim_expires_at"),
    accounts.c.name.label("claimant_name"),
    snoozes.c.until.label("snoozed_until"),
)


def read_inbox(connection: Connection, query: InboxQuery) -> InboxPage:
    """Return a page of an account's inbox; see HumanTimeStore.inbox."""
    key = {"key_workspace_id": query.workspace_id, "key_account_id": query.account_id}
    role = connection.execute(_ROLE, key).scalar()
    if role is None:
        return InboxPage((), False)
    statement, values = inbox_statement(query, sees_all=role in ALL_SEEING)
    if query.before is not None:
        opened_at = connection.execute(_OPENED_AT, {"key_form_id": query.before}).scalar()
        values |= {"key_before_at": opened_at, "key_before_id": query.before}
    rows = connection.execute(statement, values).all()
    return InboxPage(tuple(_row(row) for row in rows[: query.limit]), len(rows) > query.limit)


def inbox_statement(query: InboxQuery, sees_all: bool) -> tuple[Select[*tuple[object, ...]], dict[str, object]]:
    """Return the statement of a page and one more row, and its parameters, those of ``before`` missing.

    Args:
        query: which part of the inbox.
        sees_all: whether every form of the workspace is the account's.
    """
    is_own = query.filter == "mine" and not sees_all
    is_of_history = is_own and query.status is not FormStatus.WAITING
    order = (
        (asked_accounts.c.created_at, asked_accounts.c.form_id)
        if is_of_history
        else (
            forms.c.created_at,
            forms.c.form_id,
        )
    )
    source = forms.join(apps, apps.c.app_id == forms.c.app_id, isouter=True)
    source = source.join(claims, _claim, isouter=True).join(snoozes, _snooze, isouter=True)
    source = source.join(accounts, accounts.c.account_id == claims.c.account_id, isouter=True)
    if is_of_history:
        source = source.join(asked_accounts, asked_accounts.c.form_id == forms.c.form_id)
    statement = (
        select(*_COLUMNS)
        .select_from(source)
        .where(*_conditions(query, is_own, is_of_history))
        .order_by(*(column.desc() for column in order))
        .limit(bindparam("key_limit"))
    )
    if query.before is not None:
        statement = statement.where(tuple_(*order) < tuple_(bindparam("key_before_at"), bindparam("key_before_id")))
    values: dict[str, object] = {
        "key_workspace_id": query.workspace_id,
        "key_account_id": query.account_id,
        "key_now": query.now,
        "key_limit": query.limit + 1,
    }
    if query.app_id is not None:
        values["key_app_id"] = query.app_id
    if query.text:
        values["key_text"] = f"%{_escaped(query.text)}%"
    if query.status is not None:
        values["key_status"] = str(query.status)
    return statement, values


def _conditions(query: InboxQuery, is_own: bool, is_of_history: bool) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        forms.c.workspace_id == bindparam("key_workspace_id"),
        forms.c.kind == "runtime",
    ]
    if query.status is FormStatus.WAITING or query.filter == "unclaimed":
        # The literal condition of the partial index.
        found.append(is_waiting)
    if query.status is not None:
        found.append(forms.c.status == bindparam("key_status"))
    if is_of_history:
        found.append(asked_accounts.c.account_id == bindparam("key_account_id"))
    elif is_own:
        asks = and_(
            asked_accounts.c.form_id == forms.c.form_id, asked_accounts.c.account_id == bindparam("key_account_id")
        )
        found.append(exists().where(asks))
    if query.filter == "unclaimed":
        found.append(claims.c.form_id.is_(None))
    if query.app_id is not None:
        found.append(forms.c.app_id == bindparam("key_app_id"))
    if query.text:
        pattern = bindparam("key_text")
        found.append(or_(forms.c.node_title.ilike(pattern, escape="\\"), apps.c.name.ilike(pattern, escape="\\")))
    if not query.with_snoozed:
        found.append(or_(snoozes.c.form_id.is_(None), ~is_waiting))
    return found


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _row(row: AnyRow) -> InboxRow:
    form = form_of(row)
    claim = None
    if row.claimant_id is not None and form.status is FormStatus.WAITING:
        claim = Claim(form.form_id, row.claimant_id, row.claimed_at, row.claim_expires_at)
    name = (row.claimant_name or "") if claim else ""
    return InboxRow(form, row.app_name or "", row.due_at, claim, name, row.snoozed_until)
