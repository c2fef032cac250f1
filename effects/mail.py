"""Hands mails to an SMTP server, one recipient each, and says of a failure whether trying again can help.

A refusal of this mail or its recipient is for good; whatever concerns the connection, the login or a passing state of
the server is not. Errors quote the server's answer; whoever keeps them takes the link out (``courier``).
"""

import asyncio
import email.utils
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from typing import Any, Final, Literal

import aiosmtplib

from graph.errors import RefusedError, UnavailableError

TlsMode = Literal["starttls", "implicit", "none"]

SEND_TIMEOUT_S: Final = 45.0
"""For one mail, from the connection to the server's last answer."""
_MAX_REASON_CHARS: Final = 300
_PERMANENT: Final = range(500, 600)


class MailRefusedError(RefusedError):
    """The mail cannot be sent to this recipient, now or later; the author corrects the address or the text."""

    code = "mail_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class MailServerAwayError(UnavailableError):
    """The mail server could not be used now; the mail is tried again, and the operator looks at the settings."""

    code = "mail_server_away"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails are handed over, and in whose name. ``user`` "": without a login."""

    host: str
    port: int
    tls: TlsMode
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """One mail to one address; the texts may hold a link that lets its reader act."""

    to: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    message_id: str
    written_at: float


class _Connection(aiosmtplib.SMTP):
    """A connection that takes no leave of its server when it is broken off: that would wait for an answer again."""

    async def __aexit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: Any) -> None:
        """Take leave and close."""
        if isinstance(exc, asyncio.CancelledError):
            self.close()
        await super().__aexit__(exc_type, exc, traceback)


class Mailer:
    """Hands mails to one server, each over a connection of its own, so that none waits for another."""

    def __init__(self, server: MailServer, timeout_s: float = SEND_TIMEOUT_S) -> None:
        self._server = server
        self._timeout_s = timeout_s

    @property
    def domain(self) -> str:
        """The domain of the sender's address, for message ids."""
        return email.utils.parseaddr(self._server.sender)[1].rpartition("@")[2]

    async def send(self, mail: OutgoingMail) -> None:
        """Return when the server has taken the mail.

        Raises:
            MailRefusedError: the address is none, or the server refused the mail for good.
            MailServerAwayError: it may be taken later; the server may have it already where the answer got lost.
        """
        recipient = _checked_address(mail.to)
        message = as_message(mail, self._server.sender, recipient)
        is_taken = False
        try:
            async with asyncio.timeout(self._timeout_s), self._client() as client:
                await self._log_in(client)
                try:
                    await client.send_message(message, recipients=[recipient.addr_spec])
                except aiosmtplib.SMTPException as error:
                    raise _about_mail(error) from None
                is_taken = True
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            # What goes wrong while taking leave of the server does not take the mail back.
            if not is_taken:
                raise MailServerAwayError(_reason(error)) from None

    async def check(self) -> None:
        """Return if the server answers and takes the login.

        Raises:
            MailServerAwayError: it does not.
        """
        try:
            async with asyncio.timeout(self._timeout_s), self._client() as client:
                await self._log_in(client)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise MailServerAwayError(_reason(error)) from None

    def _client(self) -> _Connection:
        server = self._server
        return _Connection(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "implicit",
            start_tls=server.tls == "starttls",
            timeout=self._timeout_s,
        )

    async def _log_in(self, client: aiosmtplib.SMTP) -> None:
        if not self._server.user:
            return
        try:
            await client.login(self._server.user, self._server.password)
        except aiosmtplib.SMTPException as error:
            # Whatever its code, this says nothing about the mail.
            raise MailServerAwayError(f"the login was refused: {_reason(error)}") from None


def as_message(mail: OutgoingMail, sender: str, recipient: Address) -> EmailMessage:
    """Return ``mail`` as text and HTML in one message."""
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = mail.subject
    message["Date"] = email.utils.formatdate(mail.written_at)
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(f"<!doctype html>\n<html><body>\n{mail.html}\n</body></html>\n", subtype="html")
    return message


def _checked_address(text: str) -> Address:
    """Return the one address that ``text`` is; a list, a name or a line break beside it makes it none."""
    try:
        address = Address(addr_spec=text)
    except (ValueError, IndexError, MessageError):
        raise MailRefusedError(f"{text!r} is no e-mail address") from None
    try:
        # What follows the @ has a spelling that every server reads; what stands before it has none.
        host = address.domain if address.domain.startswith("[") else address.domain.encode("idna").decode("ascii")
    except UnicodeError:
        host = ""
    if not host or not text.isprintable() or address.addr_spec != text:
        raise MailRefusedError(f"{text!r} is no e-mail address")
    return Address(username=address.username, domain=host)


def _about_mail(error: aiosmtplib.SMTPException) -> MailRefusedError | MailServerAwayError:
    """Return what a failure after the login means: the server's 5xx is its last word on this mail."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    is_final = isinstance(error, aiosmtplib.SMTPResponseException) and error.code in _PERMANENT
    if is_final or isinstance(error, aiosmtplib.SMTPNotSupported):
        return MailRefusedError(_reason(error))
    return MailServerAwayError(_reason(error))


def _reason(error: Exception) -> str:
    """Return one short line on what the server or the connection said."""
    if isinstance(error, TimeoutError):
        return "the mail server did not answer in time"
    text = f"{error.code} {error.message}" if isinstance(error, aiosmtplib.SMTPResponseException) else str(error)
    return " ".join(text.split())[:_MAX_REASON_CHARS] or type(error).__name__
