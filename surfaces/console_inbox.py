"""``/console/api/inbox``: the forms that wait for people, over all runs of a workspace, and what can be done with them.

Many forms can be decided at once; each is decided for itself, and each gets an answer of its own.

Source: spec/beyond.md 1, row 8.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, get_args
from uuid import UUID, uuid5

import uuid_utils
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from actors.messages import ActOrder, ClaimOrder, DelegateOrder, ReassignOrder, ReleaseOrder, SnoozeOrder
from graph.errors import DefectError, GreenroomError
from hitl.digest import form_digest
from hitl.form import FormStatus
from hitl.surface import Surface
from store.form_record import AuditEntry
from store.inbox_record import InboxFilter, InboxQuery, InboxRow
from store.login_record import LoggedIn
from surfaces.auth import idempotency_key_hash
from surfaces.console_auth import calling_account
from surfaces.console_drafts import account_shape
from surfaces.console_forms import (
    ConsoleAnswer,
    answer_form,
    any_form_of_workspace,
    claim_shape,
    form_of_workspace,
)
from surfaces.console_lists import number_in
from surfaces.error_table import answer_for, domain_error
from surfaces.errors import InvalidParamError
from surfaces.inbox_ports import InboxActs, InboxReads
from surfaces.ports import SurfacePorts
from surfaces.run_endpoints import canonical_id
from surfaces.run_events import is_true
from surfaces.schemas import checked, read_object, reply

MAX_DECISIONS: Final = 100
DECIDED_AT_ONCE: Final = 4
"""How many answers of one request are under way together: some wait until their files are fetched."""
MAX_ROWS: Final = 200
FILTERS: Final[tuple[InboxFilter, ...]] = get_args(InboxFilter)
_ANY_STATUS: Final = "any"
_LONGEST_ADDRESS: Final = 254
_LATEST: Final = 253_402_300_799.0
"""The last second of the year 9999."""
_ORDERS: Final = UUID("0b7c5d1e-6f0a-5d55-9d3b-1f1c8a0c7f44")

_log = logging.getLogger(__name__)


class TransferPayload(BaseModel):
    """The body of handing a form on. ``to``, ``instead_of``: e-mail addresses of accounts."""

    model_config = ConfigDict(extra="ignore")

    to: str = Field(min_length=3, max_length=_LONGEST_ADDRESS)
    instead_of: str | None = Field(None, max_length=_LONGEST_ADDRESS)


class SnoozePayload(BaseModel):
    """The body of putting a form away. ``until``: Unix seconds."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    until: float = Field(ge=0, le=_LATEST)


class Decision(ConsoleAnswer):
    """One of many answers: an answer and the form it is for."""

    form_id: str


class ConsoleInbox:
    """What needs no list: answers, and what is kept of forms."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def decide(self, request: Request) -> Response:
        """Answer many forms, some at a time; whatever becomes of one answer, the others are given.

        Of several answers to one form the first is given first.
        """
        login = await calling_account(request, self._ports)
        body = await read_object(request, self._ports.max_body_bytes)
        items = body.get("decisions")
        if not isinstance(items, list) or not 1 <= len(items) <= MAX_DECISIONS:
            raise InvalidParamError(f"decisions must be a list of 1 to {MAX_DECISIONS} answers.")
        key_hash = idempotency_key_hash(request)
        free, turns = asyncio.Semaphore(DECIDED_AT_ONCE), defaultdict[str, asyncio.Lock](asyncio.Lock)

        async def decided(item: Any) -> dict[str, Any]:
            name = str(item.get("form_id")) if isinstance(item, Mapping) else ""
            async with turns[canonical_id(name) or name], free:
                return await self._decided(item, login, key_hash)

        results = await asyncio.gather(*map(decided, items))
        failed_count = sum(each["result"] == "fail" for each in results)
        return reply({"data": results, "succeeded": len(results) - failed_count, "failed": failed_count})

    async def _decided(self, item: Any, login: LoggedIn, key_hash: bytes | None) -> dict[str, Any]:
        form_id = item.get("form_id") if isinstance(item, Mapping) else None
        try:
            decision = checked(Decision, item)
            form, recipient = await form_of_workspace(decision.form_id, login, self._ports)
            is_decided = await answer_form(form, recipient, decision, login, self._ports, key_hash)
        except Exception as error:  # boundary: HTTP  # noqa: BLE001
            cause = domain_error(error)
            if isinstance(cause, DefectError) or not isinstance(cause, GreenroomError):
                _log.exception("one of many answers failed")
            return {"form_id": form_id, "result": "fail", **answer_for(error).envelope()}
        return {"form_id": form_id, "result": "success", "is_decided": is_decided}

    async def audit(self, request: Request) -> Response:
        """Tell who did what to a form, oldest first."""
        form = await self._form(request)
        entries = [await self._entry(entry) for entry in await self._ports.forms.audit(form)]
        return reply({"data": entries})

    async def receipt(self, request: Request) -> Response:
        """Give out the signed receipt of a decided form."""
        receipts = self._ports.console.receipts
        assert receipts is not None
        return reply(dict(await receipts.receipt(await self._form(request))))

    async def deliveries(self, request: Request) -> Response:
        """Tell what became of the mails of a form."""
        deliveries = self._ports.console.deliveries
        assert deliveries is not None
        return reply({"data": [asdict(each) for each in await deliveries.deliveries(await self._form(request))]})

    async def _entry(self, entry: AuditEntry) -> dict[str, Any]:
        return {
            "id": entry.entry_id,
            "event": entry.event,
            "at": entry.at,
            "account": await account_shape(entry.account_id or "", self._ports),
            "end_user_id": entry.end_user_id,
            "recipient_id": entry.recipient_id,
            "via": entry.via,
            "detail": entry.detail,
            "reason": entry.reason,
        }

    async def _form(self, request: Request) -> str:
        """Return the id of the form in the path, if it is one of the caller's workspace."""
        login = await calling_account(request, self._ports)
        return (await any_form_of_workspace(request.path_params["form_id"], login, self._ports)).form_id


