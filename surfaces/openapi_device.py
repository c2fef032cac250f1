"""``/openapi/v1/oauth/device``: how a program without a browser comes to a bearer token of an account.

It asks for two codes, shows one to its person, and asks with the other until the person has let it in: in the console,
or at ``/inbox/device`` (``surfaces.device_page``).

Source: RFC 8628, spec/http.md 8.3.
"""

from datetime import UTC, datetime
from typing import Any, Final

import uuid_utils
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from store.bearer_record import (
    BearerToken,
    DeviceCode,
    DeviceStatus,
    Resolution,
    hash_secret,
    hash_user_code,
    new_bearer,
    new_device_code,
    new_user_code,
)
from surfaces.console_auth import calling_account
from surfaces.openapi_reads import account_shape
from surfaces.ports import SurfacePorts
from surfaces.schemas import checked, read_object, reply

CODE_LIFETIME_S: Final = 900
INTERVAL_S: Final = 5
DEVICE_PAGE: Final = "/inbox/device"
_CLIENTS: Final = frozenset({"difyctl"})
_BODY_BYTES: Final = 16 * 1024
_LONGEST: Final = 200


class DevicePayload(BaseModel):
    """A device that asks to be let in: what program it is, and where it runs."""

    model_config = ConfigDict(extra="ignore")

    client_id: str = Field(max_length=_LONGEST)
    device_label: str = Field("", max_length=_LONGEST)


class PollPayload(BaseModel):
    """A device that asks for its token."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    device_code: str = Field(max_length=_LONGEST, repr=False)
    client_id: str = Field(max_length=_LONGEST)


class ResolvePayload(BaseModel):
    """A person who lets a device in, or does not."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    user_code: str = Field(max_length=_LONGEST, repr=False)


class DeviceEndpoints:
    """The endpoints of devices, and of whoever lets them in."""

    def __init__(self, ports: SurfacePorts) -> None:
        self._ports = ports

    async def code(self, request: Request) -> Response:
        """Give a device its two codes."""
        await self._ports.form_limits.take_of_stranger("device", request)
        body = checked(DevicePayload, await read_object(request, _BODY_BYTES))
        if body.client_id not in _CLIENTS:
            return _refused("unsupported_client")
        device_code, user_code, now = new_device_code(), new_user_code(), self._ports.clock.now()
        label = "".join(each for each in body.device_label if each.isprintable())
        kept = DeviceCode(
            hash_secret(device_code), hash_user_code(user_code), body.client_id, label, now + CODE_LIFETIME_S
        )
        await self._ports.bearers.begin_device(kept, now)
        told = {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": f"{self._ports.public_url.rstrip('/')}{DEVICE_PAGE}",
            "expires_in": CODE_LIFETIME_S,
            "interval": INTERVAL_S,
        }
        return _no_store(reply(told))

    async def token(self, request: Request) -> Response:
        """Give a device its token once somebody has let it in; durable by then, and shown this once."""
        body = checked(PollPayload, await read_object(request, _BODY_BYTES))
        now = self._ports.clock.now()
        token, new = new_bearer(str(uuid_utils.uuid7()), now)
        outcome = await self._ports.bearers.poll_device(
            hash_secret(body.device_code), body.client_id, new, now, INTERVAL_S
        )
        if not isinstance(outcome, BearerToken):
            return _refused(outcome)
        shape = await account_shape(outcome.account_id, self._ports)
        told: dict[str, Any] = {
            "token": token,
            "expires_at": datetime.fromtimestamp(outcome.expires_at, UTC).isoformat(),
            **shape,
            "token_id": outcome.token_id,
        }
        return _no_store(reply(told))

    async def lookup(self, request: Request) -> Response:
        """Say whether a user code waits for somebody."""
        await self._ports.form_limits.take_of_stranger("device", request)
        now = self._ports.clock.now()
        typed = request.query_params.get("user_code", "")[:_LONGEST]
        found = await self._ports.bearers.device(hash_user_code(typed), now)
        is_valid = found is not None and found.status == "pending"
        told = {
            "valid": is_valid,
            "expires_in_remaining": int(found.expires_at - now) if found is not None and is_valid else 0,
            "client_id": found.client_id if found is not None and is_valid else None,
        }
        return _no_store(reply(told))

    async def approve(self, request: Request) -> Response:
        """Let a device in, in the name of the account that is logged in to the console."""
        return await self._resolved(request, "approved")

    async def deny(self, request: Request) -> Response:
        """Turn a device away."""
        return await self._resolved(request, "denied")

    async def _resolved(self, request: Request, status: DeviceStatus) -> Response:
        login = await calling_account(request, self._ports)
        body = checked(ResolvePayload, await read_object(request, _BODY_BYTES))
        outcome = await resolve(body.user_code, login.account.account_id, status, self._ports)
        if outcome == "resolved":
            return reply({"status": status})
        return _refused(outcome, 409 if outcome == "already_resolved" else 404)


async def resolve(user_code: str, account_id: str, status: DeviceStatus, ports: SurfacePorts) -> Resolution:
    """Let the device of ``user_code`` in, or turn it away, in the name of an account; durable on return."""
    return await ports.bearers.resolve_device(hash_user_code(user_code), account_id, status, ports.clock.now())


def _refused(error: str, status: int = 400) -> Response:
    return _no_store(reply({"error": error}, status))


def _no_store(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
