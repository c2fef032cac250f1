"""``greenroom receipt``: exports the signed receipt of a decided form, and checks one without any server."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console

from actors.receipts import Receipts
from actors.secrets import Secrets, existing_secrets
from actors.settings import Settings
from cli.import_command import read_file
from cli.installation import database_sentences, harmless, read_settings
from hitl.errors import FormNotFoundError
from hitl.receipt import read_receipt, sign_receipt, verified_statement
from hitl.receipt_key import ReceiptVerifier
from store.accounts import SqlAccounts
from store.blobs import open_blobs
from store.database import open_database
from store.decisions import SqlDecisions
from store.forms import SqlForms
from store.journal import SqlJournal

receipt = typer.Typer(help="Signed receipts: who decided what, under which rules.", no_args_is_help=True)


@receipt.command("export")
def export(
    form_id: Annotated[str, typer.Argument(metavar="FORM_ID", help="The id of a decided form.")],
) -> None:
    """Print the signed receipt of a form as JSON."""
    settings = read_settings()
    secrets = _secrets(settings)
    with database_sentences(settings):
        statement = asyncio.run(_statement(settings, _canonical_id(form_id)))
    typer.echo(json.dumps(sign_receipt(statement, secrets.receipt_key), indent=2))


@receipt.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A receipt.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="What `greenroom receipt key` printed where the receipt was made."),
    ] = None,
) -> None:
    """Check a receipt, without database and server; without --key it must be of this installation."""
    held = read_receipt(read_file(file))
    verifier = ReceiptVerifier.of_pem(read_file(key)) if key else _secrets(read_settings()).receipt_key.verifier
    statement = verified_statement(held, verifier)
    console = Console(soft_wrap=True, highlight=False)
    for line in _told(statement, verifier):
        console.print(harmless(line), markup=False)


@receipt.command("key")
def key_() -> None:
    """Print the public key that checks the receipts of this installation."""
    typer.echo(_secrets(read_settings()).receipt_key.verifier.pem, nl=False)


def _told(statement: dict[str, Any], verifier: ReceiptVerifier) -> list[str]:
    """Return what a person wants to know of a valid receipt."""
    decided, taken_up = statement["decided"], statement["taken_up"]
    return [
        f"valid: signed with key {verifier.key_id}",
        f"form {statement['form']['form_id']}, digest {statement['form']['digest']}",
        f"proposed {statement['proposed']['at']} by run {statement['proposed']['run_id']}",
        *(f"voted {vote['at']}: {vote['action_id']}, {vote['by']['says']}" for vote in statement["votes"]),
        f"decided {decided['at']}: {decided['action_id']}, {decided['by']['says']}, through {decided['via']}",
        f"taken up {taken_up['at']}, fact {taken_up['fact_number']}" if taken_up else "not taken up when exported",
    ]


async def _statement(settings: Settings, form_id: str) -> dict[str, Any]:
    database = open_database(settings.database_url_to_open())
    try:
        journal = SqlJournal(database, open_blobs(settings.files_url, settings.files_dir))
        receipts = Receipts(SqlForms(database), SqlDecisions(database), journal, SqlAccounts(database))
        return await receipts.statement(form_id)
    finally:
        await database.close()


def _secrets(settings: Settings) -> Secrets:
    assert settings.secrets_file is not None
    return existing_secrets(settings.secrets_file)


def _canonical_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise FormNotFoundError() from None
