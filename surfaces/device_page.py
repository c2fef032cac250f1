"""The page on which a person lets a program in: type its code, see what asks, decide. Works without scripts.

    GET   /inbox/device                -> type the code
    GET   /inbox/device?user_code=…    -> what asks
    POST  /inbox/device                -> let it in, or turn it away

Source: RFC 8628, 3.3; spec/http.md 8.3.
"""

from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response

from store.bearer_record import DeviceCode, Resolution, hash_user_code
from surfaces.form_view import shown_page
from surfaces.inbox_page import InboxPages, Visitor
from surfaces.openapi_device import DEVICE_PAGE, resolve
from surfaces.ports import SurfacePorts

_TITLE: Final = "Let a program in"
_UNKNOWN: Final = "No program waits with this code. Please start it again and type the code that it shows then."
_SHOWN_LETTERS: Final = 20


class DevicePages:
    """The page, for whoever is logged in."""

    def __init__(self, ports: SurfacePorts, pages: InboxPages) -> None:
        self._ports = ports
        self._pages = pages
        self._prefix = urlsplit(ports.public_url).path.rstrip("/")

    async def device(self, request: Request, visitor: Visitor) -> Response:
        """Ask for a code and show what waits with it (GET), or resolve it (POST)."""
        if request.method == "POST":
            sent = await self._pages.guarded(request, visitor)
            return await self._resolved(visitor, sent.text("user_code") or "", sent.text("action") or "")
        typed = request.query_params.get("user_code", "")
        if not typed:
            return self._page(visitor, "", None)
        await self._ports.form_limits.take_of_stranger("device", request)
        found = await self._ports.bearers.device(hash_user_code(typed), self._ports.clock.now())
        if found is None or found.status != "pending":
            return self._page(visitor, typed, None, _UNKNOWN, 404)
        return self._page(visitor, typed, found)

    async def _resolved(self, visitor: Visitor, user_code: str, action: str) -> Response:
        if action not in ("approve", "deny"):
            return self._page(visitor, user_code, None, "Please choose what to do.", 400)
        status = "approved" if action == "approve" else "denied"
        outcome: Resolution = await resolve(user_code, visitor.login.account.account_id, status, self._ports)
        if outcome == "expired_or_unknown":
            return self._page(visitor, user_code, None, _UNKNOWN, 404)
        if outcome == "already_resolved":
            return self._page(visitor, user_code, None, "This was decided before.", 409)
        what = "The program has been let in." if action == "approve" else "The program has been turned away."
        inbox = f"{self._prefix}/inbox"
        return shown_page("inbox_message.html", title="Thank you", text=f"{what} You can go back to it.", inbox=inbox)

    def _page(
        self, visitor: Visitor, user_code: str, found: DeviceCode | None, reason: str = "", status: int = 200
    ) -> Response:
        label = f" on {found.device_label}" if found is not None and found.device_label else ""
        return shown_page(
            "inbox_device.html",
            status,
            title=_TITLE,
            reason=reason,
            device=f"{found.client_id}{label}" if found is not None else "",
            account=visitor.login.account.name,
            user_code=user_code[:_SHOWN_LETTERS],
            guard=self._pages.guard_of(visitor),
            action=f"{self._prefix}{DEVICE_PAGE}",
            inbox=f"{self._prefix}/inbox",
        )


def add_device_page(app: FastAPI, ports: SurfacePorts) -> None:
    """Add the page to ``app``."""
    pages = InboxPages(ports)
    app.add_route(DEVICE_PAGE, pages.for_visitors(DevicePages(ports, pages).device), methods=["GET", "POST"])
