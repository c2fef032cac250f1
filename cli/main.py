"""The ``greenroom`` command: its subcommands, and how an error of ours ends it (a sentence, never a traceback)."""
# ruff: noqa: E402

import signal

# Reading the modules below takes a second. Ctrl-C meanwhile just ends the process, without a traceback through them.
_ON_INTERRUPT = signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys

import typer
from rich.console import Console

from cli.account_command import account
from cli.archive_command import archive
from cli.backup_command import backup
from cli.doctor_command import doctor
from cli.forget_command import forget
from cli.import_command import import_file
from cli.installation import harmless
from cli.mcp_command import mcp
from cli.migrate_command import migrate_schema
from cli.receipt_command import receipt
from cli.sandbox_command import sandbox
from cli.simulate_command import simulate
from cli.up_command import up
from cli.upgrade_command import upgrade
from graph.errors import GreenroomError, RefusedError

signal.signal(signal.SIGINT, _ON_INTERRUPT)

REFUSED_EXIT = 2
FAILED_EXIT = 1

app = typer.Typer(
    name="greenroom",
    help="Run Dify-compatible workflows with people in them on Ray.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(up)
app.command("import")(import_file)
app.command("simulate")(simulate)
app.command("migrate")(migrate_schema)
app.command("upgrade")(upgrade)
app.command("doctor")(doctor)
app.add_typer(account, name="account")
app.command("backup")(backup)
app.command("forget")(forget)
app.add_typer(archive, name="archive")
app.add_typer(sandbox, name="sandbox")
app.add_typer(receipt, name="receipt")
app.add_typer(mcp, name="mcp")


def exit_code_of(error: GreenroomError) -> int:
    """Return 2 for what the caller can fix, else 1."""
    return REFUSED_EXIT if isinstance(error, RefusedError) else FAILED_EXIT


def end_with(error: GreenroomError) -> int:
    """Print an error of ours on stderr and return the exit code that goes with it."""
    Console(stderr=True, soft_wrap=True).print(f"greenroom: {harmless(str(error))}", markup=False, highlight=False)
    return exit_code_of(error)


def main() -> None:
    """Run the command line; the entry point of the ``greenroom`` script."""
    try:
        app()
    except GreenroomError as error:
        sys.exit(end_with(error))


if __name__ == "__main__":
    main()
