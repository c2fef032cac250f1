"""The process behind ``greenroom upgrade``: has the actors of a running cluster replaced by those of this version."""

import asyncio
import logging
import sys

import ray
from rich.console import Console

from actors.calls import NAMESPACE
from actors.settings import Settings
from actors.start_actors import start_actors
from cli.doctor_command import reach_database
from cli.errors import StartFailedError
from cli.installation import database_sentences, read_settings
from cli.main import end_with
from graph.errors import GreenroomError

LOGS = "/tmp/ray/session_latest/logs"


def main() -> None:
    """Replace the actors; exit code 0 if all of them run this version then."""
    try:
        upgrade(read_settings())
    except GreenroomError as error:
        sys.exit(end_with(error))
    Console(highlight=False).print("the actors run this version; runs go on in new ones as their nodes finish")


def upgrade(settings: Settings) -> None:
    """Replace the actors of the cluster that ``RAY_ADDRESS`` names, else of the one on this machine.

    May be repeated: actors that run this version stay.

    Raises:
        SchemaOutdatedError: ``greenroom migrate`` comes first; nothing was replaced.
        StartFailedError: there is no such cluster.
        GreenroomError: an actor does not come up.
    """
    with database_sentences(settings):
        asyncio.run(reach_database(settings))
    try:
        if not ray.is_initialized():
            ray.init(address="auto", namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError) as error:
        reason = str(error).strip().splitlines()
        raise StartFailedError("connecting to Ray", reason[0] if reason else type(error).__name__, LOGS) from error
    asyncio.run(start_actors(settings, is_deployer=True))


if __name__ == "__main__":
    main()
