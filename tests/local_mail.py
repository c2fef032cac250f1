"""A real SMTP server on this machine, for tests of what sends mail."""

import asyncio
import email
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

from aiosmtpd.controller import Controller

from effects.mail import MailServer
from free_ports import free_ports

ACCEPTED = "250 OK"


@dataclass
class LocalMail:
    """Takes mails as it is told. ``taken``: what it answered 250 to; ``asked``: recipients as they came.

    ``rcpt``, ``data``: answers by recipient, used up one by one; after them, and for others, 250.
    """

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    rcpt: dict[str, list[str]] = field(default_factory=dict)
    data: dict[str, list[str]] = field(default_factory=dict)
    hung: set[str] = field(default_factory=set)

    @property
    def server(self) -> MailServer:
        """How to reach it."""
        return MailServer("127.0.0.1", self.port, "none", "Greenroom <noreply@greenroom.example>")

    def to(self, address: str) -> list[EmailMessage]:
        """Return the mails taken for ``address``."""
        return [mail for mail in self.taken if mail["To"] == address]

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """Answer to the naming of a recipient."""
        self.asked.append(address)
        if self.rcpt.get(address):
            return self.rcpt[address].pop(0)
        envelope.rcpt_tos.append(address)
        return ACCEPTED

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Answer to a whole mail."""
        (address,) = envelope.rcpt_tos
        if address in self.hung:
            await asyncio.sleep(3600)
        if self.data.get(address):
            answer = self.data[address].pop(0)
            if not answer.startswith("250"):
                return answer
        self.taken.append(cast(EmailMessage, email.message_from_bytes(envelope.content, policy=default)))
        return ACCEPTED


def body_of(mail: EmailMessage, kind: str) -> str:
    """Return the text of a mail's part ``plain`` or ``html``."""
    part = mail.get_body((kind,))
    assert part is not None
    return part.get_content()


@contextmanager
def local_mail() -> Iterator[LocalMail]:
    """Serve on a free port of the loopback address."""
    mails = LocalMail(free_ports(1)[0])
    controller = Controller(mails, hostname="127.0.0.1", port=mails.port)
    controller.start()
    try:
        yield mails
    finally:
        controller.stop()
