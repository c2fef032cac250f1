"""The actor that sends: mails about forms, events to webhooks. What is to be sent are rows of the outbox.

It holds the form token key, because it makes the links, and nothing that it could not read again. Every method may be
called twice.
"""

import os

import ray

from actors.background import Background, insist
from actors.calls import COURIER, options
from actors.code_version import code_version
from actors.delivery import Deliveries
from actors.key_check import CheckedKey
from actors.mail_server import mailer_of
from actors.run_segment import WallClock
from actors.senders import MailSender, WebhookSender
from actors.settings import Settings
from actors.wiring import Ports
from effects.address_guard import parse_networks
from effects.guarded_client import GuardedClient
from effects.webhook import WebhookPoster


class Courier:
    """Sends what is due, tries again what failed, and begins anew from the outbox after a restart."""

    def __init__(self, plain_settings: str) -> None:
        """Prepare; does no I/O. Sending runs in a task of its own, also after a restart.

        Args:
            plain_settings: ``Settings.plain``.
        """
        self._settings = Settings.from_plain(plain_settings)
        self._ports = Ports(self._settings)
        self._key = CheckedKey(self._ports)
        self._deliveries: Deliveries | None = None
        self._background = Background()
        self._background.start(insist("courier", self._run))

    async def wake(self) -> None:
        """Look into the outbox at once. Nothing is durable by it; a hint that is lost costs half a minute."""
        if self._deliveries is not None:
            self._deliveries.wake()

    async def retire(self) -> None:
        """Send nothing more and return when what is under way is recorded: then this process may be replaced.

        May be called twice. A crash in between leaves what is under way to the successor.
        """
        if self._deliveries is not None:
            await self._deliveries.retire()

    async def version(self) -> str:
        """Return the version of the code that runs here."""
        return code_version()

    async def _run(self) -> None:
        # Links made with another key would be worthless: nothing leaves before the key is known to be the right one.
        await self._key.get()
        if self._deliveries is None:
            self._deliveries = self._made()
        await self._deliveries.run()

    def _made(self) -> Deliveries:
        settings, clock = self._settings, WallClock()
        mails = MailSender(self._ports.forms, mailer_of(settings), self._key.get, settings.public_url, clock)
        poster = WebhookPoster(GuardedClient(parse_networks(settings.http_allowed_networks)))
        events = WebhookSender(poster, os.environ, clock)
        return Deliveries(self._ports.outbox, {"mail": mails.send, "webhook": events.send}, clock)


def make_courier(settings: Settings) -> ray.actor.ActorHandle:
    """Create the courier, or return it if it exists."""
    actor_options = options(COURIER, restarts=True, num_cpus=settings.actor_cpus)
    return ray.remote(Courier).options(**actor_options).remote(settings.plain)
