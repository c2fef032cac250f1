"""Tells webhooks of events: signed, one attempt a call, no redirects, and only to addresses that may be reached."""

import asyncio
from typing import Final

import httpx2

from effects.guarded_client import GuardedClient
from graph.errors import RefusedError, UnavailableError
from hitl.webhook import SIGNATURE_HEADER, signature

POST_TIMEOUT_S: Final = 15.0
"""For the whole exchange."""
_GONE: Final = 410


class WebhookGoneError(RefusedError):
    """The receiver says that it is gone for good (410); whoever wrote the workflow corrects its address."""

    code = "webhook_gone"

    def __str__(self) -> str:
        return "the webhook answered 410: it is gone for good"


class WebhookSecretError(RefusedError):
    """The environment variable with the signing secret is not set; the operator sets it for the courier's process."""

    code = "webhook_secret_missing"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"the environment variable {self.name} with the signing secret is not set"


class WebhookAwayError(UnavailableError):
    """The receiver did not take the event now; it is tried again."""

    code = "webhook_away"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class WebhookPoster:
    """Sends events; belongs to one event loop."""

    def __init__(self, client: GuardedClient, timeout_s: float = POST_TIMEOUT_S) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def post(self, url: str, event: str, event_id: str, body: bytes, secret: str, now: float) -> None:
        """Return when the receiver has answered with a 2xx status.

        Args:
            url: where to; http or https.
            event: its name, such as run.paused.
            event_id: the same at every attempt, so that a receiver can drop repetitions.
            body: JSON.
            secret: what signs timestamp and body.
            now: Unix seconds of this attempt.

        Raises:
            WebhookGoneError: it answered 410.
            WebhookAwayError: another answer, or none.
        """
        headers = {
            "content-type": "application/json",
            "user-agent": "Greenroom",
            "greenroom-event": event,
            "greenroom-event-id": event_id,
            SIGNATURE_HEADER.lower(): signature(secret.encode(), int(now), body),
        }
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await self._status(url, body, headers)
        except TimeoutError:
            raise WebhookAwayError(f"the webhook did not answer within {self._timeout_s:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise WebhookAwayError(f"the webhook cannot be reached: {error or type(error).__name__}") from None
        if status == _GONE:
            raise WebhookGoneError()
        if not httpx2.codes.is_success(status):
            raise WebhookAwayError(f"the webhook answered {status}")

    async def _status(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        # The client of guarded_client follows redirects, which would carry signature and body to somebody else.
        async with httpx2.AsyncClient(transport=self._client.transport(), trust_env=False, timeout=None) as client:
            request = client.build_request("POST", url, content=body, headers=headers)
            response = await client.send(request, stream=True, follow_redirects=False)
            await response.aclose()
            return response.status_code