class InboxList:
    """The list of forms."""

    def __init__(self, ports: SurfacePorts, inbox: InboxReads) -> None:
        self._ports = ports
        self._inbox = inbox

    async def forms(self, request: Request) -> Response:
        """List the forms of the account's inbox, the newest first."""
        login = await calling_account(request, self._ports)
        page = await self._inbox.inbox(inbox_query(request, login, self._ports.clock.now()))
        last = page.rows[-1].form.form_id if page.rows and page.has_more else None
        rows = [self._row(each) for each in page.rows]
        return reply({"data": rows, "has_more": page.has_more, "next_cursor": last})

    def _row(self, row: InboxRow) -> dict[str, Any]:
        form = row.form
        claim = row.claim and claim_shape(row.claim, row.claimant)
        return {
            "form_id": form.form_id,
            "app_id": form.app_id,
            "app_name": row.app_name,
            "workflow_run_id": form.run_id,
            "node_id": form.node_id,
            "node_title": form.definition.node_title,
            "status": form.status,
            "created_at": int(form.created_at),
            "expiration_time": int(form.expires_at),
            "due_at": int(row.due_at),
            "claim": claim,
            "snoozed_until": None if row.snoozed_until is None else int(row.snoozed_until),
            "user_actions": form.definition.actions,
            "form_digest": form_digest(form.definition),
        }


class InboxTransfers:
    """What accounts do with forms besides answering them."""

    def __init__(self, ports: SurfacePorts, acts: InboxActs) -> None:
        self._ports = ports
        self._acts = acts

    async def claim(self, request: Request) -> Response:
        """Say that the account will answer a form."""
        login, form_id, order_id = await self._named(request, "claim")
        return await self._done(ClaimOrder(form_id, login.account.account_id, Surface.CONSOLE, order_id))

    async def release(self, request: Request) -> Response:
        """Give a claim back."""
        login, form_id, order_id = await self._named(request, "release")
        return await self._done(ReleaseOrder(form_id, login.account.account_id, Surface.CONSOLE, order_id))

    async def reassign(self, request: Request) -> Response:
        """Hand a form to somebody else."""
        login, form_id, order_id = await self._named(request, "reassign")
        body = checked(TransferPayload, await read_object(request, self._ports.max_body_bytes))
        by = login.account.account_id
        return await self._done(ReassignOrder(form_id, by, body.to, Surface.CONSOLE, body.instead_of, order_id))

    async def delegate(self, request: Request) -> Response:
        """Have somebody else asked as well."""
        login, form_id, order_id = await self._named(request, "delegate")
        body = checked(TransferPayload, await read_object(request, self._ports.max_body_bytes))
        return await self._done(DelegateOrder(form_id, login.account.account_id, body.to, Surface.CONSOLE, order_id))

    async def snooze(self, request: Request) -> Response:
        """Put a form away until later."""
        login, form_id, order_id = await self._named(request, "snooze")
        body = checked(SnoozePayload, await read_object(request, self._ports.max_body_bytes))
        return await self._done(SnoozeOrder(form_id, login.account.account_id, body.until, Surface.CONSOLE, order_id))

    async def _named(self, request: Request, what: str) -> tuple[LoggedIn, str, str]:
        """Return who acts, on which form, and the id of the order: the same for the same ``Idempotency-Key``."""
        login = await calling_account(request, self._ports)
        form = await any_form_of_workspace(request.path_params["form_id"], login, self._ports)
        key = request.headers.get("idempotency-key")
        if key is None:
            return login, form.form_id, str(uuid_utils.uuid7())
        parts = (what, form.form_id, login.account.account_id, key)
        return login, form.form_id, str(uuid5(_ORDERS, "\x00".join(parts)))

    async def _done(self, order: ActOrder) -> Response:
        await self._acts.act(order)
        return reply({"result": "success"})


def inbox_query(request: Request, login: LoggedIn, now: float) -> InboxQuery:
    """Return the part of an inbox that a request asks for.

    Raises:
        InvalidParamError: a parameter has a value that cannot be; the text names it.
    """
    query = request.query_params
    wanted: InboxFilter | None = next((each for each in FILTERS if each == query.get("filter", "mine")), None)
    if wanted is None:
        raise InvalidParamError(f"filter must be one of {', '.join(FILTERS)}.")
    statuses = (_ANY_STATUS, *FormStatus)
    status = query.get("status", FormStatus.WAITING)
    if status not in statuses:
        raise InvalidParamError(f"status must be one of {', '.join(statuses)}.")
    return InboxQuery(
        workspace_id=login.workspace_id,
        account_id=login.account.account_id,
        now=now,
        filter=wanted,
        app_id=_id_in(query, "app_id"),
        status=None if status == _ANY_STATUS else FormStatus(status),
        text=query.get("q", "").strip()[:_LONGEST_ADDRESS] or None,
        before=_id_in(query, "cursor"),
        with_snoozed=is_true(request, "snoozed"),
        limit=number_in(query, "limit", 50, MAX_ROWS),
    )


def _id_in(query: Mapping[str, str], name: str) -> str | None:
    text = query.get(name)
    if not text:
        return None
    found = canonical_id(text)
    if found is None:
        raise InvalidParamError(f"{name} must be an id.")
    return found
