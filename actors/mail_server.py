"""The mail server that the settings name, for the courier and for whoever checks it."""

from typing import Final
from urllib.parse import unquote, urlsplit

from actors.settings import Settings
from effects.mail import Mailer, MailServer

SUBMISSION_PORT: Final = 587
SMTPS_PORT: Final = 465


def mail_server_of(settings: Settings) -> MailServer | None:
    """Return where these settings have mails handed over; None where they name no mail server."""
    if not settings.smtp_url:
        return None
    parts = urlsplit(settings.smtp_url)
    is_tls = parts.scheme == "smtps"
    return MailServer(
        host=parts.hostname or "",
        port=parts.port or (SMTPS_PORT if is_tls else SUBMISSION_PORT),
        tls="implicit" if is_tls else settings.smtp_tls,
        sender=settings.smtp_from,
        user=unquote(parts.username or ""),
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else "",
    )


def mailer_of(settings: Settings) -> Mailer | None:
    """Return what hands mails to the mail server of these settings; None where they name none."""
    server = mail_server_of(settings)
    return Mailer(server) if server is not None else None
