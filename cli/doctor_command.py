"""``greenroom doctor``: shows what an operator asks first when something is odd. Changes nothing."""

import asyncio
import os
import sys
from importlib.metadata import version

import httpx2
import typer
from pydantic import SecretStr
from rich.console import Console
from sqlalchemy.exc import DBAPIError

from actors.mail_server import mail_server_of
from actors.secrets import load_secrets
from actors.settings import Settings
from cli.installation import database_sentences, local_address, read_settings
from effects.code_sandbox.errors import MEND
from effects.code_sandbox.image import is_built
from effects.mail import Mailer, MailServerAwayError
from graph.errors import GreenroomError
from store.database import open_database
from store.outbox import SqlOutbox

ANSWER_TIMEOUT_S = 3.0

SQLITE_COMMITS_PER_S = 400
"""Over all processes; above that the slowest hundredth of commits takes a tenth of a second and more."""


def doctor() -> None:
    """Show the settings (no secret), the schema and what stands out; exit code 1 if something must be done."""
    settings = read_settings()
    console = Console(soft_wrap=True, highlight=False)
    shown = shown_settings(settings)
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        console.print(f"GREENROOM_{name.upper():{width}}  {value}".rstrip(), markup=False)
    console.print(f"\nPython {sys.version.split()[0]}, Greenroom {version('greenroom')}, Ray {version('ray')}")
    console.print(f"at {local_address(settings)}: {answer_of(settings)}", markup=False)
    faults = findings(settings)
    if failed := failed_deliveries(settings):
        console.print(f"note: of what the outbox was to send, {failed} failed; Greenroom.deliveries tells why.")
    for fault in faults:
        console.print(f"! {fault}", markup=False)
    if not settings.smtp_url:
        console.print("note: no mail server is configured, so forms send no mails (GREENROOM_SMTP_URL).")
    if settings.database_url.startswith("sqlite"):
        console.print(
            f"note: SQLite carries about {SQLITE_COMMITS_PER_S} commits a second over all processes of one machine; "
            "above that, or with more than one machine, use PostgreSQL (GREENROOM_DATABASE_URL)."
        )
    if faults:
        raise typer.Exit(1)


def shown_settings(settings: Settings) -> list[tuple[str, str]]:
    """Return each setting with its value as text; of a secret only whether it is set."""
    shown = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = "(set)"
        shown.append((name, "" if value is None else str(value)))
    return shown


def answer_of(settings: Settings) -> str:
    """Return what answers on the HTTP port now."""
    try:
        reply = httpx2.get(f"{local_address(settings)}/health/ready", timeout=ANSWER_TIMEOUT_S)
    except (httpx2.TransportError, httpx2.InvalidURL):
        return "nothing answers; `dev/up` starts a Greenroom"
    if "x-greenroom-version" not in reply.headers:
        return "something answers that is no Greenroom"
    return "a Greenroom that is ready" if reply.status_code == httpx2.codes.OK else f"not ready: {reply.text.strip()}"


def findings(settings: Settings) -> list[str]:
    """Return what an operator must do something about."""
    faults = []
    try:
        with database_sentences(settings):
            asyncio.run(reach_database(settings))
    except GreenroomError as error:
        faults.append(str(error))
    try:
        asyncio.run(reach_mail_server(settings))
    except GreenroomError as error:
        faults.append(str(error))
    if not is_built():
        faults.append(f"the code sandbox is not built; code nodes fail: {MEND}")
    if settings.data_dir.exists() and not os.access(settings.data_dir, os.W_OK | os.X_OK):
        faults.append(f"files cannot be made in the data folder {settings.data_dir}")
    secrets_file = settings.secrets_file
    if secrets_file is not None and secrets_file.exists():
        try:
            load_secrets(secrets_file)
        except GreenroomError as error:
            faults.append(str(error))
        except OSError as error:
            faults.append(f"the secrets file {secrets_file} cannot be read: {error.strerror}")
    return faults


def failed_deliveries(settings: Settings) -> str:
    """Return how many mails and events were given up, "" for none or where the database does not answer."""
    try:
        counts = asyncio.run(_outbox_counts(settings))
    except (GreenroomError, DBAPIError, OSError):
        # ``findings`` tells what is wrong with the database.
        return ""
    failed = [(kind, count) for (kind, state), count in sorted(counts.items()) if state == "failed"]
    return ", ".join(f"{count} of kind {kind}" for kind, count in failed)


async def _outbox_counts(settings: Settings) -> dict[tuple[str, str], int]:
    database = open_database(settings.database_url_to_open())
    try:
        return await SqlOutbox(database).counts()
    finally:
        await database.close()


async def reach_mail_server(settings: Settings) -> None:
    """Return if no mail server is configured, or it answers and takes the login.

    Raises:
        MailServerAwayError: it does not.
    """
    server = mail_server_of(settings)
    if server is None:
        return
    try:
        await Mailer(server, ANSWER_TIMEOUT_S).check()
    except MailServerAwayError as error:
        raise MailServerAwayError(f"GREENROOM_SMTP_URL: {server.host}:{server.port}: {error}") from None


async def reach_database(settings: Settings) -> None:
    """Return if the database answers and has the schema that this version needs.

    Raises:
        SchemaOutdatedError: it has another one.
        StoreUnavailableError: it does not answer.
    """
    database = open_database(settings.database_url_to_open())
    try:
        await database.read(lambda _connection: None)
    finally:
        await database.close()
